//! Clients that come for one thing and go: crowds, and operators.

use std::time::Duration;

use super::{ask, get};
use crate::core::protocol::client::{ErrorCode, Request, Response, Verb};
use crate::sim::chance::Dice;
use crate::sim::params::micros;

/// Sends all its requests at once, and leaves when they have been answered or lost.
#[derive(Debug)]
pub struct Flood {
    unsent: u64,
    open: u64,
    deaf_us: u64,
}

impl Flood {
    /// A client with so many requests, which takes no answers for so many microseconds.
    pub fn new(requests: u64, deaf_us: u64) -> Flood {
        Flood {
            unsent: requests,
            open: 0,
            deaf_us,
        }
    }

    /// How long it takes no answers.
    pub fn deaf(&self) -> Duration {
        micros(self.deaf_us)
    }

    pub(super) fn is_over(&self) -> bool {
        self.unsent == 0 && self.open == 0
    }

    pub(super) fn next(&mut self, dice: &mut Dice) -> Option<Request> {
        self.unsent = self.unsent.checked_sub(1)?;
        self.open += 1;
        Some(match dice.below(6) {
            0 => get("/r/0"),
            1 => Request {
                rev: Some(dice.between(1, 4) as i64),
                ..ask(Verb::Wait, "/**")
            },
            2 => Request {
                offset: Some(0),
                rev: Some(1),
                ..ask(Verb::Walk, "/**")
            },
            3 => Request {
                verb: Some(Verb::Nop as i32),
                ..Request::default()
            },
            4 => Request {
                local: Some(true),
                ..ask(Verb::Stat, "/r")
            },
            _ => Request {
                verb: Some(Verb::Rev as i32),
                ..Request::default()
            },
        })
    }

    pub(super) fn ended(&mut self) {
        self.open -= 1;
    }
}

/// Gives one order, and again if it reached a node that takes none.
#[derive(Debug)]
pub struct Operator {
    order: Option<Request>,
    waits: bool,
}

impl Operator {
    /// An operator with this order.
    pub fn new(order: Request) -> Operator {
        Operator {
            order: Some(order),
            waits: false,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.order.is_none() && !self.waits
    }

    pub(super) fn next(&mut self) -> Option<Request> {
        let order = self.order.take()?;
        self.waits = true;
        Some(order)
    }

    pub(super) fn ended(&mut self, request: &Request, response: Option<&Response>) {
        self.waits = false;
        if response.is_some_and(|response| response.error() == Some(ErrorCode::Readonly)) {
            self.order = Some(Request {
                tag: None,
                ..request.clone()
            });
        }
    }
}
