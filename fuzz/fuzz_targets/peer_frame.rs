//! Any bytes on a connection between nodes, and a frame of which one byte is damaged.
//!
//! The first five bytes of the input say where the damage is and what it is, the rest is a message,
//! and a stream of its own.
#![no_main]

use doozer::core::protocol::peer::{FrameError, decode, header, read_frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((damage, body)) = input.split_first_chunk::<5>() else {
        return;
    };
    if let Ok(Some(frame)) = read_frame(body) {
        assert!(frame.bytes <= body.len());
    }

    let mut frame = [&header(body)[..], body].concat();
    match (read_frame(&frame), decode(body)) {
        (Ok(Some(read)), Ok(message)) => {
            assert_eq!((read.message, read.bytes), (Some(message), frame.len()));
        }
        (Ok(Some(read)), _) => assert!(read.message.is_none() && body.is_empty()),
        (Err(FrameError::Undecodable(_)), Err(_)) => {}
        (read, message) => panic!("{read:?} of {message:?}"),
    }

    let [a, b, c, d, change] = *damage;
    let place = u32::from_be_bytes([a, b, c, d]) as usize % frame.len();
    frame[place] ^= change;
    if change != 0 {
        assert!(!matches!(read_frame(&frame), Ok(Some(_))), "unseen damage");
    }
});
