//! A new cluster from one process of an old one whose majority is lost for good: an operator asks
//! for it, is told what that means, and confirms it.
//!
//! The node then hands out what it remembers and halts. The process starts again from that, as the
//! founder of the next generation, under another id: whoever was not there belongs to the old one.

use std::fmt::Write;

use super::{Node, Replica};
use crate::core::env::{Env, Halt, Time};
use crate::core::id::SessionId;
use crate::core::protocol::client::Response;
use crate::core::service::Recovery;
use crate::core::state::State;

impl Node {
    /// An operator asks for a recovery. Without a confirmation nothing happens but that it is told
    /// what would.
    pub(super) fn recover(&mut self, session: SessionId, order: Recovery, env: &mut impl Env) {
        let now = env.now();
        let tag = order.tag;
        if self.is_out || self.leaving.is_some() {
            let text = "this process is about to end";
            return env.reply(session, Response::refuse_with(tag, text));
        }
        if let Some(text) = self.against_recovery(now).filter(|_| !order.force) {
            return env.reply(session, Response::refuse_with(tag, text));
        }
        let Some(state) = self.remains() else { return };
        let plan = self.plan(&state, now);
        env.reply(
            session,
            Response {
                value: Some(plan.into()),
                rev: Some(state.store().rev().0 as i64),
                ..Response::to(tag)
            },
        );
        if order.confirmed {
            self.is_out = true;
            let state = Box::new(state);
            env.halt(Halt::Recovered { state });
        }
    }

    /// Why this process should not make a new cluster.
    fn against_recovery(&self, now: Time) -> Option<String> {
        let (latest, heard) = self.heard_members(now)?;
        if heard.len() >= latest.quorum() {
            let names: Vec<String> = heard.iter().map(|id| self.name(*id)).collect();
            return Some(format!(
                "there is nothing to recover: of {} members {} are heard, which is a majority: {}",
                latest.members.len(),
                heard.len(),
                names.join(", ")
            ));
        }
        let applied = self.applied();
        let ahead = self
            .peers
            .iter()
            .filter(|(id, peer)| !self.peers.is_silent(*id, now) && peer.applied > applied)
            .max_by_key(|(_, peer)| peer.applied)?;
        Some(format!(
            "{} knows more than this process (up to slot {}, here {applied}): recover there",
            self.name(ahead.0),
            ahead.1.applied
        ))
    }

    /// What this process remembers of the cluster: the state, and what it knows of later slots. An
    /// entry that it has accepted may be decided, and its client may know; so it counts. Slots
    /// between, of which it knows nothing, are skipped.
    fn remains(&self) -> Option<State> {
        let Replica { state, consensus } = self.replica.as_ref()?;
        let mut state = state.clone();
        for (slot, entry) in consensus.remains() {
            state.apply(slot, &entry, |_, _| {});
        }
        Some(state)
    }

    fn plan(&self, state: &State, now: Time) -> String {
        let lineage = state.lineage();
        let addr = &self.config.addr;
        let mut plan = format!(
            "The cluster begins anew, in generation {}, with {addr} as its only member. It keeps \
             everything that this process knows: all files and their history up to revision {}.\n",
            lineage.generation.saturating_add(1),
            state.store().rev()
        );
        for id in state.epochs().latest().members.iter() {
            if *id == self.config.id {
                continue;
            }
            let silence = self.peers.silence(*id, now).as_secs();
            let state = match self.hears(*id, now) {
                true => "is heard now, and can never come back".to_owned(),
                false => format!("has been silent for {silence} s, and can never come back"),
            };
            let _ = writeln!(plan, "Member {} {state}.", self.name(*id));
        }
        plan += "What they acknowledged and this process has not heard of is lost, and the revisions \
                 that it had are given to other writes. All other processes have to be started \
                 again, as standbys that attach to this one; vacant slots wait for them.\n";
        plan
    }
}
