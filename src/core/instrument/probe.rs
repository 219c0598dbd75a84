//! Probes: situations that are rare and that a sweep must have met, or it proves little.

use std::cell::Cell;
use std::fmt;

macro_rules! probes {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A rare situation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Probe {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Probe {
            /// All of them.
            pub const ALL: &'static [Probe] = &[$(Probe::$name,)+];

            /// What happened, as a sentence.
            pub fn describe(self) -> &'static str {
                match self {
                    $(Probe::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

probes! {
    /// A revocation finds an entry that was accepted, and proposes it again.
    RevocationAdopts,
    /// An acceptor rejects an attempt to take over, since it has promised a higher ballot.
    RevokersCross,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Probes that this kind of set can hold.
const MOST: usize = 256;
const _: () = assert!(Probe::ALL.len() <= MOST, "the set of probes has to grow");

/// A set of probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits([u64; MOST / 64]);

impl Hits {
    /// Nothing was met.
    pub const NONE: Hits = Hits([0; MOST / 64]);

    /// Whether this situation was met.
    pub fn has(&self, probe: Probe) -> bool {
        self.0[probe as usize / 64] & (1 << (probe as usize % 64)) != 0
    }

    /// What either has met.
    pub fn merge(&mut self, other: Hits) {
        for (mine, others) in self.0.iter_mut().zip(other.0) {
            *mine |= others;
        }
    }

    /// What was never met.
    pub fn missed(&self) -> impl Iterator<Item = Probe> {
        Probe::ALL.iter().copied().filter(|probe| !self.has(*probe))
    }
}

thread_local! {
    static HITS: Cell<Hits> = const { Cell::new(Hits::NONE) };
}

/// Notes that this happened, in this thread.
pub fn hit(probe: Probe) {
    let mut hits = HITS.get();
    hits.0[probe as usize / 64] |= 1 << (probe as usize % 64);
    HITS.set(hits);
}

/// What happened in this thread since the last time that it was asked.
pub fn take() -> Hits {
    HITS.replace(Hits::NONE)
}
