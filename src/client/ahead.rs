//! Requests that are sent ahead of the answers, on one connection.

use std::collections::VecDeque;

use tokio::time::sleep;

use super::attempt::is_crowded_out;
use super::call::PAUSE_MIN;
use super::connection::{Connection, Lost, Pending};
use crate::core::protocol::client::{Request, Response};

/// Requests under way, in the order in which their answers are wanted.
///
/// More are sent when half of them are answered, together. So nothing is sent behind requests that the
/// server has refused because too many were open: when the first of those is in front, those that were
/// open before it are answered, and there is room for it.
pub(super) struct Ahead {
    window: VecDeque<Pending>,
    /// Half of those that were too many for the server the last time.
    most: usize,
}

impl Default for Ahead {
    fn default() -> Ahead {
        Ahead {
            window: VecDeque::new(),
            most: usize::MAX,
        }
    }
}

impl Ahead {
    /// Sends until `width` requests are under way, `request` being the n-th from the front if there is
    /// one, and waits for the answer of the first. That one stays in front until [`Ahead::advance`]:
    /// dropping the future loses nothing. Where the server does not take so many, fewer are sent from
    /// then on.
    pub(super) async fn first(
        &mut self,
        connection: &Connection,
        width: usize,
        request: impl Fn(usize) -> Option<Request>,
    ) -> Result<Response, Lost> {
        loop {
            let width = width.min(self.most);
            if self.window.len() <= width / 2 {
                self.send(connection, width, &request).await?;
            }
            let Some(first) = self.window.front_mut() else {
                return Err(Lost::Unsent);
            };
            let response = first.answer().await?;
            if !is_crowded_out(&response) {
                return Ok(response);
            }
            // Those behind it are refused as well, or nearly all.
            self.window.clear();
            self.most = (width / 2).max(1);
            sleep(PAUSE_MIN).await;
        }
    }

    async fn send(
        &mut self,
        connection: &Connection,
        width: usize,
        request: impl Fn(usize) -> Option<Request>,
    ) -> Result<(), Lost> {
        while self.window.len() < width
            && let Some(request) = request(self.window.len())
        {
            match connection.start(request).await {
                Ok(pending) => self.window.push_back(pending),
                // The answers before it may still be there.
                Err(_) if !self.window.is_empty() => break,
                Err(lost) => return Err(lost),
            }
        }
        Ok(())
    }

    /// Whether the answer of the first is there already.
    pub(super) fn is_there(&self) -> bool {
        self.window.front().is_some_and(Pending::is_there)
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
