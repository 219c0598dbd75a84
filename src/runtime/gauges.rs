//! Counts of a running process, for whoever watches it.

use std::rc::Weak;

use super::shared::Shared;
use crate::core::id::NodeId;

/// Counts of a process. All are zero once it has ended.
#[derive(Clone, Default)]
pub struct Gauges(pub(super) Weak<Shared>);

impl Gauges {
    /// Tasks that have not ended, or whose end has not been noticed.
    pub fn tasks(&self) -> usize {
        self.read(|shared| shared.tasks())
    }

    /// Connections that are not peers', as far as is known: clients, and those that have not said
    /// what they are.
    pub fn seats(&self) -> usize {
        self.read(|shared| shared.seats.get())
    }

    /// Connections of clients that the node has been told of and that have not ended.
    pub fn sessions(&self) -> usize {
        self.read(|shared| shared.sessions.count())
    }

    /// Connections that peers have dialed.
    pub fn callers(&self) -> usize {
        self.read(|shared| shared.callers.get())
    }

    /// Peers that the process keeps a connection to, or tries to.
    pub fn links(&self) -> usize {
        self.read(|shared| shared.links.count())
    }

    /// Whether messages to this peer can leave.
    pub fn is_linked(&self, peer: NodeId) -> bool {
        let shared = self.0.upgrade();
        shared.is_some_and(|shared| shared.links.up(peer).is_some())
    }

    fn read(&self, count: impl FnOnce(&Shared) -> usize) -> usize {
        self.0.upgrade().map_or(0, |shared| count(&shared))
    }
}
