//! The retained revisions: for each the event, and the state right after it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::event::Event;
use super::tree::Dir;
use crate::core::instrument::planted;
use crate::core::limits::{Drains, Gauge};

/// How much history a store retains. Both bounds hold; the state before the oldest retained
/// revision is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Revisions. With 0 only the current state is kept, and can only be read without a revision.
    pub revs: u64,
    /// Bytes held beyond the current state, estimated: for each event its path,
    /// [`EVENT_BYTES`](super::EVENT_BYTES), [`LEVEL_BYTES`](super::LEVEL_BYTES) for each component
    /// of its path, and path and value of the file that it replaced or deleted. The latest
    /// revision stays whatever it takes, unless `revs` is 0.
    pub bytes: u64,
}

/// One retained revision.
#[derive(Clone)]
pub(super) struct Version {
    /// What happened.
    pub(super) event: Arc<Event>,
    /// The state after it.
    pub(super) root: Arc<Dir>,
    /// The sum of the digests of the files in that state.
    pub(super) files: u64,
    /// The digest of the event.
    pub(super) digest: u64,
    /// Bytes of the file that the event replaced or deleted. Only states before it hold that file,
    /// so it costs nothing once this is the oldest version.
    pub(super) replaced: u64,
}

/// Versions in a piece of history that copies of a store share.
const CHUNK: usize = 256;

/// Consecutive versions up to the current one. Copies share all but the ends.
#[derive(Clone)]
pub(super) struct History {
    limits: HistoryLimits,
    /// All but the first and the last hold [`CHUNK`] versions; none is empty.
    chunks: VecDeque<Arc<VecDeque<Version>>>,
    len: u64,
    bytes: u64,
    digest: u64,
}

impl History {
    pub(super) fn new(limits: HistoryLimits) -> History {
        History {
            limits,
            chunks: VecDeque::new(),
            len: 0,
            bytes: 0,
            digest: 0,
        }
    }

    /// How much is retained.
    pub(super) fn limits(&self) -> HistoryLimits {
        self.limits
    }

    /// Retained versions.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Tells how full this is.
    pub(super) fn load(&self, tell: &mut impl FnMut(Gauge)) {
        let HistoryLimits { revs, bytes } = self.limits;
        let kept = |what, used, most| Gauge {
            what,
            used,
            most,
            drains: Drains::Never,
        };
        tell(kept("revisions retained", self.len, revs));
        // The latest revision stays whatever it takes.
        let used = if self.len > 1 { self.bytes } else { 0 };
        tell(kept("revisions retained, bytes", used, bytes));
    }

    /// A digest of the retained events.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Takes the version of the latest revision in, and lets go of what is too much.
    pub(super) fn push(&mut self, version: Version) {
        self.len += 1;
        self.bytes += version.event.retained_bytes();
        if self.len > 1 {
            self.bytes += version.replaced;
        }
        self.digest = self.digest.wrapping_add(version.digest);
        let room = self.chunks.back_mut().filter(|chunk| chunk.len() < CHUNK);
        match room {
            // A first chunk that is not full has lost versions at its front, or is the last too.
            Some(chunk) => Arc::make_mut(chunk).push_back(version),
            None => self.chunks.push_back(Arc::new(VecDeque::from([version]))),
        }
        let share = if planted!(HistoryTooShort) { 2 } else { 1 };
        while self.len > self.limits.revs / share
            || (self.bytes > self.limits.bytes && self.len > 1)
        {
            self.pop();
        }
    }

    fn pop(&mut self) {
        let chunk = self.chunks.front_mut().expect("there is a version");
        let version = Arc::make_mut(chunk).pop_front().expect("no chunk is empty");
        if chunk.is_empty() {
            self.chunks.pop_front();
        }
        self.len -= 1;
        let oldest = self.chunks.front().and_then(|chunk| chunk.front());
        let freed = oldest.map_or(0, |oldest| oldest.replaced);
        self.bytes -= version.event.retained_bytes() + freed;
        self.digest = self.digest.wrapping_sub(version.digest);
    }

    /// The `n`-th version, from 0, the oldest.
    pub(super) fn nth(&self, n: u64) -> Option<&Version> {
        self.iter(n).next()
    }

    /// The versions from the `n`-th on.
    pub(super) fn iter(&self, n: u64) -> impl Iterator<Item = &Version> {
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        let first = self.chunks.front().map_or(0, |chunk| chunk.len());
        let (chunk, skip) = match n.checked_sub(first) {
            None => (0, n),
            Some(rest) => (1 + rest / CHUNK, rest % CHUNK),
        };
        let chunks = self.chunks.iter().skip(chunk).enumerate();
        chunks.flat_map(move |(index, chunk)| chunk.iter().skip(if index == 0 { skip } else { 0 }))
    }
}
