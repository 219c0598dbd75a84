//! `doozer restore`: puts a dump, or what a journal says, into a cluster.

use std::io::{self, Read};
use std::path::Path;

use doozer::backup::{Contents, JournalError, Order, Origin, Plan, read_dump, read_journal};
use doozer::client::{Client, Error, Refusal};
use doozer::core::id::Rev;
use doozer::core::protocol::client::{ErrorCode, Step};
use rand::TryRng;
use rand::rngs::SysRng;

use super::progress::Progress;
use super::{counted, now};
use crate::args::{Flags, Restore};
use crate::commands::connect;
use crate::failure::Failure;
use crate::output;

/// How often a step is done again whose outcome is unknown.
const TRIES_MAX: usize = 5;

/// Standard input.
const STDIN: &str = "-";

/// What is restored.
struct Backup {
    origin: Origin,
    contents: Contents,
    /// What is to be said about it.
    notes: Vec<String>,
}

/// Restores a backup, or only reads it.
pub async fn restore(flags: &Flags, options: &Restore) -> Result<(), Failure> {
    // Before connecting: a file that is damaged needs no server to say so.
    let backup = load(options)?;
    for note in &backup.notes {
        eprintln!("{note}");
    }
    let Backup {
        origin, contents, ..
    } = &backup;
    let rev = contents.rev;
    if options.check {
        let cluster = &origin.cluster;
        return output::line(format_args!(
            "whole: {} of {cluster} at revision {rev}",
            counted(contents.files.len() as u64)
        ));
    }
    let client = connect(flags).await?;
    let target = client.report().await?;
    let order = Order {
        id: SysRng
            .try_next_u64()
            .map_err(|error| Failure::Message(format!("no randomness: {error}")))?,
        source: &origin.cluster,
        target: &target.cluster,
        rev: client.present_rev().await?,
        replace: options.replace,
        new_revs: options.new_revs || options.replace,
    };
    let plan = Plan::new(contents, order);
    execute(&client, &plan).await?;
    output::line(format_args!(
        "restored {} of {} as of revision {rev}; the cluster goes on at revision {}",
        counted(plan.files),
        origin.cluster,
        plan.rev
    ))?;
    if plan.skipped > 0 {
        output::line(format_args!(
            "{} were left out: what the servers of that cluster kept of themselves",
            counted(plan.skipped)
        ))?;
    }
    Ok(())
}

async fn execute(client: &Client, plan: &Plan) -> Result<(), Failure> {
    let progress = Progress::to(plan.files, "files sent");
    for step in &plan.steps {
        let mut tries = 1..=TRIES_MAX;
        loop {
            tries.next();
            match client.restore(step.clone()).await {
                Ok(()) => break,
                // Done twice, it is done once.
                Err(Error::OutcomeUnknown { .. } | Error::TimedOut { .. }) if !tries.is_empty() => {
                }
                Err(error) => return Err(explain(error)),
            }
        }
        if let Some(Step::Part(part)) = &step.step {
            progress.advance(part.files.len() as u64);
        }
    }
    Ok(())
}

/// What the cluster says, and what can be done about it.
fn explain(error: Error) -> Failure {
    let Error::Refused(Refusal { code, detail, .. }) = &error else {
        return error.into();
    };
    if *code == ErrorCode::UnknownVerb {
        let text = "the server is of a version that cannot restore: upgrade it";
        return Failure::Message(text.to_owned());
    }
    let detail = detail.as_deref().unwrap_or_default();
    let advice = if detail.starts_with("there are files already") {
        ": to have them replaced, give --replace"
    } else if detail.contains("cannot be kept") {
        ": to give the files a new revision, give --new-revs; or found a new cluster"
    } else {
        return error.into();
    };
    Failure::Message(format!("{detail}{advice}"))
}

fn load(options: &Restore) -> Result<Backup, Failure> {
    let file = options.file.as_deref().unwrap_or(STDIN);
    let path = Path::new(file);
    if path.is_dir() {
        return load_journal(path, options.at.map(Rev)).map_err(because);
    }
    if options.at.is_some() {
        let text = format!("--at is for journals; {file} is a file, and has one revision");
        return Err(Failure::Message(text));
    }
    let mut bytes = Vec::new();
    let read = match file {
        STDIN => io::stdin().lock().read_to_end(&mut bytes).map(drop),
        _ => std::fs::read(path).map(|read| bytes = read),
    };
    read.map_err(|error| Failure::Message(format!("cannot read {file}: {error}")))?;
    let name = if file == STDIN {
        "standard input"
    } else {
        file
    };
    let read = read_dump(&bytes);
    let (origin, contents) =
        read.map_err(|damage| Failure::Message(format!("{name}, {damage}; nothing was restored")))?;
    Ok(Backup {
        origin,
        contents,
        notes: Vec::new(),
    })
}

fn load_journal(path: &Path, at: Option<Rev>) -> Result<Backup, JournalError> {
    let reading = read_journal(path, at)?;
    let mut notes = Vec::new();
    if reading.torn > 0 {
        notes.push(format!(
            "{} bytes at the end of the journal are not whole, as after a crash, and left out",
            reading.torn
        ));
    }
    if let (Some(written), None) = (reading.time, at) {
        let age = (now().as_millis() as u64).saturating_sub(written) / 1000;
        notes.push(format!("the last change was written {age} s ago"));
    }
    Ok(Backup {
        origin: reading.origin,
        contents: reading.contents,
        notes,
    })
}

fn because(error: JournalError) -> Failure {
    Failure::Message(format!("{error}; nothing was restored"))
}
