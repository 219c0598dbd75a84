//! What the fuzz targets share: an allocator that knows how much memory a piece of work took, and
//! reading a stream of frames as it arrives in pieces.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use doozer::core::protocol::client::{FrameError, decode_frame, encode_frame};
use prost::Message;

struct Counting;

static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);
static PEAK_BYTES: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it came; the counters own no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE_BYTES.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK_BYTES.fetch_max(live, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The result of `work`, and the most bytes that it held at any time.
pub fn measured<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE_BYTES.load(Ordering::Relaxed);
    PEAK_BYTES.store(before, Ordering::Relaxed);
    let result = work();
    (result, PEAK_BYTES.load(Ordering::Relaxed) - before)
}

/// All messages in a stream that arrives in pieces of these sizes less one, over and over (in one
/// piece if there are none); the error that ends it; and how many bytes are left.
pub fn read_stream<M: Message + Default>(
    stream: &[u8],
    pieces: &[u8],
    frame_bytes_max: usize,
) -> (Vec<M>, Option<FrameError>, usize) {
    let mut sizes = pieces.iter().map(|size| usize::from(*size) + 1).cycle();
    let mut rest = stream;
    let mut buffer = BytesMut::new();
    let mut messages = Vec::new();
    loop {
        match decode_frame(&mut buffer, frame_bytes_max) {
            Ok(Some(message)) => messages.push(message),
            Ok(None) if rest.is_empty() => return (messages, None, buffer.len()),
            Ok(None) => {
                let size = sizes.next().unwrap_or(rest.len()).min(rest.len());
                let (piece, behind) = rest.split_at(size);
                buffer.extend_from_slice(piece);
                rest = behind;
            }
            Err(error) => return (messages, Some(error), 0),
        }
    }
}

/// The stream of these messages.
pub fn write_stream<M: Message>(messages: &[M]) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    for message in messages {
        encode_frame(message, &mut buffer);
    }
    buffer.to_vec()
}
