//! The store: a tree of small files addressed by revision.

mod mutation;
mod path;

pub use mutation::{Mutation, Value};
pub use path::{Path, PathError};
