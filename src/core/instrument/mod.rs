//! Instruments of the simulator in the logic of the node: planted bugs and probes.
//!
//! Both are switches and marks that belong to a thread, since a simulation is one thread. Without
//! feature `sim` nothing of them is compiled: `planted!` is `false`, `sometimes!` is nothing.

#[cfg(feature = "sim")]
pub mod mutant;
#[cfg(feature = "sim")]
pub mod probe;

/// Whether a bug is planted in this thread: `planted!(QuorumOfHalf)`. See [`mutant::Mutant`].
#[cfg(feature = "sim")]
macro_rules! planted {
    ($mutant:ident) => {
        crate::core::instrument::mutant::is_planted(
            crate::core::instrument::mutant::Mutant::$mutant,
        )
    };
}

/// Never: bugs are planted in simulations only.
#[cfg(not(feature = "sim"))]
macro_rules! planted {
    ($mutant:ident) => {
        false
    };
}

/// Notes that a rare situation came about: `sometimes!(RevocationAdopts)`, or that it did if
/// something is so: `sometimes!(WindowFull, slot.is_none())`. The condition must change nothing.
/// See [`probe::Probe`].
#[cfg(feature = "sim")]
macro_rules! sometimes {
    ($probe:ident) => {
        crate::core::instrument::probe::hit(crate::core::instrument::probe::Probe::$probe)
    };
    ($probe:ident, $so:expr) => {
        if $so {
            sometimes!($probe)
        }
    };
}

/// Nothing: situations are counted in simulations only.
#[cfg(not(feature = "sim"))]
macro_rules! sometimes {
    ($probe:ident) => {{}};
    ($probe:ident, $so:expr) => {
        // Type-checked, so that what it mentions counts as used, and never evaluated.
        if false {
            let _ = $so;
        }
    };
}

pub(crate) use planted;
pub(crate) use sometimes;
