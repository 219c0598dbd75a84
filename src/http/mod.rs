//! HTTP: the files of the cluster, its health and its metrics, for browsers, scripts and monitoring.
//!
//! A thread of its own serves it, so that nothing that is asked for here holds up the node. Whatever
//! concerns files goes through the client library to the node itself, as any client's request does:
//! permissions, limits, consistency and back-pressure are the node's own and not told twice. How the
//! process is, which no client can ask, comes from the node's thread through a [`Desk`].
//!
//! * `desk.rs`: what the node's thread tells; `server.rs`: address, thread, connections.
//! * `routes.rs`: what there is, and what goes for all of it; `access.rs`: who asks, and how the node
//!   is asked for them; `failure.rs`: the one shape of errors.
//! * `files.rs`, `list.rs`, `watch.rs` with `feed.rs`: the files; `past.rs`: what is retained of
//!   their past; `health.rs`, `metrics.rs`: the process.
//! * `page/`: the page.

mod access;
mod desk;
mod failure;
mod feed;
mod files;
mod health;
mod list;
mod metrics;
mod page;
mod past;
mod routes;
mod server;
mod watch;

pub use desk::{Desk, Door};
pub use server::{CONNECTIONS_MAX, Options, Web, WebError};
