//! Any bytes on a client's connection, in any pieces.
//!
//! The first four bytes of the input are sizes of pieces, the rest is the stream.
#![no_main]

use std::fmt::Debug;

use doozer::core::protocol::client::{FrameError, Request, Response};
use doozer_fuzz::{measured, read_stream, write_stream};
use libfuzzer_sys::fuzz_target;
use prost::Message;

/// Longer frames are refused. Far above the length of any input, so that memory reserved for bytes
/// that were only announced shows.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// Bytes of memory for each byte of the stream: it is held once in the buffer, which may have
/// doubled, once as text of an error, and a message with all its fields is 200 bytes for a frame
/// of four, in a list that may have doubled, too.
const MEMORY_PER_BYTE: usize = 200;
const MEMORY_AT_LEAST: usize = 1 << 12;

fuzz_target!(|input: &[u8]| {
    if let Some((pieces, stream)) = input.split_first_chunk::<4>() {
        check::<Request>(pieces, stream);
        check::<Response>(pieces, stream);
    }
});

fn check<M: Message + Default + PartialEq + Debug>(pieces: &[u8], stream: &[u8]) {
    let (in_pieces, memory) = measured(|| read_stream::<M>(stream, pieces, FRAME_BYTES_MAX));
    assert!(
        memory <= MEMORY_AT_LEAST + MEMORY_PER_BYTE * stream.len(),
        "{memory} bytes for a stream of {}",
        stream.len()
    );
    let at_once = read_stream::<M>(stream, &[], FRAME_BYTES_MAX);
    assert_eq!(in_pieces, at_once);

    let (messages, error, _) = at_once;
    if let Some(FrameError::TooLong { announced, limit }) = error {
        assert_eq!(limit, FRAME_BYTES_MAX);
        assert!(announced as usize > limit);
    }
    let again = write_stream(&messages);
    // Five bytes of a negative number become ten, so what is written again may be longer.
    let again_limit = 2 * FRAME_BYTES_MAX;
    let read_again = read_stream::<M>(&again, pieces, again_limit);
    assert_eq!(read_again, (messages, None, 0));
}
