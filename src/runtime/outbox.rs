//! What waits to be written to one peer.
//!
//! Small messages are copied behind each other, so that those of a round leave in one write; large
//! ones are shared among all peers that they go to.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// Bytes that may wait for one peer. It holds what is sent during a stall of some seconds; beyond
/// it messages are lost, which the protocol is made for.
pub(super) const OUTBOX_BYTES_MAX: usize = 64 << 20;

/// Messages up to this many bytes are copied: cheaper than an entry of their own in a write.
pub(super) const COPIED_BYTES_MAX: usize = 16 << 10;

/// Bytes in order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    bytes: usize,
}

impl Outbox {
    /// Appends a copy, unless the outbox is full.
    pub(super) fn push_copy(&mut self, frame: &[u8]) -> bool {
        let has_room = self.has_room(frame.len());
        if has_room {
            self.tail.extend_from_slice(frame);
            self.bytes += frame.len();
        }
        has_room
    }

    /// Appends shared bytes, unless the outbox is full.
    pub(super) fn push_shared(&mut self, frame: &Bytes) -> bool {
        let has_room = self.has_room(frame.len());
        if has_room {
            self.close_tail();
            self.chunks.push_back(frame.clone());
            self.bytes += frame.len();
        }
        has_room
    }

    /// Moves everything to the end of `other`.
    pub(super) fn drain_into(&mut self, other: &mut Outbox) {
        self.close_tail();
        other.close_tail();
        other.chunks.append(&mut self.chunks);
        other.bytes += std::mem::take(&mut self.bytes);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.chunks.clear();
        self.tail.clear();
        self.bytes = 0;
    }

    fn has_room(&self, more: usize) -> bool {
        self.bytes + more <= OUTBOX_BYTES_MAX
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(self.tail.split().freeze());
        }
    }
}

impl Buf for Outbox {
    fn remaining(&self) -> usize {
        self.bytes
    }

    fn chunk(&self) -> &[u8] {
        self.chunks
            .front()
            .map_or(&self.tail[..], |chunk| &chunk[..])
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        let chunks = self.chunks.iter().map(|chunk| &chunk[..]).chain(tail);
        let mut count = 0;
        for (slot, chunk) in into.iter_mut().zip(chunks) {
            *slot = IoSlice::new(chunk);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.bytes, "more was written than there is");
        self.bytes -= count;
        while let Some(front) = self.chunks.front_mut() {
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.chunks.pop_front();
        }
        self.tail.advance(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_and_shared_bytes_keep_their_order_however_they_are_written() {
        for step in 1..12 {
            let mut outbox = Outbox::default();
            assert!(outbox.push_copy(b"ab"));
            assert!(outbox.push_copy(b"c"));
            assert!(outbox.push_shared(&Bytes::from_static(b"defg")));
            assert!(outbox.push_copy(b"hi"));
            let mut later = Outbox::default();
            assert!(later.push_copy(b"jk"));
            later.drain_into(&mut outbox);
            assert_eq!((outbox.remaining(), later.remaining()), (11, 0));
            let mut slices = [IoSlice::new(&[]); 8];
            let count = outbox.chunks_vectored(&mut slices);
            let all: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
            assert_eq!(all, b"abcdefghijk");
            let mut seen = Vec::new();
            while outbox.has_remaining() {
                let chunk = outbox.chunk();
                let some = chunk[..step.min(chunk.len())].to_vec();
                outbox.advance(some.len());
                seen.extend(some);
            }
            assert_eq!(seen, b"abcdefghijk");
        }
    }

    #[test]
    fn a_full_outbox_takes_nothing_more() {
        let mut outbox = Outbox::default();
        let large = Bytes::from(vec![0; OUTBOX_BYTES_MAX - 1]);
        assert!(outbox.push_shared(&large));
        assert!(!outbox.push_copy(b"ab"));
        assert!(outbox.push_copy(b"a"));
        assert!(!outbox.push_shared(&Bytes::from_static(b"b")));
        outbox.clear();
        assert!(outbox.push_shared(&large));
    }
}
