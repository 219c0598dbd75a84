use super::*;
use crate::core::consensus::Slot;
use crate::core::log::{Batch, Op, Run, Seq};
use crate::core::protocol::peer::{Accepted, Beat, Digest};

const SLOT: Slot = Slot(5);

fn id(n: u8) -> NodeId {
    NodeId([n; 10])
}

fn ballot(round: u32, member: u8) -> Ballot {
    Ballot {
        round,
        member: id(member),
    }
}

fn batch(seq: u64) -> Entry {
    let (origin, first, ops) = (id(1), Seq(seq), vec![Op::Void]);
    let runs = vec![Run { origin, first, ops }];
    Entry::Batch(Batch { runs }.into())
}

fn accepted(ballot: Ballot, entry: Entry) -> Record {
    Record::Accepted {
        slot: SLOT,
        ballot,
        entry,
    }
}

fn promised(ballot: Ballot) -> Record {
    Record::Promised {
        slots: vec![SLOT],
        ballot,
    }
}

fn votes(ballot: Ballot) -> Message {
    Message::Accepted(Accepted {
        votes: vec![(SLOT, ballot)],
        lane: None,
        applied: Slot(0),
    })
}

fn promise(ballot: Ballot, accepted: Option<(Ballot, Entry)>) -> Message {
    let slots = vec![Promised {
        slot: SLOT,
        accepted,
    }];
    Message::Promise {
        ballot,
        slots,
        decided: Vec::new(),
    }
}

fn proposal(ballot: Ballot, entry: Entry) -> Message {
    let entries = vec![(SLOT, entry)];
    Message::Accept {
        ballot,
        entries,
        lane: None,
        applied: Slot(0),
    }
}

fn beat(base: u64, next: u64, used: &[u64]) -> Message {
    let used = used.iter().map(|slot| Slot(*slot)).collect();
    Message::Beat(Beat {
        lane: Some(Lane {
            base: Slot(base),
            next: Slot(next),
            used,
        }),
        applied: Slot(0),
        digest: Digest(0),
        seen: Slot(0),
        sent_us: 0,
        echo_us: 0,
        majority_us: 0,
        silent: Vec::new(),
    })
}

/// A ledger with its own numbering of records.
#[derive(Default)]
struct Ledger {
    acceptors: Acceptors,
    records: u64,
}

impl Ledger {
    fn write(&mut self, n: u8, record: Record) -> Result<(), Violation> {
        self.records += 1;
        self.acceptors
            .recorded(id(n), RecordId(self.records), record)
    }

    fn sync(&mut self, n: u8) {
        let synced = self
            .acceptors
            .durable(id(n), RecordId(self.records), |_, _| Ok(()));
        assert_eq!(synced, Ok(()));
    }

    fn keep(&mut self, n: u8, record: Record) {
        assert_eq!(self.write(n, record), Ok(()));
        self.sync(n);
    }

    fn say(&mut self, n: u8, message: &Message) -> Result<(), Violation> {
        self.acceptors.said(id(n), message, Slot(1))
    }
}

#[test]
fn a_vote_and_a_promise_are_told_once_they_are_durable() {
    let mut ledger = Ledger::default();
    let own = ballot(0, 1);
    assert!(ledger.say(2, &votes(own)).is_err());
    assert_eq!(ledger.write(2, accepted(own, batch(1))), Ok(()));
    assert!(ledger.say(2, &votes(own)).is_err(), "it is not durable");
    ledger.sync(2);
    assert_eq!(ledger.say(2, &votes(own)), Ok(()));
    assert!(
        ledger.say(3, &votes(own)).is_err(),
        "somebody else accepted it"
    );
    let higher = ballot(1, 3);
    let told = Some((own, batch(1)));
    assert!(ledger.say(2, &promise(higher, told.clone())).is_err());
    ledger.keep(2, promised(higher));
    assert_eq!(ledger.say(2, &promise(higher, told)), Ok(()));
}

#[test]
fn a_promise_hides_nothing_and_makes_nothing_up() {
    let mut ledger = Ledger::default();
    let (own, higher) = (ballot(0, 1), ballot(1, 3));
    ledger.keep(2, accepted(own, batch(1)));
    ledger.keep(2, promised(higher));
    assert!(ledger.say(2, &promise(higher, None)).is_err());
    assert!(
        ledger
            .say(2, &promise(higher, Some((own, batch(2)))))
            .is_err()
    );
    assert_eq!(
        ledger.say(2, &promise(higher, Some((own, batch(1))))),
        Ok(())
    );
}

#[test]
fn nothing_is_accepted_below_a_promise_and_no_ballot_serves_twice() {
    let mut ledger = Ledger::default();
    ledger.keep(2, promised(ballot(2, 3)));
    assert!(ledger.write(2, accepted(ballot(1, 1), batch(1))).is_err());
    assert!(ledger.write(2, promised(ballot(2, 3))).is_err());
    ledger.keep(2, accepted(ballot(2, 3), batch(1)));
    assert!(ledger.write(3, accepted(ballot(2, 3), batch(2))).is_err());
    ledger.keep(3, Record::Round { round: 2 });
    assert!(ledger.write(3, Record::Round { round: 2 }).is_err());
    let prepare = |round| Message::Prepare {
        ballot: ballot(round, 3),
        slots: vec![SLOT],
    };
    assert_eq!(ledger.say(3, &prepare(2)), Ok(()));
    assert!(
        ledger.say(3, &prepare(3)).is_err(),
        "the round is not durable"
    );
}

#[test]
fn a_slot_that_was_given_up_is_not_used() {
    let mut ledger = Ledger::default();
    let own = ballot(0, 1);
    assert!(
        ledger.say(1, &proposal(own, batch(1))).is_err(),
        "nothing is reserved"
    );
    assert!(
        ledger.say(1, &beat(1, 9, &[])).is_err(),
        "nothing is reserved"
    );
    ledger.keep(1, Record::Reserved { below: Slot(20) });
    assert_eq!(ledger.say(1, &beat(1, 5, &[])), Ok(()));
    assert_eq!(ledger.say(1, &proposal(own, batch(1))), Ok(()));
    assert!(
        ledger.say(1, &proposal(own, batch(2))).is_err(),
        "a second entry"
    );
    assert_eq!(ledger.say(1, &beat(3, 9, &[5])), Ok(()));
    assert!(ledger.acceptors.has_given_up(id(1), Slot(4)));
    assert!(!ledger.acceptors.has_given_up(id(1), SLOT));
    assert!(
        ledger.say(1, &beat(3, 9, &[4, 5])).is_err(),
        "4 was given up"
    );
    let six = Record::Accepted {
        slot: Slot(6),
        ballot: own,
        entry: batch(3),
    };
    assert!(ledger.write(2, six).is_err(), "6 was given up");
}

#[test]
fn a_slot_that_was_used_is_not_given_up() {
    let mut ledger = Ledger::default();
    ledger.keep(1, Record::Reserved { below: Slot(20) });
    assert_eq!(ledger.say(1, &proposal(ballot(0, 1), batch(1))), Ok(()));
    assert!(ledger.say(1, &beat(1, 9, &[])).is_err());
}

#[test]
fn an_owner_that_tells_skip_gives_the_slot_up() {
    let mut ledger = Ledger::default();
    let entries = vec![Entry::Skip];
    let learn = Message::Learn {
        from: SLOT,
        entries,
    };
    assert_eq!(ledger.say(1, &learn), Ok(()));
    assert!(ledger.acceptors.has_given_up(id(1), SLOT));
    assert!(ledger.write(2, accepted(ballot(0, 1), batch(1))).is_err());
}
