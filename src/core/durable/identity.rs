//! Who a data directory belongs to, as a few lines that people can read.

use std::fmt::Write;

use xxhash_rust::xxh3::xxh3_64;

use crate::core::id::NodeId;

/// The version of the text. What is newer is refused.
const FORMAT: u32 = 2;

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
    /// Addresses of other processes of the cluster, through which it can be joined.
    pub through: Vec<String>,
    /// What the directory is good for.
    pub standing: Standing,
}

/// What a data directory is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its process comes back with it.
    Whole,
    /// Its process was told to found a cluster, and has not written the first snapshot so far.
    Founding,
    /// Its process was told to join a cluster, and has not got a copy of the state so far.
    Joining,
    /// Another copy of it was used later than this one: its process has made promises that this one
    /// does not know of.
    Outdated,
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
            through,
            standing,
        } = self;
        let mut text =
            format!("doozerd {FORMAT}\nid {id}\nboot {boot}\ncluster {cluster}\nlisten {listen}\n");
        if let Some(advertise) = advertise {
            let _ = writeln!(text, "advertise {advertise}");
        }
        for addr in through {
            let _ = writeln!(text, "through {addr}");
        }
        let _ = writeln!(text, "standing {}", standing.word());
        let check = xxh3_64(text.as_bytes());
        let _ = writeln!(text, "check {check:016x}");
        text
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// When it is not what [`Identity::encode`] has written, in this version or an earlier one.
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
        Identity::read(text).ok_or(IdentityError::Changed)
    }

    fn read(text: &str) -> Option<Identity> {
        let (lines, check) = text.split_at(text.rfind("check ")?);
        if check != format!("check {:016x}\n", xxh3_64(lines.as_bytes())) {
            return None;
        }
        let all = |name: &'static str| {
            let lines = lines.lines().filter_map(move |line| line.split_once(' '));
            lines.filter_map(move |(key, value)| (key == name).then_some(value))
        };
        let field = |name| all(name).next();
        Some(Identity {
            id: field("id")?.parse().ok()?,
            boot: field("boot")?.parse().ok()?,
            cluster: field("cluster")?.to_owned(),
            listen: field("listen")?.to_owned(),
            advertise: field("advertise").map(str::to_owned),
            through: all("through").map(str::to_owned).collect(),
            // The first version of the text had none of the others.
            standing: field("standing").map_or(Some(Standing::Whole), Standing::of_word)?,
        })
    }
}

impl Standing {
    const ALL: [Standing; 4] = [
        Standing::Whole,
        Standing::Founding,
        Standing::Joining,
        Standing::Outdated,
    ];

    fn word(self) -> &'static str {
        match self {
            Standing::Whole => "whole",
            Standing::Founding => "founding",
            Standing::Joining => "joining",
            Standing::Outdated => "outdated",
        }
    }

    fn of_word(word: &str) -> Option<Standing> {
        Standing::ALL.into_iter().find(|one| one.word() == word)
    }
}
