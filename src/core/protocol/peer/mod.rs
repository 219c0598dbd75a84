//! The protocol between nodes.

mod codec;
mod frame;
pub mod handshake;
mod message;

pub use codec::{DecodeError, MESSAGE_BYTES_MAX, decode, encode};
pub use frame::{Frame, FrameError, HEADER_BYTES, header, read_frame};
pub use message::{Accepted, Beat, Digest, Message, Promised, Silence};
