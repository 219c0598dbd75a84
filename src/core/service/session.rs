//! Sessions: what a connection may do, and what it waits for.

use std::collections::BTreeSet;

use subtle::ConstantTimeEq;

use super::Rules;
use crate::core::id::Rev;
use crate::core::store::WatchId;

/// A connection of a client.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub may_read: bool,
    pub may_write: bool,
    /// Requests that have not been answered.
    pub open: usize,
    /// Parked WAITs.
    pub parked: BTreeSet<WatchId>,
    /// Revisions that reads of this session wait for.
    pub future: BTreeSet<Rev>,
    /// The client will send nothing more.
    pub half_closed: bool,
}

impl Session {
    /// A connection begins as if the client had presented the empty secret.
    pub fn new(rules: &Rules) -> Session {
        let mut session = Session {
            may_read: false,
            may_write: false,
            open: 0,
            parked: BTreeSet::new(),
            future: BTreeSet::new(),
            half_closed: false,
        };
        session.present(b"", rules);
        session
    }

    /// Grants what a secret is good for, beside what was granted before. Returns whether it is good
    /// for anything.
    pub fn present(&mut self, secret: &[u8], rules: &Rules) -> bool {
        // Both are compared always, in a time that does not depend on where they differ.
        let writes = bool::from(secret.ct_eq(&rules.rw_secret));
        let reads = bool::from(secret.ct_eq(&rules.ro_secret));
        self.may_write |= writes;
        self.may_read |= writes || reads;
        writes || reads
    }
}
