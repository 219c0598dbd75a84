//! Snapshots for several processes at a time.

use super::*;
use crate::core::state::{StateExport, StateImporter};
use crate::core::store::HistoryLimits;

/// A process that takes a snapshot of node 1, by the rules, one question at a time.
struct Taker {
    n: u8,
    at: Slot,
    importer: StateImporter,
    is_done: bool,
}

impl Taker {
    fn new(n: u8) -> Taker {
        let limits = HistoryLimits {
            revs: 2000,
            bytes: 1 << 24,
        };
        Taker {
            n,
            at: Slot(0),
            importer: StateImporter::new(limits),
            is_done: false,
        }
    }

    fn step(&mut self, world: &mut World) {
        let piece = self.importer.due();
        world.sent = Some(Vec::new());
        world.tell(self.n, 1, Message::SnapshotAsk { at: self.at, piece });
        world.settle();
        for (_, to, message) in world.sent.take().unwrap_or_default() {
            let Message::SnapshotPiece { at, piece, bytes } = message else {
                continue;
            };
            if to != id(self.n) {
                continue;
            }
            if at != self.at {
                assert_eq!(piece, 0);
                *self = Taker::new(self.n);
                self.at = at;
            }
            assert_eq!(piece, self.importer.due());
            self.is_done = self.importer.take(&bytes).expect("well formed").is_some();
        }
    }
}

#[test]
fn many_that_take_a_snapshot_at_a_time_all_get_one() {
    let mut world = World::founded();
    let text = "x".repeat(1 << 20);
    for n in 0..8 {
        let set = set(&format!("/a/{n}"), &text, -1);
        assert_eq!(world.ask(1, set).error(), None);
    }
    let mut takers: Vec<Taker> = (11..16).map(Taker::new).collect();
    for n in 0..100 {
        for taker in takers.iter_mut().filter(|taker| !taker.is_done) {
            assert_eq!(world.ask(1, set("/b", &n.to_string(), -1)).error(), None);
            taker.step(&mut world);
        }
    }
    assert!(takers.iter().all(|taker| taker.is_done));
}

#[test]
fn whoever_begins_gets_a_snapshot_that_the_log_goes_on_from() {
    let mut world = World {
        now: Time(1_000_000),
        tweak: Some(|config| config.tuning.retained_slots_max = 2),
        ..World::default()
    };
    // Somebody asks before the first slot is applied, and so makes a snapshot of nothing.
    world.tell(
        11,
        1,
        Message::SnapshotAsk {
            at: Slot(0),
            piece: 0,
        },
    );
    world.sent = Some(Vec::new());
    let cluster = "local".into();
    world.start(1, Start::Found { cluster });
    let sent = world.sent.take().unwrap_or_default();
    let of_nothing = |(_, to, message): &(NodeId, NodeId, Message)| {
        *to == id(11) && matches!(message, Message::SnapshotPiece { at: Slot(0), .. })
    };
    assert!(sent.iter().any(of_nothing));
    for n in 0..8 {
        assert_eq!(world.ask(1, set("/a", &n.to_string(), -1)).error(), None);
    }
    let mut taker = Taker::new(12);
    for _ in 0..10 {
        taker.step(&mut world);
    }
    assert!(taker.is_done && taker.at > Slot(0), "{}", taker.at);
}

#[test]
fn a_snapshot_of_a_slot_that_its_configurations_do_not_belong_to_is_refused() {
    let limits = HistoryLimits {
        revs: 2000,
        bytes: 1 << 24,
    };
    let state = State::founded_by(id(1), 64, limits);
    let header = StateExport::new(&state).piece(0).expect("the header");
    assert!(StateImporter::new(limits).take(&header).is_ok());
    assert_eq!(header[0], 0, "the slot comes first");
    let mut last = vec![253];
    last.extend([0xff; 8]);
    last.extend(&header[1..]);
    assert!(StateImporter::new(limits).take(&last).is_err());

    let world = World::cluster(3, 3);
    let state = world.nodes[&id(1)].state().expect("a copy");
    let mut header = StateExport::new(state).piece(0).expect("the header");
    assert!(StateImporter::new(limits).take(&header).is_ok());
    // Its configuration is of a later slot than the one that it claims to be of.
    assert!((1..=250).contains(&header[0]), "a slot of one byte");
    header[0] = 0;
    assert!(StateImporter::new(limits).take(&header).is_err());
}
