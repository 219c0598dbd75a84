//! Makes `fuzz/seeds`: streams of the recorded conversations, and the golden messages of peers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// Sizes of the pieces in which `client_frame` gets a stream.
const PIECES: [u8; 4] = [255, 0, 3, 40];

/// Where a frame of `peer_frame` is damaged, and how.
const DAMAGE: [u8; 5] = [0, 0, 0, 9, 1];

/// Longer streams teach the fuzzer nothing that the shorter ones don't, and slow it down.
const STREAM_BYTES_MAX: usize = 1 << 11;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut streams = BTreeSet::new();
    for entry in fs::read_dir(root.join("tests/vectors")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            for case in file["cases"].as_array().unwrap() {
                streams.extend([stream(case, "send"), stream(case, "recv")]);
            }
        }
    }
    streams.retain(|stream| !stream.is_empty());
    let framed = streams.iter().map(|stream| [&PIECES[..], stream].concat());
    write(root, "client_frame", framed);
    // The bytes are only a source of fields to this target; a few are enough to begin with.
    let few = streams.iter().step_by(8).cloned();
    write(root, "client_request", few);

    let golden = root.join("src/core/protocol/peer/codec/golden.txt");
    let golden = fs::read_to_string(golden).unwrap();
    let messages: Vec<Vec<u8>> = golden
        .lines()
        .map(|line| unhex(line.split_once(' ').unwrap().1))
        .collect();
    let damaged = messages
        .iter()
        .map(|message| [&DAMAGE[..], message].concat());
    write(root, "peer_frame", damaged);
    write(root, "peer_message", messages.into_iter());
}

/// What one side of a conversation said, up to a bound.
fn stream(case: &Value, side: &str) -> Vec<u8> {
    let steps = case["steps"].as_array().unwrap();
    let mut stream = Vec::new();
    for frame in steps.iter().filter_map(|step| step[side].as_str()) {
        let frame = unhex(frame);
        if stream.len() + frame.len() <= STREAM_BYTES_MAX {
            stream.extend(frame);
        }
    }
    stream
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn write(root: &Path, target: &str, seeds: impl Iterator<Item = Vec<u8>>) {
    let folder = root.join("fuzz/seeds").join(target);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    for (number, seed) in seeds.enumerate() {
        fs::write(folder.join(format!("{number:03}")), seed).unwrap();
    }
}
