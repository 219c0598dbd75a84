//! Any fields of a request and of an answer: what one side writes, the other reads.
#![no_main]

use arbitrary::Arbitrary;
use bytes::Bytes;
use doozer::core::protocol::client::{Request, Response};
use doozer_fuzz::{read_stream, write_stream};
use libfuzzer_sys::fuzz_target;

/// Above what any input of the fuzzer fills.
const FRAME_BYTES_MAX: usize = 16 << 20;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    pieces: &'a [u8],
    requests: Vec<RequestFields<'a>>,
    responses: Vec<ResponseFields<'a>>,
}

#[derive(Arbitrary, Debug)]
struct RequestFields<'a> {
    tag: Option<i32>,
    verb: Option<i32>,
    path: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    other_tag: Option<i32>,
    offset: Option<i32>,
    rev: Option<i64>,
    local: Option<bool>,
    force: Option<bool>,
    exact: Option<bool>,
}

#[derive(Arbitrary, Debug)]
struct ResponseFields<'a> {
    tag: Option<i32>,
    flags: Option<i32>,
    rev: Option<i64>,
    path: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    len: Option<i32>,
    err_code: Option<i32>,
    err_detail: Option<&'a str>,
}

fuzz_target!(|input: Input<'_>| {
    let requests: Vec<Request> = input.requests.into_iter().map(request).collect();
    let stream = write_stream(&requests);
    let read = read_stream(&stream, input.pieces, FRAME_BYTES_MAX);
    assert_eq!(read, (requests, None, 0));

    let responses: Vec<Response> = input.responses.into_iter().map(response).collect();
    let stream = write_stream(&responses);
    let read = read_stream(&stream, input.pieces, FRAME_BYTES_MAX);
    assert_eq!(read, (responses, None, 0));
});

fn request(fields: RequestFields<'_>) -> Request {
    Request {
        tag: fields.tag,
        verb: fields.verb,
        path: fields.path.map(Bytes::copy_from_slice),
        value: fields.value.map(Bytes::copy_from_slice),
        other_tag: fields.other_tag,
        offset: fields.offset,
        rev: fields.rev,
        local: fields.local,
        force: fields.force,
        exact: fields.exact,
    }
}

fn response(fields: ResponseFields<'_>) -> Response {
    Response {
        tag: fields.tag,
        flags: fields.flags,
        rev: fields.rev,
        path: fields.path.map(Bytes::copy_from_slice),
        value: fields.value.map(Bytes::copy_from_slice),
        len: fields.len,
        err_code: fields.err_code,
        err_detail: fields.err_detail.map(str::to_owned),
    }
}
