//! The production runtime on simulated sockets.
//!
//! The discrete-event simulator next door never opens a socket: it finds mistakes in the protocol.
//! Here whole processes as `doozerd` runs them (listener, framing, reconnects, back-pressure,
//! sessions, goodbye) stand on the hosts of a turmoil simulation, each with a clock
//! and an executor of its own, and one seed decides everything. The clients are those of the other
//! simulator ([`client`](super::client)), and the same checkers judge what they were told.
//!
//! # What is injected
//!
//! See `nemesis`: cuts both ways and one way, held and late traffic, processes that are stopped,
//! killed, or lose their machine with or without a goodbye, broken connections in the middle of a
//! frame; and `mischief`: garbage, unfinished requests, clients that vanish or read nothing.
//! Hosts run in random order, writes are cut into segments of many sizes.
//!
//! # What is checked
//!
//! Everything that the other simulator checks of histories and of the state of nodes, and besides:
//! every connection between processes is there again, and every connection of clients that are
//! gone is given up, within twice the longest deadline that the runtime has for them; no task is
//! left over; a stop ends in time; no task panics (`panics`).
//!
//! # What is not reached
//!
//! Retransmission (a lost segment wedges its connection, which a deadline has to notice), clock
//! skew, pauses, disks. Latencies are whole milliseconds.

mod client;
mod mischief;
mod nemesis;
mod net;
mod operator;
mod panics;
mod params;
mod process;
mod run;
mod stage;
mod wires;

pub use run::run;
pub use stage::Teller;
