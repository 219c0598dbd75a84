//! What a node holds in memory, against its bounds: for those who watch over it.

use super::{Node, Replica};
use crate::core::limits::Gauge;

/// Commands for its own housekeeping that a node has open at most: what it writes about itself, a
/// pulse, a claim, a change of owners.
const CHORES_MAX: usize = 16;

impl Node {
    /// Tells how full everything in here is. Meant to be asked after [`Node::flush`].
    pub fn load(&self, mut tell: impl FnMut(Gauge)) {
        self.service.load(&mut tell);
        self.peers.load(&mut tell);
        self.uploads.load(&mut tell);
        let Some(Replica { state, consensus }) = &self.replica else {
            return;
        };
        let commands = consensus.commands_open();
        let commands_max = self.config.tuning.writes_open_max + CHORES_MAX;
        tell(Gauge::waiting("own commands", commands, commands_max));
        state.load(&mut tell);
        consensus.load(&mut tell);
    }
}
