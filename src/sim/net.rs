//! The network between hosts: how long messages travel, which are lost or doubled, who is cut off
//! from whom, and the state of each connection.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::chance::{Chance, Dice, What, is_hit};
use super::params::{NetParams, micros};
use super::process::{HostId, Pid};
use super::trouble::{Delayed, Name, Passage, Phase, Troubles};
use crate::core::env::Time;
use crate::core::instrument::sometimes;

/// Largest power of two by which the tail of the delays stretches the spread.
pub(super) const TAIL_POWER_MAX: u32 = 10;

/// The network.
#[derive(Debug)]
pub struct Net {
    /// How it behaves.
    pub params: NetParams,
    chance: Chance,
    /// The names of the processes.
    names: Vec<u64>,
    /// `paths[a][b]`: the way from host `a` to host `b`.
    paths: Vec<Vec<Path>>,
    /// `links[a][b]`: the connection that process `a` opened to process `b`.
    links: Vec<Vec<Link>>,
    /// Attempts of each process to connect.
    dials: Vec<u64>,
    phase: Phase,
    /// The longest that messages come late while the cluster is formed: it is formed on a network
    /// on which a single late message does not look like a death.
    pub forming_tail_max: Duration,
    lost: BTreeSet<Passage>,
    late: BTreeMap<Passage, u64>,
    twice: BTreeMap<Passage, u64>,
    /// What came about.
    met: Met,
}

/// Troubles in the order in which they came about.
#[derive(Debug, Default)]
struct Met {
    lost: Vec<Passage>,
    late: Vec<Delayed>,
    twice: Vec<Delayed>,
}

/// The way from one host to another, whatever runs there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    /// How many faults keep messages from arriving.
    pub cuts: u32,
    /// Messages that arrive earlier wait until then.
    pub held_until: Time,
    /// How much longer messages travel than elsewhere.
    pub lag: Duration,
    /// Until when they do.
    pub lag_until: Time,
    /// Messages that left by then and have not arrived are lost.
    pub aborted_at: Time,
    /// What happens to the next message.
    pub damage: Option<Damage>,
}

/// What happens to one message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Its connection breaks in the middle of it.
    Tear,
    /// Bits of it are turned round.
    Flip {
        /// How many.
        bits: u32,
    },
}

/// A connection that one process opened to another; it carries messages one way.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its state.
    pub state: State,
    /// How often it has been opened.
    pub epoch: u32,
    /// Messages sent in this phase, over all epochs.
    sent: u64,
    /// When the latest message arrives.
    last_arrival: Time,
    /// When everything sent so far has left, if the bandwidth is limited.
    idle_at: Time,
    loss: Dice,
    duplicate: Dice,
    delay: Dice,
}

/// The state of a connection, as its opener sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not open.
    Down,
    /// Open.
    Up,
    /// Seems open; whatever is sent vanishes.
    Hole,
}

/// Times at which the copies of one message arrive: none when it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrivals(pub [Option<Time>; 2]);

impl Net {
    /// A network without hosts, on which at least these troubles befall messages.
    pub fn new(params: NetParams, troubles: &Troubles, chance: Chance) -> Net {
        Net {
            params,
            chance,
            names: Vec::new(),
            paths: Vec::new(),
            links: Vec::new(),
            dials: Vec::new(),
            phase: Phase::Forming,
            forming_tail_max: Duration::MAX,
            lost: troubles.lost.clone(),
            late: Troubles::by_passage(&troubles.late),
            twice: Troubles::by_passage(&troubles.twice),
            met: Met::default(),
        }
    }

    /// From now on messages are counted anew.
    pub fn begin(&mut self, phase: Phase) {
        self.phase = phase;
        for link in self.links.iter_mut().flatten() {
            link.sent = 0;
        }
    }

    /// The longest that a message may travel.
    pub fn longest(&self) -> Duration {
        let told = self.late.values().chain(self.twice.values()).max();
        let told = micros(told.copied().unwrap_or_default());
        self.params.longest() + told
    }

    /// The troubles so far.
    pub fn troubles(&self) -> Troubles {
        Troubles {
            lost: self.met.lost.iter().copied().collect(),
            late: self.met.late.iter().copied().collect(),
            twice: self.met.twice.iter().copied().collect(),
        }
    }

    /// Makes room for a host.
    pub fn add_host(&mut self) {
        let hosts = self.paths.len() + 1;
        self.paths.push(Vec::new());
        for row in &mut self.paths {
            row.resize(hosts, Path::default());
        }
    }

    /// Makes room for a process, whose choices are drawn under the name `who`.
    pub fn add_process(&mut self, who: u64) {
        self.names.push(who);
        self.dials.push(0);
        self.links.push(Vec::new());
        for (from, row) in self.links.iter_mut().enumerate() {
            for to in row.len()..self.names.len() {
                row.push(Link::new(&self.chance, self.names[from], self.names[to]));
            }
        }
    }

