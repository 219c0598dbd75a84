//! Frames: a four-byte big-endian length, then one message.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

/// Bytes of the length in front of each message.
pub const HEADER_BYTES: usize = 4;

/// Why the bytes on a connection cannot go on being read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is above the limit. Lengths with the top bit set, which the protocol reads as
    /// negative, are among these.
    #[error("a frame of {announced} bytes was announced; at most {limit} are accepted")]
    TooLong {
        /// Bytes that the header announced.
        announced: u32,
        /// Bytes that are accepted.
        limit: usize,
    },
    /// The message inside the frame is not a protocol buffer of the expected kind.
    #[error("undecodable message: {0}")]
    Undecodable(#[from] prost::DecodeError),
}

/// Takes the next message off the front of `buffer`, or returns `None` when its frame is not
/// complete yet. Never reserves memory for bytes that have not arrived.
pub fn decode_frame<M: Message + Default>(
    buffer: &mut BytesMut,
    limit: usize,
) -> Result<Option<M>, FrameError> {
    let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let announced = u32::from_be_bytes(*header);
    let length = announced as usize;
    if length > limit || announced > i32::MAX as u32 {
        return Err(FrameError::TooLong { announced, limit });
    }
    if buffer.len() - HEADER_BYTES < length {
        return Ok(None);
    }
    buffer.advance(HEADER_BYTES);
    let payload: Bytes = buffer.split_to(length).freeze();
    Ok(Some(M::decode(payload)?))
}

/// Appends a message with its header to `buffer`, so that both leave in one write.
pub fn encode_frame<M: Message>(message: &M, buffer: &mut BytesMut) {
    let length = message.encoded_len();
    assert!(
        length <= i32::MAX as usize,
        "a message of {length} bytes does not fit a frame"
    );
    buffer.reserve(HEADER_BYTES + length);
    buffer.put_u32(length as u32);
    message.encode_raw(buffer);
}
