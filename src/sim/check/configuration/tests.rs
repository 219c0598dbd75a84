use super::*;
use crate::core::log::{Author, Batch, Entry, Op, Run};
use crate::core::store::{Condition, HistoryLimits, Mutation, Path, Value};

const HISTORY: HistoryLimits = HistoryLimits {
    revs: 9,
    bytes: 1 << 20,
};

fn id(n: u8) -> NodeId {
    NodeId([n; 10])
}

/// Process `holder` takes these seats.
fn seat(state: &mut State, holder: u8, seats: &[&str]) {
    let op = |seat: &&str| {
        let path = Path::parse(format!("/ctl/cal/{seat}").as_bytes()).expect("well formed");
        let value = Value(id(holder).to_string().into());
        let mutation = Mutation::Set {
            path,
            value,
            condition: Condition::ANY,
        };
        Op::Mutate {
            mutation,
            author: Author::Server,
        }
    };
    let (origin, first) = (id(1), state.last(id(1)).next());
    let ops = seats.iter().map(op).collect();
    let runs = vec![Run { origin, first, ops }];
    state.apply(
        state.applied().next(),
        &Entry::Batch(Batch { runs }.into()),
        |_, _| {},
    );
}

#[test]
fn a_configuration_that_others_do_not_know_is_found() {
    let mut configuration = Configuration::default();
    let mut one = State::founded_by(id(1), 16, HISTORY);
    let mut other = one.clone();
    assert_eq!(configuration.check(id(1), &one), Ok(()));
    seat(&mut one, 1, &["0"]);
    assert_eq!(configuration.check(id(1), &one), Ok(()));
    seat(&mut one, 2, &["1"]);
    assert_eq!(configuration.check(id(1), &one), Ok(()));
    assert_eq!(
        configuration.at(Slot(17)).map(|epoch| epoch.members.len()),
        Some(1)
    );
    assert_eq!(
        configuration.at(Slot(18)).map(|epoch| epoch.members.len()),
        Some(2)
    );
    for holder in [1, 3] {
        seat(&mut other, holder, &[&holder.to_string()]);
    }
    assert!(configuration.check(id(2), &other).is_err(), "other members");
    let stranger = State::founded_by(id(9), 16, HISTORY);
    assert!(
        configuration.check(id(9), &stranger).is_err(),
        "another founder"
    );
    let mut ignorant = State::founded_by(id(1), 16, HISTORY);
    for _ in 0..2 {
        let slot = ignorant.applied().next();
        ignorant.apply(slot, &Entry::Skip, |_, _| {});
    }
    assert!(
        configuration.check(id(2), &ignorant).is_err(),
        "it misses one"
    );
}

#[test]
fn a_configuration_that_came_and_went_in_one_turn_of_the_fastest_may_be_shown_by_others() {
    let mut configuration = Configuration::default();
    let mut fast = State::founded_by(id(1), 16, HISTORY);
    assert_eq!(configuration.check(id(1), &fast), Ok(()));
    seat(&mut fast, 1, &["0"]);
    seat(&mut fast, 2, &["1"]);
    let mut slow = fast.clone();
    let mut other = fast.clone();
    seat(&mut fast, 3, &["2"]);
    for _ in 0..17 {
        let slot = fast.applied().next();
        fast.apply(slot, &Entry::Skip, |_, _| {});
    }
    assert_eq!(fast.epochs().iter().count(), 1, "it has only the last one");
    assert_eq!(configuration.check(id(1), &fast), Ok(()));
    assert_eq!(configuration.check(id(2), &slow), Ok(()), "it shows more");
    seat(&mut slow, 3, &["2"]);
    assert_eq!(configuration.check(id(2), &slow), Ok(()));
    seat(&mut other, 4, &["2"]);
    assert!(configuration.check(id(3), &other).is_err(), "other members");
}

#[test]
fn a_process_with_two_seats_is_found_and_so_are_members_without_a_seat() {
    let mut state = State::founded_by(id(1), 16, HISTORY);
    assert_eq!(check_seats(id(1), &state), Ok(()));
    seat(&mut state, 1, &["0"]);
    assert_eq!(check_seats(id(1), &state), Ok(()));
    let settled = state.clone();
    seat(&mut state, 1, &["1"]);
    assert!(check_seats(id(1), &state).is_err());
    let mut state = settled;
    state.store_mut().apply(&Mutation::Set {
        path: Path::parse(b"/ctl/cal/1").expect("well formed"),
        value: Value(id(2).to_string().into()),
        condition: Condition::ANY,
    });
    assert!(
        check_seats(id(1), &state).is_err(),
        "a holder that is no member"
    );
}
