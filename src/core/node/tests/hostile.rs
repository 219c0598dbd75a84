//! Messages with numbers that make no sense, from a stranger and from a member, do no harm.

use std::sync::OnceLock;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::core::consensus::{Ballot, Lane};
use crate::core::log::{Batch, Entry, Restore, RestoredFile, Run};
use crate::core::protocol::peer::{Accepted, Beat, Promised, Silence};
use crate::core::store::{Condition, Mutation, Path, Value};

const STRANGER: u8 = 9;
const MEMBER: u8 = 3;

/// Three members, of which one has died in silence, and a standby.
fn world() -> World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD
        .get_or_init(|| {
            let mut world = World::cluster(4, 3);
            world.nodes.remove(&id(MEMBER));
            world
        })
        .clone()
}

/// Numbers that nobody means seriously: far from everything that happens in a test.
fn far() -> impl Strategy<Value = Slot> {
    prop_oneof![
        Just(0),
        u64::MAX - 300..=u64::MAX,
        (1 << 62)..(1_u64 << 63) + 2,
        1_000_000..2_000_000_u64,
    ]
    .prop_map(Slot)
}

fn any_slot() -> impl Strategy<Value = Slot> {
    prop_oneof![far(), (0..600_u64).prop_map(Slot)]
}

fn far_round() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), u32::MAX - 2..=u32::MAX]
}

fn ballot(from: u8) -> impl Strategy<Value = Ballot> {
    let member = prop_oneof![Just(id(from)), Just(id(1)), Just(id(2)), Just(id(200))];
    (far_round(), member).prop_map(|(round, member)| Ballot { round, member })
}

fn lane() -> impl Strategy<Value = Option<Lane>> {
    let lane = (any_slot(), any_slot(), vec(any_slot(), 0..300));
    option::of(lane.prop_map(|(base, next, used)| Lane { base, next, used }))
}

fn op() -> impl Strategy<Value = Op> {
    let path = "/(a|b|ctl/node/[A-C]/addr)"
        .prop_map(|text| crate::core::store::Path::parse(text.as_bytes()).expect("well formed"));
    let owners = vec((0..6_u8).prop_map(id), 0..20);
    prop_oneof![
        Just(Op::Void),
        (path, any::<(i64, bool)>()).prop_map(|(path, (rev, is_exact))| Op::Mutate {
            mutation: Mutation::Set {
                path,
                value: Value(Vec::new().into()),
                condition: Condition::asked(rev, is_exact),
            },
            author: Author::Server,
        }),
        (any_slot(), owners).prop_map(|(expect, owners)| Op::Owners { expect, owners }),
        restore().prop_map(Op::Restore),
        any::<u64>().prop_map(|rev| Op::Claim {
            file: crate::core::store::Path::parse(b"/ctl/cal/7").expect("well formed"),
            rev: Rev(rev),
        }),
    ]
}

fn restore() -> impl Strategy<Value = Restore> {
    let rev = || prop_oneof![0..90_u64, Just(1 << 62), Just(u64::MAX)].prop_map(Rev);
    let path = "/(a|b|a/b|ctl|ctl/cal/1|ctl/name|ctl/ns|ctl/x)?";
    let path = path.prop_map(|text| Path::parse(text.as_bytes()).unwrap_or(nowhere()));
    let file = (path, rev()).prop_map(|(path, rev)| RestoredFile {
        path,
        rev,
        value: Value(Vec::new().into()),
    });
    prop_oneof![
        (0..2_u64, rev(), rev(), any::<bool>()).prop_map(|(id, rev, kept, replace)| {
            Restore::Begin {
                id,
                rev,
                kept,
                replace,
            }
        }),
        (0..2_u64, 0..3_u64, vec(file, 0..3)).prop_map(|(id, step, files)| Restore::Files {
            id,
            step,
            files
        }),
        (0..2_u64, 0..4_u64).prop_map(|(id, files)| Restore::Commit { id, files }),
    ]
}

fn nowhere() -> Path {
    Path::parse(b"/").expect("well formed")
}

fn run(from: u8) -> impl Strategy<Value = Run> {
    let origin = prop_oneof![4 => Just(id(from)), 1 => Just(id(1)), 1 => Just(id(77))];
    let first = prop_oneof![
        Just(0),
        Just(1),
        u64::MAX - 4..=u64::MAX,
        Just((1 << 40) | 1),
        Just((((1 << 24) - 1) << 40) | 1),
        0..60_u64
    ];
    (origin, first, vec(op(), 0..6)).prop_map(|(origin, first, ops)| Run {
        origin,
        first: Seq(first),
        ops,
    })
}

fn entry(from: u8) -> impl Strategy<Value = Entry> {
    prop_oneof![
        Just(Entry::Skip),
        vec(run(from), 0..3).prop_map(|runs| Entry::Batch(Batch { runs }.into())),
    ]
}

fn placed(from: u8) -> impl Strategy<Value = Vec<(Slot, Entry)>> {
    vec((far(), entry(from)), 0..4)
}

