//! How far it is, on a terminal.

use std::io::{IsTerminal, Write, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error; nothing where that is no terminal. It goes when it is dropped.
pub struct Progress(Option<ProgressBar>);

impl Progress {
    /// Counts up to an unknown end.
    pub fn counting(what: &'static str) -> Progress {
        Progress::with(None, "{spinner} {human_pos} {msg}, {per_sec}", what)
    }

    /// Counts up to `length`.
    pub fn to(length: u64, what: &'static str) -> Progress {
        let template = "{wide_bar} {percent:>3}%  {human_pos} {msg}";
        Progress::with(Some(length), template, what)
    }

    /// Tells something that changes.
    pub fn telling() -> Progress {
        Progress::with(None, "{spinner} {wide_msg}", "")
    }

    fn with(length: Option<u64>, template: &str, what: &'static str) -> Progress {
        if !stderr().is_terminal() {
            return Progress(None);
        }
        let style = ProgressStyle::with_template(template).expect("the template is right");
        let bar = match length {
            Some(length) => ProgressBar::new(length),
            None => ProgressBar::new_spinner(),
        };
        Progress(Some(bar.with_style(style).with_message(what)))
    }

    /// One more.
    pub fn step(&self) {
        self.advance(1);
    }

    /// So many more.
    pub fn advance(&self, count: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(count);
        }
    }

    /// Tells what it is now.
    pub fn tell(&self, text: impl FnOnce() -> String) {
        if let Some(bar) = &self.0 {
            bar.set_message(text());
            bar.tick();
        }
    }

    /// Prints a line that stays, where somebody reads it.
    pub fn line(&self, text: &str) {
        match &self.0 {
            Some(bar) => bar.println(text),
            None => {
                let _ = writeln!(stderr(), "{text}");
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
