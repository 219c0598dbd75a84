//! From the bytes of a directory to what a node was.

use super::Record;
use super::damage::{Damage, Fault};
use super::file::{self, HEAD_BYTES, Head, Kind, Part, frame};
use crate::core::consensus::Slot;
use crate::core::id::{Lineage, NodeId};
use crate::core::instrument::planted;
use crate::core::state::{State, StateImporter};
use crate::core::store::HistoryLimits;

/// What a node was.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Its state at the snapshot.
    pub state: State,
    /// What it had to remember then, and what it has written since, in order.
    pub records: Vec<Record>,
    /// How each log has to end before anything is written.
    pub ends: Vec<End>,
    /// Where its log goes on.
    pub tail: Tail,
}

/// How a log has to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The number of the log.
    pub number: u64,
    /// Where its last whole frame begins. What lies from there on may never have been made durable,
    /// though it can be read.
    pub last: u64,
    /// The end of that frame. What lies behind was never made durable, or was there before the log
    /// was: it is written over.
    pub end: u64,
    /// What belongs there: a crash has come before it was said that the log is closed.
    pub append: Vec<u8>,
}

/// Where a log goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Of which cluster it is.
    pub lineage: Lineage,
    /// The number of the newest log.
    pub number: u64,
    /// The end of its last whole frame.
    pub end: u64,
    /// Bytes of all logs since the snapshot.
    pub log_bytes: u64,
    /// Bytes of the snapshot.
    pub snapshot_bytes: u64,
}

/// Reads the newest snapshot, and the logs from its number on, ascending by number.
///
/// # Errors
///
/// Damage, with the file and the place. A last frame that a crash has torn is none.
pub fn recover(
    id: NodeId,
    snapshot: (u64, &[u8]),
    logs: &[(u64, Vec<u8>)],
    history: HistoryLimits,
) -> Result<Recovered, Damage> {
    let (number, bytes) = snapshot;
    let (head, state, mut records) = read_snapshot(id, number, bytes, history)?;
    let lineage = head.lineage;
    let mut tail = Tail {
        lineage,
        number,
        end: 0,
        log_bytes: 0,
        snapshot_bytes: bytes.len() as u64,
    };
    let missing = |number| Damage {
        file: Kind::Log.name(number),
        offset: 0,
        fault: Fault::Missing,
    };
    let mut expected = number;
    let mut is_open = true;
    let mut ends = Vec::new();
    for (nth, (number, bytes)) in logs.iter().enumerate() {
        if *number != expected && !planted!(MissingLogIgnored) {
            return Err(missing(expected));
        }
        let head = Head {
            kind: Kind::Log,
            number: *number,
            id,
            lineage,
        };
        // The next log is used once this one is closed.
        let later = &logs[nth + 1..];
        let is_empty = |(number, bytes): &(u64, Vec<u8>)| {
            let head = Head {
                number: *number,
                ..head
            };
            !file::has_frame_behind(head.seed(), HEAD_BYTES - 1, bytes)
        };
        let is_newest = later.iter().all(is_empty);
        let (last, end, is_closed) = read_log(head, bytes, is_newest, &mut records)?;
        let is_to_be_closed = !is_closed && !later.is_empty();
        let append = is_to_be_closed.then(|| frame(head.seed(), end as u64, Part::Closed, &[]));
        ends.push(End {
            number: *number,
            last: last as u64,
            end: end as u64,
            append: append.unwrap_or_default(),
        });
        (tail.number, tail.end) = (*number, end as u64);
        tail.log_bytes += end as u64;
        is_open = !is_closed;
        expected += 1;
    }
    if logs.is_empty() || !is_open {
        return Err(missing(expected));
    }
    check_order(&state, &records).map_err(|text| Damage {
        file: Kind::Log.name(tail.number),
        offset: tail.end,
        fault: Fault::Nonsense(text),
    })?;
    Ok(Recovered {
        state,
        records,
        ends,
        tail,
    })
}

