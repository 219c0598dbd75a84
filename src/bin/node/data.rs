//! The data directory at the start of a process: whom it belongs to, and what it was.

use std::sync::Arc;

use doozer::core::durable::{Identity, Standing};
use doozer::core::id::NodeId;
use doozer::core::node::{Config, Start};
use doozer::core::state::State;
use doozer::runtime::{Data, DataError, Directory, Options};
use tracing::{info, warn};

use crate::dialogue::{self, Unanswered};
use crate::flags::{Flags, Order};
use crate::repair::{self, RepairError};

/// Why a process cannot be started with its data directory.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The directory cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// It belongs to a process of another cluster.
    #[error(
        "-c {now}: the data directory belongs to a process of cluster {was:?}, and a cluster keeps \
         its name; give -c {was} or no -c, or another directory"
    )]
    OtherCluster {
        /// The name it was used with.
        was: String,
        /// The name that was given.
        now: String,
    },
    /// It belongs to a process at another address.
    #[error(
        "{flag} {now}: the process of this data directory was at {was}; give that or no {flag}, or \
         --moved if the process is to have another address from now on"
    )]
    OtherAddress {
        /// The flag.
        flag: &'static str,
        /// The address it was used with.
        was: String,
        /// The address that was given.
        now: String,
    },
    /// Nothing says what to do with an empty directory.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// It cannot be repaired, or need not be.
    #[error(transparent)]
    Repair(#[from] RepairError),
    /// It is to be used for the first time, and was used before.
    #[error(
        "{dir}: it belongs to process {id} of cluster {cluster:?} at {listen} already; start that with: \
         doozerd --data-dir {dir}; or give an empty directory"
    )]
    Used {
        /// The directory.
        dir: String,
        /// Whose it is.
        id: NodeId,
        /// Of which cluster.
        cluster: String,
        /// Where it listens.
        listen: String,
    },
    /// It is to found a cluster, and was told to join one.
    #[error(
        "{dir}: its process was told to join cluster {cluster:?} through {through}, and has not got \
         that far; go on with: doozerd --data-dir {dir}; to found a cluster instead, give an empty \
         directory"
    )]
    Joining {
        /// The directory.
        dir: String,
        /// The cluster.
        cluster: String,
        /// Whom it was told to join.
        through: String,
    },
    /// It is an old copy.
    #[error(
        "{dir}: this is an old copy of the directory of process {id}, which has made promises since \
         that are not in it; start the process with the newest copy, or, where that is lost, let it join \
         its cluster again as a standby: doozerd repair {dir}"
    )]
    Outdated {
        /// The directory.
        dir: String,
        /// Whose it is.
        id: NodeId,
    },
    /// An address that changes with each start cannot be remembered.
    #[error("-l {listen}: with --data-dir, give a port: others look for the process there again")]
    NoFixedPort {
        /// What it was given.
        listen: String,
    },
}

/// A data directory that this process has taken, and whom it belongs to, if to anybody.
pub struct Taken {
    directory: Directory,
    known: Option<Identity>,
}

/// Takes the directory, and completes the flags by what it remembers, or by what a person answers.
/// `id` is that of a process that begins anew.
pub fn take(flags: &mut Flags, id: NodeId) -> Result<Option<Taken>, DirectoryError> {
    let Some(path) = flags.data_dir.clone() else {
        return Ok(None);
    };
    if flags.order == Some(Order::Repair) {
        // Not made where it is not there.
        let directory = path.is_dir().then(|| Directory::open(&path)).transpose()?;
        let unused = || RepairError::Unused(path.display().to_string());
        let directory = directory.ok_or_else(unused)?;
        repair::set_aside(&directory, &path, flags, id)?;
        return taken(directory, flags);
    }
    if flags.says_nothing_of_clusters() && !Directory::is_used(&path)? {
        dialogue::complete(flags, &path)?;
    }
    taken(Directory::open(&path)?, flags)
}

fn taken(directory: Directory, flags: &mut Flags) -> Result<Option<Taken>, DirectoryError> {
    let known = directory.identity()?;
    if let Some(known) = &known {
        check_standing(flags, known)?;
        match known.standing {
            Standing::Founding | Standing::Joining => complete(flags, known),
            Standing::Whole | Standing::Outdated => agree(flags, known)?,
        }
    }
    if flags.listen.ends_with(":0") {
        return Err(DirectoryError::NoFixedPort {
            listen: flags.listen.clone(),
        });
    }
    let known = known.filter(|known| known.standing == Standing::Whole);
    Ok(Some(Taken { directory, known }))
}

/// Whether what is asked for can be done with a directory that has been used.
fn check_standing(flags: &Flags, known: &Identity) -> Result<(), DirectoryError> {
    let dir = flags.data_dir.as_ref();
    let dir = dir.map_or_else(String::new, |dir| dir.display().to_string());
    match (known.standing, flags.order) {
        (Standing::Outdated, _) => Err(DirectoryError::Outdated { dir, id: known.id }),
        (Standing::Whole, Some(Order::Init | Order::Join)) => Err(DirectoryError::Used {
            dir,
            id: known.id,
            cluster: known.cluster.clone(),
            listen: known.listen.clone(),
        }),
        (Standing::Joining, Some(Order::Init)) => Err(DirectoryError::Joining {
            dir,
            cluster: known.cluster.clone(),
            through: known.through.join(", "),
        }),
        _ => Ok(()),
    }
}

