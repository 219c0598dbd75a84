//! The format does not change by accident, survives a round trip, and is bounded.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::core::consensus::{Ballot, Lane, Slot};
use crate::core::id::{NodeId, Rev};
use crate::core::log::{Author, Batch, Entry, Restore, RestoredFile, Run, Seq};
use crate::core::protocol::peer::{Accepted, Beat, Digest, Promised, Silence};
use crate::core::store::{Condition, Mutation, Path, Value};

/// The bytes of [`examples`], one line each: the name of the variant and hex.
const GOLDEN: &str = include_str!("golden.txt");

#[test]
fn the_bytes_are_the_golden_ones() {
    let mut written = String::new();
    for message in examples() {
        written += &format!("{} {}\n", name(&message), hex(&encoded(&message)));
    }
    assert!(
        written == GOLDEN,
        "the format of messages between nodes has changed. Nodes of different versions will not \
         understand each other. If that is meant, raise the version in the handshake and make this \
         the content of golden.txt:\n{written}"
    );
}

#[test]
fn golden_bytes_decode_to_the_examples() {
    let lines: Vec<&str> = GOLDEN.lines().collect();
    assert_eq!(lines.len(), examples().len());
    for (line, example) in lines.into_iter().zip(examples()) {
        let (_, hex) = line.split_once(' ').unwrap();
        assert_eq!(decode(&unhex(hex)).unwrap(), example);
    }
}

#[test]
fn each_variant_has_an_example() {
    let examples = examples();
    for (index, example) in examples.iter().enumerate() {
        assert_eq!(usize::from(encoded(example)[0]), index);
    }
    // The number after the last example's belongs to no variant.
    match decode(&[examples.len() as u8]) {
        Err(DecodeError::Malformed(bincode::error::DecodeError::UnexpectedVariant {
            found,
            ..
        })) => assert_eq!(found as usize, examples.len()),
        other => panic!("a variant without an example: {other:?}"),
    }
}

#[test]
fn bytes_behind_a_message_are_refused() {
    for example in examples() {
        let mut bytes = encoded(&example);
        bytes.push(0);
        assert!(matches!(decode(&bytes), Err(DecodeError::Trailing(1))));
    }
}

#[test]
fn each_proper_prefix_is_refused() {
    for example in examples() {
        let bytes = encoded(&example);
        for length in 0..bytes.len() {
            let result = decode(&bytes[..length]);
            assert!(
                matches!(result, Err(DecodeError::Malformed(_))),
                "{result:?}"
            );
        }
    }
}

#[test]
fn malformed_paths_are_refused() {
    let forward = |path: &[u8]| {
        // Forward, a run of one Claim from a process, and the file in question.
        let mut bytes = vec![12];
        bytes.extend([7; 10]);
        bytes.extend([1, 1, 2]);
        bytes.push(path.len() as u8);
        bytes.extend(path);
        bytes.push(5);
        decode(&bytes)
    };
    assert!(forward(b"/ctl/cal/1").is_ok());
    for path in [&b""[..], b"ctl", b"//", b"/a/", b"/a b", b"/\xff", b"/a\0"] {
        assert!(matches!(forward(path), Err(DecodeError::Malformed(_))));
    }
}

#[test]
fn announced_lengths_claim_no_memory_that_the_bytes_do_not_account_for() {
    // Lists that pretend to go on: Prepare with its slots, Forward with its commands.
    let prepare = [vec![3, 1], vec![7; 10]].concat();
    let forward = [vec![12], vec![7; 10], vec![1]].concat();
    for (start, element_bytes) in [(prepare, size_of::<Slot>()), (forward, size_of::<Op>())] {
        let with_length = |elements: usize| {
            let mut bytes = start.clone();
            bytes.push(252);
            bytes.extend((elements as u32).to_le_bytes());
            decode(&bytes).unwrap_err()
        };
        let limit = SMALL_BYTES * CLAIM_PER_BYTE;
        let DecodeError::Malformed(refusal) = with_length(limit / element_bytes + 1) else {
            panic!("trailing bytes");
        };
        assert!(matches!(
            refusal,
            bincode::error::DecodeError::LimitExceeded
        ));
        let DecodeError::Malformed(refusal) = with_length(limit / element_bytes - 16) else {
            panic!("trailing bytes");
        };
        assert!(matches!(
            refusal,
            bincode::error::DecodeError::UnexpectedEnd { .. }
        ));
    }
}

