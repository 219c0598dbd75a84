//! The production runtime: a node on tokio sockets.
//!
//! One process is one thread: all tasks are local to it and nothing is locked. [`Server::start`]
//! listens and starts the node; tasks then read clients (`session`) and peers (`caller`), keep up
//! connections to peers (`link`), and put what they hear into one queue (`inbox`); the main loop
//! (`driver`) gives it to the node in groups, and what the node does in return (`world`) is left
//! in buffers that their tasks write. Everything is generic over the network ([`Net`]).
//!
//! Frames between peers are a four-byte big-endian length and a message, from the dialer to the
//! dialed. They carry no checksum beyond TCP's. An empty frame says only that the path works, and
//! so does a zero byte in the other direction: each side gives up a connection that is silent.
//!
//! With a data directory, a thread of its own (`durable`) writes what must be durable; what waits
//! for it is held in one place (`journal`).

mod accept;
mod attach;
mod caller;
mod driver;
mod durable;
mod gauges;
mod greet;
mod inbox;
mod journal;
mod link;
mod lives;
mod net;
mod outbox;
mod pace;
mod server;
mod session;
mod shared;
mod signal;
mod world;

#[cfg(test)]
mod tests;

pub use attach::{ATTACH_MAX, AttachError};
#[cfg(feature = "sim")]
pub(crate) use driver::Machine;
pub use durable::{Data, DataError, Directory};
pub use gauges::{Gauges, Inside, Measures};
pub use greet::DialError;
pub use net::{Net, TokioNet};
pub use server::{Listening, Options, ServeError, Server, Stopper, serve};
