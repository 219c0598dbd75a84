//! Writes that this node does not want in the log, for what it knows of the world outside it: how
//! much it holds already, whom it hears, and how far they are. The rules that follow from the state
//! alone are in `state/guard.rs`, where every node applies them alike.

use super::{Node, Replica};
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::instrument::sometimes;
use crate::core::membership::quorum;
use crate::core::protocol::client::{Request, Verb, detail};
use crate::core::state::State;

/// What the paths of membership slots begin with.
const SLOTS: &str = "/ctl/cal/";

/// What the paths of the processes' files begin with.
const NODES: &str = "/ctl/node/";

impl Node {
    /// Why this request should not be put into the log, if it is a write.
    pub(super) fn objection(&self, request: &Request, now: Time) -> Option<String> {
        let replica = self.replica.as_ref()?;
        if replica.consensus.bytes_open() >= self.config.tuning.bytes_open_max {
            sometimes!(BacklogFullByBytes);
            return Some(detail::BACKLOG_FULL.into());
        }
        let path = std::str::from_utf8(request.path.as_deref()?).ok()?;
        let value = match request.verb.and_then(Verb::from_number)? {
            Verb::Set => request.value.as_deref().unwrap_or_default(),
            Verb::Del => match path.strip_prefix(NODES) {
                Some(file) => return self.keeps_file(path, file, now),
                None => b"",
            },
            _ => return None,
        };
        path.starts_with(SLOTS).then_some(())?;
        let seated = id(value);
        if let Some(text) = seated.and_then(|seated| self.keeps_out(seated, replica, now)) {
            return Some(text);
        }
        is_judged(request).then_some(())?;
        self.loses_majority(path, seated, &replica.state, now)
    }

    /// Why a file of a process must not be deleted. Those of a process that is gone, and that nobody has
    /// cleared away yet, may go.
    fn keeps_file(&self, path: &str, file: &str, now: Time) -> Option<String> {
        let owner = id(file.split('/').next()?.as_bytes())?;
        self.hears(owner, now)
            .then(|| format!("{path} belongs to {owner}, which is running"))
    }

    /// Why a process cannot take a slot now.
    fn keeps_out(&self, seated: NodeId, replica: &Replica, now: Time) -> Option<String> {
        if !self.hears(seated, now) {
            sometimes!(SeatOfUnheardRefused);
            return Some(format!(
                "this node has no connection to {seated}, so it gets no slot"
            ));
        }
        let state = &replica.state;
        let applied = self.peers.get(seated)?.applied;
        (!state.is_caught_up(applied)).then(|| {
            format!(
                "{seated} gets no slot before it has caught up: it has applied slot {applied} of \
                 {}; try again in a moment",
                state.applied()
            )
        })
    }

    /// Why `seated`, or nobody, must not take the place of whoever holds a slot.
    fn loses_majority(
        &self,
        path: &str,
        seated: Option<NodeId>,
        state: &State,
        now: Time,
    ) -> Option<String> {
        let files = state.slot_files();
        let kept = files.filter(|(file, ..)| file.as_str() != path);
        let mut members: Vec<NodeId> = kept
            .filter_map(|(_, _, value)| id(&value.0))
            .chain(seated)
            .collect();
        members.sort_unstable();
        members.dedup();
        let heard = members
            .iter()
            .filter(|member| self.hears(**member, now))
            .count();
        let needed = quorum(members.len());
        // With nobody left the members stay who they are.
        let stays = members.is_empty() || members == state.slot_holders();
        if stays || heard >= needed {
            return None;
        }
        sometimes!(LossOfMajorityRefused);
        Some(format!(
            "this would cost the majority: of the {} members that it leaves, this node hears {heard} \
             where {needed} are needed; bring members back first, or clear the slots of dead ones",
            members.len()
        ))
    }

    pub(super) fn hears(&self, id: NodeId, now: Time) -> bool {
        id == self.config.id || !self.peers.is_silent(id, now)
    }
}

/// Whether what this does to the majority counts: it changes a slot, and is not forced.
pub(super) fn is_judged(request: &Request) -> bool {
    let path = request.path.as_deref().unwrap_or_default();
    path.starts_with(SLOTS.as_bytes()) && request.force != Some(true)
}

fn id(text: &[u8]) -> Option<NodeId> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