    /// The names under which the choices of all processes are drawn.
    pub fn names(&self) -> &[u64] {
        &self.names
    }

    /// Keeps messages from `from` to `to` from arriving, until as many calls of `mend` follow.
    pub fn cut(&mut self, from: HostId, to: HostId) {
        let path = &mut self.paths[from][to];
        path.cuts += 1;
        sometimes!(CutsOverlap, path.cuts > 1);
    }

    /// Takes one cut back.
    pub fn mend(&mut self, from: HostId, to: HostId) {
        let path = &mut self.paths[from][to];
        path.cuts = path.cuts.saturating_sub(1);
    }

    /// Takes all cuts between two hosts back, for both directions, and everything else that holds
    /// messages up.
    pub fn mend_all(&mut self, a: HostId, b: HostId) {
        for (from, to) in [(a, b), (b, a)] {
            let aborted_at = self.paths[from][to].aborted_at;
            self.paths[from][to] = Path {
                aborted_at,
                ..Path::default()
            };
        }
    }

    /// Whether messages from `from` to `to` vanish.
    pub fn is_cut(&self, from: HostId, to: HostId) -> bool {
        self.paths[from][to].cuts > 0
    }

    /// The way from one host to another.
    pub fn path(&self, from: HostId, to: HostId) -> &Path {
        &self.paths[from][to]
    }

    /// The way from one host to another, to change something about it.
    pub fn path_mut(&mut self, from: HostId, to: HostId) -> &mut Path {
        &mut self.paths[from][to]
    }

    /// The connection from one process to another.
    pub fn link(&mut self, from: Pid, to: Pid) -> &mut Link {
        &mut self.links[from][to]
    }

    /// The state of the connection from one process to another.
    pub fn state(&self, from: Pid, to: Pid) -> State {
        self.links[from][to].state
    }

    /// When a message of so many bytes that leaves at `leaves` arrives, if it does.
    pub fn transmit(&mut self, from: Pid, to: Pid, leaves: Time, bytes: usize) -> Arrivals {
        let tail_max = self.tail_max();
        let params = &self.params;
        let link = &mut self.links[from][to];
        let number = link.sent;
        link.sent += 1;
        if link.state != State::Up {
            return Arrivals([None; 2]);
        }
        let passage = Passage::Message {
            phase: self.phase,
            from: Name::from(self.names[from]),
            to: Name::from(self.names[to]),
            number,
        };
        // Choices of different phases have different numbers.
        let choice = (self.phase as u64) << 40 | number;
        if is_hit(link.loss.at(choice), params.loss_ppm) || self.lost.contains(&passage) {
            self.met.lost.push(passage);
            return Arrivals([None; 2]);
        }
        let leaves = match params.bandwidth {
            0 => leaves,
            _ => match link.squeeze(leaves, bytes as u64, params) {
                Some(leaves) => leaves,
                None => return Arrivals([None; 2]),
            },
        };
        let mut delays = link.delay.within(choice);
        let usual = params.usual_delay(&mut delays);
        let tail = params.tail(&mut delays).min(tail_max);
        let late = tail.max(told(&self.late, &passage).unwrap_or_default());
        if late > Duration::ZERO {
            self.met.late.push(delayed(passage, late));
        }
        let mut first = leaves + usual + late;
        if params.ordered {
            first = first.max(link.last_arrival);
            link.last_arrival = first;
        }
        let doubled = is_hit(link.duplicate.at(choice), params.duplicate_ppm);
        let drawn = doubled.then(|| params.delay(&mut delays));
        let after = told(&self.twice, &passage).or(drawn);
        if let Some(after) = after {
            self.met.twice.push(delayed(passage, after));
        }
        let second = after.map(|after| leaves + after);
        sometimes!(CopyOvertakes, second.is_some_and(|second| second < first));
        Arrivals([Some(first), second])
    }

    /// The longest that messages come late at the moment, unless told otherwise.
    fn tail_max(&self) -> Duration {
        match self.phase {
            Phase::Forming => self.forming_tail_max,
            Phase::Storm | Phase::Core => Duration::MAX,
        }
    }

    /// How long a process needs to connect to a host: there and back.
    pub fn dial(&mut self, from: Pid, host: HostId) -> Duration {
        let who = self.names[from];
        let number = self.dials[from];
        self.dials[from] += 1;
        let passage = Passage::Dial {
            from: Name::from(who),
            to: host as u16,
            number,
        };
        let mut dice = self.chance.dice(What::Handshake, who).within(number);
        let usual = 2 * self.params.usual_delay(&mut dice);
        let tail = 2 * self.params.tail(&mut dice).min(self.tail_max());
        let late = tail.max(told(&self.late, &passage).unwrap_or_default());
        if late > Duration::ZERO {
            self.met.late.push(delayed(passage, late));
        }
        usual + late
    }
}

