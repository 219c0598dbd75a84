//! Whether enough members are heard for anything to be decided; if not, operators are told.

use std::time::Duration;

use super::{Node, Replica};
use crate::core::env::{Env, Notice, Time};
use crate::core::id::NodeId;
use crate::core::membership::Epoch;

/// How long the majority must have been away before it is told. Restarts and hiccups are shorter.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// How often it is told again: whoever looks at the log later should see it.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Whether a majority of the members is heard.
#[derive(Clone, Debug, Default)]
pub(super) struct Majority {
    /// Since when it is not.
    lost: Option<Time>,
    /// When that was told last.
    told: Option<Time>,
}

impl Node {
    /// The latest configuration, and which of its members are heard, this one included.
    pub(super) fn heard_members(&self, now: Time) -> Option<(&Epoch, Vec<NodeId>)> {
        let Replica { state, .. } = self.replica.as_ref()?;
        let latest = state.epochs().latest();
        let members = latest.members.iter().copied();
        Some((latest, members.filter(|id| self.hears(*id, now)).collect()))
    }

    /// Tells operators when the majority is lost, and when it is back.
    pub(super) fn watch_majority(&mut self, now: Time, env: &mut impl Env) {
        let Some((latest, heard)) = self.heard_members(now) else {
            return;
        };
        if heard.len() >= latest.quorum() {
            if self.majority.told.is_some() {
                env.notice(Notice::MajorityBack);
            }
            self.majority = Majority::default();
            return;
        }
        let (members, quorum) = (latest.members.clone(), latest.quorum());
        let lost = *self.majority.lost.get_or_insert(now);
        let is_due = self
            .majority
            .told
            .map_or(now.since(lost) >= LOST_AFTER, |told| {
                now.since(told) >= TOLD_EVERY
            });
        if !self.serves() || !is_due {
            return;
        }
        self.majority.told = Some(now);
        let silent = members.iter().filter(|id| !heard.contains(id));
        let notice = Notice::MajorityLost {
            silent: silent.map(|id| self.name(*id)).collect(),
            heard: heard.len(),
            needed: quorum,
            survivor: self.config.addr.clone(),
        };
        env.notice(notice);
    }

    /// A process as operators know it.
    pub(super) fn name(&self, id: NodeId) -> String {
        let state = self.state();
        match state.and_then(|state| state.addr_of(id)) {
            Some(addr) => format!("{id} at {}", String::from_utf8_lossy(&addr.0)),
            None => id.to_string(),
        }
    }
}
