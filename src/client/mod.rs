//! The client library: talk to a Doozer cluster from an async program.
//!
//! ```no_run
//! use doozer::client::{Client, Condition};
//!
//! # async fn example() -> Result<(), doozer::client::Error> {
//! let client = Client::connect("doozer:?ca=10.0.0.1:8046&ca=10.0.0.2:8046").await?;
//! let rev = client.set("/app/master", "web-1", Condition::MISSING).await?;
//! let mut changes = client.watch("/app/**", rev.next());
//! loop {
//!     let event = changes.next().await?;
//!     println!("{} changed at {}", event.path, event.rev);
//! }
//! # }
//! ```
//!
//! A [`Client`] is cheap to clone and shares one connection, on which any number of requests are
//! under way at a time. When the connection breaks it moves to another address that it knows.
//!
//! * Requests that change nothing are asked again there, within their time limit.
//! * A write that was never sent is sent there. A write that was sent and not answered may have
//!   happened or not; it is never repeated, and [`Error::OutcomeUnknown`] says so.
//! * A request that a server refuses because too many others of the connection are open is asked again
//!   there, within its time limit.
//! * A write that a standby refuses goes to the members, whose addresses the cluster knows.
//! * A [`Watch`] goes on at the revision where it was: no change is lost or told twice.

mod ahead;
mod attempt;
mod backup;
mod book;
mod call;
mod connection;
mod error;
mod follow;
mod list;
mod resolve;
mod status;
mod types;
mod uri;
mod verbs;
mod watch;

pub use backup::Page;
pub use call::{Client, Options};
pub use error::{Error, Refusal, Unreached};
pub use follow::Follower;
pub use list::{Names, Walk};
pub use status::status;
pub use types::{Change, Condition, Entry, Event, File, Stat};
pub use uri::{Address, DEFAULT_PORT, Uri, UriError};
pub use watch::Watch;
