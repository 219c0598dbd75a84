//! `doozerd repair`: a process whose directory is damaged begins anew, as a standby of its cluster.

use std::path::Path;

use doozer::core::durable::{Identity, Standing};
use doozer::core::id::NodeId;
use doozer::core::store::HistoryLimits;
use doozer::runtime::{DataError, Directory};
use tracing::warn;

use crate::data::DirectoryError;
use crate::flags::Flags;

/// Why a directory is not repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// Nothing is there.
    #[error("{0}: there is nothing to repair; join a cluster with: doozerd join {0} ADDR")]
    Unused(String),
    /// Nothing is wrong.
    #[error(
        "{0}: nothing is wrong with it; start its process with: doozerd --data-dir {0}; to give up \
         what it remembers all the same, and join again as a standby: doozerd repair {0} --force"
    )]
    Sound(String),
    /// Nothing says where to serve.
    #[error(
        "{0}: its identity is lost as well; say who it was: doozerd repair {0} ADDR -l ADDR -c NAME, \
         with the address of another process of the cluster first"
    )]
    Nameless(String),
    /// Nothing says whom to join.
    #[error(
        "{0}: it knows no other process of its cluster; give the address of one: doozerd repair {0} \
         ADDR"
    )]
    Alone(String),
}

/// Sets aside what the directory holds if it is damaged, so that its process joins its cluster
/// again. What was not given is as it was.
pub fn set_aside(
    directory: &Directory,
    path: &Path,
    flags: &mut Flags,
    id: NodeId,
) -> Result<(), DirectoryError> {
    let dir = path.display().to_string();
    let history = HistoryLimits {
        revs: flags.hist,
        bytes: flags.hist_bytes,
    };
    let known = match directory.identity() {
        Ok(None) => return Err(RepairError::Unused(dir).into()),
        Ok(Some(known)) => Some(known),
        Err(error) if error.is_damage() => {
            warn!("{error}");
            None
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(known) = &known
        && !flags.force
        && !is_lost(directory, known, history)?
    {
        return Err(RepairError::Sound(dir).into());
    }
    if known.is_none() && !flags.given.listen {
        return Err(RepairError::Nameless(dir).into());
    }
    if let Some(known) = &known {
        crate::data::complete(flags, known);
    }
    if flags.attach.is_empty() {
        return Err(RepairError::Alone(dir).into());
    }
    let aside = directory.set_aside(&Identity {
        id,
        boot: 0,
        cluster: flags.cluster.clone(),
        listen: flags.listen.clone(),
        advertise: flags.advertise.clone(),
        through: flags.attach.clone(),
        standing: Standing::Joining,
    })?;
    println!(
        "What was in {dir} is in {} now. Delete that when nobody wants to look at it any more.",
        aside.display()
    );
    Ok(())
}

/// Whether the process cannot come back with what is there.
fn is_lost(
    directory: &Directory,
    known: &Identity,
    history: HistoryLimits,
) -> Result<bool, DataError> {
    match known.standing {
        Standing::Outdated => Ok(true),
        Standing::Founding | Standing::Joining => Ok(false),
        Standing::Whole => match directory.examine(known.id, history) {
            Ok(()) => Ok(false),
            Err(error) if error.is_damage() => {
                warn!("{error}");
                Ok(true)
            }
            Err(error) => Err(error),
        },
    }
}
