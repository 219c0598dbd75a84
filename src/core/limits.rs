//! The bounds that operators may change, with their defaults.
//!
//! Bounds that are part of the protocol, or that nobody has a reason to change, are constants
//! beside their only user.

/// Bounds on what clients may ask for. A node enforces its own at the front door, before a request
/// enters the agreed sequence, and never refuses what others have accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest frame a client may send, in bytes. A larger one closes its connection.
    pub frame_bytes_max: usize,
    /// Longest path or pattern, in bytes.
    pub path_bytes_max: usize,
    /// Largest value of a file, in bytes.
    pub value_bytes_max: usize,
    /// Requests of one connection that have not been answered, parked WAITs included.
    pub requests_open_max: usize,
    /// Connections of clients.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            // Room for the largest value that may be configured, and the limit the guide names.
            frame_bytes_max: 16 << 20,
            // Far above any path in use; keeps the glob matcher and the tree's recursion small.
            path_bytes_max: 4096,
            // The store is for small things; a value travels in one message to each member.
            value_bytes_max: 1 << 20,
            // 100,000 watches fit into ten connections.
            requests_open_max: 16_384,
            // Below the usual limit on open files when that is raised as servers do.
            connections_max: 10_000,
        }
    }
}

/// How full something in a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// What is counted, in which unit.
    pub what: &'static str,
    /// How much of it there is.
    pub used: u64,
    /// How much of it there may be.
    pub most: u64,
    /// When none of it is left.
    pub drains: Drains,
}

/// When nothing is left of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drains {
    /// It is kept.
    Never,
    /// Once clients are gone and everything that was asked for is done.
    AtRest,
    /// Then, if every process that lives is in touch: it is theirs.
    InTouch,
}

impl Gauge {
    /// Something that is kept.
    pub fn kept(what: &'static str, used: usize, most: usize) -> Gauge {
        let (used, most) = (used as u64, most as u64);
        Gauge {
            what,
            used,
            most,
            drains: Drains::Never,
        }
    }

    /// Something that waits to be done.
    pub fn waiting(what: &'static str, used: usize, most: usize) -> Gauge {
        Gauge {
            drains: Drains::AtRest,
            ..Gauge::kept(what, used, most)
        }
    }

    /// Something that waits to be done for other processes.
    pub fn entrusted(what: &'static str, used: usize, most: usize) -> Gauge {
        Gauge {
            drains: Drains::InTouch,
            ..Gauge::kept(what, used, most)
        }
    }
}
