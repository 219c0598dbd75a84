//! What the consensus of a node holds in memory, against its bounds.

use super::Consensus;
use crate::core::limits::Gauge;

impl Consensus {
    /// Tells how full everything in here is, at the end of a group of inputs.
    pub fn load(&self, tell: &mut impl FnMut(Gauge)) {
        let alpha = self.window.len();
        tell(Gauge::kept(
            "votes that wait for a flush",
            self.votes.len(),
            0,
        ));
        tell(Gauge::kept("revocations to be told", self.revoked.len(), 0));
        tell(Gauge::waiting("own entries, slots", self.own.len(), alpha));
        let voters = self.epochs.iter().map(|epoch| epoch.members.len()).sum();
        tell(Gauge::kept(
            "lane statements, members",
            self.lanes.len(),
            voters,
        ));
        self.backlog.load(self.me, tell);
        self.reader.load(tell);
        self.retained.load(tell);
        self.catch_up.load(tell);
    }
}
