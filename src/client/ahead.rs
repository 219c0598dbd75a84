//! Requests that are sent ahead of the answers, on one connection.

use std::collections::VecDeque;

use super::connection::{Connection, Lost, Pending};
use crate::core::protocol::client::{Request, Response};

/// Requests under way, in the order in which their answers are wanted.
#[derive(Default)]
pub(super) struct Ahead {
    window: VecDeque<Pending>,
}

impl Ahead {
    /// Sends until `width` requests are under way, `request` being the n-th from the front, and waits
    /// for the answer of the first. That one stays in front until [`Ahead::advance`]: dropping the
    /// future loses nothing.
    pub(super) async fn first(
        &mut self,
        connection: &Connection,
        width: usize,
        request: impl Fn(usize) -> Request,
    ) -> Result<Response, Lost> {
        while self.window.len() < width {
            match connection.start(request(self.window.len())).await {
                Ok(pending) => self.window.push_back(pending),
                // The answers before it may still be there.
                Err(_) if !self.window.is_empty() => break,
                Err(lost) => return Err(lost),
            }
        }
        match self.window.front_mut() {
            Some(first) => first.answer().await,
            None => Err(Lost::Unsent),
        }
    }

    /// The answer of the first has been taken.
    pub(super) fn advance(&mut self) {
        self.window.pop_front();
    }

    /// Wants none of the answers any more.
    pub(super) fn clear(&mut self) {
        self.window.clear();
    }
}
