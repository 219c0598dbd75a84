//! Short texts for what is said, recorded and decided.

use super::Cast;
use crate::core::consensus::{Ballot, Lane, Slot};
use crate::core::durable::Record;
use crate::core::log::{Author, Batch, Entry, Op, Restore};
use crate::core::membership::Epoch;
use crate::core::protocol::client::{Request, Response, Verb};
use crate::core::protocol::peer::{Beat, Message};
use crate::core::store::Mutation;

/// Bytes of a value that are shown.
const VALUE_SHOWN: usize = 32;
/// Commands of an entry that are shown in one line.
const OPS_SHOWN: usize = 4;
/// Entries of a message that are shown in one line.
const ENTRIES_SHOWN: usize = 4;

/// Consecutive slots, the first and the last.
pub type Span = (Slot, Slot);

/// The slots that a message is about, lane statements aside, and its ballot.
pub fn subject(message: &Message) -> (Vec<Slot>, Option<Ballot>) {
    match message {
        Message::Accept {
            ballot, entries, ..
        } => (entries.iter().map(|(s, _)| *s).collect(), Some(*ballot)),
        Message::Accepted(accepted) => {
            let slots = accepted.votes.iter().map(|(slot, _)| *slot).collect();
            (slots, accepted.votes.first().map(|(_, ballot)| *ballot))
        }
        Message::Reject { slot, promised } => (vec![*slot], Some(*promised)),
        Message::Prepare { ballot, slots } => (slots.clone(), Some(*ballot)),
        Message::Promise {
            ballot,
            slots,
            decided,
        } => {
            let promised = slots.iter().map(|promised| promised.slot);
            let decided = decided.iter().map(|(slot, _)| *slot);
            (promised.chain(decided).collect(), Some(*ballot))
        }
        Message::Learn { from, entries } => {
            let slots = (0..entries.len() as u64).map(|n| from.plus(n));
            (slots.collect(), None)
        }
        Message::Ask { from } | Message::Follow { from } => (vec![*from], None),
        Message::Truncated { oldest } => (vec![*oldest], None),
        Message::SnapshotAsk { at, .. }
        | Message::SnapshotPiece { at, .. }
        | Message::At { slot: at, .. } => (vec![*at], None),
        Message::Beat(_) | Message::Forward { .. } | Message::Where { .. } => (Vec::new(), None),
    }
}

/// The lane statement in a message.
pub fn lane_of(message: &Message) -> Option<&Lane> {
    match message {
        Message::Accept { lane, .. } => lane.as_ref(),
        Message::Accepted(accepted) => accepted.lane.as_ref(),
        Message::Beat(beat) => beat.lane.as_ref(),
        _ => None,
    }
}

/// The name of what a message is.
pub fn message_kind(message: &Message) -> &'static str {
    match message {
        Message::Accept { .. } => "Accept",
        Message::Accepted(_) => "Accepted",
        Message::Reject { .. } => "Reject",
        Message::Prepare { .. } => "Prepare",
        Message::Promise { .. } => "Promise",
        Message::Beat(_) => "Beat",
        Message::Ask { .. } => "Ask",
        Message::Learn { .. } => "Learn",
        Message::Truncated { .. } => "Truncated",
        Message::Follow { .. } => "Follow",
        Message::SnapshotAsk { .. } => "SnapshotAsk",
        Message::SnapshotPiece { .. } => "SnapshotPiece",
        Message::Forward { .. } => "Forward",
        Message::Where { .. } => "Where",
        Message::At { .. } => "At",
    }
}

/// The name of what a record is.
pub fn record_kind(record: &Record) -> &'static str {
    match record {
        Record::Promised { .. } => "Promised",
        Record::Accepted { .. } => "Accepted",
        Record::Reserved { .. } => "Reserved",
        Record::Round { .. } => "Round",
        Record::Decided { .. } => "Decided",
    }
}

