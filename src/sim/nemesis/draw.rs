//! What a fault of each kind comes to.

use super::Kind;
use crate::core::instrument::sometimes;
use crate::sim::chance::Dice;
use crate::sim::disk::{DAMAGES, Fate, Manner};
use crate::sim::fault::{Fault, Moment, NEVER_US};
use crate::sim::machine::Machine;
use crate::sim::process::{HostId, Pid};
use crate::sim::world::World;

/// Times that a flapping pair loses and finds each other.
const FLAPS: u64 = 6;
/// Processes that may live at a time before standbys stop coming. Above any cluster that a run
/// begins with.
const PROCESSES_MAX: usize = 14;
/// Membership slots that there may be before operators stop adding some. A window of 14 slots, the
/// smallest that is drawn, allows for as many members.
const SLOTS_MAX: usize = 7;
/// Processes in a million that are killed while they leave, if they take long.
const KILLED_PPM: u32 = 400_000;
/// Effects of one turn among which a process may die: most turns have fewer.
const EFFECTS: u64 = 8;

/// Processes in a million that die again while they come back.
const RELAPSES_PPM: u32 = 200_000;
/// Failures of disks in a million that befall those who are to come back, if anybody is.
const SLEEPERS_PPM: u32 = 500_000;
/// Operations on its disk that a process needs to come back, about.
const READ_OPERATIONS: u64 = 8;

impl<M: Machine> World<M> {
    /// What a fault of this kind comes to, if it can be done to this process.
    pub(in crate::sim) fn draw_fault(
        &self,
        kind: Kind,
        victim: Pid,
        dice: &mut Dice,
    ) -> Option<Fault> {
        match kind {
            Kind::Crash
            | Kind::CrashInTurn
            | Kind::CrashUnsynced
            | Kind::QuickRestart
            | Kind::Stop
            | Kind::Leave
            | Kind::RollingRestart
            | Kind::StandbyComes
            | Kind::StandbyGoes
            | Kind::Takeover => self.draw_end(kind, victim, dice),
            Kind::Pause
            | Kind::Freeze
            | Kind::Suspend
            | Kind::Slow
            | Kind::Sluggish
            | Kind::ClockJump
            | Kind::ClockPace => Some(self.draw_hold(kind, victim, dice)),
            Kind::CutOff
            | Kind::Split
            | Kind::Bridge
            | Kind::Partial
            | Kind::OneWay
            | Kind::Pair
            | Kind::Flap
            | Kind::ClogLink
            | Kind::ClogHost
            | Kind::Swizzle
            | Kind::SlowPair
            | Kind::FarHost
            | Kind::Mend => self.draw_path(kind, victim, dice),
            Kind::Reset
            | Kind::Abort
            | Kind::Tear
            | Kind::Corrupt
            | Kind::HalfOpen
            | Kind::Refuse
            | Kind::Hang => self.draw_break(kind, victim, dice),
            Kind::Hangup
            | Kind::ClientAbort
            | Kind::ClientHalfOpen
            | Kind::ClientCut
            | Kind::Move
            | Kind::SlowReader
            | Kind::Storm
            | Kind::Glutton => self.draw_client(kind, victim, dice),
            Kind::PowerLoss
            | Kind::Blackout
            | Kind::DiskError
            | Kind::DiskFull
            | Kind::SlowDisk
            | Kind::DiskDamage => self.draw_disk(kind, victim, dice),
            Kind::Vacate | Kind::AddSlot | Kind::RemoveSlot => self.draw_operator(kind, dice),
        }
    }

