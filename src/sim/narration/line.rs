//! One line of text for each thing that happens, in fixed columns.

use std::fmt;

use super::text::{self, Span};
use super::{Cast, Happened, Place, Told};
use crate::core::consensus::{Ballot, Lane, Slot};
use crate::core::env::Time;
use crate::core::protocol::peer::Message;
use crate::sim::process::{HostId, Pid};
use crate::sim::trouble::Name;

/// What the columns are.
pub const HEAD: &str = "  event     time ms  who    does      what          slots        ballot    \
                        bytes  more";

/// Something that happened, as a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Events of the trace so far.
    pub number: u64,
    /// When.
    pub time: Time,
    /// To whom: `n0` is a node, `c4` a client, `-` the network or several.
    pub who: String,
    /// What happens, as a verb.
    pub verb: &'static str,
    /// What kind of thing it happens with, if that has a name.
    pub kind: &'static str,
    /// The slots that it is about.
    pub slots: Vec<Span>,
    /// The slots that it gives up.
    pub given_up: Vec<Span>,
    /// The ballot.
    pub ballot: String,
    /// Bytes of the message.
    pub bytes: Option<usize>,
    /// The processes that it is about.
    pub nodes: Vec<Name>,
    /// The client that it is about.
    pub client: Option<usize>,
    /// All else.
    pub more: String,
}

/// All words in the columns `does` and `what`, in lower case, for filters.
pub const WORDS: [&str; 60] = [
    // What happens.
    "starts",
    "ends",
    "leaves",
    "runs",
    "records",
    "syncs",
    "applies",
    "configures",
    "sends",
    "misses",
    "gets",
    "links",
    "unlinks",
    "asks",
    "hears",
    "parts",
    "notices",
    "halts",
    "wakes",
    "suffers",
    "cuts",
    "holds",
    "lags",
    "mends",
    "pauses",
    "slows",
    "heals",
    "violates",
    // Messages and records.
    "accept",
    "accepted",
    "reject",
    "prepare",
    "promise",
    "beat",
    "ask",
    "learn",
    "truncated",
    "follow",
    "snapshotask",
    "snapshotpiece",
    "forward",
    "where",
    "at",
    "promised",
    "reserved",
    "round",
    // Requests.
    "get",
    "set",
    "del",
    "rev",
    "wait",
    "nop",
    "walk",
    "getdir",
    "stat",
    "self",
    "status",
    "recover",
    "access",
    "?",
];

impl Line {
    /// The line for something that happened.
    pub fn of(told: &Told<'_>) -> Line {
        let mut line = Line::bare(told);
        let cast = &told.cast;
        match &told.what {
            Happened::Started { .. }
            | Happened::Unstarted { .. }
            | Happened::Ended
            | Happened::Dismissed
            | Happened::Woken
            | Happened::Ran { .. }
            | Happened::Noticed(_)
            | Happened::Halted(_)
            | Happened::Paused { .. }
            | Happened::Slowed { .. }
            | Happened::Linked { .. }
            | Happened::Unlinked { .. } => line.of_process(&told.what, cast),
            Happened::Recorded { .. }
            | Happened::Durable { .. }
            | Happened::Applied { .. }
            | Happened::Configured(_) => line.of_log(&told.what, cast),
            Happened::Sent { .. } | Happened::Lost { .. } | Happened::Arrived { .. } => {
                line.of_message(&told.what, cast);
            }
            Happened::Asked { .. } | Happened::Answered { .. } | Happened::Disconnected { .. } => {
                line.of_client(&told.what, cast);
            }
            Happened::Struck(_)
            | Happened::Cut { .. }
            | Happened::Held { .. }
            | Happened::Lagged { .. }
            | Happened::Mended { .. }
            | Happened::Healed(_)
            | Happened::Violated(_) => line.of_world(&told.what, cast),
        }
        line
    }