/// What a message says, besides its slots and its ballot.
pub fn message(message: &Message, cast: &Cast<'_>) -> String {
    let mut parts = Vec::new();
    match message {
        Message::Accept {
            entries, applied, ..
        } => {
            parts.push(slots_with(entries.iter().map(|(s, e)| (*s, e)), cast));
            parts.push(format!("applied {applied}"));
        }
        Message::Accepted(accepted) => parts.push(format!("applied {}", accepted.applied)),
        Message::Reject { .. } => parts.push("has promised this".to_owned()),
        Message::Prepare { .. } => {}
        Message::Promise { slots, decided, .. } => {
            for promised in slots.iter().take(ENTRIES_SHOWN) {
                parts.push(match &promised.accepted {
                    None => format!("{}: nothing accepted", promised.slot),
                    Some((ballot, told)) => {
                        let (slot, at) = (promised.slot, self::ballot(*ballot, cast));
                        format!("{slot}: accepted {} at {at}", entry(told, cast))
                    }
                });
            }
            if slots.len() > ENTRIES_SHOWN {
                parts.push(format!("{} more", slots.len() - ENTRIES_SHOWN));
            }
            if !decided.is_empty() {
                let told = slots_with(decided.iter().map(|(s, e)| (*s, e)), cast);
                parts.push(format!("decided: {told}"));
            }
        }
        Message::Beat(beat) => parts.extend(beat_parts(beat, cast)),
        Message::Ask { .. } => parts.push("from there on".to_owned()),
        Message::Learn { from, entries } => {
            let numbered = (0..).zip(entries).map(|(n, entry)| (from.plus(n), entry));
            parts.push(slots_with(numbered, cast));
        }
        Message::Truncated { .. } => parts.push("the log begins there".to_owned()),
        Message::Follow { .. } => parts.push("from there on, as they come".to_owned()),
        Message::SnapshotAsk { piece, .. } => parts.push(format!("piece {piece}")),
        Message::SnapshotPiece { piece, bytes, .. } => {
            parts.push(format!("piece {piece}, {} bytes", bytes.len()));
        }
        Message::Forward { run } => {
            let runs = vec![run.clone()];
            parts.push(batch(&Batch { runs }, OPS_SHOWN, cast));
        }
        Message::Where { question } | Message::At { question, .. } => {
            parts.push(format!("question {question}"));
        }
    }
    if let Some(lane) = lane_of(message) {
        let given_up = given_up(lane);
        if !given_up.is_empty() {
            parts.push(format!("gives up {}", spans(&given_up)));
        }
    }
    parts.join("; ")
}

fn beat_parts(beat: &Beat, cast: &Cast<'_>) -> Vec<String> {
    let mut parts = vec![format!("applied {}, seen {}", beat.applied, beat.seen)];
    if !beat.silent.is_empty() {
        let silent = beat.silent.iter();
        let silent = silent.map(|s| format!("{} for {} ms", cast.who(s.process), s.ms));
        let silent: Vec<String> = silent.collect();
        parts.push(format!("does not hear {}", silent.join(", ")));
    }
    parts
}

/// What a record says, besides its slots and its ballot.
pub fn record(record: &Record, cast: &Cast<'_>) -> String {
    match record {
        Record::Promised { .. } => String::new(),
        Record::Accepted { entry: kept, .. } => entry(kept, cast),
        Record::Reserved { below } => format!("own slots below {below}"),
        Record::Round { round } => format!("rounds up to {round}"),
        Record::Decided { entry: None, .. } => "what it has accepted".to_owned(),
        Record::Decided {
            entry: Some(kept), ..
        } => entry(kept, cast),
    }
}

/// The slots that a record is about, and its ballot.
pub fn record_subject(record: &Record) -> (Vec<Slot>, Option<Ballot>) {
    match record {
        Record::Promised { slots, ballot } => (slots.clone(), Some(*ballot)),
        Record::Accepted { slot, ballot, .. } => (vec![*slot], Some(*ballot)),
        Record::Decided { slot, .. } => (vec![*slot], None),
        Record::Reserved { .. } | Record::Round { .. } => (Vec::new(), None),
    }
}

/// The slots that a lane statement gives up.
pub fn given_up(lane: &Lane) -> Vec<Span> {
    let mut ranges = Vec::new();
    let mut from = lane.base;
    for used in lane.used.iter().copied().chain([lane.next]) {
        if used > from {
            ranges.push((from, Slot(used.0 - 1)));
        }
        from = from.max(used.next());
    }
    ranges
}

/// Slots as ranges; consecutive ones that follow each other are one.
pub fn ranges(slots: &[Slot]) -> Vec<Span> {
    let mut slots = slots.to_vec();
    slots.sort_unstable();
    let mut ranges: Vec<Span> = Vec::new();
    for slot in slots {
        match ranges.last_mut() {
            Some((_, last)) if slot <= last.next() => *last = slot,
            _ => ranges.push((slot, slot)),
        }
    }
    ranges
}

/// Ranges of slots: `17..20,22`.
pub fn spans(ranges: &[Span]) -> String {
    let parts = ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}..{last}"),
    });
    parts.collect::<Vec<_>>().join(",")
}

/// A ballot: `0/n2`.
pub fn ballot(ballot: Ballot, cast: &Cast<'_>) -> String {
    format!("{}/{}", ballot.round, cast.who(ballot.member))
}

/// An entry, in one line.
pub fn entry(entry: &Entry, cast: &Cast<'_>) -> String {
    match entry {
        Entry::Skip => "skip".to_owned(),
        Entry::Batch(all) => format!("[{}]", batch(all, OPS_SHOWN, cast)),
    }
}

/// A configuration.
pub fn epoch(epoch: &Epoch, cast: &Cast<'_>) -> String {
    let (members, owners) = (cast.list(&epoch.members), cast.list(&epoch.owners));
    format!("members {members}; owners {owners}")
}

fn slots_with<'a>(entries: impl Iterator<Item = (Slot, &'a Entry)>, cast: &Cast<'_>) -> String {
    let mut texts: Vec<String> = entries
        .map(|(slot, one)| format!("{slot}={}", entry(one, cast)))
        .collect();
    if texts.len() > ENTRIES_SHOWN {
        let more = texts.len() - ENTRIES_SHOWN;
        texts.truncate(ENTRIES_SHOWN);
        texts.push(format!("{more} more"));
    }
    texts.join(" ")
}

