//! A run as a picture: one page of HTML that needs nothing else.
//!
//! A lane for each host (and one more for each process that has to share one), messages as arrows,
//! crosses for those that are lost, shades for cuts and pauses, marks for what nodes record, apply
//! and notice, bars for the requests of clients, and the broken rule in red. The scripts in `page/`
//! draw it, on a canvas and only what is in sight.

mod picture;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::rc::Rc;

use super::narration::Narrator;

pub use picture::Picture;

const PAGE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPTS: [&str; 3] = [
    include_str!("page/tables.js"),
    include_str!("page/paint.js"),
    include_str!("page/hand.js"),
];

/// A picture of what happens while the number of events is in this range, which grows while a run
/// is told, and the narrator that does so.
pub fn listen(events: RangeInclusive<u64>) -> (Rc<RefCell<Picture>>, Narrator) {
    let picture = Rc::new(RefCell::new(Picture::default()));
    let painter = Rc::clone(&picture);
    // All is heard, as what began before may last.
    let narrator = Narrator::new(move |told| {
        let is_within = events.contains(&told.number);
        painter.borrow_mut().take(told, is_within);
    });
    (picture, narrator)
}

/// The page with a picture. `run` are the arguments that choose the run, and `summary` is how it
/// went, in a line.
pub fn page(picture: &Picture, run: &str, summary: &str) -> String {
    let data = serde_json::json!({ "run": run, "summary": summary, "picture": picture });
    // What ends a script element must not stand in one.
    let data = data.to_string().replace('<', "\\u003c");
    let (head, rest) = PAGE.split_once("/*STYLE*/").expect("the page has a style");
    let (body, rest) = rest.split_once("/*DATA*/").expect("the page has data");
    let (middle, tail) = rest
        .split_once("/*SCRIPT*/")
        .expect("the page has a script");
    [head, STYLE, body, &data, middle, &SCRIPTS.concat(), tail].concat()
}
