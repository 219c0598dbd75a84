//! Backups: `doozer dump`, `doozer restore`, `doozer journal`.

mod dump;
mod journal;
mod progress;
mod restore;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doozer::backup::{Contents, Origin};
use doozer::client::{Client, Error};
use doozer::core::id::Rev;
use doozer::core::protocol::client::{ErrorCode, Report};
use doozer::core::store::Path;

pub use dump::dump;
pub use journal::journal;
pub use restore::restore;

use crate::failure::Failure;
use progress::Progress;

/// How often contents are read again when their revision was forgotten meanwhile.
const TRIES_MAX: usize = 5;

/// Every file.
const ALL: &str = "/**";

/// All files at one revision, the present one if none is given.
async fn read(client: &Client, rev: Option<Rev>) -> Result<(Origin, Contents), Failure> {
    let mut tries = 1..=TRIES_MAX;
    loop {
        tries.next();
        let before = origin(&client.report().await?);
        let result = read_once(client, rev).await;
        match result {
            // The history moved past the revision while it was read.
            Err(Error::Refused(refusal))
                if refusal.code == ErrorCode::TooLate && rev.is_none() && !tries.is_empty() => {}
            result => {
                let contents = result?;
                // Pages of two clusters do not make one backup.
                if origin(&client.report().await?) == before || tries.is_empty() {
                    return Ok((before, contents));
                }
            }
        }
    }
}

async fn read_once(client: &Client, rev: Option<Rev>) -> Result<Contents, Error> {
    let rev = match rev {
        Some(rev) => rev,
        None => client.present_rev().await?,
    };
    let client = client.at(rev);
    let progress = Progress::counting("files read");
    let mut contents = Contents {
        rev,
        ..Contents::default()
    };
    loop {
        let offset = u32::try_from(contents.files.len()).unwrap_or(u32::MAX);
        let page = client.files(ALL, offset).await?;
        if page.files.is_empty() {
            return Ok(contents);
        }
        for file in page.files {
            let path = Path::parse(file.path.as_bytes()).map_err(|_| Error::Nonsense {
                what: "FILES".to_owned(),
                found: "a path that is none",
            })?;
            contents.files.insert(path, (file.rev, file.value));
            progress.step();
        }
    }
}

fn origin(report: &Report) -> Origin {
    Origin {
        cluster: report.cluster.clone(),
        lineage: report.lineage.clone(),
        generation: report.generation,
    }
}

/// So many files, in words.
fn counted(files: u64) -> String {
    match files {
        1 => "1 file".to_owned(),
        _ => format!("{files} files"),
    }
}

/// The time since 1970.
fn now() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}