/// Whatever `from` may say that is not a credible lie about what was agreed: a member that tells
/// such lies cannot be told from an honest one.
fn message(from: u8) -> BoxedStrategy<Message> {
    let promised = (far(), option::of((ballot(from), entry(from))))
        .prop_map(|(slot, accepted)| Promised { slot, accepted });
    let beat = (
        lane(),
        any_slot(),
        any::<u64>(),
        any_slot(),
        any::<u64>(),
        any::<u64>(),
        any::<u32>(),
        vec(
            (
                prop_oneof![Just(1), Just(2), Just(4), Just(9)],
                any::<u32>(),
            ),
            0..4,
        ),
    );
    prop_oneof![
        (ballot(from), placed(from), lane(), any_slot()).prop_map(
            |(ballot, entries, lane, applied)| Message::Accept {
                ballot,
                entries,
                lane,
                applied
            }
        ),
        (vec((any_slot(), ballot(from)), 0..6), lane(), any_slot()).prop_map(
            |(votes, lane, applied)| Message::Accepted(Accepted {
                votes,
                lane,
                applied
            })
        ),
        (any_slot(), ballot(from)).prop_map(|(slot, promised)| Message::Reject { slot, promised }),
        (ballot(from), vec(any_slot(), 0..300))
            .prop_map(|(ballot, slots)| Message::Prepare { ballot, slots }),
        (ballot(from), vec(promised, 0..4), placed(from)).prop_map(|(ballot, slots, decided)| {
            Message::Promise {
                ballot,
                slots,
                decided,
            }
        }),
        beat.prop_map(
            |(lane, applied, digest, seen, sent_us, echo_us, majority_us, silent)| {
                Message::Beat(Beat {
                    lane,
                    applied,
                    digest: Digest(digest),
                    seen,
                    sent_us,
                    echo_us,
                    majority_us,
                    silent: silent
                        .into_iter()
                        .map(|(n, ms)| Silence { process: id(n), ms })
                        .collect(),
                })
            }
        ),
        any_slot().prop_map(|from| Message::Ask { from }),
        (far(), vec(entry(from), 0..20))
            .prop_map(|(from, entries)| Message::Learn { from, entries }),
        any_slot().prop_map(|oldest| Message::Truncated { oldest }),
        any_slot().prop_map(|from| Message::Follow { from }),
        (any_slot(), any::<u32>()).prop_map(|(at, piece)| Message::SnapshotAsk { at, piece }),
        (any_slot(), any::<u32>(), vec(any::<u8>(), 0..40))
            .prop_map(|(at, piece, bytes)| { Message::SnapshotPiece { at, piece, bytes } }),
        run(from).prop_map(|run| Message::Forward { run }),
        any::<u64>().prop_map(|question| Message::Where { question }),
        (any::<u64>(), any_slot()).prop_map(|(question, slot)| Message::At { question, slot }),
    ]
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        max_shrink_iters: 3000,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn numbers_that_make_no_sense_do_no_harm(
        messages in vec(
            prop_oneof![
                message(STRANGER).prop_map(|message| (STRANGER, message)),
                message(MEMBER).prop_map(|message| (MEMBER, message)),
            ],
            1..40,
        )
    ) {
        let mut world = world();
        for (index, (from, message)) in messages.into_iter().enumerate() {
            world.tell(from, [1, 2, 4][index % 3], message);
            world.run(STEP);
        }
        for n in [1, 2] {
            prop_assert_eq!(world.ask(n, set("/x", "x", -1)).error(), None);
        }
        for n in [1, 2, 4] {
            prop_assert_eq!(world.ask(n, request(Verb::Get, "/x")).value, Some("x".into()));
        }
        world.run(Duration::from_secs(1));
        world.agree();
        // Nobody counts on for ever. A change of owners takes a window of slots.
        let before = world.nodes[&id(1)].applied().0;
        world.run(Duration::from_secs(1));
        let used = world.nodes[&id(1)].applied().0 - before;
        prop_assert!(used < 500, "{} slots in a second of rest", used);
    }
}

#[test]
fn a_stranger_that_contradicts_stops_nobody() {
    let mut world = World::founded();
    let applied = world.nodes[&id(1)].applied();
    let beat = Beat {
        lane: None,
        applied,
        digest: Digest(1),
        seen: Slot(0),
        sent_us: 1,
        echo_us: 0,
        majority_us: 0,
        silent: Vec::new(),
    };
    world.tell(STRANGER, 1, Message::Beat(beat));
    world.settle();
    assert_eq!(world.halted, []);
}

#[test]
fn a_slot_far_ahead_does_not_make_a_lone_member_count_up_to_it() {
    let mut world = World::founded();
    let beat = Beat {
        lane: None,
        applied: Slot(0),
        digest: Digest(1),
        seen: Slot(1 << 40),
        sent_us: 1,
        echo_us: 0,
        majority_us: 0,
        silent: Vec::new(),
    };
    world.tell(STRANGER, 1, Message::Beat(beat));
    world.settle();
    assert!(world.nodes[&id(1)].applied() < Slot(1000));
}

#[test]
fn a_member_that_gives_up_all_slots_to_come_makes_nobody_use_slots_up() {
    let mut world = world();
    let lane = Lane {
        base: Slot(0),
        next: Slot(u64::MAX),
        used: Vec::new(),
    };
    let votes = Vec::new();
    let accepted = Accepted {
        votes,
        lane: Some(lane),
        applied: Slot(0),
    };
    for n in [1, 2, 4] {
        world.tell(MEMBER, n, Message::Accepted(accepted.clone()));
    }
    let before = world.nodes[&id(1)].applied().0;
    world.run(Duration::from_secs(1));
    let used = world.nodes[&id(1)].applied().0 - before;
    // The dead member may lose its place among the owners meanwhile, which takes a window.
    assert!(used < 100, "{used} slots");
    assert_eq!(world.ask(1, set("/x", "x", -1)).error(), None);
    world.agree();
}
