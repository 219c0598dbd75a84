//! What refusals say in words ([`ErrorCode::Other`](super::ErrorCode::Other)) that others tell apart. The
//! words are for people; programs look at how they begin, and are bound to them by these names.

/// The secret is not known, or does not suffice. All of the text.
pub const PERMISSION_DENIED: &str = "permission denied";

/// The cluster could not settle a request in time. Of a write nobody knows whether it will happen.
pub const NO_MAJORITY: &str = "no majority of the members answered";

/// The node takes no more writes at the moment. All of the text.
pub const BACKLOG_FULL: &str = "too many writes wait for their place in the log; try again later";

/// The node takes no more requests of this connection at the moment.
pub const CONNECTION_FULL: &str = "too many requests of this connection are open";

/// The node cannot answer anything yet. All of the text.
pub const NO_COPY: &str = "this node has no copy of the store yet; try again";

/// A write that has happened or never will, and the node cannot tell which. All of the text.
pub const OUTCOME_UNKNOWN: &str = "the write was decided while this node was behind, which does not \
                                   know the outcome: read the file";

/// A path is longer than the node takes.
pub const PATH_TOO_LONG: &str = "the path has";

/// A value is larger than the node takes.
pub const VALUE_TOO_LARGE: &str = "the value has";
