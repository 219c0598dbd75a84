//! Reads: the state that is asked for, and events as they come.

use std::sync::Arc;

use tokio::time::timeout;

use super::access::{Caller, Purpose};
use super::failure::Failure;
use super::feed::Feed;
use super::routes::App;
use crate::client::Client;
use crate::core::id::Rev;

/// The highest revision that may be asked for: the protocol's numbers are signed.
const REV_MAX: u64 = i64::MAX as u64 - 1;

/// A revision that somebody has given.
pub(super) fn rev(number: Option<u64>) -> Result<Rev, Failure> {
    match number {
        Some(rev @ 1..=REV_MAX) => Ok(Rev(rev)),
        _ => Err(Failure::bad_request("a revision is a number from 1 on")),
    }
}

impl App {
    /// A client whose reads are what the parameters ask for: the state at a revision, or that of
    /// this node. Waits for a revision that has not come yet, for as long as requests may take.
    pub(super) async fn reader(
        self: &Arc<Self>,
        caller: Caller,
        at: Option<i64>,
        local: bool,
    ) -> Result<Client, Failure> {
        let mut client = self.access.client(caller, Purpose::Read).await?;
        if let Some(at) = at {
            let at = rev(u64::try_from(at).ok())?;
            self.arrived(&client, at, caller).await?;
            client = client.at(at);
        }
        Ok(match local {
            true => client.local(true),
            false => client,
        })
    }

    async fn arrived(
        self: &Arc<Self>,
        client: &Client,
        at: Rev,
        caller: Caller,
    ) -> Result<(), Failure> {
        let failed = |error| Failure::of(error, caller);
        let present = client.rev().await.map_err(failed)?;
        if at <= present {
            return Ok(());
        }
        // Whoever may not read is told so by the node, and makes no feed.
        client.local(true).stat("/").await.map_err(failed)?;
        let limit = self.access.request_timeout();
        let app = Arc::clone(self);
        let feed = self.watching.spawn(async move { app.feed(caller).await });
        let feed = feed.await;
        let feed = feed.map_err(|error| Failure::unavailable(error.to_string()))??;
        match timeout(limit, feed.reach(at)).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Failure::unavailable(format!(
                "revision {at} has not come within {limit:?}: this node was at {present}"
            ))),
        }
    }

    /// The feed that all share. It is read by whoever began it; all who get here may read. Has to be
    /// called by a task of the thread of those who watch.
    pub(super) async fn feed(&self, caller: Caller) -> Result<Arc<Feed>, Failure> {
        let mut shared = self.shared_feed.lock().await;
        if let Some(feed) = shared.upgrade()
            && !feed.has_ended()
        {
            return Ok(feed);
        }
        let client = self.access.client(caller, Purpose::Watch).await?;
        let feed = Feed::start(client).await;
        let feed = feed.map_err(|error| Failure::of(error, caller))?;
        *shared = Arc::downgrade(&feed);
        Ok(feed)
    }
}