    /// An end or a beginning of a process.
    fn draw_end(&self, kind: Kind, victim: Pid, dice: &mut Dice) -> Option<Fault> {
        let host = self.processes[victim].host;
        if kind == Kind::StandbyComes {
            let is_room = self.alive().count() < PROCESSES_MAX;
            return is_room.then_some(Fault::Start {
                host: self.hosts.len(),
            });
        }
        if kind == Kind::RollingRestart {
            if !self.alive().any(|pid| self.may_leave(pid)) {
                return None;
            }
            let mut hosts: Vec<HostId> = self.alive().map(|p| self.processes[p].host).collect();
            dice.shuffle(&mut hosts);
            return Some(Fault::RollingRestart {
                hosts,
                step_us: dice.magnitude(50_000, 2_000_000),
                back_us: dice.magnitude(1_000, 1_000_000),
            });
        }
        let (disk, relapse) = self.draw_fate(dice);
        let is_crash = matches!(
            kind,
            Kind::Crash | Kind::CrashInTurn | Kind::CrashUnsynced | Kind::QuickRestart
        );
        let is_possible = match kind {
            _ if is_crash => self.may_end(victim, disk),
            Kind::Leave => self.may_leave(victim),
            _ => self.may_lose(victim),
        };
        if !is_possible {
            sometimes!(CrashWouldCostMajority);
            return None;
        }
        let vacant: Vec<HostId> = (0..self.hosts.len())
            .filter(|host| self.process_on(*host).is_none())
            .collect();
        let back_host = match dice.below(4) {
            0 | 1 => host,
            2 if !vacant.is_empty() => *dice.pick(&vacant),
            _ => self.hosts.len(),
        };
        let back_us = dice.magnitude(1_000, 4_000_000);
        let crash = |moment| Fault::Crash {
            host,
            moment,
            disk,
            relapse,
            back_us,
            back_host: Some(back_host),
        };
        match kind {
            Kind::Crash => Some(crash(Moment::Now)),
            Kind::CrashInTurn => Some(crash(Moment::InTurn(dice.below(EFFECTS)))),
            Kind::CrashUnsynced if self.params.disk == Manner::AtOnce => None,
            Kind::CrashUnsynced => Some(crash(Moment::Unsynced(dice.between(0, 300)))),
            Kind::QuickRestart => Some(Fault::Crash {
                host,
                moment: Moment::Now,
                disk,
                relapse,
                back_us: dice.between(0, 1_000),
                back_host: Some(host),
            }),
            Kind::Stop => Some(Fault::Stop {
                host,
                back_us,
                back_host: Some(back_host),
            }),
            Kind::Leave => Some(Fault::Leave {
                host,
                kill_us: match dice.hit(KILLED_PPM) {
                    true => dice.magnitude(1_000, 4_000_000),
                    false => NEVER_US,
                },
                back_us,
                back_host: Some(back_host),
            }),
            Kind::StandbyGoes => {
                let id = self.processes[victim].id;
                let is_member = self.member_sets().iter().any(|set| set.contains(&id));
                (!is_member).then_some(Fault::Stop {
                    host,
                    back_us: dice.magnitude(1_000_000, 60_000_000),
                    back_host: Some(back_host),
                })
            }
            _ => Some(Fault::Takeover {
                host,
                span_us: dice.magnitude(1_000, 2_000_000),
            }),
        }
    }

    /// Something with disks, if there are any.
    fn draw_disk(&self, kind: Kind, victim: Pid, dice: &mut Dice) -> Option<Fault> {
        if self.params.disk == Manner::AtOnce {
            return None;
        }
        let host = self.processes[victim].host;
        let back_us = dice.magnitude(1_000, 4_000_000);
        let span_us = dice.magnitude(2_000, 4_000_000);
        match kind {
            Kind::PowerLoss | Kind::Blackout => {
                let mut hosts: Vec<HostId> = (0..self.hosts.len()).collect();
                dice.shuffle(&mut hosts);
                if kind == Kind::PowerLoss {
                    hosts.truncate(1 + dice.below(hosts.len() as u64) as usize);
                }
                Some(Fault::PowerLoss {
                    hosts,
                    back_us,
                    step_us: dice.magnitude(1, 500_000),
                    relapse: self.draw_fate(dice).1,
                })
            }
            Kind::DiskError => {
                let sleeping = (0..self.hosts.len()).filter(|h| self.mounts[*h].sleeper.is_some());
                let sleeping: Vec<HostId> = sleeping.collect();
                let is_asleep = !sleeping.is_empty() && dice.hit(SLEEPERS_PPM);
                Some(Fault::DiskError {
                    host: if is_asleep {
                        *dice.pick(&sleeping)
                    } else {
                        host
                    },
                    after: dice.magnitude(1, 64) - 1,
                    back_us,
                })
            }
            Kind::DiskFull => Some(Fault::DiskFull { host, span_us }),
            Kind::SlowDisk => Some(Fault::SlowDisk {
                host,
                times: dice.magnitude(3, 100),
                span_us,
            }),
            _ if !self.may_give_up(victim) => None,
            _ => Some(Fault::DiskDamage {
                host,
                damage: *dice.pick(&DAMAGES),
                back_us,
            }),
        }
    }

