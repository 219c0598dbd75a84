//! The verbs of the protocol, one method each.

use bytes::Bytes;
use prost::Message;

use super::call::Client;
use super::error::{Error, describe};
use super::types::{Condition, Entry, Event, File, Stat, revision, signed, text};
use crate::core::id::Rev;
use crate::core::protocol::client::{
    ErrorCode, REV_DIR, REV_MISSING, Report, Request, Response, Verb,
};

impl Client {
    /// Reads a file; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Isdir`] if a directory is there; [`ErrorCode::TooLate`] if the revision of
    /// [`Client::at`] is forgotten.
    pub async fn get(&self, path: &str) -> Result<Option<File>, Error> {
        let request = self.read(Verb::Get, path);
        let response = self.call(request.clone()).await?;
        let rev = sound(&request, revision(&response))?;
        let value = response.value.unwrap_or_default();
        Ok((rev != Rev(0)).then_some(File { rev, value }))
    }

    /// Writes a file, and gives the revision that this took.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::RevMismatch`] if the condition does not hold, [`ErrorCode::BadPath`],
    /// [`ErrorCode::Notdir`], [`ErrorCode::Isdir`]; [`Error::OutcomeUnknown`] if it cannot be
    /// told whether it happened; [`Error::NoMember`] if only standbys are there.
    pub async fn set(
        &self,
        path: &str,
        value: impl Into<Bytes>,
        condition: Condition,
    ) -> Result<Rev, Error> {
        let request = Request {
            value: Some(value.into()),
            rev: Some(condition.number()),
            exact: condition.is_exact().then_some(true),
            force: self.view.force,
            ..about(Verb::Set, path)
        };
        let response = self.call(request.clone()).await?;
        sound(&request, revision(&response))
    }

    /// Deletes a file. One that is missing is deleted already, unless just one revision of it was to go.
    ///
    /// # Errors
    ///
    /// As [`Client::set`].
    pub async fn del(&self, path: &str, condition: Condition) -> Result<(), Error> {
        let request = Request {
            rev: Some(condition.number()),
            exact: condition.is_exact().then_some(true),
            force: self.view.force,
            ..about(Verb::Del, path)
        };
        self.call(request).await.map(drop)
    }

    /// A revision at which everything can be seen that was acknowledged before; with
    /// [`Client::local`] set, the current revision of the server's own copy, which may be behind.
    ///
    /// # Errors
    ///
    /// Only those of connections and time limits.
    pub async fn present_rev(&self) -> Result<Rev, Error> {
        if self.view.local != Some(true) {
            // Servers answer REV from their own copy. One that has answered a linearizable read
            // has caught up; if the connection changes in between, the other one may not have.
            let client = self.unpinned();
            loop {
                let before = client.connected_to().await;
                client.stat("/").await?;
                let rev = client.rev().await?;
                if before.is_some() && client.connected_to().await == before {
                    return Ok(rev);
                }
            }
        }
        self.rev().await
    }

    /// The current revision of the server's own copy of the store, which may be behind those of
    /// others; see [`Client::present_rev`].
    ///
    /// # Errors
    ///
    /// Only those of connections and time limits.
    pub async fn rev(&self) -> Result<Rev, Error> {
        let request = Request {
            local: self.view.local,
            ..plain(Verb::Rev)
        };
        let response = self.call(request.clone()).await?;
        sound(&request, revision(&response))
    }

    /// Takes a revision and changes nothing: a barrier behind all writes before it.
    ///
    /// # Errors
    ///
    /// As [`Client::set`].
    pub async fn nop(&self) -> Result<(), Error> {
        self.call(plain(Verb::Nop)).await.map(drop)
    }

    /// The first change at or after a revision of a path that the pattern matches. Waits for it
    /// without limit, unless [`Client::within`] sets one.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::TooLate`] if changes from that revision on are forgotten;
    /// [`ErrorCode::Other`] if the pattern is none.
    pub async fn wait(&self, pattern: &str, from: Rev) -> Result<Event, Error> {
        let request = Request {
            rev: Some(signed(from)),
            ..about(Verb::Wait, pattern)
        };
        let response = self.call(request.clone()).await?;
        sound(&request, Event::read(response))
    }

    /// The n-th file, from 0, that a pattern matches; `None` if there are fewer. To get many,
    /// [`Client::walk_all`] is faster.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Other`] if the pattern is none; [`ErrorCode::TooLate`].
    pub async fn walk(&self, pattern: &str, offset: u32) -> Result<Option<Entry>, Error> {
        let request = self.nth(Verb::Walk, pattern, offset);
        match in_range(self.call(request.clone()).await)? {
            None => Ok(None),
            Some(response) => sound(&request, entry(response)).map(Some),
        }
    }

