//! What a scenario says must be so.

use std::time::Duration;

use super::{Check, Content, EXPECTED};
use crate::core::id::NodeId;
use crate::core::node::Node;
use crate::core::state::State;
use crate::sim::check::Violation;
use crate::sim::machine::Machine;
use crate::sim::process::{HostId, Pid};
use crate::sim::world::World;

/// How often what must be so by some time, or throughout, is looked at.
const POLL: Duration = Duration::from_millis(1);

/// The checks of a storm that have not had their say.
pub(in crate::sim) struct Watch {
    open: Vec<Check>,
}

impl Watch {
    /// Those of these checks that belong to the storm.
    pub fn new(checks: &[Check]) -> Watch {
        let timed = checks.iter().filter(|check| !check.is_final());
        Watch {
            open: timed.cloned().collect(),
        }
    }

    /// When to look next, seen from some time of the storm.
    pub fn next(&self, now: Duration) -> Option<Duration> {
        let next = self.open.iter().map(|check| match (check.at, check.from) {
            (Some(at), _) => at,
            (None, Some(from)) if from > now => from,
            _ => now + POLL,
        });
        next.min()
    }

    /// Looks, at some time of the storm.
    pub fn look<M: Machine>(&mut self, now: Duration, world: &World<M>) -> Result<(), Violation> {
        let mut broken = None;
        self.open.retain(|check| {
            let begins = check.at.or(check.from).unwrap_or_default();
            if now < begins || broken.is_some() {
                return true;
            }
            let ends = check.at.or(check.by).or(check.until).unwrap_or_default();
            let wrong = check.wrong(world, None);
            let may_be_wrong = check.by.is_some() && now < ends;
            match wrong {
                Some(wrong) if !may_be_wrong => {
                    broken = Some(format!("at {} ms: {wrong}", now.as_millis()));
                    true
                }
                Some(_) => true,
                None => check.by.is_none() && now < ends,
            }
        });
        broken.map_or(Ok(()), |text| Err(Violation::new(EXPECTED, text)))
    }
}

impl Check {
    /// Whether it is about the end of the run.
    pub fn is_final(&self) -> bool {
        self.at.is_none() && self.by.is_none() && self.from.is_none()
    }

    /// What is not so. `core`: the nodes that are asked unless told otherwise.
    pub(in crate::sim) fn wrong<M: Machine>(
        &self,
        world: &World<M>,
        core: Option<&[Pid]>,
    ) -> Option<String> {
        let asked: Vec<Pid> = match (&self.nodes, core) {
            (Some(hosts), _) => {
                let pids = hosts.iter().map(|host| world.process_on(*host));
                match pids.collect::<Option<Vec<Pid>>>() {
                    Some(pids) => pids,
                    None => return Some(format!("not all of the hosts {hosts:?} run a process")),
                }
            }
            (None, Some(core)) => core.to_vec(),
            (None, None) => world.alive().collect(),
        };
        let asked: Vec<Pid> = match self.nodes {
            Some(_) => asked,
            None => asked
                .into_iter()
                .filter(|pid| world.processes[*pid].ready)
                .collect(),
        };
        if let Some(hosts) = &self.alive {
            let mut living: Vec<HostId> = world.alive().map(|p| world.processes[p].host).collect();
            living.sort_unstable();
            let mut wanted = hosts.clone();
            wanted.sort_unstable();
            if living != wanted {
                return Some(format!("processes live on the hosts {living:?}"));
            }
        }
        if asked.is_empty() {
            return Some("no node can be asked".to_owned());
        }
        asked
            .iter()
            .find_map(|pid| self.wrong_at(world, *pid))
            .or_else(|| self.disagreement(world, &asked))
    }

    fn wrong_at<M: Machine>(&self, world: &World<M>, pid: Pid) -> Option<String> {
        let host = world.processes[pid].host;
        let machine = world.processes[pid].machine.as_ref()?;
        let host_of = |id: &NodeId| {
            let pid = world.by_id.get(id)?;
            let process = &world.processes[*pid];
            process.is_alive().then_some(process.host)
        };
        let state = machine.node().and_then(Node::state);
        let members = || machine.member_sets().pop().unwrap_or_default();
        let owners = || state.map_or(Vec::new(), |state| state.epochs().latest().owners.clone());
        let processes = || state.map_or(Vec::new(), State::processes);
        let groups: [(_, _, &dyn Fn() -> Vec<NodeId>); 3] = [
            ("members", &self.members, &members),
            ("owners", &self.owners, &owners),
            ("processes", &self.processes, &processes),
        ];
        for (what, wanted, ids) in groups {
            let Some(wanted) = wanted else { continue };
            let mut on: Vec<Option<HostId>> = ids().iter().map(host_of).collect();
            on.sort_unstable();
            let mut wanted: Vec<Option<HostId>> = wanted.iter().copied().map(Some).collect();
            wanted.sort_unstable();
            if on != wanted {
                return Some(format!(
                    "to the node on host {host}, the {what} are on {on:?}"
                ));
            }
        }
        for (slot, wanted) in self.slots.iter().flatten() {
            let content = machine.file(&format!("/ctl/cal/{slot}"));
            let text = content.map(|c| String::from_utf8_lossy(&c).into_owned());
            let holder = text.as_deref().and_then(|text| text.parse::<NodeId>().ok());
            let on = holder
                .as_ref()
                .and_then(host_of)
                .map_or(-1, |host| host as i64);
            if on != (*wanted).max(-1) {
                return Some(format!(
                    "to the node on host {host}, slot {slot} is held by {on}"
                ));
            }
        }
        for (path, wanted) in self.files.iter().flatten() {
            let content = machine.file(path);
            let fits = match wanted {
                Content::Text(text) => content.as_deref() == Some(text.as_bytes()),
                Content::Exists(exists) => content.is_some() == *exists,
            };
            if !fits {
                let shown = content.map(|c| String::from_utf8_lossy(&c).into_owned());
                return Some(format!("to the node on host {host}, {path} is {shown:?}"));
            }
        }
        None
    }

    fn disagreement<M: Machine>(&self, world: &World<M>, asked: &[Pid]) -> Option<String> {
        if !self.agree {
            return None;
        }
        let views = asked.iter().map(|pid| {
            let process = &world.processes[*pid];
            (process.host, process.machine.as_ref().and_then(M::view))
        });
        let views: Vec<_> = views.collect();
        let same = views.windows(2).all(|pair| pair[0].1 == pair[1].1);
        (!same).then(|| format!("the nodes do not agree: {views:?}"))
    }
}
