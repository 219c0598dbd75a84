//! Watches: one WAIT after the other, each from the revision after the last answer.

use super::call::Client;
use super::error::Error;
use super::types::Event;
use crate::core::id::Rev;
use crate::core::protocol::client::ErrorCode;

/// All changes that match a pattern, in order, none left out and none told twice, across
/// connections and servers.
pub struct Watch {
    client: Client,
    pattern: String,
    from: Rev,
    has_learned: bool,
}

impl Client {
    /// Watches for changes at or after a revision of paths that a pattern matches. `/**` sees
    /// every revision. Nothing is sent before the first [`Watch::next`].
    pub fn watch(&self, pattern: &str, from: Rev) -> Watch {
        Watch {
            client: self.clone(),
            pattern: pattern.to_owned(),
            from: from.max(Rev(1)),
            has_learned: false,
        }
    }
}

impl Watch {
    /// The next change; waits for it. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`Error::TooLate`] if changes have been forgotten before they were told; what follows can
    /// be had from another watch. Errors of connections are told once no server could be reached
    /// for the time of [`Options::reconnect`](super::Options::reconnect); asking again tries again.
    pub async fn next(&mut self) -> Result<Event, Error> {
        if !self.has_learned {
            // A watch outlives servers: know where else to go before this one is gone.
            self.client.learn_members().await;
            self.has_learned = true;
        }
        match self.client.wait(&self.pattern, self.from).await {
            Ok(event) => {
                self.from = event.rev.max(self.from).next();
                Ok(event)
            }
            Err(Error::Refused(refusal)) if refusal.code == ErrorCode::TooLate => {
                let current = self.client.rev().await?;
                Err(Error::TooLate {
                    from: self.from,
                    current,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The revision from which the next change is looked for.
    pub fn from(&self) -> Rev {
        self.from
    }
}
