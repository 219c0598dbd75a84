//! Doozer: a highly available, completely consistent store for small amounts of extremely
//! important data.
//!
//! * [`core`] is all node logic: a deterministic state machine without sockets, clocks, threads
//!   or files. It acts on the world only through [`core::env::Env`].
//! * [`runtime`] runs that state machine on tokio sockets; it is what `doozerd` is made of.
//! * [`client`] is the client library that the `doozer` command uses and programs link to.
//! * [`http`] serves files, health and metrics to browsers, scripts and monitoring.
//! * [`backup`] is the contents of a cluster as text, and as a journal of every change.
//! * [`status`] is how a cluster is, put together from what its processes tell.
//! * `sim` (feature `sim`) runs whole clusters of the same state machine from one seed.
//!
//! Dependencies point one way: binaries use `http`, `runtime`, `sim` and `client`, which use `core`; `http` uses
//! `runtime` and `client`.

#[allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "reads and writes files"
)]
pub mod backup;
#[allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "talks to servers over real sockets"
)]
pub mod client;
pub mod core;
#[allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "serves real sockets from a thread of its own"
)]
pub mod http;
#[allow(clippy::disallowed_types, reason = "locks files")]
mod lock;
#[allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "connects the node to real sockets and clocks"
)]
pub mod runtime;
#[cfg(feature = "sim")]
pub mod sim;
pub mod status;