/// The commands of an entry, up to `most` of them.
fn batch(batch: &Batch, most: usize, cast: &Cast<'_>) -> String {
    let commands = batch.runs.iter().flat_map(|run| {
        let numbered = run.ops.iter().enumerate();
        numbered.map(|(index, one)| (run.origin, run.first.plus(index), one))
    });
    let all = batch.runs.iter().map(|run| run.ops.len()).sum::<usize>();
    let mut texts: Vec<String> = commands
        .take(most)
        .map(|(origin, seq, one)| format!("{}#{} {}", cast.who(origin), seq.0, op(one, cast)))
        .collect();
    if all > most {
        texts.push(format!("{} more", all - most));
    }
    texts.join(", ")
}

/// A command.
pub fn op(op: &Op, cast: &Cast<'_>) -> String {
    match op {
        Op::Mutate { mutation, author } => {
            let who = match author {
                Author::Client => "",
                Author::Server => " (its own)",
            };
            format!("{}{who}", self::mutation(mutation))
        }
        Op::Seat { mutation, members } => {
            let members = cast.list(members);
            format!("{} (harmless to {members})", self::mutation(mutation))
        }
        Op::Void => "void".to_owned(),
        Op::Claim { file, rev } => format!("claim {file} rev {rev}"),
        Op::Owners { expect, owners } => {
            format!("owners {} after those of {expect}", cast.list(owners))
        }
        Op::Unseat { id, successor } => match successor {
            None => format!("unseat {}", cast.who(*id)),
            Some(next) => format!("unseat {} for {}", cast.who(*id), cast.who(*next)),
        },
        Op::Restore(step) => restore(step),
    }
}

fn restore(step: &Restore) -> String {
    match step {
        Restore::Begin { id, rev, .. } => format!("restoration {id} to rev {rev} begins"),
        Restore::Files { id, step, files } => {
            format!("restoration {id} step {step} of {} files", files.len())
        }
        Restore::Commit { id, files } => format!("restoration {id} of {files} files commits"),
    }
}

fn mutation(mutation: &Mutation) -> String {
    match mutation {
        Mutation::Set {
            path,
            value: content,
            condition,
        } => format!("set {path} {} if {condition}", value(&content.0)),
        Mutation::Del { path, condition } => format!("del {path} if {condition}"),
        Mutation::Nop => "nop".to_owned(),
    }
}

/// The beginning of a value, quoted.
fn value(bytes: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(VALUE_SHOWN)]);
    match bytes.len() > VALUE_SHOWN {
        true => format!("{shown:?}.. ({} bytes)", bytes.len()),
        false => format!("{shown:?}"),
    }
}

/// The name of what a request wants.
pub fn verb(request: &Request) -> &'static str {
    match request.verb.and_then(Verb::from_number) {
        None => "?",
        Some(Verb::Get) => "get",
        Some(Verb::Set) => "set",
        Some(Verb::Del) => "del",
        Some(Verb::Rev) => "rev",
        Some(Verb::Wait) => "wait",
        Some(Verb::Nop) => "nop",
        Some(Verb::Walk) => "walk",
        Some(Verb::Getdir) => "getdir",
        Some(Verb::Stat) => "stat",
        Some(Verb::Self_) => "self",
        Some(Verb::Status) => "status",
        Some(Verb::Recover) => "recover",
        Some(Verb::Files) => "files",
        Some(Verb::Restore) => "restore",
        Some(Verb::Access) => "access",
    }
}

/// A request.
pub(in crate::sim) fn request(request: &Request) -> String {
    let mut text = verb(request).to_owned();
    if let Some(path) = &request.path {
        text += &format!(" {}", String::from_utf8_lossy(path));
    }
    if let Some(content) = &request.value {
        text += &format!(" {}", value(content));
    }
    if let Some(rev) = request.rev {
        text += &format!(" rev {rev}");
    }
    if let Some(offset) = request.offset {
        text += &format!(" offset {offset}");
    }
    if request.local == Some(true) {
        text += " local";
    }
    text
}

/// An answer.
pub(in crate::sim) fn response(response: &Response) -> String {
    let mut text = match (response.error(), &response.err_detail) {
        (None, _) => "ok".to_owned(),
        (Some(code), None) => code.to_string(),
        (Some(_), Some(detail)) => detail.clone(),
    };
    if let Some(rev) = response.rev {
        text += &format!(" rev {rev}");
    }
    if let Some(path) = &response.path {
        text += &format!(" {}", String::from_utf8_lossy(path));
    }
    if let Some(content) = &response.value {
        text += &format!(" {}", value(content));
    }
    if let Some(flags) = response.flags {
        text += &format!(" flags {flags}");
    }
    if let Some(len) = response.len {
        text += &format!(" len {len}");
    }
    text
}
