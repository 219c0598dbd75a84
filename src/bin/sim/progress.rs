//! How far a sweep is: a bar on a terminal, a line from time to time elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use doozer::sim::sweep::Totals;
use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// When a sweep ends.
#[derive(Clone, Copy)]
pub enum Goal {
    /// After so many runs.
    Runs(u64),
    /// After so much time.
    Time(Duration),
}

/// Tells of a sweep while it runs, on stderr.
pub struct Progress {
    goal: Goal,
    began: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A sweep begins.
    pub fn new(goal: Goal) -> Progress {
        let length = match goal {
            Goal::Runs(runs) => runs,
            Goal::Time(span) => span.as_secs(),
        };
        let style = ProgressStyle::with_template("{wide_bar} {percent:>3}%  {msg}");
        let style = style.expect("the template is right");
        let bar = || ProgressBar::new(length).with_style(style);
        let now = Instant::now();
        Progress {
            goal,
            began: now,
            told: now,
            bar: stderr().is_terminal().then(bar),
        }
    }

    /// Shows how far it is.
    pub fn show(&mut self, totals: &Totals) {
        let passed = self.began.elapsed();
        match &self.bar {
            Some(bar) => {
                bar.set_message(describe(totals, passed));
                bar.set_position(match self.goal {
                    Goal::Runs(_) => totals.runs,
                    Goal::Time(_) => passed.as_secs(),
                });
            }
            None if self.told.elapsed() >= LINE_EVERY => {
                self.told = Instant::now();
                eprintln!("{}", describe(totals, passed));
            }
            None => {}
        }
    }

    /// Tells a line of its own.
    pub fn tell(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// The sweep has ended.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn describe(totals: &Totals, passed: Duration) -> String {
    let rate = totals.runs as f64 / passed.as_secs_f64();
    format!(
        "{} runs, {rate:.0}/s, {} faults, {} failures",
        totals.runs, totals.faults, totals.failures
    )
}
