use std::cell::RefCell;
use std::rc::Rc;

use super::account::Account;
use super::verdict::{Basis, Reason};
use crate::core::consensus::Slot;
use crate::core::instrument::mutant::Mutant;
use crate::core::log::Entry;
use crate::core::node::Node;
use crate::sim::mutants::Planted;
use crate::sim::narration::Narrator;
use crate::sim::run::{Report, run};
use crate::sim::setup::Setup;

/// Slots that accounts are kept of.
const SLOTS: u64 = 120;
/// Seeds in which something is looked for.
const SEEDS: u64 = 60;
/// Runs with more events take too long to be looked at slot by slot.
const EVENTS_MAX: u64 = 12_000;
/// What an account says of what must not be.
const NOT_ALLOWED: &str = "NOT ALLOWED";

/// A run, and the accounts of its first slots.
fn accounts(seed: u64, mutant: Option<Mutant>) -> (Report, Vec<Account>) {
    let accounts: Vec<Account> = (1..=SLOTS).map(|slot| Account::new(Slot(slot))).collect();
    let accounts = Rc::new(RefCell::new(accounts));
    let keeper = Rc::clone(&accounts);
    let narrator = Narrator::within(0..=EVENTS_MAX, move |told| {
        for account in keeper.borrow_mut().iter_mut() {
            account.take(told);
        }
    });
    let _planted = Planted::new(mutant);
    let report = run::<Node>(&Setup::from_seed(seed), (), Some(narrator));
    (report, accounts.take())
}

#[test]
fn what_healthy_nodes_decide_is_allowed_and_all_reasons_come_about() {
    let (mut by_majority, mut given_up, mut skipped, mut adopted, mut asked) = (0, 0, 0, 0, 0);
    for seed in 0..SEEDS {
        for account in accounts(seed, None).1 {
            let text = account.to_string();
            assert!(!text.contains(NOT_ALLOWED), "seed {seed}: {text}");
            let decisions = account.decisions();
            assert!(
                account.learned.is_empty() || !decisions.is_empty(),
                "seed {seed}: {text}"
            );
            for decision in decisions {
                match decision.reason {
                    Reason::Majority { .. } => by_majority += 1,
                    Reason::GivenUp => given_up += 1,
                }
            }
            for ballot in account.attempts.keys() {
                match account.basis(*ballot) {
                    Some(Basis::NothingAccepted(_)) => skipped += 1,
                    Some(Basis::Adopted { .. }) => adopted += 1,
                    Some(Basis::Owner | Basis::None(_)) | None => {}
                }
            }
            asked += usize::from(text.contains(" asked for it as #"));
        }
        if [by_majority, given_up, skipped, adopted, asked]
            .iter()
            .all(|n| *n > 0)
            && seed >= 10
        {
            return;
        }
    }
    panic!(
        "not all came about: {by_majority} by majority, {given_up} given up, {skipped} skipped, \
         {adopted} adopted, {asked} asked for by clients"
    );
}

/// The accounts of the first run that fails with a bug planted and shows what is wrong.
fn finds(mutant: Mutant, what: &str) {
    let objects = |seed: u64| {
        let (report, accounts) = accounts(seed, Some(mutant));
        report.violation.is_some() && accounts.iter().any(|one| one.to_string().contains(what))
    };
    assert!(
        (0..SEEDS).any(objects),
        "no account of a run with {mutant} says: {what}"
    );
}

#[test]
fn an_account_shows_where_a_planted_bug_breaks_the_rules() {
    finds(
        Mutant::RevokerIgnoresAccepted,
        "tells of another entry, accepted at",
    );
    finds(Mutant::QuorumOfHalf, "nothing decides it, and yet");
    finds(
        Mutant::OnePromiseTooFew,
        "promises of members by then, and needs",
    );
}

#[test]
fn an_account_knows_who_applied_what() {
    let (_, accounts) = accounts(4, None);
    let known = accounts
        .iter()
        .filter(|account| !account.learned.is_empty());
    let mut batches = 0;
    for account in known {
        let first = account
            .decisions()
            .into_iter()
            .next()
            .expect("it is decided");
        batches += usize::from(first.entry != Entry::Skip);
        for learned in &account.learned {
            if let Some((_, entry, _)) = &learned.knew {
                assert_eq!(*entry, first.entry, "{account}");
            }
        }
    }
    assert!(batches > 0);
}
