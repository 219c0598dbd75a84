//! How fast the log on disk is written, lately.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::durable::Progress;
use crate::core::env::DiskPace;

/// What counts as lately: between one and two of these. Long enough for a mean, short enough to
/// follow a load.
const WINDOW: Duration = Duration::from_secs(5);

/// Counts at a moment.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Instant,
    syncs: u64,
    records: u64,
}

/// Measures what is written.
#[derive(Debug)]
pub(super) struct Meter {
    before: Mark,
    since: Mark,
    pace: DiskPace,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Meter {
        let mark = Mark {
            at: now,
            syncs: 0,
            records: 0,
        };
        Meter {
            before: mark,
            since: mark,
            pace: DiskPace::default(),
        }
    }

    /// So much has been written by now.
    pub(super) fn note(&mut self, progress: &Progress, now: Instant) {
        self.pace.syncs = progress.syncs;
        self.pace.records = progress.records;
        self.pace.bytes = progress.bytes;
        self.turn(now);
    }

    /// How fast it is.
    pub(super) fn pace(&self, now: Instant) -> DiskPace {
        let is_stale = now.duration_since(self.since.at) >= WINDOW;
        let from = if is_stale { self.since } else { self.before };
        let seconds = now.duration_since(from.at).as_secs_f64();
        let syncs = (self.pace.syncs - from.syncs) as f64;
        let records = (self.pace.records - from.records) as f64;
        DiskPace {
            syncs_per_second: if seconds > 0.0 { syncs / seconds } else { 0.0 },
            records_per_sync: if syncs > 0.0 { records / syncs } else { 0.0 },
            ..self.pace
        }
    }

    fn turn(&mut self, now: Instant) {
        if now.duration_since(self.since.at) >= WINDOW {
            self.before = self.since;
            self.since = Mark {
                at: now,
                syncs: self.pace.syncs,
                records: self.pace.records,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_lately() {
        let begin = Instant::now();
        let mut meter = Meter::new(begin);
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        assert_eq!(meter.pace(begin), DiskPace::default());
        let written = |syncs, records| Progress {
            syncs,
            records,
            bytes: records * 10,
            ..Progress::default()
        };
        for second in 1..=20 {
            meter.note(&written(second * 100, second * 400), at(second));
        }
        let pace = meter.pace(at(20));
        assert_eq!((pace.syncs, pace.records, pace.bytes), (2000, 8000, 80_000));
        assert!((pace.syncs_per_second - 100.0).abs() < 1e-6, "{pace:?}");
        assert!((pace.records_per_sync - 4.0).abs() < 1e-6, "{pace:?}");
        // Then nothing more.
        let pace = meter.pace(at(1000));
        assert!(pace.syncs_per_second < 1.0, "{pace:?}");
        assert_eq!(pace.syncs, 2000);
    }
}
