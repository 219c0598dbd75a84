//! Lists: many requests for one entry each, sent ahead of the answers.

use tokio::time::Instant;

use super::ahead::Ahead;
use super::attempt::{Losses, before, refused};
use super::call::Client;
use super::connection::{Connection, Lost};
use super::error::{Error, describe};
use super::types::{Entry, text};
use super::verbs::{entry, in_range, sound};
use crate::core::id::Rev;
use crate::core::protocol::client::{Request, Response, Verb};

/// Requests under way at a time: enough to hide the round trip, few enough that values of a
/// mebibyte each fit into memory.
const WINDOW_REQUESTS_MAX: usize = 64;
/// Requests under way at first. Most lists are short.
const WINDOW_REQUESTS_MIN: usize = 8;

/// The files that a pattern matches, depth first, at one revision.
pub struct Walk(Listing);

/// The names in a directory, in byte order, at one revision.
pub struct Names(Listing);

/// A list that is being read.
struct Listing {
    client: Client,
    verb: Verb,
    path: String,
    /// Offset of the next entry to give.
    offset: u32,
    connection: Option<Connection>,
    /// Requests for the entries from `offset` on.
    window: Ahead,
    losses: Losses,
    rev: Rev,
}

impl Client {
    /// All files that a pattern matches, at the revision of [`Client::at`] or else the current
    /// one. The values come with them.
    ///
    /// # Errors
    ///
    /// Only those of connections and time limits; others come with the first entry.
    pub async fn walk_all(&self, pattern: &str) -> Result<Walk, Error> {
        Ok(Walk(self.listing(Verb::Walk, pattern).await?))
    }

    /// All names in a directory, at the revision of [`Client::at`] or else the current one.
    ///
    /// # Errors
    ///
    /// Only those of connections and time limits; others come with the first name.
    pub async fn names(&self, path: &str) -> Result<Names, Error> {
        Ok(Names(self.listing(Verb::Getdir, path).await?))
    }

    async fn listing(&self, verb: Verb, path: &str) -> Result<Listing, Error> {
        let rev = match self.view.at {
            Some(rev) => rev,
            None => self.present_rev().await?,
        };
        Ok(Listing {
            client: self.at(rev),
            verb,
            path: path.to_owned(),
            offset: 0,
            connection: None,
            window: Ahead::default(),
            losses: self.losses(),
            rev,
        })
    }
}

impl Walk {
    /// The same list from its n-th file on, counted from 0.
    pub fn skip(mut self, offset: u32) -> Walk {
        self.0.window.clear();
        self.0.offset = offset;
        self
    }

    /// The next file, or `None` at the end.
    ///
    /// # Errors
    ///
    /// As [`Client::walk`].
    pub async fn next(&mut self) -> Result<Option<Entry>, Error> {
        match in_range(self.0.next().await)? {
            None => Ok(None),
            Some(response) => sound(&self.0.request(0), entry(response)).map(Some),
        }
    }

    /// The revision that is listed.
    pub fn rev(&self) -> Rev {
        self.0.rev
    }
}

impl Names {
    /// The same list from its n-th name on, counted from 0.
    pub fn skip(mut self, offset: u32) -> Names {
        self.0.window.clear();
        self.0.offset = offset;
        self
    }

    /// The next name, or `None` at the end.
    ///
    /// # Errors
    ///
    /// As [`Client::getdir`].
    pub async fn next(&mut self) -> Result<Option<String>, Error> {
        match in_range(self.0.next().await)? {
            None => Ok(None),
            Some(response) => sound(&self.0.request(0), text(response.path)).map(Some),
        }
    }

    /// The revision that is listed.
    pub fn rev(&self) -> Rev {
        self.0.rev
    }
}

impl Listing {
    /// The answer for the next entry. When the connection breaks, those that are under way are
    /// asked for again on another one.
    async fn next(&mut self) -> Result<Response, Error> {
        let limit = self.client.limit(self.verb);
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            let begin = Instant::now();
            let answer = match before(deadline, self.answer(deadline)).await {
                None => {
                    // Answers that come later still belong to this window.
                    return Err(Error::TimedOut {
                        what: describe(&self.request(self.offset)),
                        limit: limit.unwrap_or_default(),
                    });
                }
                Some(answer) => answer?,
            };
            match answer {
                Ok(response) => {
                    self.window.advance();
                    let request = self.request(self.offset);
                    self.offset = self.offset.saturating_add(1);
                    return refused(&request, response);
                }
                Err(lost) => {
                    self.window.clear();
                    if let Some(connection) = self.connection.take() {
                        self.client.leave(connection.addr());
                        self.losses.lost(connection.addr(), begin, lost).await?;
                    }
                }
            }
        }
    }

    async fn answer(&mut self, deadline: Option<Instant>) -> Result<Result<Response, Lost>, Error> {
        let connection = match &self.connection {
            Some(connection) => connection.clone(),
            None => {
                let patience = self.losses.patience(deadline);
                let connection = self.client.connection(&[], patience).await?;
                self.connection.insert(connection).clone()
            }
        };
        let width = (self.offset as usize * 2).clamp(WINDOW_REQUESTS_MIN, WINDOW_REQUESTS_MAX);
        let Listing {
            client,
            verb,
            path,
            offset,
            window,
            ..
        } = self;
        let request = |ahead| {
            let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
            Some(client.nth(*verb, path, offset.saturating_add(ahead)))
        };
        Ok(window.first(&connection, width, request).await)
    }

    fn request(&self, offset: u32) -> Request {
        self.client.nth(self.verb, &self.path, offset)
    }
}