    /// What is left of the disk of who dies, and whether it dies again when it comes back.
    fn draw_fate(&self, dice: &mut Dice) -> (Fate, Option<u64>) {
        if self.params.disk == Manner::AtOnce {
            return (Fate::Gone, None);
        }
        let fate = *dice.pick(&[
            Fate::Gone,
            Fate::Written,
            Fate::Written,
            Fate::Synced,
            Fate::Synced,
        ]);
        let relapse = dice.hit(RELAPSES_PPM).then(|| dice.below(READ_OPERATIONS));
        (fate, relapse.filter(|_| fate != Fate::Gone))
    }

    /// A standstill, slowness, or a clock that goes wrong.
    fn draw_hold(&self, kind: Kind, victim: Pid, dice: &mut Dice) -> Fault {
        let host = self.processes[victim].host;
        let span_us = dice.magnitude(2_000, 4_000_000);
        match kind {
            Kind::Pause => Fault::Pause {
                host,
                span_us: dice.magnitude(1_000, 60_000_000),
            },
            Kind::Freeze => {
                let mut hosts: Vec<HostId> = self.alive().map(|p| self.processes[p].host).collect();
                dice.shuffle(&mut hosts);
                hosts.truncate(hosts.len() / 2 + 1);
                Fault::Freeze { hosts, span_us }
            }
            Kind::Suspend => Fault::Suspend { host, span_us },
            Kind::Slow => Fault::Slow {
                host,
                times: dice.magnitude(10, 1_000),
                span_us,
            },
            Kind::Sluggish => Fault::Slow {
                host,
                times: dice.between(2, 20),
                span_us: self.rest_us(),
            },
            Kind::ClockJump => Fault::ClockJump {
                host,
                ahead_us: dice.magnitude(1_000, 120_000_000),
            },
            _ => Fault::ClockPace {
                host,
                pace_ppm: dice.between(500_000, 2_000_000),
            },
        }
    }

    /// Something on the way between hosts.
    fn draw_path(&self, kind: Kind, victim: Pid, dice: &mut Dice) -> Option<Fault> {
        let host = self.processes[victim].host;
        let mut others: Vec<HostId> = (0..self.hosts.len()).filter(|h| *h != host).collect();
        if others.is_empty() {
            return None;
        }
        dice.shuffle(&mut others);
        let other = others[0];
        let span_us = dice.magnitude(2_000, 4_000_000);
        let cut = |from: Vec<HostId>, to: Vec<HostId>, both_ways: bool| Fault::Cut {
            from,
            to,
            both_ways,
            span_us,
        };
        let both = |others: &[HostId]| {
            others
                .iter()
                .flat_map(|o| [(host, *o), (*o, host)])
                .collect()
        };
        let some = |dice: &mut Dice, of: &[HostId]| {
            of[..1 + dice.below(of.len() as u64) as usize].to_vec()
        };
        let fault = match kind {
            Kind::Bridge | Kind::Partial if others.len() < 2 => return None,
            Kind::CutOff => cut(vec![host], others, true),
            Kind::Split | Kind::Bridge => {
                if kind == Kind::Split {
                    others.insert(0, host);
                }
                let right = others.split_off(others.len() / 2);
                cut(others, right, true)
            }
            Kind::Partial => {
                let count = dice.between(2, others.len() as u64) as usize;
                let mut left = others[..count].to_vec();
                let right = left.split_off(left.len() / 2);
                cut(left, right, dice.hit(500_000))
            }
            Kind::OneWay => cut(vec![host], some(dice, &others), false),
            Kind::Pair => cut(vec![host], vec![other], true),
            Kind::Flap => Fault::Flap {
                one: host,
                other,
                times: FLAPS,
                span_us: span_us / (2 * FLAPS),
            },
            Kind::ClogLink => Fault::Clog {
                links: vec![(host, other)],
                span_us,
            },
            Kind::ClogHost => Fault::Clog {
                links: both(&others),
                span_us,
            },
            Kind::Swizzle => {
                others.push(host);
                dice.shuffle(&mut others);
                let clog = some(dice, &others);
                let mut free = clog.clone();
                dice.shuffle(&mut free);
                Fault::Swizzle {
                    clog,
                    free,
                    step_us: dice.magnitude(500, 400_000),
                }
            }
            Kind::SlowPair | Kind::FarHost => Fault::Lag {
                links: match kind {
                    Kind::SlowPair => both(&others[..1]),
                    _ => both(&others),
                },
                extra_us: dice.magnitude(500, 300_000),
                span_us: self.rest_us(),
            },
            _ => Fault::Mend,
        };
        Some(fault)
    }

