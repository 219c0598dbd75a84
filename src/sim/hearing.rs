//! Who hears whom, and since when: what really is so, against which the nodes' own idea of it is
//! judged. Whatever keeps messages from arriving or processes from handling them shows here, be it a
//! cut, a lost message, a pause or a sluggish machine.

use std::time::Duration;

use super::process::Pid;
use crate::core::env::Time;
use crate::core::membership::{BEAT, BEATS_MISSED};

/// Time without a sign of life after which a process counts as not heard, or as not awake. Half of
/// what nodes allow, as their clocks may run at twice the true pace.
pub const GAP: Duration =
    Duration::from_micros((BEAT.as_micros() as u64 * BEATS_MISSED as u64) / 2);

/// What one process hears of another, or does of itself.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    /// The latest sign of life, however old it was when it came.
    any: Time,
    /// The latest one that was no older than [`GAP`].
    fresh: Time,
    /// Since when those come without a gap.
    since: Time,
}

impl Span {
    fn note(&mut self, sent: Time, now: Time) {
        self.any = now;
        if now.since(sent) > GAP {
            return;
        }
        if now.since(self.fresh) > GAP {
            self.since = now;
        }
        self.fresh = now;
    }

    /// Since when without a gap, if there is none now.
    fn since(&self, now: Time) -> Option<Time> {
        (now.since(self.fresh) <= GAP).then_some(self.since)
    }
}

/// Who hears whom.
#[derive(Debug, Default)]
pub struct Hearing {
    /// `ears[to][from]`.
    ears: Vec<Vec<Span>>,
    turns: Vec<Span>,
}

impl Hearing {
    /// Makes room for a process that starts.
    pub fn add_process(&mut self, now: Time) {
        let born = Span {
            since: now,
            ..Span::default()
        };
        self.turns.push(born);
        self.ears.push(Vec::new());
        for row in &mut self.ears {
            row.resize(self.turns.len(), born);
        }
    }

    /// Something arrived that was sent at this time.
    pub fn hears(&mut self, to: Pid, from: Pid, sent: Time, now: Time) {
        self.ears[to][from].note(sent, now);
    }

    /// A process has connected to another one, which is a sign of life of that one.
    pub fn reaches(&mut self, from: Pid, to: Pid, now: Time) {
        self.ears[from][to].any = now;
    }

    /// A process had a turn.
    pub fn turned(&mut self, pid: Pid, now: Time) {
        self.turns[pid].note(now, now);
    }

    /// Something befell a process on which its judgement depends: it counts as awake from now on.
    pub fn disturb(&mut self, pid: Pid, now: Time) {
        self.turns[pid].since = now;
    }

    /// Since when a process is awake without a gap, if it is.
    pub fn awake_since(&self, pid: Pid, now: Time) -> Option<Time> {
        self.turns[pid].since(now)
    }

    /// Since when two processes are awake and hear each other without a gap, if they do.
    pub fn in_touch_since(&self, one: Pid, other: Pid, now: Time) -> Option<Time> {
        let awake = self
            .awake_since(one, now)?
            .max(self.awake_since(other, now)?);
        let heard = self.ears[one][other].since(now)?;
        let hears = self.ears[other][one].since(now)?;
        Some(awake.max(heard).max(hears))
    }

    /// When anything of a process reached another one last.
    pub fn heard_last(&self, to: Pid, from: Pid) -> Time {
        self.ears[to][from].any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_stale_messages_begin_a_new_span() {
        let mut hearing = Hearing::default();
        hearing.add_process(Time(0));
        hearing.add_process(Time(0));
        let gap = GAP.as_micros() as u64;
        let beat = |hearing: &mut Hearing, at: u64| {
            for (one, other) in [(0, 1), (1, 0)] {
                hearing.turned(one, Time(at));
                hearing.hears(one, other, Time(at), Time(at));
            }
        };
        for at in (0..10).map(|n| n * gap) {
            beat(&mut hearing, 1_000 + at);
        }
        let now = Time(1_000 + 9 * gap);
        assert_eq!(hearing.in_touch_since(0, 1, now), Some(Time(0)));
        assert_eq!(hearing.in_touch_since(0, 1, now + GAP * 2), None);
        // What comes late tells that somebody lived, not that it can be reached.
        let late = now + GAP * 2;
        hearing.hears(0, 1, now, late);
        assert_eq!(hearing.heard_last(0, 1), late);
        assert_eq!(hearing.in_touch_since(0, 1, late), None);
        beat(&mut hearing, late.0);
        assert_eq!(hearing.in_touch_since(0, 1, late), Some(late));
        hearing.disturb(1, late + GAP);
        assert_eq!(hearing.in_touch_since(0, 1, late + GAP), Some(late + GAP));
    }
}
