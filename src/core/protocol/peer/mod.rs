//! The protocol between nodes.

mod codec;
pub mod handshake;
mod message;

pub use codec::{DecodeError, MESSAGE_BYTES_MAX, decode, encode};
pub use message::{Accepted, Beat, Digest, Message, Promised, Silence};
