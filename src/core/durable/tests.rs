//! What a crash leaves is read as far as it was durable; what was changed is refused.

use proptest::prelude::*;

use super::file::FORMAT;
use super::*;
use crate::core::consensus::{Ballot, Slot};
use crate::core::id::{Lineage, NodeId};
use crate::core::log::{Author, Batch, Entry, Op, Run, Seq};
use crate::core::state::State;
use crate::core::store::{Condition, HistoryLimits, Mutation, Path, Value};

const ME: NodeId = NodeId([7; 10]);
const LINEAGE: Lineage = Lineage {
    founder: ME,
    generation: 1,
};
const HISTORY: HistoryLimits = HistoryLimits {
    revs: 100,
    bytes: 1 << 20,
};
const ALPHA: u64 = 8;

/// A directory: a snapshot, and the logs from its number on.
#[derive(Clone, Debug)]
struct Files {
    snapshot: Vec<u8>,
    logs: Vec<(u64, Vec<u8>)>,
}

fn state(writes: u64) -> State {
    let mut state = State::founded_by(ME, ALPHA, HISTORY);
    for n in 0..writes {
        state.apply(Slot(n + 1), &entry(n), |_, _| {});
    }
    state
}

fn entry(n: u64) -> Entry {
    let mutation = Mutation::Set {
        path: Path::parse(format!("/a/{n}").as_bytes()).unwrap(),
        value: Value(vec![n as u8; 40].into()),
        condition: Condition::ANY,
    };
    let op = Op::Mutate {
        mutation,
        author: Author::Server,
    };
    let first = Seq::first_of(0).plus(n as usize);
    let (origin, ops) = (ME, vec![op]);
    let run = Run { origin, first, ops };
    Entry::Batch(Batch { runs: vec![run] }.into())
}

fn accepted(n: u64) -> Record {
    Record::Accepted {
        slot: Slot(n + 1),
        ballot: Ballot::of_owner(ME),
        entry: entry(n),
    }
}

fn head(kind: Kind, number: u64) -> Head {
    Head {
        kind,
        number,
        id: ME,
        lineage: LINEAGE,
    }
}

fn put(file: &mut Vec<u8>, head: Head, part: Part, body: &[u8]) {
    let frame = frame(head.seed(), file.len() as u64, part, body);
    file.extend_from_slice(&frame);
}

fn snapshot(number: u64, state: &State, memory: Vec<Record>) -> Vec<u8> {
    let head = head(Kind::Snapshot, number);
    let mut bytes = head.encode().to_vec();
    let mut checkpoint = Checkpoint {
        lineage: LINEAGE,
        state: crate::core::state::StateExport::new(state),
        memory,
    };
    let mut number = 0;
    while let Some((part, body)) = checkpoint.part(number) {
        put(&mut bytes, head, part, &body);
        number += 1;
    }
    bytes
}

fn log(number: u64, writes: &[Vec<Record>], is_closed: bool) -> Vec<u8> {
    let head = head(Kind::Log, number);
    let mut bytes = head.encode().to_vec();
    for records in writes {
        let mut body = Vec::new();
        for record in records {
            put_record(record, &mut body);
        }
        put(&mut bytes, head, Part::Records, &body);
    }
    if is_closed {
        put(&mut bytes, head, Part::Closed, &[]);
    }
    bytes
}

/// Two logs. All records, in order, and how many are in the last write.
fn files() -> (Files, Vec<Record>, usize) {
    let memory = vec![Record::Reserved { below: Slot(20) }, accepted(3)];
    let first = vec![
        vec![accepted(4), Record::Round { round: 3 }],
        vec![Record::Decided {
            slot: Slot(4),
            entry: None,
        }],
    ];
    let second = vec![
        vec![accepted(5)],
        vec![accepted(6), accepted(7), Record::Round { round: 9 }],
    ];
    let logs = vec![(3, log(3, &first, true)), (4, log(4, &second, false))];
    let snapshot = snapshot(3, &state(3), memory.clone());
    let writes = first.into_iter().chain(second.clone());
    let records = memory.into_iter().chain(writes.flatten()).collect();
    (Files { snapshot, logs }, records, second[1].len())
}

fn read(files: &Files) -> Result<Recovered, Damage> {
    recover(ME, (3, &files.snapshot), &files.logs, HISTORY)
}

/// Where the last write begins.
fn last_write(files: &Files) -> usize {
    let bytes = &files.logs[1].1;
    let mut offset = HEAD_BYTES;
    let seed = head(Kind::Log, 4).seed();
    loop {
        let (_, _, next) = super::file::frame_at(seed, offset, bytes).unwrap();
        if next == bytes.len() {
            return offset;
        }
        offset = next;
    }
}

