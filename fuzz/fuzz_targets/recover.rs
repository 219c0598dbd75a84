//! Any bytes as the files of a data directory, behind heads that are sound.
#![no_main]

use doozer::core::durable::{Head, Kind, Part, frame, recover};
use doozer::core::id::{Lineage, NodeId};
use doozer::core::store::HistoryLimits;
use libfuzzer_sys::fuzz_target;

const ID: NodeId = NodeId([7; 10]);
const NUMBER: u64 = 1;
const HISTORY: HistoryLimits = HistoryLimits {
    revs: 100,
    bytes: 1 << 20,
};

/// A file: pieces of the input in frames that are whole, and then the rest as it is.
fn file(kind: Kind, parts: &[Part], frames: u8, bytes: &[u8]) -> Vec<u8> {
    let lineage = Lineage {
        founder: ID,
        generation: 1,
    };
    let head = Head {
        kind,
        number: NUMBER,
        id: ID,
        lineage,
    };
    let mut file = head.encode().to_vec();
    let mut rest = bytes;
    for nth in 0..usize::from(frames % 8) {
        let (body, behind) = rest.split_at(rest.len() / 2);
        rest = behind;
        let part = parts[nth.min(parts.len() - 1)];
        let frame = frame(head.seed(), file.len() as u64, part, body);
        file.extend_from_slice(&frame);
    }
    file.extend_from_slice(rest);
    file
}

fuzz_target!(|input: (u8, &[u8], u8, &[u8])| {
    let (pieces, snapshot, writes, log) = input;
    let snapshot = file(
        Kind::Snapshot,
        &[Part::Piece, Part::Piece, Part::Memory],
        pieces,
        snapshot,
    );
    let log = file(Kind::Log, &[Part::Records], writes, log);
    let length = log.len() as u64;
    if let Ok(recovered) = recover(ID, (NUMBER, &snapshot), &[(NUMBER, log)], HISTORY) {
        assert!(recovered.tail.end <= length);
    }
});
