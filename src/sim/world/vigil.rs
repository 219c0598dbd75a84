//! Looks at the cluster as a whole from time to time: are the dead replaced, is nobody put out who
//! lives, do those end who are asked to?

use std::time::Duration;

use super::World;
use crate::core::id::NodeId;
use crate::core::membership::DEMOTED_PAUSE;
use crate::core::node::{LEAVE_MAX, Node};
use crate::core::protocol::peer::Message;
use crate::sim::check::Violation;
use crate::sim::check::evictions::{self, Proposal};
use crate::sim::check::takeover::{Members, Scene, TAKEOVER_MAX, Wanting};
use crate::sim::machine::Machine;
use crate::sim::params::micros;
use crate::sim::process::Pid;

/// Between two looks.
const LOOK: Duration = micros(100_000);

/// How long messages may take that a takeover consists of: silence is told, the change is forwarded
/// and decided, a vacancy is seen and claimed, and each time owners may be dead whose slots lie before
/// it.
const TRIPS: u32 = 20;

/// Beyond the time that leaving may take: the last turn, and a process that is a little slow.
const LEAVE_SLACK: Duration = micros(1_000_000);

/// How those end who are asked to, as a sentence.
const LEAVES: &str = "who is asked to leave ends in time";

impl<M: Machine> World<M> {
    /// Looks, if it is time to.
    pub(super) fn look_around(&mut self) {
        if self.now < self.look_due {
            return;
        }
        self.look_due = self.now + LOOK;
        if let Err(violation) = self.look_at_seats().and_then(|()| self.look_at_leavers()) {
            self.accuse(violation);
        }
    }

    fn look_at_seats(&mut self) -> Result<(), Violation> {
        let wanting = self.wanting();
        if wanting.is_empty() {
            self.takeover.rest();
            return Ok(());
        }
        // One change of members comes after the other.
        let others = wanting.len() as u32 - 1;
        let bound = self.takeover_bound() + others * self.stretched(TAKEOVER_MAX);
        let standbys = self.standbys();
        let sets = self.member_sets();
        let scene = Scene {
            now: self.now,
            hearing: &self.hearing,
            standbys,
            sets: sets.iter().map(|set| self.members(set)).collect(),
            bound,
            wanting,
        };
        self.takeover.look(&scene)
    }

    /// Whether a seat waits for a standby that could take it.
    pub(in crate::sim) fn is_short(&self) -> bool {
        !self.wanting().is_empty() && !self.standbys().is_empty()
    }

    /// The seats that are vacant, or held by somebody whom hardly anybody hears.
    fn wanting(&self) -> Vec<Wanting> {
        let seats = self.takeover.seats().iter();
        let majority = self.takeover.seats().len() / 2 + 1;
        let wanting = seats.filter_map(|(seat, id)| {
            let holder = id.and_then(|id| self.by_id.get(&id).copied());
            let is_there = holder.is_some_and(|holder| {
                let hears = |pid: &Pid| {
                    let touch = self.hearing.in_touch_since(*pid, holder, self.now);
                    *pid == holder || touch.is_some()
                };
                self.processes[holder].is_alive()
                    && (0..self.processes.len())
                        .filter(hears)
                        .take(majority)
                        .count()
                        == majority
            });
            let seat = *seat;
            (!is_there).then_some(Wanting { seat, holder })
        });
        wanting.collect()
    }

    /// Processes that could take a seat now.
    fn standbys(&self) -> Vec<Pid> {
        let views = self.processes.iter();
        let views = views.filter_map(|one| one.machine.as_ref().and_then(M::view));
        let furthest = views.map(|view| view.applied).max().unwrap_or_default();
        let is_fit = |pid: &Pid| {
            let process = &self.processes[*pid];
            let pause = self.stretched(DEMOTED_PAUSE);
            let view = process.machine.as_ref().and_then(M::view);
            process.ready
                && (!self.is_frozen() || self.core.contains(pid))
                && process.leaving.is_none()
                && self.is_listening(*pid)
                && !self.takeover.is_seated(process.id)
                && !self.takeover.is_demoted(process.id, pause, self.now)
                && view.is_some_and(|v| v.applied.plus(self.params.tuning.alpha / 2) >= furthest)
        };
        self.alive().filter(is_fit).collect()
    }