#[test]
fn a_list_of_the_shortest_commands_fits_the_claim_of_each_size_class() {
    for size in [SMALL_BYTES, MEDIUM_BYTES, LARGE_BYTES] {
        for length in [size, size + 1] {
            let mut ops = vec![Op::Void; length];
            let mut bytes = encoded(&forward(ops.clone()));
            ops.truncate(length - (bytes.len() - length));
            let message = forward(ops);
            bytes = encoded(&message);
            assert!((length - 4..=length).contains(&bytes.len()));
            assert_eq!(decode(&bytes).unwrap(), message);
        }
    }
}

#[test]
fn the_largest_pieces_of_a_snapshot_fit() {
    let message = Message::SnapshotPiece {
        at: Slot(u64::MAX),
        piece: u32::MAX,
        bytes: vec![1; MESSAGE_BYTES_MAX - 64],
    };
    let bytes = encoded(&message);
    assert!(bytes.len() <= MESSAGE_BYTES_MAX);
    assert_eq!(decode(&bytes).unwrap(), message);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn messages_survive_a_round_trip(message in messages()) {
        prop_assert_eq!(decode(&encoded(&message)).unwrap(), message);
    }

    #[test]
    fn what_decodes_survives_a_round_trip(bytes in vec(any::<u8>(), 0..64), kind in 0_u8..16) {
        let bytes = [vec![kind], bytes].concat();
        if let Ok(message) = decode(&bytes) {
            prop_assert_eq!(decode(&encoded(&message)).unwrap(), message);
        }
    }

    #[test]
    fn damaged_messages_give_a_value_or_an_error(
        message in messages(),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let mut bytes = encoded(&message);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(other) = decode(&bytes) {
            prop_assert_eq!(decode(&encoded(&other)).unwrap(), other);
        }
    }
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(message, &mut bytes);
    bytes
}

