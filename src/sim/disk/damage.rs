//! What disks do to what was durable, as far as anybody can notice it.
//!
//! The last write of a log cannot be told from one that was torn by a crash; whatever lies before it,
//! and every file as a whole, is promised to be noticed when it is changed or goes.

use serde::{Deserialize, Serialize};

use super::volume::{Entry, SECTOR, Volume};
use crate::core::durable::Kind;
use crate::sim::chance::Dice;

/// How something that was durable is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// Bits are turned round.
    Flip,
    /// A sector holds zeros.
    Blank,
    /// A write went to another place: what it held is there, and not where it belongs.
    Misdirect,
    /// A file is not there.
    Lose,
}

/// All of them.
pub const DAMAGES: [Damage; 4] = [Damage::Flip, Damage::Blank, Damage::Misdirect, Damage::Lose];

/// Bits that are turned round at most.
const BITS_MAX: u64 = 8;

/// A file that a process needs to come back: where it is, and how many bytes from its beginning
/// cannot have been torn.
struct Needed {
    path: String,
    file: u64,
    firm: usize,
}

/// Does that to a disk, if there is anything to do it to. Tells whether something is changed.
pub fn damage(volume: &mut Volume, damage: Damage, dice: &mut Dice) -> bool {
    let needed: Vec<Needed> = needed(volume);
    if needed.is_empty() {
        return false;
    }
    let one = dice.pick(&needed);
    if damage == Damage::Lose {
        volume.lose(&one.path);
        return true;
    }
    let before = volume.read(one.file).to_vec();
    let at = dice.below(one.firm as u64) as usize;
    let sector = at / SECTOR * SECTOR;
    let range = sector..(sector + SECTOR).min(one.firm);
    match damage {
        Damage::Flip => {
            let bits = dice.between(1, BITS_MAX);
            volume.damage(one.file, |bytes| {
                for _ in 0..bits {
                    let bit = dice.below(8 * one.firm as u64) as usize;
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
            });
        }
        Damage::Blank => volume.damage(one.file, |bytes| bytes[range].fill(0)),
        Damage::Misdirect => {
            let target = dice.pick(&needed);
            let moved = before[range.clone()].to_vec();
            volume.damage(one.file, |bytes| bytes[range].fill(0));
            let count = moved.len().min(target.firm);
            let to = dice.below((target.firm - count) as u64 + 1) as usize;
            volume.damage(target.file, |bytes| {
                bytes[to..to + count].copy_from_slice(&moved[..count]);
            });
        }
        Damage::Lose => unreachable!("it was done above"),
    }
    volume.read(one.file) != before
}

fn needed(volume: &Volume) -> Vec<Needed> {
    let files = |kind: Kind| {
        let names = volume.names().iter();
        names.filter_map(move |(path, entry)| match entry {
            Entry::File(file) => {
                let name = path
                    .rsplit_once('/')
                    .map_or(path.as_str(), |(_, name)| name);
                Some((kind.number(name)?, path.clone(), *file))
            }
            Entry::Directory => None,
        })
    };
    let Some((newest, path, file)) = files(Kind::Snapshot).max() else {
        return Vec::new();
    };
    let firm = volume.read(file).len();
    let snapshot = Needed { path, file, firm };
    let logs = files(Kind::Log).filter(|(number, ..)| *number >= newest);
    let logs = logs.map(|(_, path, file)| {
        let firm = volume.writes(file).last().map_or(0, |last| *last as usize);
        Needed { path, file, firm }
    });
    let all = std::iter::once(snapshot).chain(logs);
    all.filter(|needed| needed.firm > 0).collect()
}
