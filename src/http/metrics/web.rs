//! What is asked for over HTTP.

use std::fmt;

use prometheus_client::metrics::counter::ConstCounter;

use super::Picture;
use super::sheet::Sheet;

impl Picture {
    pub(super) fn web(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let answers = self.web.answers.iter();
        sheet.family(
            "doozer_http_answers",
            "Answers over HTTP, by their status",
            None,
            answers
                .map(|(code, count)| (vec![("code", code.to_string())], ConstCounter::new(*count))),
        )?;
        sheet.gauge(
            "doozer_http_watchers",
            "Watchers that are sent events over HTTP",
            self.web.watchers,
        )?;
        sheet.counter(
            "doozer_http_events",
            "Events that watchers over HTTP were sent, each counted for each of them",
            self.web.events,
        )?;
        sheet.counter(
            "doozer_http_watchers_stalled",
            "Watchers over HTTP that were dropped as they took nothing",
            self.web.stalled,
        )
    }
}
