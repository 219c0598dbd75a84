//! What the page draws, as tables that are short when written as JSON. All times are microseconds.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::core::env::Time;
use crate::core::log::Entry;
use crate::sim::narration::line::Line;
use crate::sim::narration::text::Span;
use crate::sim::narration::{Cast, Happened, Place, Told};
use crate::sim::process::{HostId, Pid};

/// A run as tables.
#[derive(Debug, Default, Serialize)]
pub struct Picture {
    /// When the last thing happened.
    end: u64,
    /// Processes, in the order of their starts.
    nodes: Vec<Node>,
    /// Messages as they left.
    sends: Vec<Send>,
    /// Where they went.
    arrows: Vec<Arrow>,
    /// What happened to processes.
    marks: Vec<Mark>,
    /// What lasted.
    shades: Vec<Shade>,
    /// Requests.
    asks: Vec<Ask>,
    /// The broken rule.
    violation: Option<Broken>,
    /// Places in `sends` by the number of the event.
    #[serde(skip)]
    by_number: BTreeMap<u64, usize>,
    /// Who runs on each lane.
    #[serde(skip)]
    lanes: Vec<(HostId, Option<Pid>)>,
}

/// A process.
#[derive(Debug, Serialize)]
struct Node {
    name: String,
    lane: usize,
    from: u64,
    to: Option<u64>,
}

/// A message.
#[derive(Debug, Serialize)]
struct Send {
    number: u64,
    time: u64,
    node: Pid,
    kind: &'static str,
    slots: Vec<(u64, u64)>,
    given_up: Vec<(u64, u64)>,
    ballot: String,
    bytes: usize,
    text: String,
}

/// The way of a message to one receiver.
#[derive(Debug, Serialize)]
struct Arrow {
    /// Its place in the table of sends.
    send: usize,
    node: Pid,
    number: u64,
    time: u64,
    /// Why it did not arrive.
    lost: Option<String>,
}

/// Something that happened to a process, or to all of them.
#[derive(Debug, Serialize)]
struct Mark {
    number: u64,
    time: u64,
    node: Option<Pid>,
    /// The verb and the kind of the line.
    what: [&'static str; 2],
    slots: Vec<(u64, u64)>,
    /// Whether it is about a skip.
    skip: bool,
    text: String,
}

/// Something that lasted.
#[derive(Debug, Serialize)]
struct Shade {
    what: &'static str,
    /// The process, or the host that sends.
    of: usize,
    /// The host that is not reached.
    to: Option<HostId>,
    from: u64,
    until: u64,
    text: String,
}

/// A request of a client.
#[derive(Debug, Serialize)]
struct Ask {
    client: usize,
    node: Pid,
    tag: i32,
    number: u64,
    time: u64,
    kind: &'static str,
    text: String,
    /// When it was answered, and what.
    answer: Option<(u64, u64, String)>,
}

/// A broken rule.
#[derive(Debug, Serialize)]
struct Broken {
    number: u64,
    time: u64,
    text: String,
}

impl Picture {
    /// Takes in what happens. What is not `within` the part that is drawn counts only if it may last
    /// into it.
    pub(super) fn take(&mut self, told: &Told<'_>, within: bool) {
        self.end = told.time.0;
        match (&told.what, told.place) {
            (Happened::Started { host }, Place::Node(pid)) => {
                self.start(pid, *host, told.time, &told.cast);
            }
            (Happened::Ended, Place::Node(pid)) => self.end_of(pid, told.time),
            (Happened::Violated(_), _) => {
                let text = Line::of(told).more;
                let (number, time) = (told.number, told.time.0);
                self.violation = Some(Broken { number, time, text });
            }
            (
                Happened::Paused { .. }
                | Happened::Slowed { .. }
                | Happened::Cut { .. }
                | Happened::Held { .. }
                | Happened::Lagged { .. }
                | Happened::Mended { .. }
                | Happened::Healed(_),
                _,
            ) => self.shade(told),
            _ => {}
        }
        if within {
            self.take_within(told);
        }
    }

    fn start(&mut self, pid: Pid, host: HostId, time: Time, cast: &Cast<'_>) {
        let free = self
            .lanes
            .iter()
            .position(|(at, who)| *at == host && who.is_none());
        let lane = free.unwrap_or_else(|| {
            self.lanes.push((host, None));
            self.lanes.len() - 1
        });
        self.lanes[lane].1 = Some(pid);
        self.nodes.push(Node {
            name: cast.node(pid),
            lane,
            from: time.0,
            to: None,
        });
    }

    fn end_of(&mut self, pid: Pid, time: Time) {
        for (_, who) in &mut self.lanes {
            *who = who.filter(|one| *one != pid);
        }
        if let Some(node) = self.nodes.get_mut(pid) {
            node.to = Some(time.0);
        }
        self.stop_shades(time, |shade| shade.to.is_none() && shade.of == pid);
    }

