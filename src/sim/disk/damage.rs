//! What disks do to what was durable, as far as anybody can notice it.
//!
//! The last write of a log cannot be told from one that was torn by a crash; whatever lies before it,
//! and every file as a whole, is promised to be noticed when it is changed or goes.

use serde::{Deserialize, Serialize};

use super::volume::{Entry, SECTOR, Volume};
use crate::core::durable::{End, Kind};
use crate::core::id::NodeId;
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

/// What was damaged, as far as it matters for who can notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damaged {
    /// What is there is not what was written, or what is not there is needed in any case.
    Surely,
    /// A log is missing. If nothing was in it, nobody needs it.
    Log,
    /// The newest snapshot is missing, and a former one is there, which may do as well.
    Snapshot,
}

/// A file that a process needs to come back: where it is, and how many bytes from its beginning
/// cannot have been torn.
struct Needed {
    path: String,
    file: u64,
    firm: usize,
}

/// Does that to what a process needs to come back, where its logs end like that. Tells what is
/// changed, if anything is.
pub fn damage(
    volume: &mut Volume,
    damage: Damage,
    (id, ends): (NodeId, &[End]),
    dice: &mut Dice,
) -> Option<Damaged> {
    let needed: Vec<Needed> = needed(volume, id, ends);
    if needed.is_empty() {
        return None;
    }
    let one = dice.pick(&needed);
    if damage == Damage::Lose {
        volume.lose(&one.path);
        let is_snapshot = needed.first().is_some_and(|first| first.path == one.path);
        return Some(match files(volume, id, Kind::Snapshot).next() {
            _ if !is_snapshot => Damaged::Log,
            Some(_) => Damaged::Snapshot,
            None => Damaged::Surely,
        });
    }
    let contents = |volume: &Volume| -> Vec<Vec<u8>> {
        let files = needed.iter().map(|needed| volume.read(needed.file));
        files.map(<[u8]>::to_vec).collect()
    };
    let before = contents(volume);
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
            let moved = volume.read(one.file)[range.clone()].to_vec();
            volume.damage(one.file, |bytes| bytes[range].fill(0));
            let count = moved.len().min(target.firm);
            let to = dice.below((target.firm - count) as u64 + 1) as usize;
            volume.damage(target.file, |bytes| {
                bytes[to..to + count].copy_from_slice(&moved[..count]);
            });
        }
        Damage::Lose => unreachable!("it was done above"),
    }
    (contents(volume) != before).then_some(Damaged::Surely)
}

/// The files of a process that are of a kind: their numbers, names and contents.
fn files(
    volume: &Volume,
    id: NodeId,
    kind: Kind,
) -> impl Iterator<Item = (u64, String, u64)> + use<'_> {
    let folder = format!("{id}/");
    let names = volume.names().iter();
    names.filter_map(move |(path, entry)| match entry {
        Entry::File(file) => {
            let number = kind.number(path.strip_prefix(&folder)?)?;
            Some((number, path.clone(), *file))
        }
        Entry::Directory => None,
    })
}

fn needed(volume: &Volume, id: NodeId, ends: &[End]) -> Vec<Needed> {
    let Some((newest, path, file)) = files(volume, id, Kind::Snapshot).max() else {
        return Vec::new();
    };
    let firm = volume.read(file).len();
    let snapshot = Needed { path, file, firm };
    let logs = files(volume, id, Kind::Log).filter(|(number, ..)| *number >= newest);
    let logs = logs.map(|(number, path, file)| {
        let end = ends.iter().find(|end| end.number == number);
        let last_write = volume.writes(file).last();
        // If that was cut short, the last whole write cannot be told from a torn one either.
        let last = last_write
            .copied()
            .zip(end)
            .map(|(write, end)| write.min(end.last));
        let firm = last.map_or(0, |last| last as usize);
        Needed { path, file, firm }
    });
    let all = std::iter::once(snapshot).chain(logs);
    all.filter(|needed| needed.firm > 0).collect()
}
