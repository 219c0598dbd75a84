//! Counters and lists: read, then write what follows from it if nobody was faster.

use bytes::Bytes;

use super::{get, set};
use crate::core::protocol::client::{REV_MISSING, Request, Response, Verb};

/// A client that counts in a file or appends to the list in it.
#[derive(Debug)]
pub struct Increment {
    style: Style,
    path: String,
    name: usize,
    tries: u64,
    seen: Option<(i64, Bytes)>,
}

/// How the content of the file grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `<count> <who wrote it>`.
    Count,
    /// The names of all who wrote it, in order, each followed by a comma.
    List,
}

/// Bytes of a list at which its clients begin another one in its place, with its last item.
const LIST_BYTES_MAX: usize = 4096;

impl Increment {
    /// A client with this name.
    pub fn new(style: Style, key: u64, name: usize) -> Increment {
        let path = match style {
            Style::Count => format!("/count/{key}"),
            Style::List => format!("/list/{key}"),
        };
        Increment {
            style,
            path,
            name,
            tries: 0,
            seen: None,
        }
    }

    pub(super) fn next(&mut self) -> Request {
        let Some((rev, value)) = self.seen.take() else {
            return get(self.path.clone());
        };
        self.tries += 1;
        let me = format!("i{}.{}", self.name, self.tries);
        let value = match self.style {
            Style::Count => format!("{} {me}", count_of(&value) + 1),
            Style::List if value.len() > LIST_BYTES_MAX => {
                let list = String::from_utf8_lossy(&value);
                let last = list.trim_end_matches(',').rsplit(',').next();
                format!("{},{me},", last.unwrap_or_default())
            }
            Style::List => format!("{}{me},", String::from_utf8_lossy(&value)),
        };
        set(self.path.clone(), value, rev)
    }

    pub(super) fn ended(&mut self, request: &Request, response: Option<&Response>) {
        let Some(response) = response else { return };
        if request.verb == Some(Verb::Get as i32) && response.error().is_none() {
            let rev = response.rev.unwrap_or(REV_MISSING);
            self.seen = Some((rev, response.value.clone().unwrap_or_default()));
        }
    }
}

/// The count in the file of a counter; 0 when it is empty.
pub fn count_of(value: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(value);
    let count = text.split(' ').next().unwrap_or_default();
    count.parse().unwrap_or(0)
}
