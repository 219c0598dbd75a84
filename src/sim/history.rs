//! What clients asked and were told, in the order in which it happened.

use bytes::Bytes;

use crate::core::env::Time;
use crate::core::protocol::client::{ErrorCode, Request, Response, Verb};

/// One request of a client.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Who asked.
    pub client: usize,
    /// Over which connection.
    pub conn: usize,
    /// What was asked.
    pub request: Request,
    /// When, in simulated time.
    pub began: Time,
    /// When the answer arrived, in simulated time.
    pub ended: Option<Time>,
    /// When it was asked, in events of the trace.
    pub invoked: u64,
    /// When the answer arrived, in events of the trace, and what it was. `None`: the outcome is
    /// unknown.
    pub answer: Option<(u64, Response)>,
}

/// How a write ended, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect; SET tells its revision.
    Done(Option<i64>),
    /// It was refused by its condition, and took a revision.
    Refused(ErrorCode),
    /// It was turned away before it entered the agreed sequence.
    TurnedAway,
    /// Nobody knows.
    Unknown,
}

impl Operation {
    /// What kind of request it is.
    pub fn verb(&self) -> Option<Verb> {
        self.request.verb.and_then(Verb::from_number)
    }

    /// Whether it is a SET, DEL or NOP.
    pub fn is_write(&self) -> bool {
        matches!(self.verb(), Some(Verb::Set | Verb::Del | Verb::Nop))
    }

    /// The path or pattern asked for.
    pub fn path(&self) -> Bytes {
        self.request.path.clone().unwrap_or_default()
    }

    /// How it ended, if it is a write.
    pub fn outcome(&self) -> Outcome {
        let Some((_, response)) = &self.answer else {
            return Outcome::Unknown;
        };
        match response.error() {
            None => Outcome::Done(response.rev),
            Some(code @ (ErrorCode::RevMismatch | ErrorCode::Isdir | ErrorCode::Notdir)) => {
                Outcome::Refused(code)
            }
            // The node gave up waiting for the cluster; the write may still happen.
            Some(ErrorCode::Other) => Outcome::Unknown,
            Some(_) => Outcome::TurnedAway,
        }
    }
}
