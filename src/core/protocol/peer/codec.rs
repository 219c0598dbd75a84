//! The bytes of messages between nodes: bincode with variable-length integers.
//!
//! This is the only place that knows the encoding. The derived format is pinned by the golden bytes
//! in `codec/golden.txt`.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};

use super::message::Message;
use crate::core::log::Op;

/// Largest message between nodes, in bytes: a batch with one value of the largest size, or a piece
/// of a snapshot that holds one, with room to spare.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Bytes of memory that decoding may claim for each byte of a message. A list is claimed before its
/// elements are read, so this must exceed the size in memory of any element that can be one byte
/// long, of which [`Op`] is the largest; the rest is for numbers, which count in full however short
/// they are written.
const CLAIM_PER_BYTE: usize = 128;

const _: () = assert!(size_of::<Op>() + 3 * size_of::<u64>() <= CLAIM_PER_BYTE);

/// Messages up to each of these sizes, in bytes, share a limit on claims. Limits are part of
/// bincode's types, so there can only be a few.
const SMALL_BYTES: usize = 1 << 10;
const MEDIUM_BYTES: usize = 1 << 14;
const LARGE_BYTES: usize = 1 << 18;

type Config<const CLAIM_MAX: usize> = Configuration<LittleEndian, Varint, Limit<CLAIM_MAX>>;

const fn config<const CLAIM_MAX: usize>() -> Config<CLAIM_MAX> {
    bincode::config::standard().with_limit::<CLAIM_MAX>()
}

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// They do not follow the format.
    #[error("undecodable message of a peer: {0}")]
    Malformed(#[from] bincode::error::DecodeError),
    /// They go on after the message.
    #[error("{0} bytes follow a message of a peer")]
    Trailing(usize),
}

/// Appends a message to `buffer`, without a header.
pub fn encode(message: &Message, buffer: &mut Vec<u8>) {
    bincode::encode_into_std_write(message, buffer, config::<MESSAGE_BYTES_MAX>())
        .expect("a message of ours can always be encoded into memory");
}

/// The message that these bytes are.
///
/// Whatever lengths the bytes pretend, the memory reserved is bounded by their number: 128 KiB for
/// up to 1 KiB, 2 MiB for up to 16 KiB, 32 MiB for up to 256 KiB, else [`MESSAGE_BYTES_MAX`].
pub fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
    let (message, used) = if bytes.len() <= SMALL_BYTES {
        decode_claiming::<{ SMALL_BYTES * CLAIM_PER_BYTE }>(bytes)?
    } else if bytes.len() <= MEDIUM_BYTES {
        decode_claiming::<{ MEDIUM_BYTES * CLAIM_PER_BYTE }>(bytes)?
    } else if bytes.len() <= LARGE_BYTES {
        decode_claiming::<{ LARGE_BYTES * CLAIM_PER_BYTE }>(bytes)?
    } else {
        decode_claiming::<MESSAGE_BYTES_MAX>(bytes)?
    };
    #[cfg(feature = "sim")]
    let message = damage::damage(message);
    match bytes.len() - used {
        0 => Ok(message),
        trailing => Err(DecodeError::Trailing(trailing)),
    }
}

fn decode_claiming<const CLAIM_MAX: usize>(
    bytes: &[u8],
) -> Result<(Message, usize), bincode::error::DecodeError> {
    bincode::decode_from_slice(bytes, config::<CLAIM_MAX>())
}

#[cfg(feature = "sim")]
mod damage;
#[cfg(test)]
mod tests;
