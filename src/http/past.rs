//! What is retained of the past, and when it was the present.
//!
//! Revisions carry no time: no two clocks would agree on it. So each process notes by its own clock
//! which revision it had at which moment, from its start on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use tokio::time::sleep;

use super::access::Caller;
use super::failure::Failure;
use super::files::answer;
use super::routes::App;

/// How often the revision is noted.
const PERIOD: Duration = Duration::from_secs(1);

/// Notes that are kept. Beyond that every second one is dropped, and the period doubles; an idle
/// cluster of three has as many in the time that its history lasts.
const NOTES_MAX: usize = 8_192;

/// A revision, and the milliseconds since 1970 at which this process was seen to have it.
type Note = (u64, u64);

/// When which revision was the present.
#[derive(Debug, Default)]
pub(super) struct Past {
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    kept: VecDeque<Note>,
    /// How often the period has doubled.
    doublings: u32,
}

impl Notes {
    /// Notes a revision, and forgets what came before the one that was current at the oldest.
    fn push(&mut self, note: Note, oldest: u64) {
        while self.kept.get(1).is_some_and(|next| next.0 <= oldest) {
            self.kept.pop_front();
        }
        match self.kept.back() {
            Some(last) if last.0 == note.0 => return,
            // A life under another id, or a recovered cluster: what was noted is not its past.
            Some(last) if last.0 > note.0 => self.kept.clear(),
            _ => {}
        }
        self.kept.push_back(note);
        if self.kept.len() > NOTES_MAX {
            let mut nth = 0;
            self.kept.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
            self.doublings += 1;
        }
    }
}

/// Notes the revision from time to time, for as long as the process lives.
pub(super) async fn keep(app: Arc<App>) {
    loop {
        if let Some(measures) = app.desk.measure().await {
            let report = measures.inside.report;
            app.past.lock().push((report.rev, now()), report.oldest);
        }
        let doublings = app.past.lock().doublings;
        sleep(PERIOD * 2u32.saturating_pow(doublings)).await;
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

impl Past {
    fn lock(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The oldest revision that can be read, the present one, and when which was the present.
pub(super) async fn history(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Response, Failure> {
    app.access.check_reads(caller)?;
    let report = app.measures().await?.inside.report;
    let now = now();
    let mut times: Vec<Note> = app.past.lock().kept.iter().copied().collect();
    // What came since the last note came before now.
    if times.last().is_none_or(|last| last.0 < report.rev) {
        times.push((report.rev, now));
    }
    Ok(answer(&json!({
        "oldest": report.oldest, "rev": report.rev, "now": now, "times": times,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_retained_is_forgotten_and_the_rest_thins_out() {
        let mut notes = Notes::default();
        for rev in 1..=100 {
            notes.push((rev, rev * 1_000), 1);
            notes.push((rev, rev * 1_000 + 1), 1);
        }
        assert_eq!(notes.kept.len(), 100);
        notes.push((101, 101_000), 50);
        assert_eq!(notes.kept.front(), Some(&(50, 50_000)));
        for rev in 102..=3 * NOTES_MAX as u64 {
            notes.push((rev, rev * 1_000), 50);
        }
        assert!(notes.kept.len() <= NOTES_MAX);
        assert!(notes.doublings >= 2);
        assert!(
            notes
                .kept
                .iter()
                .zip(notes.kept.iter().skip(1))
                .all(|(a, b)| a < b)
        );
        notes.push((7, 1_000_000_000), 1);
        assert_eq!(notes.kept.len(), 1);
    }
}
