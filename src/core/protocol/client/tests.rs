//! The codec against conversations of the original, arbitrary values, and arbitrary bytes.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::option;
use proptest::prelude::*;
use prost::Message;

use super::*;

const FRAME_BYTES_MAX: usize = 1 << 16;

fn from_hex(text: &str) -> BytesMut {
    assert_eq!(text.len() % 2, 0);
    let digit = |c: u8| char::from(c).to_digit(16).expect("a hexadecimal digit") as u8;
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode<M: Message + Default>(hex: &str) -> M {
    let mut buffer = from_hex(hex);
    let message = decode_frame(&mut buffer, FRAME_BYTES_MAX);
    let message = message.expect(hex).expect("a whole frame");
    assert!(buffer.is_empty(), "{hex} leaves {buffer:?}");
    message
}

fn encode<M: Message>(message: &M) -> String {
    let mut buffer = BytesMut::new();
    encode_frame(message, &mut buffer);
    to_hex(&buffer)
}

fn request(tag: i32, verb: Verb) -> Request {
    Request {
        tag: Some(tag),
        verb: Some(verb as i32),
        ..Request::default()
    }
}

fn some(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(text.as_bytes()))
}

/// Frames that clients sent to the original server.
#[test]
fn requests_have_the_bytes_of_the_original() {
    let cases = [
        ("0000000408011005", request(1, Verb::Rev)),
        (
            "000000021005",
            Request {
                tag: None,
                ..request(0, Verb::Rev)
            },
        ),
        ("0000000408001005", request(0, Verb::Rev)),
        ("0000000d08f9ffffffffffffffff011007", request(-7, Verb::Nop)),
        ("0000000808ffffffff071005", request(i32::MAX, Verb::Rev)),
        (
            "0000001d0801100222052f67732f612a0568656c6c6f48ffffffffffffffffff01",
            Request {
                path: some("/gs/a"),
                value: some("hello"),
                rev: Some(REV_CLOBBER),
                ..request(1, Verb::Set)
            },
        ),
        (
            "000000180801100222052f67732f652a0048ffffffffffffffffff01",
            Request {
                path: some("/gs/e"),
                value: some(""),
                rev: Some(-1),
                ..request(1, Verb::Set)
            },
        ),
        (
            "0000000e0802100e22042f6477353801483b",
            Request {
                path: some("/dw5"),
                offset: Some(1),
                rev: Some(59),
                ..request(2, Verb::Getdir)
            },
        ),
        (
            "0000000d0801100622052f77742f61483b",
            Request {
                path: some("/wt/a"),
                rev: Some(59),
                ..request(1, Verb::Wait)
            },
        ),
        (
            "0000000f080110632a09726f2d736573616d65",
            Request {
                value: some("ro-sesame"),
                ..request(1, Verb::Access)
            },
        ),
        (
            "0000000608011005304d",
            Request {
                other_tag: Some(77),
                ..request(1, Verb::Rev)
            },
        ),
        ("00000000", Request::default()),
    ];
    for (hex, expected) in cases {
        assert_eq!(decode::<Request>(hex), expected, "{hex}");
        assert_eq!(encode(&expected), hex);
    }
}

