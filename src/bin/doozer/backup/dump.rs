//! `doozer dump`: all files at one revision, as lines of text.

use std::io::{IsTerminal, stderr};

use doozer::backup::encode_dump;
use doozer::client::Client;
use doozer::core::id::Rev;

use super::{counted, now, read};
use crate::args::Flags;
use crate::failure::Failure;
use crate::output;

/// Prints a dump.
pub async fn dump(client: &Client, flags: &Flags) -> Result<(), Failure> {
    let rev = u64::try_from(flags.rev).ok().map(Rev);
    let (origin, contents) = read(client, rev).await?;
    let text = encode_dump(&origin, &contents, now().as_secs());
    output::bytes(&text).map_err(|failure| match failure {
        // Whoever believes that there is a backup has to know.
        Failure::BrokenPipe => Failure::Message(
            "standard output was closed before all of the dump was written: it is no backup".into(),
        ),
        failure => failure,
    })?;
    if stderr().is_terminal() {
        let (files, rev) = (counted(contents.files.len() as u64), contents.rev);
        eprintln!("{files} of {} at revision {rev}", origin.cluster);
    }
    Ok(())
}