/// What was not given is as it was.
pub fn complete(flags: &mut Flags, known: &Identity) {
    if !flags.given.cluster {
        flags.cluster.clone_from(&known.cluster);
    }
    if !flags.given.listen {
        flags.listen.clone_from(&known.listen);
        let was = known.advertise.clone();
        flags.advertise = flags.advertise.take().or(was);
    }
    if flags.attach.is_empty() {
        flags.attach.clone_from(&known.through);
    }
}

/// What was not given is as it was. What was has to agree with it.
fn agree(flags: &mut Flags, known: &Identity) -> Result<(), DirectoryError> {
    if !flags.given.cluster {
        flags.cluster.clone_from(&known.cluster);
    } else if flags.cluster != known.cluster {
        return Err(DirectoryError::OtherCluster {
            was: known.cluster.clone(),
            now: flags.cluster.clone(),
        });
    }
    let other = |flag, was: &str, now: &str| DirectoryError::OtherAddress {
        flag,
        was: was.to_owned(),
        now: now.to_owned(),
    };
    if !flags.given.listen {
        flags.listen.clone_from(&known.listen);
    } else if flags.listen != known.listen && !flags.moved {
        return Err(other("-l", &known.listen, &flags.listen));
    }
    match (&flags.advertise, &known.advertise) {
        // Who moves to an address that needs no other has to be able to say so.
        (None, was) if !(flags.moved && flags.given.listen) => flags.advertise.clone_from(was),
        (Some(now), was) if Some(now) != was.as_ref() && !flags.moved => {
            let was = was.as_ref().unwrap_or(&known.listen);
            return Err(other("--advertise", was, now));
        }
        _ => {}
    }
    Ok(())
}

impl Taken {
    /// What the process starts with: as who it was, if the directory has been used.
    pub fn complete(self, flags: &Flags, options: Options) -> Result<Options, DirectoryError> {
        let Taken { directory, known } = self;
        let identity = Identity {
            id: known.as_ref().map_or(options.node.id, |known| known.id),
            boot: known
                .as_ref()
                .map_or(0, |known| known.boot.saturating_add(1)),
            cluster: flags.cluster.clone(),
            listen: flags.listen.clone(),
            advertise: flags.advertise.clone(),
            through: flags.attach.clone(),
            standing: Standing::Whole,
        };
        let mut data = Data {
            directory: Arc::new(directory),
            identity,
            tail: None,
            log_bytes_max: flags.data_log,
        };
        if known.is_none() {
            return Ok(Options {
                data: Some(data),
                ..options
            });
        }
        let (id, boot) = (data.identity.id, data.identity.boot);
        let recovered = data.directory.recover(id, options.node.history())?;
        data.identity.through = others(id, &recovered.state);
        let was = known.map(|known| known.through).unwrap_or_default();
        if data.identity.through.is_empty() {
            data.identity.through = was;
        }
        // From here on this life has begun, and its numbers are used.
        data.directory.identify(&data.identity)?;
        data.tail = Some(recovered.tail);
        info!(
            "coming back as {id} of cluster {:?}: start {boot}, {} records after slot {}",
            options.cluster,
            recovered.records.len(),
            recovered.state.applied()
        );
        if !options.attach.is_empty() {
            info!("-a is ignored: the data directory knows the other processes");
        }
        let start = Start::Resume {
            cluster: options.cluster.clone(),
            state: Box::new(recovered.state),
            records: recovered.records,
        };
        Ok(Options {
            node: Config {
                id,
                boot,
                start,
                ..options.node
            },
            attach: Vec::new(),
            data: Some(data),
            ..options
        })
    }
}

/// Where other processes of the cluster are.
fn others(id: NodeId, state: &State) -> Vec<String> {
    let others = state.processes().into_iter().filter(|other| *other != id);
    let addrs = others.map(|other| state.text_of(other, "addr"));
    addrs.filter(|addr| !addr.is_empty()).collect()
}

/// Has the directory remember what its process was told to do, until it has done it: should it be
/// started again before, it goes on with that.
pub fn note_beginning(options: &Options) -> Result<(), DataError> {
    let Some(data) = &options.data else {
        return Ok(());
    };
    let standing = match options.node.start {
        Start::Found { .. } => Standing::Founding,
        Start::Join => Standing::Joining,
        Start::Recover { .. } | Start::Resume { .. } => return Ok(()),
    };
    let is_whole = |known: Identity| known.standing == Standing::Whole;
    if data.directory.identity()?.is_some_and(is_whole) {
        // It begins anew, and is who it was until it has.
        return Ok(());
    }
    data.directory.identify(&Identity {
        id: options.node.id,
        through: options.attach.clone(),
        standing,
        ..data.identity.clone()
    })
}

/// Has the directory remember that it is an old copy, so that it is not used again.
pub fn note_outdated(data: &Data) {
    let identity = Identity {
        standing: Standing::Outdated,
        ..data.identity.clone()
    };
    if let Err(error) = data.directory.identify(&identity) {
        warn!("cannot mark the data directory as an old copy, so do not start it again: {error}");
    }
}
