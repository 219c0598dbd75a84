//! A snapshot and a log of a data directory: frames of any bytes and of any records, in files whose
//! heads and checksums are sound, and any bytes behind them.
#![no_main]

use arbitrary::Arbitrary;
use doozer::core::consensus::{ALPHA, Ballot, Slot};
use doozer::core::durable::{Head, Kind, Part, Record, frame, put_record, recover};
use doozer::core::id::{Lineage, NodeId};
use doozer::core::log::{Author, Batch, Entry, Op, Run, Seq};
use doozer::core::state::{State, StateExport};
use doozer::core::store::{Condition, HistoryLimits, Mutation, Path, Value};
use libfuzzer_sys::fuzz_target;

const ID: NodeId = NodeId([7; 10]);
const NUMBER: u64 = 1;
const HISTORY: HistoryLimits = HistoryLimits {
    revs: 100,
    bytes: 1 << 20,
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// What the snapshot says of the state. Without it, the snapshot is that of a founder.
    pieces: Vec<&'a [u8]>,
    memory: Body<'a>,
    log: Vec<Body<'a>>,
    is_closed: bool,
    tail: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Body<'a> {
    Records(Vec<Fields<'a>>),
    Bytes(&'a [u8]),
}

/// Fields of a record. Slots are small, so that records concern each other.
#[derive(Arbitrary, Debug)]
enum Fields<'a> {
    Promised {
        slots: Vec<u8>,
        round: u8,
    },
    Accepted {
        slot: u8,
        round: u8,
        value: Option<&'a [u8]>,
    },
    Reserved {
        below: u8,
    },
    Round {
        round: u8,
    },
    Decided {
        slot: u8,
        value: Option<&'a [u8]>,
        is_accepted: bool,
    },
}

fn ballot(round: u8) -> Ballot {
    Ballot {
        round: round.into(),
        member: ID,
    }
}

fn slot(number: u8) -> Slot {
    Slot(number.into())
}

fn entry(value: Option<&[u8]>) -> Entry {
    let Some(value) = value else {
        return Entry::Skip;
    };
    let op = Op::Mutate {
        mutation: Mutation::Set {
            path: Path::parse(b"/x").expect("a path"),
            value: Value(value.to_vec().into()),
            condition: Condition::ANY,
        },
        author: Author::Client,
    };
    let run = Run {
        origin: ID,
        first: Seq::first_of(0),
        ops: vec![op],
    };
    Entry::Batch(Batch { runs: vec![run] }.into())
}

impl Fields<'_> {
    fn record(&self) -> Record {
        match self {
            Fields::Promised { slots, round } => Record::Promised {
                slots: slots.iter().map(|number| slot(*number)).collect(),
                ballot: ballot(*round),
            },
            Fields::Accepted {
                slot: number,
                round,
                value,
            } => Record::Accepted {
                slot: slot(*number),
                ballot: ballot(*round),
                entry: entry(*value),
            },
            Fields::Reserved { below } => Record::Reserved {
                below: slot(*below),
            },
            Fields::Round { round } => Record::Round {
                round: (*round).into(),
            },
            Fields::Decided {
                slot: number,
                value,
                is_accepted,
            } => Record::Decided {
                slot: slot(*number),
                entry: (!is_accepted).then(|| entry(*value)),
            },
        }
    }
}

impl Body<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Body::Bytes(bytes) => bytes.to_vec(),
            Body::Records(records) => {
                let mut bytes = Vec::new();
                for fields in records {
                    put_record(&fields.record(), &mut bytes);
                }
                bytes
            }
        }
    }
}

fn lineage() -> Lineage {
    Lineage {
        founder: ID,
        generation: 1,
    }
}

/// A file of these frames.
fn file(kind: Kind, frames: impl IntoIterator<Item = (Part, Vec<u8>)>) -> Vec<u8> {
    let head = Head {
        kind,
        number: NUMBER,
        id: ID,
        lineage: lineage(),
    };
    let mut file = head.encode().to_vec();
    for (part, body) in frames {
        let frame = frame(head.seed(), file.len() as u64, part, &body);
        file.extend_from_slice(&frame);
    }
    file
}

fn pieces_of_founder() -> Vec<Vec<u8>> {
    let mut export = StateExport::new(&State::founded_by(ID, ALPHA, HISTORY));
    (0..).map_while(|number| export.piece(number)).collect()
}

fuzz_target!(|input: Input<'_>| {
    let pieces = match input.pieces.is_empty() {
        true => pieces_of_founder(),
        false => input.pieces.iter().map(|piece| piece.to_vec()).collect(),
    };
    let pieces = pieces.into_iter().map(|piece| (Part::Piece, piece));
    let memory = (Part::Memory, input.memory.bytes());
    let snapshot = file(Kind::Snapshot, pieces.chain([memory]));

    let frames = input.log.iter().map(|body| (Part::Records, body.bytes()));
    let close = input.is_closed.then(|| (Part::Closed, Vec::new()));
    let mut log = file(Kind::Log, frames.chain(close));
    let whole = log.len() as u64;
    log.extend_from_slice(input.tail);

    let recover = |log: &[u8]| recover(ID, (NUMBER, &snapshot), &[(NUMBER, log.to_vec())], HISTORY);
    let Ok(recovered) = recover(&log) else { return };
    assert!((whole..=log.len() as u64).contains(&recovered.tail.end));
    // Cut off where it says, the log says the same.
    log.truncate(recovered.tail.end as usize);
    let again = recover(&log).expect("what was cut off was not of it");
    assert_eq!(again.records, recovered.records);
    assert_eq!(again.tail.end, recovered.tail.end);
    assert!(again.state == recovered.state);
});
