//! `doozer journal`: follows a cluster and keeps every change.

use std::path::Path;
use std::time::Duration;

use doozer::backup::{Journal, JournalError, Origin, Outlook};
use doozer::client::{Client, Error, Event, Follower};
use doozer::core::id::Rev;
use doozer::core::protocol::client::Report;
use doozer::core::state::restored_file;

use super::progress::Progress;
use super::{counted, now, origin, read};
use crate::args::{self, Flags};
use crate::commands::connect;
use crate::failure::Failure;
use crate::output::Object;

/// Changes in a line of the journal at most, and their bytes: what becomes durable at once.
const BATCH_CHANGES_MAX: usize = 4096;
const BATCH_BYTES_MAX: usize = 4 << 20;

/// How long it waits before it looks for the cluster again.
const PAUSE: Duration = Duration::from_secs(1);

/// Follows a cluster until it is interrupted. It waits for a cluster that cannot be reached.
pub async fn journal(flags: &Flags, options: &args::Journal) -> Result<(), Failure> {
    let dir = Path::new(&options.dir);
    let log_bytes = u64::from(options.log_mebibytes) << 20;
    let (journal, outlook) = Journal::open(dir, log_bytes).map_err(because)?;
    let mut writer = Writer {
        dir,
        journal,
        place: None,
        progress: Progress::telling(),
        json: flags.json,
    };
    if let Some(Outlook { origin, rev, torn }) = outlook {
        if torn > 0 {
            let dir = dir.display();
            writer.progress.line(&format!(
                "{dir}: {torn} bytes at the end were not whole, as after a crash, and are cut off"
            ));
        }
        writer.place = Some((origin, rev));
    }
    let mut has_told = false;
    loop {
        let error = match connect(flags).await {
            Ok(client) => {
                client.learn_members().await;
                has_told = false;
                writer.follow(&client).await
            }
            Err(failure) => failure,
        };
        match error {
            Failure::Client(
                error @ (Error::Unreachable { .. } | Error::Lost { .. } | Error::TimedOut { .. }),
            ) => {
                if !has_told {
                    writer.progress.line(&format!("{error}; it is tried again"));
                    has_told = true;
                }
                tokio::time::sleep(PAUSE).await;
            }
            failure => return Err(failure),
        }
    }
}

struct Writer<'a> {
    dir: &'a Path,
    journal: Journal,
    /// Which cluster the journal follows, and the last revision that it has.
    place: Option<(Origin, Rev)>,
    progress: Progress,
    json: bool,
}

impl Writer<'_> {
    /// Follows the cluster as long as that is possible.
    async fn follow(&mut self, client: &Client) -> Failure {
        loop {
            let result = match self.recognise(client).await {
                Ok((origin, rev)) => self.write(client, &origin, rev).await,
                Err(failure) => return failure,
            };
            match result {
                Failure::Client(Error::TooLate { from, current }) => {
                    self.progress.line(&format!(
                        "revisions from {from} on were forgotten before they were read, as the \
                         journal was not running or could not keep up; the cluster is at {current}"
                    ));
                    if let Err(failure) = self.begin(client).await {
                        return failure;
                    }
                }
                // Another generation: it is looked at again.
                Failure::Client(Error::Foreign { .. }) => {}
                failure => return failure,
            }
        }
    }

    /// Makes sure that it is the cluster that the journal is of, or that the journal may go on with
    /// this one.
    async fn recognise(&mut self, client: &Client) -> Result<(Origin, Rev), Failure> {
        let report = client.report().await?;
        let found = origin(&report);
        match &self.place {
            Some((known, rev)) if *known == found => Ok((found, *rev)),
            None => self.begin(client).await,
            Some((known, rev)) => {
                self.may_go_on(client, known, *rev, &report).await?;
                let text = format!(
                    "the cluster began anew ({}): revisions up to {rev} are of the one before",
                    found.lineage
                );
                self.progress.line(&text);
                self.begin(client).await
            }
        }
    }

    /// A cluster that was founded anew and not restored is empty, and would take the place of what the
    /// journal has saved.
    async fn may_go_on(
        &self,
        client: &Client,
        known: &Origin,
        rev: Rev,
        report: &Report,
    ) -> Result<(), Failure> {
        let is_recovered = report.generation > known.generation;
        let is_restored = || async {
            let mark = client.get(restored_file().as_str()).await?;
            Ok::<bool, Error>(mark.is_some_and(|mark| mark.rev > rev))
        };
        if report.cluster == known.cluster && (is_recovered || is_restored().await?) {
            return Ok(());
        }
        let dir = self.dir.display();
        Err(Failure::Message(format!(
            "{dir} is the journal of \"{}\" ({}) up to revision {rev}, and this cluster, \"{}\" ({}), \
             is another one: restore it first, with doozer restore {dir}, or give another directory",
            known.cluster, known.lineage, report.cluster, report.lineage
        )))
    }

    /// Begins with what the cluster has now.
    async fn begin(&mut self, client: &Client) -> Result<(Origin, Rev), Failure> {
        let (origin, contents) = read(client, None).await?;
        let begun = self.journal.begin(&origin, &contents, now().as_secs());
        begun.map_err(because)?;
        let rev = contents.rev;
        self.place = Some((origin.clone(), rev));
        self.progress.line(&format!(
            "{} of {} at revision {rev} are the new base of {}",
            counted(contents.files.len() as u64),
            origin.cluster,
            self.dir.display()
        ));
        self.tell(rev);
        Ok((origin, rev))
    }

    /// Writes every revision behind this one.
    async fn write(&mut self, client: &Client, origin: &Origin, rev: Rev) -> Failure {
        let mut follower = client.follow(&origin.lineage, rev.next());
        self.progress.line(&format!(
            "following {} from revision {}",
            origin.cluster,
            rev.next()
        ));
        loop {
            let events = match gather(&mut follower).await {
                Ok(events) => events,
                Err(error) => return error.into(),
            };
            let Some(last) = events.last() else { continue };
            let time = now().as_millis() as u64;
            if let Err(error) = self.journal.append(&events, time) {
                return because(error);
            }
            self.place = Some((origin.clone(), last.rev));
            self.tell(last.rev);
        }
    }

    /// Tells which revision is durable. What is saved is worth more than who hears of it: the journal
    /// goes on when nobody can be told.
    fn tell(&mut self, rev: Rev) {
        self.progress.tell(|| format!("revision {rev} is saved"));
        if self.json {
            let object = Object {
                rev: Some(rev.0),
                ..Object::default()
            };
            if let Err(failure) = object.print() {
                let why = match failure {
                    Failure::Message(message) => message,
                    _ => "nobody reads standard output any more".to_owned(),
                };
                self.progress
                    .line(&format!("{why}: revisions are saved without telling"));
                self.json = false;
            }
        }
    }
}

/// The next change, and what else has come by now.
async fn gather(follower: &mut Follower) -> Result<Vec<Event>, Error> {
    let mut events = vec![follower.next().await?];
    let mut bytes = 0;
    while events.len() < BATCH_CHANGES_MAX && bytes < BATCH_BYTES_MAX {
        // What has arrived gets the chance to be read.
        tokio::task::yield_now().await;
        let event = tokio::select! {
            biased;
            event = follower.next() => event,
            () = std::future::ready(()) => break,
        };
        // What came before is saved first; the error comes again.
        let Ok(event) = event else { break };
        bytes += event.path.len();
        if let doozer::client::Change::Set(value) = &event.change {
            bytes += value.len();
        }
        events.push(event);
    }
    Ok(events)
}

fn because(error: JournalError) -> Failure {
    Failure::Message(error.to_string())
}