/// Frames that the original server answered.
#[test]
fn responses_have_the_bytes_of_the_original() {
    let rev = |tag, rev| Response {
        rev: Some(rev),
        ..Response::to(tag)
    };
    let cases = [
        ("000000040801183a", rev(Some(1), 58)),
        ("00000002183a", rev(None, 58)),
        (
            "0000000418003200",
            Response {
                value: some(""),
                ..rev(None, REV_MISSING)
            },
        ),
        (
            "0000000b0802183b320568656c6c6f",
            Response {
                value: some("hello"),
                ..rev(Some(2), 59)
            },
        ),
        (
            "0000001008011004183b2a052f77742f61320131",
            Response {
                flags: Some(FLAG_SET),
                path: some("/wt/a"),
                value: some("1"),
                ..rev(Some(1), 59)
            },
        ),
        (
            "0000000f08021008183c2a052f77742f643200",
            Response {
                flags: Some(FLAG_DEL),
                path: some("/wt/d"),
                value: some(""),
                ..rev(Some(2), 60)
            },
        ),
        (
            "00000006080318004000",
            Response {
                len: Some(0),
                ..rev(Some(3), 0)
            },
        ),
        ("000000020808", Response::to(Some(8))),
        (
            "000000050802a00615",
            Response::refuse(Some(2), ErrorCode::Isdir),
        ),
        (
            "00000003a00602",
            Response::refuse(None, ErrorCode::UnknownVerb),
        ),
        (
            "000000190803a0067faa06117065726d697373696f6e2064656e696564",
            Response::refuse_with(Some(3), "permission denied"),
        ),
    ];
    for (hex, expected) in cases {
        assert_eq!(decode::<Response>(hex), expected, "{hex}");
        assert_eq!(encode(&expected), hex);
    }
}

/// The original writes a negative tag in five bytes, which decodes to the same number.
#[test]
fn a_negative_tag_in_five_bytes_is_understood() {
    assert_eq!(
        decode::<Response>("0000000608f9ffffff0f"),
        Response::to(Some(-7))
    );
}

#[test]
fn odd_encodings_are_understood() {
    // Only the low 32 bits of a tag count; the last of repeated fields counts; fields that are
    // not known are skipped, groups included.
    assert_eq!(decode::<Request>("000000080887808080101007").tag, Some(7));
    assert_eq!(decode::<Request>("0000000408010802").tag, Some(2));
    let rev = Request {
        tag: None,
        ..request(0, Verb::Rev)
    };
    assert_eq!(decode::<Request>("0000000a1801fb010801fc011005"), rev);
}

#[test]
fn undecodable_messages_are_errors() {
    // A truncated field, an unknown wire type, field number 0, a wrong wire type, an endless
    // number.
    for body in ["2205", "0f", "0001", "0a0131", "08ffffffffffffffffffff01"] {
        let mut buffer = BytesMut::new();
        let bytes = from_hex(body);
        buffer.put_u32(bytes.len() as u32);
        buffer.extend_from_slice(&bytes);
        let result = decode_frame::<Request>(&mut buffer, FRAME_BYTES_MAX);
        assert!(
            matches!(result, Err(FrameError::Undecodable(_))),
            "{body}: {result:?}"
        );
    }
}

#[test]
fn a_frame_above_the_limit_is_refused_by_its_header_alone() {
    for announced in [
        FRAME_BYTES_MAX as u32 + 1,
        i32::MAX as u32,
        1 << 31,
        u32::MAX,
    ] {
        let mut buffer = BytesMut::from(&announced.to_be_bytes()[..]);
        let limit = FRAME_BYTES_MAX;
        let expected = FrameError::TooLong { announced, limit };
        assert_eq!(decode_frame::<Request>(&mut buffer, limit), Err(expected));
    }
    // Also when the limit itself is no limit: a length is a signed number.
    let mut buffer = BytesMut::from(&[0x80, 0, 0, 0][..]);
    let result = decode_frame::<Request>(&mut buffer, usize::MAX);
    assert!(matches!(result, Err(FrameError::TooLong { .. })));
}

/// A header costs a client four bytes; it must not cost the server what it announces.
#[test]
fn no_memory_is_reserved_for_what_has_not_arrived() {
    let limit = 16 << 20;
    let mut buffer = BytesMut::with_capacity(64);
    buffer.put_u32(limit as u32);
    buffer.put_slice(b"\x22\xff\xff\xff\x07");
    let before = buffer.capacity();
    assert_eq!(decode_frame::<Request>(&mut buffer, limit), Ok(None));
    assert_eq!(buffer.capacity(), before);
    // A length inside the message that goes beyond it reserves nothing either.
    let mut buffer = BytesMut::from(&b"\0\0\0\x06\x22\xff\xff\xff\xff\x07"[..]);
    assert!(decode_frame::<Request>(&mut buffer, limit).is_err());
}

