//! HTTP: the files of the cluster, its health and its metrics, for browsers, scripts and monitoring.
//!
//! A thread of its own serves it, so that nothing that is asked for here holds up the node. Whatever
//! concerns files goes through the client library to the node itself, as any client's request does:
//! permissions, limits, consistency and back-pressure are the node's own and not told twice. How the
//! process is, which no client can ask, comes from the node's thread through a [`Desk`].
//!
//! * `desk.rs`: what the node's thread tells; `server.rs`: address, thread, connections;
//!   `impatient.rs`: those that take nothing.
//! * `routes.rs`: what there is, and what goes for all of it; `openapi.json` describes it;
//!   `extract.rs`: what requests say; `failure.rs`: the one shape of errors.
//! * `access.rs`: who asks, and how the node is asked for them; `reader.rs`: which state.
//! * `files.rs`, with what they carry in `body.rs`, and `list.rs`: the files; `watch.rs`, with what all
//!   watchers share in `feed.rs` and `event.rs`.
//! * `health.rs`, `metrics.rs`, `tally.rs`: the cluster and the process.
//! * `past.rs`: what is retained of the past; `page/`: the page.

mod access;
mod body;
mod desk;
mod event;
mod extract;
mod failure;
mod feed;
mod files;
mod health;
mod impatient;
mod list;
mod metrics;
mod page;
mod past;
mod reader;
mod routes;
mod server;
mod tally;
mod watch;

pub use desk::{Desk, Door};
pub use server::{CONNECTIONS_MAX, Options, Web, WebError};
