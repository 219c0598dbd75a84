//! Agreement on the log.

mod slot;

pub use slot::{Ballot, Lane, Slot};
