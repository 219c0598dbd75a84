//! Why a slot holds what it holds: an account of everything that nodes said and recorded of it.
//!
//! The account is kept from what passes between a node and its world (messages, records, syncs) and
//! from what each node knows after each turn, never from what the protocol would have it do.
//! `verdict` finds in it what decided the slot, and whether that was allowed.

mod account;
mod text;
mod verdict;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;

use super::narration::Narrator;
use crate::core::consensus::Slot;

pub use account::Account;

/// An account of a slot, which grows while a run is told, and the narrator that does so.
pub fn listen(slot: Slot) -> (Rc<RefCell<Account>>, Narrator) {
    let account = Rc::new(RefCell::new(Account::new(slot)));
    let keeper = Rc::clone(&account);
    let narrator = Narrator::new(move |told| keeper.borrow_mut().take(told));
    (account, narrator)
}
