use super::*;
use crate::core::durable::Record;
use crate::core::env::RecordId;
use crate::core::log::{Author, Batch, Run};
use crate::core::state::State;
use crate::core::store::HistoryLimits;

const HISTORY: HistoryLimits = HistoryLimits {
    revs: 9,
    bytes: 1 << 20,
};

fn id(n: u8) -> NodeId {
    NodeId([n; 10])
}

fn nops(seq: u64, count: usize) -> Entry {
    let op = Op::Mutate {
        mutation: Mutation::Nop,
        author: Author::Client,
    };
    let run = Run {
        origin: id(1),
        first: Seq(seq),
        ops: vec![op; count],
    };
    Entry::Batch(Batch { runs: vec![run] }.into())
}

/// A cluster whose only member is process 1.
struct Alone {
    acceptors: Acceptors,
    configuration: Configuration,
    decisions: Decisions,
}

impl Alone {
    fn new() -> Alone {
        let mut configuration = Configuration::default();
        let state = State::founded_by(id(1), 16, HISTORY);
        assert_eq!(configuration.check(id(1), &state), Ok(()));
        let (acceptors, decisions) = (Acceptors::default(), Decisions::default());
        Alone {
            acceptors,
            configuration,
            decisions,
        }
    }

    fn accept(&mut self, record: u64, slot: u64, ballot: Ballot, entry: &Entry) {
        let (slot, entry) = (Slot(slot), entry.clone());
        let record_of = Record::Accepted {
            slot,
            ballot,
            entry,
        };
        let (who, at) = (id(1), RecordId(record));
        assert_eq!(self.acceptors.recorded(who, at, record_of), Ok(()));
        assert_eq!(self.acceptors.durable(who, at, |_, _| Ok(())), Ok(()));
    }

    fn decide(&mut self, node: u8, slot: u64, entry: &Entry) -> Result<(), Violation> {
        let Alone {
            acceptors,
            configuration,
            decisions,
        } = self;
        decisions.check(
            id(node),
            Slot(slot),
            entry.clone(),
            acceptors,
            configuration,
        )
    }
}

#[test]
fn an_outcome_needs_a_majority_and_its_owner() {
    let own = Ballot::of_owner(id(1));
    let mut alone = Alone::new();
    assert!(
        alone.decide(1, 1, &nops(1, 1)).is_err(),
        "nobody proposed it"
    );
    alone.accept(1, 1, own, &nops(1, 1));
    assert!(alone.decide(1, 1, &nops(2, 1)).is_err(), "it is another");
    assert!(
        alone.decide(1, 1, &Entry::Skip).is_err(),
        "a majority accepted something"
    );
    assert_eq!(alone.decide(1, 1, &nops(1, 1)), Ok(()));
    assert!(
        alone.decide(2, 1, &Entry::Skip).is_err(),
        "another outcome elsewhere"
    );
    assert_eq!(alone.decide(2, 1, &nops(1, 1)), Ok(()));

    let taken = Ballot {
        round: 1,
        member: id(2),
    };
    alone.accept(2, 2, taken, &nops(2, 1));
    assert!(
        alone.decide(2, 2, &nops(2, 1)).is_err(),
        "the owner never proposed it"
    );

    let stranger = Ballot::of_owner(id(2));
    let mut alone = Alone::new();
    alone.accept(1, 1, stranger, &nops(1, 1));
    assert!(
        alone.decide(1, 1, &nops(1, 1)).is_err(),
        "it is not the owner"
    );
}

#[test]
fn a_skip_needs_a_reason() {
    let mut alone = Alone::new();
    assert!(alone.decide(2, 1, &Entry::Skip).is_err());
    assert_eq!(alone.decide(1, 1, &Entry::Skip), Ok(()), "the owner knows");
    let taken = Ballot {
        round: 1,
        member: id(2),
    };
    alone.accept(1, 2, taken, &Entry::Skip);
    assert_eq!(alone.decide(2, 2, &Entry::Skip), Ok(()));
}

#[test]
fn a_second_majority_is_found_though_nobody_learns_of_it() {
    let mut alone = Alone::new();
    alone.accept(1, 1, Ballot::of_owner(id(1)), &nops(1, 1));
    assert_eq!(alone.decide(1, 1, &nops(1, 1)), Ok(()));
    let late = |alone: &Alone| {
        alone
            .decisions
            .check_late(Slot(1), &alone.acceptors, &alone.configuration)
    };
    assert_eq!(late(&alone), Ok(()));
    let taken = Ballot {
        round: 1,
        member: id(2),
    };
    alone.accept(2, 1, taken, &Entry::Skip);
    assert!(late(&alone).is_err());
}

#[test]
fn commands_that_come_twice_or_too_early_take_no_revision() {
    let own = Ballot::of_owner(id(1));
    let mut alone = Alone::new();
    for (slot, entry) in [nops(1, 2), nops(2, 2), nops(9, 1)].iter().enumerate() {
        let slot = slot as u64 + 1;
        alone.accept(slot, slot, own, entry);
        assert_eq!(alone.decide(1, slot, entry), Ok(()));
    }
    let mut shows = |slot, rev| alone.decisions.check_rev(id(1), Slot(slot), Rev(rev));
    assert_eq!(shows(1, 2), Ok(()));
    assert!(shows(2, 4).is_err(), "one of them had taken effect before");
    assert!(shows(3, 4).is_err(), "the last does not follow");
    assert_eq!(shows(3, 3), Ok(()));
}
