//! What befalls the connections between processes.

use std::time::Duration;

use super::Fault;
use crate::sim::machine::Machine;
use crate::sim::narration::{Happened, Place};
use crate::sim::net::{Damage, State};
use crate::sim::params::micros;
use crate::sim::process::{HostId, Pid};
use crate::sim::world::{Door, Happening, World};

impl<M: Machine> World<M> {
    pub(super) fn befall_links(&mut self, fault: &Fault) {
        match fault {
            Fault::Cut {
                from,
                to,
                both_ways,
                span_us,
            } => self.cut_for(from, to, *both_ways, micros(*span_us)),
            Fault::Flap {
                one,
                other,
                times,
                span_us,
            } => {
                for flap in 0..*times {
                    let at = self.now + micros(2 * flap * span_us);
                    let pairs = vec![(*one, *other), (*other, *one)];
                    let until = at + micros(*span_us);
                    self.queue.push(at, Happening::Cut { pairs, until });
                }
                self.trouble_host(*one, micros(2 * times * span_us));
            }
            Fault::Clog { links, span_us } => {
                let span = micros(*span_us);
                for (from, _) in links {
                    self.trouble_host(*from, span);
                }
                self.clog(links, self.now + span);
            }
            Fault::Swizzle {
                clog,
                free,
                step_us,
            } => self.swizzle(clog, free, micros(*step_us)),
            Fault::Lag {
                links,
                extra_us,
                span_us,
            } => {
                let (extra, until) = (micros(*extra_us), self.now + micros(*span_us));
                self.tell(Place::World, || Happened::Lagged {
                    pairs: links,
                    extra,
                    until,
                });
                for (from, to) in links {
                    self.ensure_host(*from.max(to));
                    self.net.path_mut(*from, *to).lag = extra;
                    self.net.path_mut(*from, *to).lag_until = until;
                }
            }
            Fault::Reset { links } => {
                for (from, to) in self.links_up(links) {
                    self.break_link(from, to);
                }
            }
            Fault::Abort { links } => {
                for (from, to) in self.links_up(links) {
                    let hosts = (self.processes[from].host, self.processes[to].host);
                    self.net.path_mut(hosts.0, hosts.1).aborted_at = self.now;
                    self.break_link(from, to);
                }
            }
            Fault::Tear { links } => self.damage_next(links, Damage::Tear),
            Fault::Corrupt { links, bits } => self.damage_next(links, Damage::Flip { bits: *bits }),
            Fault::HalfOpen { links } => {
                for (from, to) in self.links_up(links) {
                    self.make_hole(from, to);
                }
            }
            Fault::Refuse { host, span_us } => {
                self.ensure_host(*host);
                self.doors[*host] = Door::Refuses(self.now + micros(*span_us));
                self.trouble_host(*host, micros(*span_us));
            }
            Fault::Hang { host, span_us } => {
                self.ensure_host(*host);
                self.doors[*host] = Door::Hangs(self.now + micros(*span_us));
                self.trouble_host(*host, micros(*span_us));
            }
            Fault::Mend => self.mend_everything(),
            _ => unreachable!("it befalls no connection of peers"),
        }
    }

    /// Cuts every host of one side from every host of the other for some time.
    fn cut_for(&mut self, from: &[HostId], to: &[HostId], both_ways: bool, span: Duration) {
        let mut pairs = Vec::new();
        for a in from {
            for b in to {
                pairs.push((*a, *b));
                if both_ways {
                    pairs.push((*b, *a));
                }
            }
            self.trouble_host(*a, span);
        }
        let until = self.now + span;
        self.queue.push(self.now, Happening::Cut { pairs, until });
    }

    fn swizzle(&mut self, clog: &[HostId], free: &[HostId], step: Duration) {
        let steps = |count: usize| step * u32::try_from(count).unwrap_or(u32::MAX);
        for (place, host) in clog.iter().enumerate() {
            let Some(freed) = free.iter().position(|one| one == host) else {
                continue;
            };
            let until = self.now + steps(clog.len() + freed);
            let others = (0..self.hosts.len()).filter(|other| other != host);
            let links = others
                .flat_map(|other| [(*host, other), (other, *host)])
                .collect();
            let at = self.now + steps(place);
            self.queue.push(at, Happening::Clog { links, until });
            self.trouble_host(*host, until.since(self.now));
        }
    }

    /// Messages wait on their way until some time.
    pub(in crate::sim) fn clog(
        &mut self,
        links: &[(HostId, HostId)],
        until: crate::core::env::Time,
    ) {
        self.tell(Place::World, || Happened::Held {
            pairs: links,
            until,
        });
        for (from, to) in links {
            self.ensure_host(*from.max(to));
            let path = self.net.path_mut(*from, *to);
            path.held_until = path.held_until.max(until);
        }
    }

    fn damage_next(&mut self, links: &[(HostId, HostId)], damage: Damage) {
        for (from, to) in links {
            self.ensure_host(*from.max(to));
            self.net.path_mut(*from, *to).damage = Some(damage);
        }
    }

    /// The connections that are open, of those between these hosts.
    pub(in crate::sim) fn links_up(&self, links: &[(HostId, HostId)]) -> Vec<(Pid, Pid)> {
        let ends = links
            .iter()
            .filter_map(|(from, to)| Some((self.process_on(*from)?, self.process_on(*to)?)));
        ends.filter(|(from, to)| from != to && self.net.state(*from, *to) == State::Up)
            .collect()
    }
}