    fn bare(told: &Told<'_>) -> Line {
        let cast = &told.cast;
        let (who, nodes, client) = match told.place {
            Place::Node(pid) => (cast.node(pid), vec![cast.name(pid)], None),
            Place::Client(actor) => (format!("c{actor}"), Vec::new(), Some(actor)),
            Place::World => ("-".to_owned(), Vec::new(), None),
        };
        Line {
            number: told.number,
            time: told.time,
            who,
            verb: "",
            kind: "",
            slots: Vec::new(),
            given_up: Vec::new(),
            ballot: String::new(),
            bytes: None,
            nodes,
            client,
            more: String::new(),
        }
    }

    fn say(&mut self, verb: &'static str, more: impl Into<String>) {
        self.verb = verb;
        self.more = more.into();
    }

    fn about(&mut self, subject: (Vec<Slot>, Option<Ballot>), cast: &Cast<'_>) {
        let (slots, ballot) = subject;
        self.slots = text::ranges(&slots);
        self.ballot = ballot.map_or(String::new(), |ballot| text::ballot(ballot, cast));
    }

    fn meets(&mut self, pid: Pid, cast: &Cast<'_>) {
        self.nodes.push(cast.name(pid));
    }

    fn of_process(&mut self, what: &Happened<'_>, cast: &Cast<'_>) {
        match what {
            Happened::Started { host } => self.say("starts", format!("on host {host}")),
            Happened::Unstarted { host, why } => {
                self.say("fails", format!("to come back on host {host}: {why}"));
            }
            Happened::Ended => self.say("ends", ""),
            Happened::Dismissed => self.say("leaves", "as it was asked to"),
            Happened::Woken => self.say("wakes", ""),
            Happened::Ran { inputs, .. } => self.say("runs", format!("{inputs} inputs")),
            Happened::Noticed(notice) => self.say("notices", cast.rename(&notice.to_string())),
            Happened::Halted(halt) => self.say("halts", cast.rename(&halt.to_string())),
            Happened::Paused { until } => self.say("pauses", show_until(*until)),
            Happened::Slowed { times, until } => {
                self.say("slows", format!("{times} times, {}", show_until(*until)));
            }
            Happened::Linked { peer } => {
                self.meets(*peer, cast);
                self.say("links", format!("to {}", cast.node(*peer)));
            }
            Happened::Unlinked { peer } => {
                self.meets(*peer, cast);
                self.say("unlinks", format!("from {}", cast.node(*peer)));
            }
            _ => unreachable!("it does not happen to a process alone"),
        }
    }

    fn of_log(&mut self, what: &Happened<'_>, cast: &Cast<'_>) {
        match what {
            Happened::Recorded { at, record } => {
                self.kind = text::record_kind(record);
                self.about(text::record_subject(record), cast);
                let content = text::record(record, cast);
                self.say("records", format!("r{} {content}", at.0));
            }
            Happened::Durable { upto } => self.say("syncs", format!("up to r{}", upto.0)),
            Happened::Applied { slot, entry } => {
                self.slots = vec![(*slot, *slot)];
                let entry = entry
                    .map_or("forgotten already, or in a snapshot".to_owned(), |entry| {
                        text::entry(entry, cast)
                    });
                self.say("applies", entry);
            }
            Happened::Configured(epoch) => {
                let from = format!("from slot {} on: ", epoch.start);
                self.say("configures", from + &text::epoch(epoch, cast));
            }
            _ => unreachable!("it does not happen to a log"),
        }
    }

