//! The data directory at the start of a process: whom it belongs to, and what it was.

use std::sync::Arc;

use doozer::core::durable::Identity;
use doozer::core::node::{Config, Start};
use doozer::runtime::{Data, DataError, Directory, Options};
use tracing::info;

use crate::flags::Flags;

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

/// Takes the directory, and completes the flags by what it remembers.
pub fn take(flags: &mut Flags) -> Result<Option<Taken>, DirectoryError> {
    let Some(path) = &flags.data_dir else {
        return Ok(None);
    };
    let directory = Directory::open(path)?;
    let known = directory.identity()?;
    if let Some(known) = &known {
        agree(flags, known)?;
    }
    if flags.listen.ends_with(":0") {
        return Err(DirectoryError::NoFixedPort {
            listen: flags.listen.clone(),
        });
    }
    Ok(Some(Taken { directory, known }))
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
