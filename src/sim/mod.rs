//! The seeded simulation runtime: whole clusters of nodes from one number.
//!
//! A discrete-event simulator runs any number of processes with the same node logic as in
//! production, under a virtual network, virtual clocks and virtual clients. One `u64` decides
//! everything; the same seed gives the same trace hash, in every process and build.
//!
//! # What is injected
//!
//! * network: delays from microseconds to tens of milliseconds with heavy tails, loss, duplication,
//!   reordering, narrow links with short queues; cuts of all shapes, one way and both, flapping;
//!   messages held and then let go, one host after the other; pairs and hosts that are stably far
//!   away; connections that break, with and without telling, with what is on its way or in the
//!   middle of a message; bits turned round; connects that are refused or hang ([`net`], [`world`]);
//! * processes: death with loss of memory at any moment, also between two effects of a turn and
//!   with records unsynced; a return under a fresh id on the same or another host; ends in order;
//!   processes that are asked to leave, one or all after each other, and some killed meanwhile;
//!   two processes under one address; standbys that come and go; pauses up to a minute, of one or
//!   of a majority; slowness up to a thousandfold, inputs in groups of any size;
//! * clocks: offset, drift up to a fifth that changes, jumps forward, sleep ([`clock`]);
//! * disks: processes without, and processes that come back with what a crash has left of theirs:
//!   what was not synced is lost in any part, torn at sectors, renames without their directories;
//!   deaths between any two operations, in recovery as well; power that goes on any hosts or on all
//!   at once; operations that fail, no space, slow syncs; what was durable is changed, lost or found
//!   elsewhere, within what a cluster can bear ([`disk`]);
//! * clients: conditional and unconditional writes, refused ones included, reads of every kind,
//!   listings, watches, counters, lists; they lose connections, frames and patience and go
//!   elsewhere, cannot reach some nodes, come in crowds, and take no answers ([`client`]);
//! * operators: slots of members, dead or alive, cleared, added and deleted; a new cluster made of
//!   what one process knows.
//!
//! [`nemesis::Kind`] lists what is drawn while the storm lasts, [`fault::Fault`] what it comes to.
//!
//! Each run draws which of these exist at all, and how strong they are ([`params`]).
//!
//! # What is checked
//!
//! After every turn of a node, against a ledger of what each has recorded and said
//! ([`check::observer`]): promises, ballots and lane statements are kept, and durable when told
//! ([`check::acceptors`]), and remembered by whoever comes back; one entry is decided in a slot, by a durable majority of its members or
//! because its owner gave it up, and commands take the revisions that they may
//! ([`check::decisions`]); one configuration for each slot, one holder for each seat
//! ([`check::configuration`]); who is gone is replaced in time where a majority and a standby are
//! in touch ([`check::takeover`]), nobody is put out who is ([`check::evictions`]), and whoever is
//! leaves nothing behind ([`check::remains`]); who is asked to leave ends in time; equal state after equal slots ([`check::agreement`]); revisions and
//! slots never decrease ([`check::revisions`]); queues and tables stay within their bounds
//! ([`check::bounds`]); no node halts or panics, each request is answered once.
//!
//! At the end: a healed core serves and agrees in time, and nothing is left in its queues when
//! clients have gone ([`run`]); one gapless sequence of events ([`check::sequence`]);
//! linearizability of all operations by their revisions ([`check::linearizability`]) and by a search
//! that does not look at them ([`check::search`]); exactly-once ([`check::once`]); complete watches
//! ([`check::watch`]); nothing retained is said to be forgotten ([`check::edge`]); exact counters and lists ([`check::counters`], [`check::lists`]); locks with
//! one holder ([`check::locks`]). [`standin`] proves that these checks bite, [`mutants`] that they
//! find bugs of the node itself. How long writes take
//! beside a dead or slow member is measured by a scenario of its own ([`latency`]), and so is whether a
//! backup that is restored in the middle of faults appears as a whole ([`run::restoring`]).
//!
//! # What is not reached
//!
//! History bounded by bytes, more than one cluster (name service).
//!
//! Sockets, framing and everything else of the production runtime: that is what [`turmoil`] runs.
//!
//! # How to look at a run
//!
//! The world tells what happens to whoever listens ([`narration`]), and has the same trace if nobody
//! does: as lines, as the account of one slot ([`explain`]), as a picture ([`draw`]).
//!
//! # How to add a fault, a client, a scenario
//!
//! A fault is a variant in [`fault`] with an arm in one of its rooms, a kind in [`nemesis`], and a test
//! of what it does to processes that only listen; a client is a role in [`client`] and a task in
//! [`workload`]. A scenario is a file: `docs/scenarios.md`, [`scenario`]. Whatever is drawn can be told
//! in a [`setup::Setup`] as well, so that a failure can be written down and shrunk ([`shrink`]).

pub mod chance;
pub mod check;
pub mod client;
pub mod clock;
pub mod disk;
pub mod draw;
pub mod explain;
pub mod fault;
pub mod files;
pub mod hearing;
pub mod history;
pub mod latency;
pub mod machine;
pub mod model;
pub mod mutants;
pub mod narration;
pub mod nemesis;
pub mod net;
pub mod params;
pub mod probes;
pub mod process;
pub mod queue;
pub mod repeat;
pub mod run;
pub mod scenario;
pub mod script;
pub mod setup;
pub mod shrink;
pub mod standin;
pub mod sweep;
pub mod trace;
pub mod trouble;
#[allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "runs the production runtime, on sockets and clocks that are simulated"
)]
pub mod turmoil;
pub mod units;
pub mod workload;
pub mod world;