fn read_snapshot(
    id: NodeId,
    number: u64,
    bytes: &[u8],
    history: HistoryLimits,
) -> Result<(Head, State, Vec<Record>), Damage> {
    let damage = |offset: usize, fault| Damage {
        file: Kind::Snapshot.name(number),
        offset: offset as u64,
        fault,
    };
    let head = Head::decode(Kind::Snapshot, bytes).map_err(|fault| damage(0, fault))?;
    if (head.id, head.number) != (id, number) {
        return Err(damage(0, Fault::Foreign));
    }
    let mut importer = StateImporter::new(history);
    let mut state = None;
    let mut offset = HEAD_BYTES;
    loop {
        let Some((part, body, next)) = file::frame_at(head.seed(), offset, bytes) else {
            return Err(damage(offset, Fault::Changed));
        };
        match (part, state) {
            (Part::Piece, None) => {
                let taken = importer.take(body);
                state =
                    taken.map_err(|error| damage(offset, Fault::Nonsense(error.to_string())))?;
            }
            (Part::Memory, Some(state)) if next == bytes.len() => {
                let mut records = Vec::new();
                file::records(body, &mut records).map_err(|fault| damage(offset, fault))?;
                let is_ours = State::lineage(&state) == head.lineage;
                return match is_ours {
                    true => Ok((head, state, records)),
                    false => Err(damage(0, Fault::Foreign)),
                };
            }
            _ => return Err(damage(offset, Fault::Changed)),
        }
        offset = next;
    }
}

/// Gives where the last whole frame begins and ends, and whether it says that another log goes on.
fn read_log(
    expected: Head,
    bytes: &[u8],
    is_newest: bool,
    records: &mut Vec<Record>,
) -> Result<(usize, usize, bool), Damage> {
    let damage = |offset: usize, fault| Damage {
        file: Kind::Log.name(expected.number),
        offset: offset as u64,
        fault,
    };
    let head = Head::decode(Kind::Log, bytes).map_err(|fault| damage(0, fault))?;
    if head != expected {
        return Err(damage(0, Fault::Foreign));
    }
    let seed = head.seed();
    let (mut last, mut offset) = (HEAD_BYTES, HEAD_BYTES);
    let mut before_last = records.len();
    let mut is_closed = false;
    while let Some((part, body, next)) = file::frame_at(seed, offset, bytes) {
        match part {
            Part::Records if !is_closed => {
                before_last = records.len();
                file::records(body, records).map_err(|fault| damage(offset, fault))?;
            }
            Part::Closed if !is_closed => is_closed = true,
            _ => return Err(damage(offset, Fault::Changed)),
        }
        (last, offset) = (offset, next);
    }
    // What is behind the last whole frame was there before, or is a write that is torn. That is the
    // last one: the next waits until it is durable, and so does the next log.
    let is_end = is_newest || is_closed;
    if !is_end || file::has_frame_behind(seed, offset, bytes) {
        return Err(damage(offset, Fault::Changed));
    }
    if planted!(TruncatesTooMuch) && !is_closed && bytes[offset..].iter().any(|byte| *byte != 0) {
        records.truncate(before_last);
        offset = last;
    }
    Ok((last, offset, is_closed))
}

/// Whether each record builds on those before it.
fn check_order(state: &State, records: &[Record]) -> Result<(), String> {
    let mut applied = state.applied();
    let mut accepted = std::collections::BTreeSet::new();
    for record in records {
        let reach = applied.plus(state.alpha());
        match record {
            Record::Promised { slots, .. } => {
                if let Some(slot) = slots.iter().find(|slot| **slot > reach) {
                    return Err(format!("a promise in slot {slot}, after slot {applied}"));
                }
            }
            Record::Accepted { slot, .. } => {
                if *slot > reach {
                    return Err(format!("an entry in slot {slot}, after slot {applied}"));
                }
                accepted.insert(*slot);
            }
            Record::Decided { slot, entry } => {
                if *slot > applied.next() {
                    return Err(format!("slot {slot} is decided, after slot {applied}"));
                }
                if *slot > applied && entry.is_none() && !accepted.contains(slot) {
                    return Err(format!("slot {slot} is decided and has no entry"));
                }
                if *slot > applied {
                    applied = *slot;
                    accepted = accepted.split_off(&Slot(slot.0 + 1));
                }
            }
            Record::Reserved { .. } | Record::Round { .. } => {}
        }
    }
    Ok(())
}