#[test]
fn numbers_and_names_agree() {
    for number in -1..200 {
        if let Some(verb) = Verb::from_number(number) {
            assert_eq!(verb as i32, number);
        }
        if let Some(code) = ErrorCode::from_number(number) {
            assert_eq!(code as i32, number);
            assert_eq!(Response::refuse(None, code).error(), Some(code));
        }
    }
    let known = |from: fn(i32) -> bool| (-1..200).filter(|number| from(*number)).count();
    assert_eq!(known(|number| Verb::from_number(number).is_some()), 15);
    assert_eq!(known(|number| ErrorCode::from_number(number).is_some()), 12);
    assert_eq!(ErrorCode::Notdir.to_string(), "NOTDIR");
    let foreign = Response {
        err_code: Some(77),
        ..Response::default()
    };
    assert_eq!(foreign.error(), Some(ErrorCode::Other));
}

fn blob() -> impl Strategy<Value = Option<Bytes>> {
    option::of(proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from))
}

prop_compose! {
    fn any_request()(
        numbers in option::of((any::<i32>(), any::<i32>(), any::<i64>())),
        tag in option::of(any::<i32>()),
        (path, value) in (blob(), blob()),
        other_tag in option::of(any::<i32>()),
        (local, force, exact) in any::<(Option<bool>, Option<bool>, Option<bool>)>(),
    ) -> Request {
        Request {
            tag,
            verb: numbers.map(|numbers| numbers.0),
            path,
            value,
            other_tag,
            offset: numbers.map(|numbers| numbers.1),
            rev: numbers.map(|numbers| numbers.2),
            local,
            force,
            exact,
        }
    }
}

prop_compose! {
    fn any_response()(
        numbers in option::of((any::<i32>(), any::<i32>(), any::<i64>())),
        tag in option::of(any::<i32>()),
        (path, value) in (blob(), blob()),
        err_code in option::of(any::<i32>()),
        err_detail in option::of("\\PC{0,20}"),
    ) -> Response {
        Response {
            tag,
            flags: numbers.map(|numbers| numbers.0),
            rev: numbers.map(|numbers| numbers.2),
            path,
            value,
            len: numbers.map(|numbers| numbers.1),
            err_code,
            err_detail,
        }
    }
}

proptest! {
    #[test]
    fn requests_survive_however_their_bytes_are_split(
        requests in proptest::collection::vec(any_request(), 1..5),
        piece in 1..20_usize,
    ) {
        let mut wire = BytesMut::new();
        for request in &requests {
            encode_frame(request, &mut wire);
        }
        let mut buffer = BytesMut::new();
        let mut decoded = Vec::new();
        for piece in wire.chunks(piece) {
            buffer.extend_from_slice(piece);
            while let Some(request) = decode_frame::<Request>(&mut buffer, FRAME_BYTES_MAX).unwrap() {
                decoded.push(request);
            }
        }
        prop_assert_eq!(decoded, requests);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn responses_survive(response in any_response()) {
        let mut buffer = BytesMut::new();
        encode_frame(&response, &mut buffer);
        prop_assert_eq!(decode_frame(&mut buffer, FRAME_BYTES_MAX).unwrap(), Some(response));
    }

    /// Any bytes give messages or an error, and each message takes bytes away.
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut framed = BytesMut::new();
        framed.put_u32(bytes.len() as u32);
        framed.extend_from_slice(&bytes);
        for mut buffer in [BytesMut::from(&bytes[..]), framed] {
            loop {
                let before = buffer.len();
                match decode_frame::<Request>(&mut buffer, FRAME_BYTES_MAX) {
                    Ok(Some(_)) => prop_assert!(buffer.len() < before),
                    Ok(None) | Err(_) => break,
                }
            }
        }
    }
}
