//! Frames: how messages follow each other on a connection between nodes.
//!
//! Each begins with the length of the message and its checksum. That of TCP misses one damaged
//! segment in some ten thousand, and a damaged message may well be another message that nobody
//! sent. An empty frame is a sign of life.

use xxhash_rust::xxh3::xxh3_64;

use super::codec::{DecodeError, MESSAGE_BYTES_MAX, decode};
use super::message::Message;
use crate::core::instrument::planted;

/// Bytes of the length.
const LENGTH_BYTES: usize = 4;

/// Bytes in front of each message: its length, then the 64 bits of its XXH3, big-endian both.
pub const HEADER_BYTES: usize = LENGTH_BYTES + 8;

/// What a peer sent that cannot be read on from.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A frame is too long.
    #[error("a message of {announced} bytes was announced; at most {MESSAGE_BYTES_MAX} are read")]
    TooLong {
        /// Bytes that its header announces.
        announced: u32,
    },
    /// The message is not the one that was sent.
    #[error("a message of {length} bytes was damaged on its way: its checksum does not match")]
    Damaged {
        /// Bytes that its header announces.
        length: usize,
    },
    /// A frame does not hold a message.
    #[error("{0}")]
    Undecodable(#[from] DecodeError),
}

/// What the first frame of some bytes is.
#[derive(Debug)]
pub struct Frame {
    /// The message; `None` in an empty frame.
    pub message: Option<Message>,
    /// Bytes that the frame takes.
    pub bytes: usize,
}

/// What goes in front of an encoded message of up to [`MESSAGE_BYTES_MAX`] bytes. Alone, in front of
/// nothing, it is an empty frame.
pub fn header(message: &[u8]) -> [u8; HEADER_BYTES] {
    debug_assert!(message.len() <= MESSAGE_BYTES_MAX);
    let mut header = [0; HEADER_BYTES];
    let (length, sum) = header.split_at_mut(LENGTH_BYTES);
    length.copy_from_slice(&(message.len() as u32).to_be_bytes());
    sum.copy_from_slice(&xxh3_64(message).to_be_bytes());
    header
}

/// The first frame of these bytes; `None` while it is not complete.
///
/// # Errors
///
/// What is wrong with it. Where the next frame begins is not known then.
pub fn read_frame(bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let announced = u32::from_be_bytes(*length);
    let length = announced as usize;
    if length > MESSAGE_BYTES_MAX {
        return Err(FrameError::TooLong { announced });
    }
    let Some((sum, rest)) = rest.split_first_chunk() else {
        return Ok(None);
    };
    let Some(body) = rest.get(..length) else {
        return Ok(None);
    };
    if xxh3_64(body) != u64::from_be_bytes(*sum) && !planted!(ChecksumIgnored) {
        return Err(FrameError::Damaged { length });
    }
    let message = match body {
        [] => None,
        body => Some(decode(body)?),
    };
    Ok(Some(Frame {
        message,
        bytes: HEADER_BYTES + length,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::encode;
    use super::*;
    use crate::core::consensus::Slot;

    fn framed(message: &Message) -> Vec<u8> {
        let mut body = Vec::new();
        encode(message, &mut body);
        [&header(&body)[..], &body].concat()
    }

    #[test]
    fn frames_are_read_one_after_the_other_and_only_when_they_are_complete() {
        let message = Message::Ask { from: Slot(300) };
        let frame = framed(&message);
        for cut in 0..frame.len() {
            assert!(matches!(read_frame(&frame[..cut]), Ok(None)));
        }
        let both = [&header(&[])[..], &frame].concat();
        let first = read_frame(&both)
            .expect("it is sound")
            .expect("it is there");
        assert!(first.message.is_none());
        let second = read_frame(&both[first.bytes..]).expect("it is sound");
        let second = second.expect("it is there");
        assert_eq!(second.message, Some(message));
        assert_eq!(first.bytes + second.bytes, both.len());
    }

    #[test]
    fn no_bit_can_be_turned_round_unseen() {
        let message = Message::At {
            question: 7,
            slot: Slot(1 << 40),
        };
        let frame = framed(&message);
        for bit in 0..8 * frame.len() {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(read_frame(&damaged), Ok(Some(_))), "bit {bit}");
        }
        for bit in 0..8 * HEADER_BYTES {
            let mut damaged = header(&[]);
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(read_frame(&damaged), Ok(Some(_))), "bit {bit}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let too_long = (MESSAGE_BYTES_MAX as u32 + 1).to_be_bytes();
        let error = read_frame(&too_long).expect_err("it is too long");
        assert!(matches!(error, FrameError::TooLong { .. }), "{error}");
        let nonsense = [&header(&[0xff; 3])[..], &[0xff; 3]].concat();
        let error = read_frame(&nonsense).expect_err("it is no message");
        assert!(matches!(error, FrameError::Undecodable(_)), "{error}");
    }
}
