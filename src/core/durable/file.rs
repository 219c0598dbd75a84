//! The layout of logs and snapshots: a head, then frames.
//!
//! The checksum of a frame begins from that of its head and from the frame's own offset, so that
//! bytes which were left from another file, or which the disk put somewhere else, do not pass.

use bincode::config::Configuration;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Record;
use super::damage::Fault;
use crate::core::id::{Lineage, NodeId};
use crate::core::instrument::planted;

/// The version of the layout. What is newer is refused.
pub const FORMAT: u32 = 1;

/// Bytes of a head.
pub const HEAD_BYTES: usize = 52;

/// Bytes of a frame before what it holds.
pub(super) const FRAME_HEAD_BYTES: usize = 17;

/// What each frame begins with: a frame is looked for behind a damaged one.
const FRAME_MARK: [u8; 4] = [0xd0, 0x02, 0xe4, 0xf7];

/// Largest record in bytes, before it is decoded and after: an entry, which came in a message.
const RECORD_BYTES_MAX: usize = 64 << 20;

const CONFIG: Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<RECORD_BYTES_MAX>,
> = bincode::config::standard().with_limit::<RECORD_BYTES_MAX>();

/// Which kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Records.
    Log,
    /// A state, and the records that belong to it.
    Snapshot,
}

impl Kind {
    fn magic(self) -> &'static [u8; 8] {
        match self {
            Kind::Log => b"doozlog\n",
            Kind::Snapshot => b"doozsnp\n",
        }
    }

    /// The name of the file of this number.
    pub fn name(self, number: u64) -> String {
        let prefix = self.prefix();
        format!("{prefix}{number:016x}")
    }

    /// The number of a file of this kind, if the name is one of such a file.
    pub fn number(self, name: &str) -> Option<u64> {
        let digits = name.strip_prefix(self.prefix())?;
        let number = u64::from_str_radix(digits, 16).ok()?;
        (self.name(number) == name).then_some(number)
    }

    fn prefix(self) -> &'static str {
        match self {
            Kind::Log => "log-",
            Kind::Snapshot => "snapshot-",
        }
    }
}

/// What a file says about itself at its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What it is.
    pub kind: Kind,
    /// Its number: from 1, one more with each checkpoint.
    pub number: u64,
    /// Whose it is.
    pub id: NodeId,
    /// Of which cluster.
    pub lineage: Lineage,
}

impl Head {
    /// As it is written.
    pub fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..8].copy_from_slice(self.kind.magic());
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.number.to_le_bytes());
        bytes[20..30].copy_from_slice(&self.id.0);
        bytes[30..40].copy_from_slice(&self.lineage.founder.0);
        bytes[40..44].copy_from_slice(&self.lineage.generation.to_le_bytes());
        let check = xxh3_64_with_seed(&bytes[..44], 0);
        bytes[44..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// What frames of this file begin their checksums from.
    pub fn seed(&self) -> u64 {
        u64_at(&self.encode(), 44)
    }

    /// Reads the beginning of a file.
    pub(super) fn decode(kind: Kind, bytes: &[u8]) -> Result<Head, Fault> {
        let bytes = bytes.get(..HEAD_BYTES).ok_or(Fault::NotOurs)?;
        if &bytes[..8] != kind.magic() {
            return Err(Fault::NotOurs);
        }
        let format = u32::from_le_bytes(array(&bytes[8..12]));
        if format > FORMAT {
            return Err(Fault::Newer { format });
        }
        if u64_at(bytes, 44) != xxh3_64_with_seed(&bytes[..44], 0) {
            return Err(Fault::NotOurs);
        }
        Ok(Head {
            kind,
            number: u64_at(bytes, 12),
            id: NodeId(array(&bytes[20..30])),
            lineage: Lineage {
                founder: NodeId(array(&bytes[30..40])),
                generation: u32::from_le_bytes(array(&bytes[40..44])),
            },
        })
    }
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Of a log: the records of one write.
    Records,
    /// Of a log: nothing more is written to it, and there is one with the next number.
    Closed,
    /// Of a snapshot: the next piece of the state.
    Piece,
    /// Of a snapshot, the last: what its node had to remember.
    Memory,
}

const PARTS: [Part; 4] = [Part::Records, Part::Closed, Part::Piece, Part::Memory];

/// A frame, as it is written at this offset of the file whose head gives this seed.
pub fn frame(seed: u64, offset: u64, part: Part, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a write is far below 4 GiB");
    let mut bytes = Vec::with_capacity(FRAME_HEAD_BYTES + body.len());
    bytes.extend_from_slice(&FRAME_MARK);
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.push(part as u8);
    bytes.extend_from_slice(body);
    let check = check(seed, offset, &bytes);
    bytes[4..12].copy_from_slice(&check.to_le_bytes());
    bytes
}

/// The frame at this offset, and where the next one begins; `None` if there is no whole one.
pub(super) fn frame_at(seed: u64, offset: usize, bytes: &[u8]) -> Option<(Part, &[u8], usize)> {
    let rest = bytes.get(offset..)?;
    let head = rest.get(..FRAME_HEAD_BYTES)?;
    let length = u32::from_le_bytes(array(&head[12..16])) as usize;
    let whole = rest.get(..FRAME_HEAD_BYTES.checked_add(length)?)?;
    let part = PARTS.into_iter().find(|part| *part as u8 == head[16])?;
    let is_intact = u64_at(head, 4) == check(seed, offset as u64, whole);
    let is_whole = head[..4] == FRAME_MARK && (is_intact || planted!(DiskChecksumIgnored));
    is_whole.then(|| (part, &whole[FRAME_HEAD_BYTES..], offset + whole.len()))
}

/// Whether a whole frame begins anywhere behind this offset.
pub(super) fn has_frame_behind(seed: u64, offset: usize, bytes: &[u8]) -> bool {
    let starts = offset.saturating_add(1)..bytes.len();
    starts
        .filter(|start| bytes[*start..].starts_with(&FRAME_MARK))
        .any(|start| frame_at(seed, start, bytes).is_some())
}

/// Everything behind the checksum itself.
fn check(seed: u64, offset: u64, frame: &[u8]) -> u64 {
    xxh3_64_with_seed(&frame[12..], seed.wrapping_add(offset))
}

/// Appends a record, as a frame holds it.
pub fn put_record(record: &Record, bytes: &mut Vec<u8>) {
    bincode::encode_into_std_write(record, bytes, CONFIG)
        .expect("a record of ours can always be encoded into memory");
}

/// The records of a frame.
pub(super) fn records(mut bytes: &[u8], into: &mut Vec<Record>) -> Result<(), Fault> {
    while !bytes.is_empty() {
        let (record, used) = bincode::decode_from_slice(bytes, CONFIG)
            .map_err(|error| Fault::Nonsense(error.to_string()))?;
        into.push(record);
        bytes = &bytes[used..];
    }
    Ok(())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(&bytes[at..at + 8]))
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("as many bytes as were asked for")
}