    fn of_message(&mut self, what: &Happened<'_>, cast: &Cast<'_>) {
        match what {
            Happened::Sent { to, message, bytes } => {
                self.carries(message, cast);
                self.bytes = Some(*bytes);
                let receivers = to.iter().filter_map(|id| cast.pid(*id));
                let receivers: Vec<Name> = receivers.map(|pid| cast.name(pid)).collect();
                self.nodes.extend(receivers);
                let says = text::message(message, cast);
                self.say("sends", format!("to {}: {says}", cast.list(to)));
            }
            Happened::Lost {
                from,
                sent,
                message,
                loss,
            } => {
                if let Some(message) = message {
                    self.carries(message, cast);
                }
                self.meets(*from, cast);
                let from = cast.node(*from);
                self.say("misses", format!("what {from} sent at {sent}: {loss}"));
            }
            Happened::Arrived {
                from,
                sent,
                message,
            } => {
                self.carries(message, cast);
                self.meets(*from, cast);
                self.say("gets", format!("from {}, sent at {sent}", cast.node(*from)));
            }
            _ => unreachable!("it is no message"),
        }
    }

    fn carries(&mut self, message: &Message, cast: &Cast<'_>) {
        self.kind = text::message_kind(message);
        self.about(text::subject(message), cast);
        self.given_up =
            text::lane_of(message).map_or(Vec::new(), |lane: &Lane| text::given_up(lane));
    }

    fn of_client(&mut self, what: &Happened<'_>, cast: &Cast<'_>) {
        match what {
            Happened::Asked { node, tag, request } => {
                self.meets(*node, cast);
                self.kind = text::verb(request);
                let (node, asked) = (cast.node(*node), text::request(request));
                self.say("asks", format!("{node} #{tag}: {asked}"));
            }
            Happened::Answered {
                node,
                tag,
                response,
            } => {
                self.meets(*node, cast);
                let (node, answer) = (cast.node(*node), text::response(response));
                self.say("hears", format!("of {node} #{tag}: {answer}"));
            }
            Happened::Disconnected { node } => {
                self.meets(*node, cast);
                self.say("parts", format!("from {}", cast.node(*node)));
            }
            _ => unreachable!("it does not happen to a client"),
        }
    }

    fn of_world(&mut self, what: &Happened<'_>, cast: &Cast<'_>) {
        match what {
            Happened::Struck(fault) => self.say("suffers", format!("{fault:?}")),
            Happened::Cut { pairs, until } => {
                self.say(
                    "cuts",
                    format!("{}, {}", show_pairs(pairs), show_until(*until)),
                );
            }
            Happened::Held { pairs, until } => {
                self.say(
                    "holds",
                    format!("{}, {}", show_pairs(pairs), show_until(*until)),
                );
            }
            Happened::Lagged {
                pairs,
                extra,
                until,
            } => {
                let (pairs, until) = (show_pairs(pairs), show_until(*until));
                self.say("lags", format!("{pairs} by {extra:?}, {until}"));
            }
            Happened::Mended { one, other } => {
                self.say("mends", format!("all between hosts {one} and {other}"));
            }
            Happened::Healed(core) => {
                let names: Vec<String> = core.iter().map(|pid| cast.node(*pid)).collect();
                self.say("heals", names.join(","));
            }
            Happened::Violated(violation) => {
                let text = format!("{}: {}", violation.property, violation.detail);
                self.say("violates", cast.rename(&text));
            }
            _ => unreachable!("it happens to somebody"),
        }
    }
}

fn show_until(until: Time) -> String {
    match until {
        Time::NEVER => "for ever".to_owned(),
        Time(us) => format!("until {} ms", show_ms(us)),
    }
}

fn show_ms(us: u64) -> String {
    format!("{}.{:03}", us / 1000, us % 1000)
}

fn show_pairs(pairs: &[(HostId, HostId)]) -> String {
    let pairs = pairs.iter().map(|(from, to)| format!("{from}>{to}"));
    pairs.collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes.map_or(String::new(), |bytes| bytes.to_string());
        let line = format!(
            "{:>7} {:>11}  {:<6} {:<9} {:<13} {:<12} {:<8} {bytes:>6}  {}",
            self.number,
            show_ms(self.time.0),
            self.who,
            self.verb,
            self.kind,
            text::spans(&self.slots),
            self.ballot,
            self.more,
        );
        f.write_str(line.trim_end())
    }
}
