//! The production runtime: a node on tokio sockets.
