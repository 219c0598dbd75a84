//! All node logic, as a sans-IO state machine.
//!
//! Nothing in here opens a socket, reads a clock, starts a thread, touches a file, draws
//! randomness or iterates in hash order; `clippy.toml` refuses the means to. Inputs come in through
//! [`node::Node::handle`]; effects leave through [`env::Env`].

pub mod consensus;
pub mod durable;
pub mod env;
pub mod histogram;
pub mod id;
pub mod instrument;
pub mod limits;
pub mod log;
pub mod membership;
pub mod node;
pub mod protocol;
pub mod service;
pub mod state;
pub mod store;