fn told(list: &BTreeMap<Passage, u64>, passage: &Passage) -> Option<Duration> {
    list.get(passage).copied().map(micros)
}

fn delayed(passage: Passage, by: Duration) -> Delayed {
    Delayed {
        passage,
        by_us: by.as_micros() as u64,
    }
}

impl NetParams {
    /// How long one message travels.
    fn delay(&self, dice: &mut Dice) -> Duration {
        self.usual_delay(dice) + self.tail(dice)
    }

    fn usual_delay(&self, dice: &mut Dice) -> Duration {
        let spread = self.delay_spread.as_micros() as u64;
        self.delay_min + micros(dice.below(spread + 1))
    }

    /// How much longer than usual it travels.
    fn tail(&self, dice: &mut Dice) -> Duration {
        if self.tail_ppm == 0 || !dice.hit(self.tail_ppm) {
            return Duration::ZERO;
        }
        let power = (1 + dice.draw().trailing_zeros()).min(TAIL_POWER_MAX);
        self.delay_spread * (1 << power)
    }
}

impl Link {
    fn new(chance: &Chance, from: u64, to: u64) -> Link {
        let who = from << 32 | to;
        Link {
            state: State::Down,
            epoch: 0,
            sent: 0,
            last_arrival: Time::default(),
            idle_at: Time::default(),
            loss: chance.dice(What::Loss, who),
            duplicate: chance.dice(What::Duplicate, who),
            delay: chance.dice(What::Delay, who),
        }
    }

    /// Opens the connection.
    pub fn open(&mut self, now: Time) {
        assert_eq!(self.state, State::Down, "a connection is opened once");
        self.state = State::Up;
        self.epoch += 1;
        self.last_arrival = now;
        self.idle_at = now;
    }

    /// When a message has left through a connection of limited bandwidth. `None` if more than its
    /// queue takes waits already, as in a runtime whose outbox is full.
    fn squeeze(&mut self, leaves: Time, bytes: u64, params: &NetParams) -> Option<Time> {
        let waiting = self.idle_at.since(leaves).as_micros() as u64 * params.bandwidth / 1_000;
        if waiting > params.queue_bytes {
            return None;
        }
        let takes = micros((bytes * 1_000).div_ceil(params.bandwidth));
        self.idle_at = self.idle_at.max(leaves) + takes;
        Some(self.idle_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::params::Params;

    fn net(change: impl FnOnce(&mut NetParams)) -> Net {
        let chance = Chance::new(3);
        let mut params = Params::draw(&chance).net;
        params.loss_ppm = 0;
        params.duplicate_ppm = 0;
        params.tail_ppm = 0;
        params.bandwidth = 0;
        change(&mut params);
        let mut net = Net::new(params, &Troubles::default(), chance);
        for host in 0..2 {
            net.add_host();
            net.add_process(host << 16);
        }
        net.link(0, 1).open(Time(0));
        net
    }

    #[test]
    fn an_ordered_connection_keeps_the_order_and_others_do_not() {
        for ordered in [true, false] {
            let mut net = net(|params| params.ordered = ordered);
            let times: Vec<_> = (0..200)
                .map(|n| net.transmit(0, 1, Time(n), 100).0[0].expect("nothing is lost"))
                .collect();
            assert_eq!(times.is_sorted(), ordered);
        }
    }

    #[test]
    fn loss_duplication_and_holes() {
        let count = |net: &mut Net| -> usize {
            let arrivals = (0..1000).map(|n| net.transmit(0, 1, Time(n), 100));
            arrivals.map(|a| a.0.iter().flatten().count()).sum()
        };
        let lossy = count(&mut net(|params| params.loss_ppm = 300_000));
        assert!((600..800).contains(&lossy), "{lossy}");
        let doubled = count(&mut net(|params| params.duplicate_ppm = 300_000));
        assert!((1200..1400).contains(&doubled), "{doubled}");
        let mut hole = net(|_| {});
        hole.link(0, 1).state = State::Hole;
        assert_eq!(count(&mut hole), 0);
    }

    #[test]
    fn a_narrow_link_takes_its_time_and_what_its_queue_cannot_take_is_lost() {
        let mut net = net(|params| {
            params.bandwidth = 1_000;
            params.queue_bytes = 5_000;
            params.delay_spread = Duration::ZERO;
        });
        let least = net.params.delay_min;
        let times: Vec<_> = (0..10)
            .map(|_| net.transmit(0, 1, Time(0), 1_000).0[0])
            .collect();
        let arrived: Vec<Time> = times.iter().copied().flatten().collect();
        let expected = (1..=6).map(|ms| Time(0) + least + micros(ms * 1_000));
        assert_eq!(arrived, expected.collect::<Vec<_>>());
        assert_eq!(times[6..], [None; 4]);
        let later = net.transmit(0, 1, Time(6_000), 1_000).0[0];
        assert_eq!(later, Some(Time(7_000) + least));
    }
}