fn forward(ops: Vec<Op>) -> Message {
    Message::Forward {
        run: Run {
            origin: NodeId([1; 10]),
            first: Seq(1),
            ops,
        },
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn name(message: &Message) -> &'static str {
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

/// One message of each kind, in the order of their numbers, with every kind of entry, command and
/// mutation in the one that teaches decided entries, and with numbers of every length.
fn examples() -> Vec<Message> {
    let member = NodeId([0, 1, 2, 3, 4, 5, 6, 7, 8, 255]);
    let ballot = Ballot { round: 3, member };
    let lane = Some(Lane {
        base: Slot(250),
        next: Slot(251),
        used: vec![Slot(65_535), Slot(65_536)],
    });
    let path = |text: &str| Path::parse(text.as_bytes()).unwrap();
    let batch = |ops| {
        Entry::Batch(Arc::new(Batch {
            runs: vec![Run {
                origin: member,
                first: Seq::first_of(1),
                ops,
            }],
        }))
    };
    let set = Op::Mutate {
        mutation: Mutation::Set {
            path: path("/a/b.c-d"),
            value: Value(b"\x00value\xff"[..].into()),
            condition: Condition::ANY,
        },
        author: Author::Client,
    };
    let every_op = batch(vec![
        set.clone(),
        Op::Mutate {
            mutation: Mutation::Del {
                path: path("/a"),
                condition: Condition::asked(i64::MAX, false),
            },
            author: Author::Server,
        },
        Op::Mutate {
            mutation: Mutation::Nop,
            author: Author::Client,
        },
        Op::Void,
        Op::Claim {
            file: path("/ctl/cal/1"),
            rev: Rev(7),
        },
        Op::Owners {
            expect: Slot(51),
            owners: vec![member, NodeId([9; 10])],
        },
        Op::Unseat {
            id: member,
            successor: Some(NodeId([9; 10])),
        },
        Op::Seat {
            mutation: Mutation::Nop,
            members: vec![member],
        },
        Op::Restore(Restore::Begin {
            id: 1 << 40,
            rev: Rev(1_000_000_000),
            kept: Rev(912),
            replace: true,
        }),
        Op::Restore(Restore::Files {
            id: 1 << 40,
            step: 3,
            files: vec![RestoredFile {
                path: path("/a"),
                rev: Rev(7),
                value: Value(b"\xff"[..].into()),
            }],
        }),
        Op::Restore(Restore::Commit {
            id: 1 << 40,
            files: 1,
        }),
    ]);
    vec![
        Message::Accept {
            ballot: Ballot::of_owner(member),
            entries: vec![(Slot(1), batch(vec![set.clone()])), (Slot(4), Entry::Skip)],
            lane: lane.clone(),
            applied: Slot(u64::MAX),
        },
        Message::Accepted(Accepted {
            votes: vec![(Slot(1), ballot)],
            lane: None,
            applied: Slot(2),
        }),
        Message::Reject {
            slot: Slot(9),
            promised: ballot,
        },
        Message::Prepare {
            ballot,
            slots: vec![Slot(1), Slot(4), Slot(7)],
        },
        Message::Promise {
            ballot,
            slots: vec![
                Promised {
                    slot: Slot(1),
                    accepted: Some((ballot, Entry::Skip)),
                },
                Promised {
                    slot: Slot(4),
                    accepted: None,
                },
            ],
            decided: vec![(Slot(7), Entry::Skip)],
        },
        Message::Beat(Beat {
            lane,
            applied: Slot(2),
            digest: Digest(0x0123_4567_89ab_cdef),
            seen: Slot(3),
            sent_us: 1_000_000,
            echo_us: 0,
            majority_us: 0,
            silent: vec![Silence {
                process: member,
                ms: 300,
            }],
        }),
        Message::Ask { from: Slot(12) },
        Message::Learn {
            from: Slot(12),
            entries: vec![Entry::Skip, every_op, batch(vec![])],
        },
        Message::Truncated { oldest: Slot(100) },
        Message::Follow { from: Slot(101) },
        Message::SnapshotAsk {
            at: Slot(0),
            piece: 0,
        },
        Message::SnapshotPiece {
            at: Slot(300),
            piece: 70_000,
            bytes: vec![0, 127, 128, 255],
        },
        forward(vec![set]),
        Message::Where { question: 17 },
        Message::At {
            question: 17,
            slot: Slot(19),
        },
    ]
}

fn slot() -> impl Strategy<Value = Slot> {
    any::<u64>().prop_map(Slot)
}

fn member() -> impl Strategy<Value = NodeId> {
    any::<[u8; 10]>().prop_map(NodeId)
}

fn ballot() -> impl Strategy<Value = Ballot> {
    (any::<u32>(), member()).prop_map(|(round, member)| Ballot { round, member })
}

fn lane() -> impl Strategy<Value = Option<Lane>> {
    option::of(
        (slot(), slot(), vec(slot(), 0..5)).prop_map(|(base, next, used)| Lane {
            base,
            next,
            used,
        }),
    )
}

fn path() -> impl Strategy<Value = Path> {
    "/|(/[A-Za-z0-9.-]{1,8}){1,4}".prop_map(|text| Path::parse(text.as_bytes()).unwrap())
}

fn condition() -> impl Strategy<Value = Condition> {
    any::<(i64, bool)>().prop_map(|(rev, is_exact)| Condition::asked(rev, is_exact))
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let value = vec(any::<u8>(), 0..300).prop_map(|bytes| Value(bytes.into()));
    prop_oneof![
        (path(), value, condition()).prop_map(|(path, value, condition)| Mutation::Set {
            path,
            value,
            condition
        }),
        (path(), condition()).prop_map(|(path, condition)| Mutation::Del { path, condition }),
        Just(Mutation::Nop),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let author = prop_oneof![Just(Author::Client), Just(Author::Server)];
    prop_oneof![
        (mutation(), author).prop_map(|(mutation, author)| Op::Mutate { mutation, author }),
        Just(Op::Void),
        (path(), any::<u64>()).prop_map(|(file, rev)| Op::Claim {
            file,
            rev: Rev(rev)
        }),
        (slot(), vec(member(), 0..5)).prop_map(|(expect, owners)| Op::Owners { expect, owners }),
        (member(), option::of(member())).prop_map(|(id, successor)| Op::Unseat { id, successor }),
        (mutation(), vec(member(), 0..5))
            .prop_map(|(mutation, members)| Op::Seat { mutation, members }),
        restore().prop_map(Op::Restore),
    ]
}

fn restore() -> impl Strategy<Value = Restore> {
    let value = vec(any::<u8>(), 0..300).prop_map(|bytes| Value(bytes.into()));
    let file = (path(), any::<u64>(), value).prop_map(|(path, rev, value)| RestoredFile {
        path,
        rev: Rev(rev),
        value,
    });
    prop_oneof![
        any::<(u64, u64, u64, bool)>().prop_map(|(id, rev, kept, replace)| Restore::Begin {
            id,
            rev: Rev(rev),
            kept: Rev(kept),
            replace,
        }),
        (any::<(u64, u64)>(), vec(file, 0..4)).prop_map(|((id, step), files)| Restore::Files {
            id,
            step,
            files
        }),
        any::<(u64, u64)>().prop_map(|(id, files)| Restore::Commit { id, files }),
    ]
}

fn run() -> impl Strategy<Value = Run> {
    (member(), any::<u64>(), vec(op(), 0..5)).prop_map(|(origin, first, ops)| Run {
        origin,
        first: Seq(first),
        ops,
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        Just(Entry::Skip),
        vec(run(), 0..4).prop_map(|runs| Entry::Batch(Arc::new(Batch { runs }))),
    ]
}

fn placed() -> impl Strategy<Value = Vec<(Slot, Entry)>> {
    vec((slot(), entry()), 0..4)
}

fn promised() -> impl Strategy<Value = Promised> {
    (slot(), option::of((ballot(), entry())))
        .prop_map(|(slot, accepted)| Promised { slot, accepted })
}

fn beat() -> impl Strategy<Value = Beat> {
    (
        lane(),
        slot(),
        any::<u64>(),
        slot(),
        any::<u64>(),
        any::<u64>(),
        any::<u32>(),
        vec((member(), any::<u32>()), 0..4),
    )
        .prop_map(
            |(lane, applied, digest, seen, sent_us, echo_us, majority_us, silent)| Beat {
                lane,
                applied,
                digest: Digest(digest),
                seen,
                sent_us,
                echo_us,
                majority_us,
                silent: silent
                    .into_iter()
                    .map(|(process, ms)| Silence { process, ms })
                    .collect(),
            },
        )
}

fn messages() -> impl Strategy<Value = Message> {
    prop_oneof![
        (ballot(), placed(), lane(), slot()).prop_map(|(ballot, entries, lane, applied)| {
            Message::Accept {
                ballot,
                entries,
                lane,
                applied,
            }
        }),
        (vec((slot(), ballot()), 0..5), lane(), slot()).prop_map(|(votes, lane, applied)| {
            Message::Accepted(Accepted {
                votes,
                lane,
                applied,
            })
        }),
        (slot(), ballot()).prop_map(|(slot, promised)| Message::Reject { slot, promised }),
        (ballot(), vec(slot(), 0..5))
            .prop_map(|(ballot, slots)| Message::Prepare { ballot, slots }),
        (ballot(), vec(promised(), 0..4), placed()).prop_map(|(ballot, slots, decided)| {
            Message::Promise {
                ballot,
                slots,
                decided,
            }
        }),
        beat().prop_map(Message::Beat),
        slot().prop_map(|from| Message::Ask { from }),
        (slot(), vec(entry(), 0..4)).prop_map(|(from, entries)| Message::Learn { from, entries }),
        slot().prop_map(|oldest| Message::Truncated { oldest }),
        slot().prop_map(|from| Message::Follow { from }),
        (slot(), any::<u32>()).prop_map(|(at, piece)| Message::SnapshotAsk { at, piece }),
        (slot(), any::<u32>(), vec(any::<u8>(), 0..300))
            .prop_map(|(at, piece, bytes)| Message::SnapshotPiece { at, piece, bytes }),
        run().prop_map(|run| Message::Forward { run }),
        any::<u64>().prop_map(|question| Message::Where { question }),
        (any::<u64>(), slot()).prop_map(|(question, slot)| Message::At { question, slot }),
    ]
}
