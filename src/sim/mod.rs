//! The seeded simulation runtime: whole clusters of nodes from one number.
//!
//! A discrete-event simulator runs any number of processes with the same node logic as in
//! production, under a virtual network, virtual clocks and virtual clients. One `u64` decides
//! everything; the same seed gives the same trace hash, in every process and build.
//!
//! # What is injected
//!
//! * network: delays from microseconds to tens of milliseconds with heavy tails, loss, duplication,
//!   reordering; cuts of all shapes, one way and both, flapping, mended; connections that break,
//!   with and without telling ([`net`], [`world`], [`nemesis`]);
//! * processes: death with loss of memory and return under a fresh id on the same or another host,
//!   pauses up to a minute, slowness up to a thousandfold, inputs in groups of any size;
//! * clocks: offset, drift up to a fifth, jumps forward ([`clock`]);
//! * disks: records durable at once, or late ([`disk`]);
//! * clients: conditional and unconditional writes, refused ones included, reads of every kind,
//!   listings, watches, counters, lists; they lose connections and patience and go elsewhere
//!   ([`client`]).
//!
//! Each run draws which of these exist at all, and how strong they are ([`params`]).
//!
//! # What is checked
//!
//! After every turn of a node: equal state after equal slots ([`check::agreement`]), revisions and
//! slots never decrease ([`check::revisions`]), no node halts or panics, each request is answered
//! once. At the end: a healed core serves and agrees in time ([`run`]); one gapless sequence of
//! events ([`check::sequence`]); linearizability of all operations ([`check::linearizability`]);
//! exactly-once ([`check::once`]); complete watches ([`check::watch`]); exact counters and lists
//! ([`check::counters`]). [`standin`] proves that these checks bite.
//!
//! # What is not reached
//!
//! Recovery from disk, damaged disks, corrupted frames, trimmed history and snapshots of it, cuts
//! between clients and nodes, more than one cluster (name service).
//!
//! # How to add a fault, a client, a scenario
//!
//! A fault is a variant in [`fault`] with an arm in `World::inflict`, and a kind in [`nemesis`]; a client is a role in
//! [`client`]; a scenario is a test that builds a [`world::World`], starts processes and actors, and
//! calls `inflict` at the times it wants instead of pushing `Happening::Strike`.

pub mod chance;
pub mod check;
pub mod client;
pub mod clock;
pub mod disk;
pub mod fault;
pub mod history;
pub mod machine;
pub mod model;
pub mod mutants;
pub mod nemesis;
pub mod net;
pub mod params;
pub mod probes;
pub mod process;
pub mod queue;
pub mod run;
pub mod standin;
pub mod sweep;
pub mod trace;
pub mod world;