    /// Something with the connections of a process, if there are any.
    fn draw_break(&self, kind: Kind, victim: Pid, dice: &mut Dice) -> Option<Fault> {
        let host = self.processes[victim].host;
        let mut links = Vec::new();
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            if dice.hit(600_000) {
                links.extend([(host, other), (other, host)]);
            }
        }
        let span_us = dice.magnitude(2_000, 4_000_000);
        let is_of_host = matches!(kind, Kind::Refuse | Kind::Hang);
        if !is_of_host && self.links_up(&links).is_empty() {
            return None;
        }
        Some(match kind {
            Kind::Reset => Fault::Reset { links },
            Kind::Abort => Fault::Abort { links },
            Kind::Tear => Fault::Tear { links },
            Kind::Corrupt => Fault::Corrupt {
                links,
                bits: dice.magnitude(1, 32) as u32,
            },
            Kind::HalfOpen => Fault::HalfOpen { links },
            Kind::Refuse => Fault::Refuse { host, span_us },
            _ => Fault::Hang { host, span_us },
        })
    }

    fn draw_client(&self, kind: Kind, victim: Pid, dice: &mut Dice) -> Option<Fault> {
        let host = self.processes[victim].host;
        let span_us = dice.magnitude(2_000, 4_000_000);
        let clients = self.open_conns().map(|c| self.conns[c].actor);
        let clients: Vec<usize> = clients.map(|a| self.actors[a].name).collect();
        if clients.is_empty() {
            return None;
        }
        let client = *dice.pick(&clients);
        Some(match kind {
            Kind::Hangup => Fault::Hangup { client },
            Kind::ClientAbort => Fault::ClientAbort { client },
            Kind::ClientHalfOpen => Fault::ClientHalfOpen { client },
            Kind::ClientCut => {
                let some = |dice: &mut Dice, mut all: Vec<usize>| {
                    dice.shuffle(&mut all);
                    all.truncate(1 + dice.below(all.len() as u64) as usize);
                    all
                };
                Fault::ClientCut {
                    clients: some(dice, clients),
                    hosts: some(dice, (0..self.hosts.len()).collect()),
                    span_us,
                }
            }
            Kind::Move => Fault::Move { client },
            Kind::SlowReader => Fault::SlowReader { client, span_us },
            Kind::Storm => Fault::Storm {
                host,
                clients: dice.magnitude(5, 40),
            },
            _ => Fault::Glutton {
                host,
                requests: dice.magnitude(10, 300),
                span_us,
            },
        })
    }

    fn draw_operator(&self, kind: Kind, dice: &mut Dice) -> Option<Fault> {
        let seats = self.seats();
        let is_dead = |holder: &Option<_>| {
            let holder = holder.and_then(|id| self.by_id.get(&id));
            holder.is_some_and(|pid| !self.processes[*pid].is_alive())
        };
        let dead: Vec<u64> = seats
            .iter()
            .filter(|(_, holder)| is_dead(holder))
            .map(|(slot, _)| *slot)
            .collect();
        let all: Vec<u64> = seats.iter().map(|(slot, _)| *slot).collect();
        let highest = *all.iter().max()?;
        if kind == Kind::AddSlot {
            return (all.len() < SLOTS_MAX).then_some(Fault::AddSlot { slot: highest + 1 });
        }
        let prefers_dead = kind == Kind::Vacate && !dead.is_empty() && dice.hit(750_000);
        let slot = *dice.pick(if prefers_dead { &dead } else { &all });
        self.may_spare(slot).then_some(match kind {
            Kind::Vacate => Fault::Vacate { slot },
            _ => Fault::RemoveSlot { slot },
        })
    }

    /// What is left of the storm, in microseconds.
    fn rest_us(&self) -> u64 {
        let end = self.storm_began + self.params.storm;
        (end.since(self.now).as_micros() as u64).max(1)
    }
}