    /// Something begins that lasts, or ends before it was meant to.
    fn shade(&mut self, told: &Told<'_>) {
        let now = told.time;
        let text = Line::of(told).more;
        match (&told.what, told.place) {
            (Happened::Paused { until }, Place::Node(pid)) => {
                self.begin("pause", (pid, None), now, *until, text);
            }
            (Happened::Slowed { until, .. }, Place::Node(pid)) => {
                self.begin("slow", (pid, None), now, *until, text);
            }
            (Happened::Cut { pairs, until }, _) => self.begin_all("cut", pairs, now, *until),
            (Happened::Held { pairs, until }, _) => self.begin_all("hold", pairs, now, *until),
            (Happened::Lagged { pairs, until, .. }, _) => {
                self.begin_all("lag", pairs, now, *until);
            }
            (Happened::Mended { one, other }, _) => {
                let pairs = [(*one, Some(*other)), (*other, Some(*one))];
                self.stop_shades(now, |shade| pairs.contains(&(shade.of, shade.to)));
            }
            (Happened::Healed(core), _) => {
                self.stop_shades(now, |shade| shade.to.is_none() && core.contains(&shade.of));
            }
            _ => unreachable!("it does not last"),
        }
    }

    fn begin_all(
        &mut self,
        what: &'static str,
        pairs: &[(HostId, HostId)],
        from: Time,
        until: Time,
    ) {
        for (one, other) in pairs {
            self.begin(what, (*one, Some(*other)), from, until, String::new());
        }
    }

    fn begin(
        &mut self,
        what: &'static str,
        (of, to): (usize, Option<HostId>),
        from: Time,
        until: Time,
        text: String,
    ) {
        self.shades.push(Shade {
            what,
            of,
            to,
            from: from.0,
            until: until.0,
            text,
        });
    }

    fn stop_shades(&mut self, now: Time, which: impl Fn(&Shade) -> bool) {
        for shade in self.shades.iter_mut().filter(|shade| which(shade)) {
            shade.until = shade.until.min(now.0);
        }
    }

    fn take_within(&mut self, told: &Told<'_>) {
        match (&told.what, told.place) {
            // What every turn does, and what is a shade or a lane.
            (
                Happened::Woken
                | Happened::Ran { .. }
                | Happened::Durable { .. }
                | Happened::Paused { .. }
                | Happened::Slowed { .. }
                | Happened::Cut { .. }
                | Happened::Held { .. }
                | Happened::Lagged { .. }
                | Happened::Mended { .. }
                | Happened::Violated(_)
                | Happened::Disconnected { .. },
                _,
            ) => {}
            (Happened::Sent { bytes, .. }, Place::Node(node)) => self.sent(told, node, *bytes),
            (Happened::Arrived { sent, .. }, Place::Node(node)) => {
                self.arrow(*sent, node, told, None);
            }
            (Happened::Lost { sent, loss, .. }, Place::Node(node)) => {
                self.arrow(*sent, node, told, Some(loss.to_string()));
            }
            (Happened::Asked { .. } | Happened::Answered { .. }, Place::Client(client)) => {
                self.of_client(told, client);
            }
            _ => self.mark(told),
        }
    }

    fn sent(&mut self, told: &Told<'_>, node: Pid, bytes: usize) {
        let line = Line::of(told);
        self.by_number.insert(told.number, self.sends.len());
        self.sends.push(Send {
            number: told.number,
            time: told.time.0,
            node,
            kind: line.kind,
            slots: numbers(&line.slots),
            given_up: numbers(&line.given_up),
            ballot: line.ballot,
            bytes,
            text: line.more,
        });
    }

    fn arrow(&mut self, sent: u64, node: Pid, told: &Told<'_>, lost: Option<String>) {
        // What left before the part that is drawn is left out.
        if let Some(send) = self.by_number.get(&sent).copied() {
            self.arrows.push(Arrow {
                send,
                node,
                number: told.number,
                time: told.time.0,
                lost,
            });
        }
    }

    fn mark(&mut self, told: &Told<'_>) {
        let line = Line::of(told);
        let node = match told.place {
            Place::Node(pid) => Some(pid),
            Place::Client(_) | Place::World => None,
        };
        let skip = matches!(
            told.what,
            Happened::Applied {
                entry: Some(Entry::Skip),
                ..
            }
        );
        self.marks.push(Mark {
            number: told.number,
            time: told.time.0,
            node,
            what: [line.verb, line.kind],
            slots: numbers(&line.slots),
            skip,
            text: [line.ballot, line.more].join(" ").trim().to_owned(),
        });
    }

    fn of_client(&mut self, told: &Told<'_>, client: usize) {
        let line = Line::of(told);
        match &told.what {
            Happened::Asked { node, tag, .. } => {
                self.asks.push(Ask {
                    client,
                    node: *node,
                    tag: *tag,
                    number: told.number,
                    time: told.time.0,
                    kind: line.kind,
                    text: line.more,
                    answer: None,
                });
            }
            Happened::Answered { tag, .. } => {
                let mut asks = self.asks.iter_mut().rev();
                let ask = asks.find(|ask| ask.client == client && ask.tag == *tag);
                if let Some(ask) = ask {
                    ask.answer = Some((told.number, told.time.0, line.more));
                }
            }
            _ => unreachable!("it does not happen to a client"),
        }
    }
}

fn numbers(spans: &[Span]) -> Vec<(u64, u64)> {
    spans
        .iter()
        .map(|(first, last)| (first.0, last.0))
        .collect()
}
