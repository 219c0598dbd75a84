//! How the parts of [`super::params::Params`] that are no plain values are written in files.

use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use super::disk::Manner;
use super::nemesis::KINDS;
use super::units::{parse_span, show_span};
use crate::core::consensus::BatchLimits;
use crate::core::node::Tuning;

/// For serde: the time that a sync takes; none when records are durable at once.
pub mod sync {
    use super::{Deserialize, Deserializer, Error, Manner, Serializer, parse_span, show_span};
    use crate::sim::params::micros;

    /// Writes it.
    pub fn serialize<S: Serializer>(disk: &Manner, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&show_span(match disk {
            Manner::AtOnce => 0,
            Manner::Syncs(usual) => usual.as_micros() as u64,
        }))
    }

    /// Reads it.
    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Manner, D::Error> {
        let us = parse_span(&String::deserialize(from)?).map_err(D::Error::custom)?;
        Ok(match us {
            0 => Manner::AtOnce,
            us => Manner::Syncs(micros(us)),
        })
    }
}

/// For serde: how likely each kind of fault is, by name. Kinds that are not named don't occur.
pub mod weights {
    use super::{BTreeMap, Deserialize, Deserializer, Error, KINDS, Serialize, Serializer};

    /// Writes them.
    pub fn serialize<S: Serializer>(weights: &[u64], to: S) -> Result<S::Ok, S::Error> {
        let named = KINDS.iter().zip(weights).filter(|(_, weight)| **weight > 0);
        let named: BTreeMap<String, u64> = named.map(|(k, w)| (k.name(), *w)).collect();
        named.serialize(to)
    }

    /// Reads them.
    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<u64>, D::Error> {
        let mut named: BTreeMap<String, u64> = BTreeMap::deserialize(from)?;
        let weights = KINDS.iter().map(|kind| named.remove(&kind.name()));
        let weights = weights.map(Option::unwrap_or_default).collect();
        match named.first_key_value() {
            None => Ok(weights),
            Some((name, _)) => {
                let known: Vec<String> = KINDS.iter().map(|kind| kind.name()).collect();
                let known = known.join(", ");
                let text = format!("no kind of fault is called `{name}`; there are {known}");
                Err(D::Error::custom(text))
            }
        }
    }
}

/// For serde: the limits of nodes.
pub mod tuning {
    use super::{BatchLimits, Deserialize, Deserializer, Serialize, Serializer, Tuning};

    /// As they are written.
    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Limits {
        alpha: u64,
        batch_commands: usize,
        batch_bytes: usize,
        writes_open: usize,
        bytes_open: usize,
        retained_slots: usize,
    }

    impl Default for Limits {
        fn default() -> Limits {
            Limits::from(Tuning::default())
        }
    }

    impl From<Tuning> for Limits {
        fn from(tuning: Tuning) -> Limits {
            Limits {
                alpha: tuning.alpha,
                batch_commands: tuning.batch.commands,
                batch_bytes: tuning.batch.bytes,
                writes_open: tuning.writes_open_max,
                bytes_open: tuning.bytes_open_max,
                retained_slots: tuning.retained_slots_max,
            }
        }
    }

    /// Writes them.
    pub fn serialize<S: Serializer>(tuning: &Tuning, to: S) -> Result<S::Ok, S::Error> {
        Limits::from(*tuning).serialize(to)
    }

    /// Reads them.
    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Tuning, D::Error> {
        let limits = Limits::deserialize(from)?;
        Ok(Tuning {
            alpha: limits.alpha,
            batch: BatchLimits {
                commands: limits.batch_commands,
                bytes: limits.batch_bytes,
            },
            writes_open_max: limits.writes_open,
            bytes_open_max: limits.bytes_open,
            retained_slots_max: limits.retained_slots,
        })
    }
}

/// For serde: bounds on what clients may ask for.
pub mod limits {
    use super::{Deserialize, Deserializer, Serialize, Serializer};
    use crate::core::limits::Limits;

    /// As they are written.
    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Bounds {
        path_bytes: usize,
        value_bytes: usize,
    }

    impl Default for Bounds {
        fn default() -> Bounds {
            Bounds::from(Limits::default())
        }
    }

    impl From<Limits> for Bounds {
        fn from(limits: Limits) -> Bounds {
            Bounds {
                path_bytes: limits.path_bytes_max,
                value_bytes: limits.value_bytes_max,
            }
        }
    }

    /// Writes them.
    pub fn serialize<S: Serializer>(limits: &Limits, to: S) -> Result<S::Ok, S::Error> {
        Bounds::from(*limits).serialize(to)
    }

    /// Reads them.
    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Limits, D::Error> {
        let bounds = Bounds::deserialize(from)?;
        Ok(Limits {
            path_bytes_max: bounds.path_bytes,
            value_bytes_max: bounds.value_bytes,
            ..Limits::default()
        })
    }
}

/// `CutOff` as `cut-off`.
pub fn kebab(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}