    /// The name of the n-th entry, from 0, of a directory; `None` if there are fewer. To get
    /// many, [`Client::names`] is faster.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Noent`], [`ErrorCode::Notdir`], [`ErrorCode::TooLate`].
    pub async fn getdir(&self, path: &str, offset: u32) -> Result<Option<String>, Error> {
        let request = self.nth(Verb::Getdir, path, offset);
        match in_range(self.call(request.clone()).await)? {
            None => Ok(None),
            Some(response) => sound(&request, text(response.path)).map(Some),
        }
    }

    /// What is at a path.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::TooLate`] if the revision of [`Client::at`] is forgotten.
    pub async fn stat(&self, path: &str) -> Result<Stat, Error> {
        let request = self.read(Verb::Stat, path);
        let response = self.call(request.clone()).await?;
        let len = u32::try_from(response.len.unwrap_or(0)).unwrap_or(0);
        match response.rev {
            Some(REV_MISSING) => Ok(Stat::Missing),
            Some(REV_DIR) => Ok(Stat::Dir { entries: len }),
            _ => {
                let rev = sound(&request, revision(&response))?;
                Ok(Stat::File { rev, len })
            }
        }
    }

    /// The id of the server that the client is connected to.
    ///
    /// # Errors
    ///
    /// Only those of connections and time limits.
    pub async fn self_id(&self) -> Result<String, Error> {
        let request = plain(Verb::Self_);
        let response = self.call(request.clone()).await?;
        let id = response.value.ok_or("no id");
        let id =
            id.and_then(|id| String::from_utf8(id.into()).map_err(|_| "an id that is no text"));
        sound(&request, id)
    }

    /// Asks the server to make a new cluster of what it remembers, as the majority of its members is
    /// lost for good. Gives, in words, what that comes to; it is done only if it is `confirmed`. With
    /// `force` it is done although the server would advise against it.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Other`] with the reason why the server would not do it;
    /// [`Error::OutcomeUnknown`].
    pub async fn recover(&self, force: bool, confirmed: bool) -> Result<String, Error> {
        let request = Request {
            force: force.then_some(true),
            value: confirmed.then_some(Bytes::from_static(b"yes")),
            ..plain(Verb::Recover)
        };
        let plan = self.call(request.clone()).await?.value.ok_or("no plan");
        let plan = plan
            .and_then(|plan| String::from_utf8(plan.into()).map_err(|_| "a plan that is no text"));
        sound(&request, plan)
    }

    /// Presents a secret, on this connection and on every later one.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Other`] with "permission denied" if the server does not know it.
    pub async fn access(&self, secret: impl Into<Bytes>) -> Result<(), Error> {
        let secret = secret.into();
        let request = Request {
            value: Some(secret.clone()),
            ..plain(Verb::Access)
        };
        self.call(request).await?;
        self.keep_secret(secret);
        Ok(())
    }

    /// The same error, and where it is a revision that does not match, what is there instead.
    /// Asks the server; an error on the way changes nothing.
    pub async fn explain(&self, error: Error) -> Error {
        match error {
            Error::Refused(mut refusal) if refusal.code == ErrorCode::RevMismatch => {
                if let Some(path) = &refusal.path {
                    refusal.found = self.stat(path).await.ok();
                }
                Error::Refused(refusal)
            }
            other => other,
        }
    }

    fn read(&self, verb: Verb, path: &str) -> Request {
        Request {
            rev: self.view.at.map(signed),
            local: self.view.local,
            ..about(verb, path)
        }
    }

    pub(super) fn nth(&self, verb: Verb, path: &str, offset: u32) -> Request {
        Request {
            offset: Some(i32::try_from(offset).unwrap_or(i32::MAX)),
            ..self.read(verb, path)
        }
    }
}

pub(super) fn plain(verb: Verb) -> Request {
    Request {
        verb: Some(verb as i32),
        ..Request::default()
    }
}

fn about(verb: Verb, path: &str) -> Request {
    Request {
        path: Some(Bytes::copy_from_slice(path.as_bytes())),
        ..plain(verb)
    }
}

/// Asks a server what it knows of its cluster.
pub(super) fn status_request() -> Request {
    plain(Verb::Status)
}

/// Reads an answer to STATUS.
pub(super) fn report_in(request: &Request, response: Response) -> Result<Report, Error> {
    let value = response.value.unwrap_or_default();
    let report = Report::decode(value).map_err(|_| "no report");
    sound(request, report)
}

/// Reads an answer to WALK, or says what is wrong with it.
pub(super) fn entry(response: Response) -> Result<Entry, &'static str> {
    let rev = revision(&response)?;
    Ok(Entry {
        path: text(response.path)?,
        rev,
        value: response.value.unwrap_or_default(),
    })
}

/// RANGE tells the end, which is no error.
pub(super) fn in_range(answer: Result<Response, Error>) -> Result<Option<Response>, Error> {
    match answer {
        Ok(response) => Ok(Some(response)),
        Err(Error::Refused(refusal)) if refusal.code == ErrorCode::Range => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn sound<T>(request: &Request, read: Result<T, &'static str>) -> Result<T, Error> {
    read.map_err(|found| Error::Nonsense {
        what: describe(request),
        found,
    })
}
