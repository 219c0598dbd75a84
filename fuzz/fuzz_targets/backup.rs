//! Any bytes as a dump and as the log of a journal, as they are and with checksums that fit.
#![no_main]

use doozer::backup::{encode_dump, read_dump, read_log, seal};
use doozer::core::protocol::client::Restoration;
use libfuzzer_sys::fuzz_target;
use prost::Message;

/// The lines of a text, each with the checksum that it should have.
fn sealed(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let body = line.strip_suffix(b"}").unwrap_or(line);
        out.extend_from_slice(body);
        out.extend_from_slice(seal(body, index as u64 + 1).as_bytes());
        out.push(b'\n');
    }
    out
}

fuzz_target!(|text: &[u8]| {
    for text in [text.to_vec(), sealed(text)] {
        let _ = read_log(&text, true);
        if let Ok((origin, contents)) = read_dump(&text) {
            let again = encode_dump(&origin, &contents, 0);
            assert_eq!(read_dump(&again), Ok((origin, contents)));
        }
    }
    let _ = Restoration::decode(text);
});