    fn members(&self, set: &[NodeId]) -> Members {
        let known = set.iter().filter_map(|id| self.by_id.get(id).copied());
        Members {
            count: set.len(),
            alive: known
                .filter(|pid| self.processes[*pid].is_alive())
                .collect(),
        }
    }

    /// Time from the moment at which a member is heard no more to the moment at which another one
    /// sits in its seat, at most.
    pub(in crate::sim) fn takeover_bound(&self) -> Duration {
        let net = &self.net.params;
        self.stretched(self.params.timeout + TAKEOVER_MAX)
            + TRIPS * (net.delay_min + net.delay_spread)
            + LOOK
    }

    /// What the slowest clock takes for so long.
    fn stretched(&self, span: Duration) -> Duration {
        let paces = self.alive().map(|pid| self.processes[pid].clock.pace_ppm());
        let slowest = u128::from(paces.min().unwrap_or(1_000_000));
        let stretched = span.as_micros() * 1_000_000 / slowest;
        micros(u64::try_from(stretched).unwrap_or(u64::MAX))
    }

    /// Judges what a process says: does it put somebody out who is well, or somebody in who is not?
    pub(super) fn judge_evictions(&mut self, pid: Pid, message: &Message) {
        let id = self.processes[pid].id;
        for proposal in self.evictions.said(id, message) {
            if let Err(violation) = self.judge_eviction(pid, proposal) {
                self.accuse(violation);
            }
        }
    }

    fn judge_eviction(&self, pid: Pid, proposal: Proposal) -> Result<(), Violation> {
        let machine = self.processes[pid].machine.as_ref();
        let state = machine.and_then(M::node).and_then(Node::state);
        let Some(state) = state else { return Ok(()) };
        let latest = &state.epochs().latest().members;
        let members = self.members(latest);
        let Proposal { victim, successor } = proposal;
        let well = self.by_id.get(&victim).filter(|victim| {
            let (span, now) = (self.params.timeout, self.now);
            evictions::is_well(
                **victim,
                &members.alive,
                members.count,
                span,
                &self.hearing,
                now,
            )
        });
        if let Some(victim) = well {
            let detail = format!(
                "p{pid} puts p{victim} out at {} ms, which hears a majority of {:?} and is heard",
                self.now.0 / 1000,
                members.alive
            );
            return Err(Violation::new(evictions::PROPERTY, detail));
        }
        let successor = successor.and_then(|id| self.by_id.get(&id).copied());
        let view = successor.and_then(|pid| self.processes[pid].machine.as_ref().and_then(M::view));
        let (Some(successor), Some(view)) = (successor, view) else {
            return Ok(());
        };
        // What was decided while the proposal waited for its turn is no fault of anybody.
        let most = state.alpha() / 2 + state.alpha();
        if view.applied.plus(most) < state.applied() {
            let detail = format!(
                "p{pid} has applied {}, and gives the seat of {victim} to p{successor}, which has \
                 applied {}",
                state.applied(),
                view.applied
            );
            return Err(Violation::new(evictions::LAGGARD, detail));
        }
        Ok(())
    }

    fn look_at_leavers(&self) -> Result<(), Violation> {
        for pid in self.alive() {
            let Some((asked, _)) = self.processes[pid].leaving else {
                continue;
            };
            let since = self.now - self.stretched(LEAVE_MAX) - LEAVE_SLACK;
            let awake = self.hearing.awake_since(pid, self.now);
            if awake.is_some_and(|awake| awake.max(asked) < since) {
                let detail = format!("p{pid} was asked at {} ms", asked.0 / 1000);
                return Err(Violation::new(LEAVES, detail));
            }
        }
        Ok(())
    }
}
