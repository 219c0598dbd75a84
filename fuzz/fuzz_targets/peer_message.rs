//! Any bytes as a message between nodes.
#![no_main]

use doozer::core::protocol::peer::{MESSAGE_BYTES_MAX, decode, encode};
use doozer_fuzz::measured;
use libfuzzer_sys::fuzz_target;

/// What decoding may claim for a message of up to this size, as its documentation says.
const CLAIMS: [(usize, usize); 3] = [
    (1 << 10, 128 << 10),
    (1 << 14, 2 << 20),
    (1 << 18, 32 << 20),
];

/// Texts are held twice for a moment, and errors have some of their own.
const MEMORY_PER_CLAIM: usize = 2;
const MEMORY_AT_LEAST: usize = 1 << 12;

fuzz_target!(|input: &[u8]| {
    let class = CLAIMS.iter().find(|(size, _)| input.len() <= *size);
    let claim_max = class.map_or(MESSAGE_BYTES_MAX, |(_, claim)| *claim);
    let (result, memory) = measured(|| decode(input));
    assert!(
        memory <= MEMORY_AT_LEAST + MEMORY_PER_CLAIM * claim_max,
        "{memory} bytes for a message of {}",
        input.len()
    );
    let Ok(message) = result else {
        return;
    };
    let mut again = Vec::new();
    encode(&message, &mut again);
    // Numbers that were longer than necessary are the only freedom the format has.
    assert!(again.len() <= input.len());
    assert_eq!(decode(&again).expect("what was just encoded"), message);
});