#[test]
fn what_was_written_comes_back() {
    let (files, records, _) = files();
    let recovered = read(&files).unwrap();
    assert_eq!(recovered.records, records);
    assert_eq!(recovered.state, state(3));
    assert_eq!(recovered.tail.number, 4);
    assert_eq!(recovered.tail.end, files.logs[1].1.len() as u64);
}

#[test]
fn a_log_whose_end_is_torn_while_the_next_one_is_not_used_is_cut_off() {
    let (mut files, records, last) = files();
    let mut next = log(5, &[], false);
    files.logs[1].1 = log(
        4,
        &[vec![accepted(5)], records[records.len() - last..].into()],
        true,
    );
    let end = files.logs[1].1.len() as u64 - 17;
    files.logs[1].1.pop();
    files.logs.push((5, next.clone()));
    let recovered = read(&files).unwrap();
    assert_eq!(recovered.records, records);
    assert_eq!(recovered.tail.number, 5);
    // Mended, it is as if the crash had come later.
    let mended = &recovered.ends[1];
    assert_eq!((mended.number, mended.end), (4, end));
    let mut whole = files.clone();
    whole.logs[1].1.truncate(end as usize);
    whole.logs[1].1.extend_from_slice(&mended.append);
    let again = read(&whole).unwrap();
    assert_eq!(again.records, records);
    assert!(again.ends.iter().all(|end| end.append.is_empty()));
    put(&mut next, head(Kind::Log, 5), Part::Records, &[]);
    files.logs[2].1 = next;
    let damage = read(&files).unwrap_err();
    assert_eq!((damage.offset, damage.fault), (end, Fault::Changed));
}

#[test]
fn what_is_missing_or_of_others_is_refused() {
    let (files, ..) = files();
    let refused = |change: &dyn Fn(&mut Files)| {
        let mut files = files.clone();
        change(&mut files);
        let damage = read(&files).unwrap_err();
        (damage.file, damage.fault)
    };
    let log = |number| Kind::Log.name(number);
    let missing = |number| (log(number), Fault::Missing);
    assert_eq!(refused(&|files| files.logs.clear()), missing(3));
    assert_eq!(refused(&|files| drop(files.logs.remove(0))), missing(3));
    assert_eq!(refused(&|files| drop(files.logs.pop())), missing(4));
    let renamed = refused(&|files| files.logs[1].1 = files.logs[0].1.clone());
    assert_eq!(renamed, (log(4), Fault::Foreign));
    let foreign = refused(&|files| {
        let other = Head {
            id: NodeId([8; 10]),
            ..head(Kind::Log, 4)
        };
        files.logs[1].1[..HEAD_BYTES].copy_from_slice(&other.encode());
    });
    assert_eq!(foreign, (log(4), Fault::Foreign));
    let newer = refused(&|files| files.snapshot[8] = FORMAT as u8 + 1);
    let fault = Fault::Newer { format: FORMAT + 1 };
    assert_eq!(newer, (Kind::Snapshot.name(3), fault));
    let other = refused(&|files| files.snapshot = b"#!/bin/sh\n".repeat(20));
    assert_eq!(other, (Kind::Snapshot.name(3), Fault::NotOurs));
}

#[test]
fn records_that_do_not_build_on_each_other_are_refused() {
    for record in [
        Record::Decided {
            slot: Slot(5),
            entry: Some(Entry::Skip),
        },
        Record::Decided {
            slot: Slot(4),
            entry: None,
        },
        accepted(3 + ALPHA),
        Record::Promised {
            slots: vec![Slot(4 + ALPHA)],
            ballot: Ballot::of_owner(ME),
        },
    ] {
        let files = Files {
            snapshot: snapshot(3, &state(3), Vec::new()),
            logs: vec![(3, log(3, &[vec![record]], false))],
        };
        let damage = read(&files).unwrap_err();
        assert!(matches!(damage.fault, Fault::Nonsense(_)), "{damage}");
    }
}

