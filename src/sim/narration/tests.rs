use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;

use super::filter::Filter;
use super::line::{HEAD, Line, WORDS};
use super::{Cast, Happened, Loss, Narrator, Place, Told};
use crate::core::consensus::{Ballot, Lane, Slot};
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::log::Entry;
use crate::core::node::Node;
use crate::core::protocol::peer::Message;
use crate::sim::run::{Report, run};
use crate::sim::setup::Setup;

/// A run, and its lines.
fn tell(seed: u64, events: RangeInclusive<u64>) -> (Report, Vec<Line>) {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let writer = Rc::clone(&lines);
    let narrator = Narrator::within(events, move |told| {
        writer.borrow_mut().push(Line::of(told));
    });
    let report = run::<Node>(&Setup::from_seed(seed), (), Some(narrator));
    (report, lines.take())
}

#[test]
fn a_run_that_is_told_is_the_run_that_is_not() {
    for seed in 0..6 {
        let (told, lines) = tell(seed, 0..=u64::MAX);
        let untold = run::<Node>(&Setup::from_seed(seed), (), None);
        assert_eq!(told, untold, "seed {seed}");
        assert!(lines.len() as u64 > told.events / 2, "seed {seed}");
    }
}

#[test]
fn a_part_is_told_as_in_the_whole() {
    let (report, all) = tell(1, 0..=u64::MAX);
    let part = report.events / 3..=report.events / 2;
    let (again, lines) = tell(1, part.clone());
    assert_eq!(report, again);
    let within = all.into_iter().filter(|line| part.contains(&line.number));
    assert_eq!(lines, within.collect::<Vec<_>>());
    assert!(!lines.is_empty());
}

#[test]
fn every_word_can_be_filtered_for() {
    let (_, lines) = tell(2, 0..=u64::MAX);
    for line in lines {
        assert!(WORDS.contains(&line.verb), "{line}");
        let kind = line.kind.to_ascii_lowercase();
        assert!(kind.is_empty() || WORDS.contains(&&kind[..]), "{line}");
    }
}

/// What a stage of two processes, and a third that came after the first, says.
fn line(place: Place, what: Happened<'_>) -> Line {
    let ids = [id(0), id(1), id(2)];
    let by_id: BTreeMap<NodeId, usize> = ids.into_iter().zip(0..).collect();
    Line::of(&Told {
        number: 1234,
        time: Time(56_789),
        place,
        what,
        cast: Cast {
            by_id: &by_id,
            names: &[0, 1 << 16, 1],
        },
    })
}

fn id(n: u8) -> NodeId {
    NodeId([n; 10])
}

fn accept() -> Message {
    Message::Accept {
        ballot: Ballot {
            round: 2,
            member: id(2),
        },
        entries: vec![(Slot(17), Entry::Skip), (Slot(18), Entry::Skip)],
        lane: Some(Lane {
            base: Slot(20),
            next: Slot(25),
            used: vec![Slot(22)],
        }),
        applied: Slot(16),
    }
}

#[test]
fn lines_have_columns() {
    let message = accept();
    let sent = line(
        Place::Node(2),
        Happened::Sent {
            to: &[id(0), id(1)],
            message: &message,
            bytes: 99,
        },
    );
    assert_eq!(
        sent.to_string(),
        "   1234      56.789  n0.1   sends     Accept        17..18       2/n0.1       99  to n0,n1: \
         17=skip 18=skip; applied 16; gives up 20..21,23..24"
    );
    assert_eq!(HEAD.find("more"), sent.to_string().find("to n0"));
    let lost = line(
        Place::Node(1),
        Happened::Lost {
            from: 2,
            sent: 1230,
            message: Some(&message),
            loss: Loss::Cut,
        },
    );
    assert_eq!(
        lost.to_string(),
        "   1234      56.789  n1     misses    Accept        17..18       2/n0.1           what n0.1 \
         sent at 1230: the hosts are cut off"
    );
}

#[test]
fn filters_choose_by_slot_process_client_and_kind() {
    let message = accept();
    let to = &[id(0)];
    let sent = Happened::Sent {
        to,
        message: &message,
        bytes: 99,
    };
    let sent = line(Place::Node(2), sent);
    let takes = |filter: &str| {
        let filter: Filter = filter.parse().unwrap_or_else(|e| panic!("{filter}: {e}"));
        filter.takes(&sent)
    };
    for filter in [
        "",
        "slot=17",
        "slot=18",
        "slot=21",
        "node=0",
        "node=n0.1",
        "kind=accept",
        "kind=sends",
        "slot=5,slot=17,node=0,kind=Accept",
    ] {
        assert!(takes(filter), "{filter}");
    }
    for filter in [
        "slot=16",
        "slot=22",
        "node=1",
        "node=0.2",
        "client=1",
        "kind=gets",
        "slot=17,node=1",
    ] {
        assert!(!takes(filter), "{filter}");
    }
    for wrong in [
        "slot",
        "slot=x",
        "node=a",
        "kind=nothing",
        "what=1",
        "slot=1,,",
    ] {
        let error = wrong.parse::<Filter>().expect_err(wrong);
        assert!(error.contains('`'), "{error}");
    }
}
