//! Many files at a time, and putting them back.

use prost::Message;

use super::call::Client;
use super::error::Error;
use super::types::{Entry, revision, text};
use super::verbs::{plain, report_in, sound, status_request};
use crate::core::id::Rev;
use crate::core::protocol::client::{Files, Report, Request, Restoration, Verb};

/// Files that a pattern matches, as many as an answer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The revision that was read.
    pub rev: Rev,
    /// The files, depth first; none behind the last.
    pub files: Vec<Entry>,
}

impl Client {
    /// Files that a pattern matches, from the n-th on, counted from 0: as many as the server puts into
    /// an answer, about a quarter of a mebibyte.
    ///
    /// # Errors
    ///
    /// As [`Client::walk`], but none behind the last file;
    /// [`ErrorCode::UnknownVerb`](crate::core::protocol::client::ErrorCode::UnknownVerb) from servers of
    /// older versions.
    pub async fn files(&self, pattern: &str, offset: u32) -> Result<Page, Error> {
        let request = self.nth(Verb::Files, pattern, offset);
        let response = self.call(request.clone()).await?;
        let rev = sound(&request, revision(&response))?;
        let value = response.value.unwrap_or_default();
        let files = sound(&request, Files::decode(value).map_err(|_| "no files"))?;
        let read = files.files.into_iter().map(|file| {
            Ok(Entry {
                path: text(Some(file.path))?,
                rev: Rev(file.rev),
                value: file.value,
            })
        });
        let files = sound(&request, read.collect())?;
        Ok(Page { rev, files })
    }

    /// Does a step of restoring a backup. Steps that bring files, and the last one, may be done again
    /// where the outcome is unknown.
    ///
    /// # Errors
    ///
    /// As [`Client::set`]; [`ErrorCode::Other`](crate::core::protocol::client::ErrorCode::Other) with
    /// the reason where the step does not fit the state of the cluster.
    pub async fn restore(&self, step: Restoration) -> Result<(), Error> {
        let request = Request {
            value: Some(step.encode_to_vec().into()),
            ..plain(Verb::Restore)
        };
        self.call(request).await.map(drop)
    }

    /// What the server knows of its cluster.
    ///
    /// # Errors
    ///
    /// Only those of connections and time limits.
    pub async fn report(&self) -> Result<Report, Error> {
        let request = status_request();
        let response = self.call(request.clone()).await?;
        report_in(&request, response)
    }
}