#[test]
fn an_identity_is_what_was_written_or_nothing() {
    let identity = Identity {
        id: ME,
        boot: 3,
        cluster: "prod".into(),
        listen: "10.0.0.1:8046".into(),
        advertise: Some("db1:8046".into()),
        through: vec!["db2:8046".into(), "db3:8046".into()],
        standing: Standing::Joining,
    };
    let text = identity.encode();
    assert_eq!(Identity::decode(&text), Ok(identity.clone()));
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let text = String::from_utf8(bytes).unwrap();
        assert!(Identity::decode(&text).is_err(), "{text}");
    }
    assert!(Identity::decode(&format!("{text}\n")).is_err());
    let newer = text.replacen("doozerd 2", "doozerd 3", 1);
    assert_eq!(Identity::decode(&newer), Err(IdentityError::Newer(3)));

    // The first version of the text.
    let lines = format!("doozerd 1\nid {ME}\nboot 3\ncluster prod\nlisten 10.0.0.1:8046\n");
    let check = xxhash_rust::xxh3::xxh3_64(lines.as_bytes());
    let first = Identity {
        advertise: None,
        through: Vec::new(),
        standing: Standing::Whole,
        ..identity
    };
    let text = format!("{lines}check {check:016x}\n");
    assert_eq!(Identity::decode(&text), Ok(first));
}

#[test]
fn what_a_file_held_before_it_was_used_again_does_not_count() {
    let (files, records, _) = files();
    let begin = last_write(&files);
    let former = log(1, &vec![vec![accepted(1); 4]; 40], true);
    let again = |bytes: &[u8]| {
        let mut over = former.clone();
        over[..bytes.len()].copy_from_slice(bytes);
        over
    };
    let mut used = files.clone();
    for (_, bytes) in &mut used.logs {
        *bytes = again(bytes);
    }
    let recovered = read(&used).unwrap();
    assert_eq!(recovered.records, records);
    assert_eq!(recovered.tail, read(&files).unwrap().tail);

    // A crash has come before it was said that there is another log.
    let mut open = used.clone();
    let end = files.logs[0].1.len() - frame(0, 0, Part::Closed, &[]).len();
    open.logs[0].1 = again(&files.logs[0].1[..end]);
    open.logs[1].1 = again(&files.logs[1].1[..HEAD_BYTES]);
    let recovered = read(&open).unwrap();
    assert_eq!(recovered.tail.number, 4);
    assert!(!recovered.ends[0].append.is_empty());

    // What was durable is found where it is damaged, whatever is behind it.
    for at in [HEAD_BYTES + 1, begin - 1] {
        let mut damaged = used.clone();
        damaged.logs[1].1[at] ^= 1;
        assert_eq!(read(&damaged).unwrap_err().fault, Fault::Changed);
    }
}

proptest! {
    /// A write that was not durable may be there in any part; sectors of it are lost in any order.
    #[test]
    fn a_torn_write_is_cut_off(length in 0usize..2000, lost in any::<u64>(), sector in 1usize..64) {
        let (mut files, records, last) = files();
        let begin = last_write(&files);
        let bytes = &mut files.logs[1].1;
        let whole = bytes.clone();
        bytes.truncate(begin + length.min(whole.len() - begin));
        for (nth, part) in bytes[begin..].chunks_mut(sector).enumerate() {
            if lost >> (nth % 64) & 1 == 1 {
                part.fill(0);
            }
        }
        let is_whole = *bytes == whole;
        let recovered = read(&files).unwrap();
        let kept = if is_whole { records.len() } else { records.len() - last };
        prop_assert_eq!(&recovered.records[..], &records[..kept]);
        let end = if is_whole { whole.len() } else { begin };
        prop_assert_eq!(recovered.tail.end, end as u64);
    }

    /// What was durable is never guessed around.
    #[test]
    fn a_flipped_bit_is_found(file in 0usize..3, at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (mut files, _, _) = files();
        let begin = last_write(&files);
        let bytes = match file {
            0 => &mut files.snapshot,
            file => &mut files.logs[file - 1].1,
        };
        let length = if file == 2 { begin } else { bytes.len() };
        let at = at.index(length);
        bytes[at] ^= 1 << bit;
        let damage = read(&files).unwrap_err();
        let name = [Kind::Snapshot.name(3), Kind::Log.name(3), Kind::Log.name(4)];
        prop_assert_eq!(&damage.file, &name[file]);
        prop_assert!(damage.offset <= at as u64);
    }

    /// Any bytes lead to an answer.
    #[test]
    fn nothing_makes_it_fail_otherwise(
        file in 0usize..3,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        with_head in any::<bool>(),
    ) {
        let (mut files, records, _) = files();
        let slot = match file {
            0 => &mut files.snapshot,
            file => &mut files.logs[file - 1].1,
        };
        let kept = if with_head { HEAD_BYTES } else { 0 };
        slot.truncate(kept);
        slot.extend_from_slice(&bytes);
        if let Ok(recovered) = read(&files) {
            prop_assert!(records.starts_with(&recovered.records));
        }
    }
}
