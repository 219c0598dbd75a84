//! Who a data directory belongs to, as a few lines that people can read.

use std::fmt::Write;

use xxhash_rust::xxh3::xxh3_64;

use super::FORMAT;
use crate::core::id::NodeId;

/// Who a data directory belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The process.
    pub id: NodeId,
    /// How often it has been started before.
    pub boot: u32,
    /// The name of its cluster.
    pub cluster: String,
    /// Where it listens.
    pub listen: String,
    /// The address that others reach it at, if that is another.
    pub advertise: Option<String>,
}

/// The text is not that of an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// It was written by a later version.
    #[error("written in format {0}, by a newer doozerd: start that version")]
    Newer(u32),
    /// It is not what was written.
    #[error("it was changed or damaged")]
    Changed,
}

impl Identity {
    /// As it is written.
    pub fn encode(&self) -> String {
        let Identity {
            id,
            boot,
            cluster,
            listen,
            advertise,
        } = self;
        let mut text =
            format!("doozerd {FORMAT}\nid {id}\nboot {boot}\ncluster {cluster}\nlisten {listen}\n");
        if let Some(advertise) = advertise {
            let _ = writeln!(text, "advertise {advertise}");
        }
        let check = xxh3_64(text.as_bytes());
        let _ = writeln!(text, "check {check:016x}");
        text
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// When it is not what [`Identity::encode`] has written.
    pub fn decode(text: &str) -> Result<Identity, IdentityError> {
        let first = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("doozerd "));
        let format = first.and_then(|format| format.parse::<u32>().ok());
        match format {
            Some(format) if format > FORMAT => return Err(IdentityError::Newer(format)),
            _ => {}
        }
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.strip_prefix(' '))
        };
        let read = || {
            Some(Identity {
                id: field("id")?.parse().ok()?,
                boot: field("boot")?.parse().ok()?,
                cluster: field("cluster")?.to_owned(),
                listen: field("listen")?.to_owned(),
                advertise: field("advertise").map(str::to_owned),
            })
        };
        let identity = read().ok_or(IdentityError::Changed)?;
        match identity.encode() == text {
            true => Ok(identity),
            false => Err(IdentityError::Changed),
        }
    }
}
