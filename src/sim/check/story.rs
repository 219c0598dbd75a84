//! Histories by hand, to show checkers what is wrong.

use crate::core::env::Time;
use crate::core::protocol::client::{Request, Response};
use crate::sim::client::{get, set};
use crate::sim::history::Operation;
use crate::sim::model::{Event, Model};

/// A history by hand. Time is the place in the text.
#[derive(Default)]
pub struct Story {
    /// What clients asked and were told.
    pub history: Vec<Operation>,
    /// What really happened.
    pub model: Model,
    now: u64,
}

impl Story {
    /// A client asks, on a connection of its own.
    pub fn begin(&mut self, client: usize, request: Request) -> usize {
        self.now += 1;
        self.history.push(Operation {
            client,
            conn: client,
            request,
            began: Time(self.now),
            ended: None,
            invoked: self.now,
            answer: None,
        });
        self.history.len() - 1
    }

    /// It is answered.
    pub fn end(&mut self, operation: usize, response: Response) {
        self.now += 1;
        self.history[operation].answer = Some((self.now, response));
    }

    /// What it asked for happens. Returns the revision.
    pub fn apply(&mut self, operation: usize) -> i64 {
        let request = &self.history[operation].request;
        let (event, _) = self.model.decide(request, self.model.rev());
        self.model.push(event);
        self.model.rev()
    }

    /// Something happens, allowed or not.
    pub fn force(&mut self, path: &'static str, value: &'static str) -> i64 {
        let flags = crate::core::protocol::client::FLAG_SET;
        let (path, value) = (path.into(), value.into());
        self.model.push(Event { path, value, flags });
        self.model.rev()
    }

    /// A write succeeds at a revision.
    pub fn done(&mut self, operation: usize, rev: i64) {
        let rev = Some(rev);
        self.end(
            operation,
            Response {
                rev,
                ..Response::to(None)
            },
        );
    }

    /// A SET happens and succeeds.
    pub fn sets(&mut self, client: usize, path: &'static str, value: &'static str, rev: i64) {
        let operation = self.begin(client, set(path, value, rev));
        let rev = self.apply(operation);
        self.done(operation, rev);
    }

    /// A GET is answered.
    pub fn reads(&mut self, client: usize, path: &'static str, value: &'static str, rev: i64) {
        let operation = self.begin(client, get(path));
        let (rev, value) = (Some(rev), Some(value.into()));
        self.end(
            operation,
            Response {
                rev,
                value,
                ..Response::to(None)
            },
        );
    }
}
