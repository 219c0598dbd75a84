//! Writes that this node does not want in the log, for what it knows of the world outside it: how
//! much it holds already, and whom it hears. The rules that follow from the state alone are in
//! `state/guard.rs`, where every node applies them alike.

use super::Node;
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::instrument::sometimes;
use crate::core::membership::quorum;
use crate::core::protocol::client::{Request, Verb};

/// What the paths of membership slots begin with.
const SLOTS: &[u8] = b"/ctl/cal/";

impl Node {
    /// Why this request should not be put into the log, if it is a write.
    pub(super) fn objection(&self, request: &Request, now: Time) -> Option<String> {
        let replica = self.replica.as_ref()?;
        if replica.consensus.bytes_open() >= self.config.tuning.bytes_open_max {
            sometimes!(BacklogFullByBytes);
            return Some("too many writes wait for their place in the log; try again later".into());
        }
        let path = request
            .path
            .as_deref()
            .filter(|path| path.starts_with(SLOTS))?;
        let value = match request.verb.and_then(Verb::from_number)? {
            Verb::Set => request.value.as_deref().unwrap_or_default(),
            Verb::Del => b"",
            _ => return None,
        };
        let id = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<NodeId>().ok();
        let seated = id(value);
        if let Some(id) = seated.filter(|id| !self.hears(*id, now)) {
            sometimes!(SeatOfUnheardRefused);
            return Some(format!(
                "this node has no connection to {id}, so it gets no slot"
            ));
        }
        let files = replica.state.slot_files();
        let kept = files.filter(|(file, ..)| file.as_str().as_bytes() != path);
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
        let stays = members.is_empty() || members == replica.state.slot_holders();
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
