//! Who was put out, or has left, leaves nothing behind: with its address all its files in `/ctl/node`
//! go, and none comes back. Lists of processes would grow for ever otherwise, and tell of ghosts.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use crate::core::id::NodeId;
use crate::core::protocol::client::{FLAG_DEL, FLAG_SET};
use crate::sim::model::Event;

/// The property, as a sentence.
pub const PROPERTY: &str = "who is put out leaves nothing behind in /ctl/node";

const NODES: &str = "/ctl/node/";

/// The files of processes, as the events tell of them.
#[derive(Debug, Default)]
pub struct Remains {
    files: BTreeMap<NodeId, BTreeSet<String>>,
    /// Whose address was there and is not any more.
    gone: BTreeSet<NodeId>,
    /// How often a process has come back with its memory and not registered anew since. What a life
    /// sent to register may be decided in the next one, which registers too.
    back: BTreeMap<NodeId, u32>,
}

impl Remains {
    /// A process has come back as who it was. If it was put out meanwhile, it is there once more when
    /// it has registered again.
    pub fn comes_back(&mut self, id: NodeId) {
        *self.back.entry(id).or_default() += 1;
    }

    /// Takes in what has happened since the last time: whole commands.
    pub fn note(&mut self, events: &[Event]) -> Result<(), Violation> {
        let mut is_touched = false;
        for event in events {
            let path = event.path.strip_prefix(NODES.as_bytes());
            let Some(path) = path.and_then(|path| std::str::from_utf8(path).ok()) else {
                continue;
            };
            let Some((id, name)) = path.split_once('/') else {
                continue;
            };
            let Ok(id) = id.parse::<NodeId>() else {
                continue;
            };
            is_touched = true;
            let files = self.files.entry(id).or_default();
            match event.flags {
                FLAG_SET => {
                    files.insert(name.to_owned());
                    let back = self.back.get_mut(&id).filter(|times| **times > 0);
                    if let Some(times) = back.filter(|_| name == "addr") {
                        *times -= 1;
                        self.gone.remove(&id);
                    }
                }
                FLAG_DEL => {
                    files.remove(name);
                    if name == "addr" {
                        self.gone.insert(id);
                    }
                }
                _ => {}
            }
        }
        let mut left = self.gone.iter().filter_map(|id| {
            let files = self.files.get(id)?;
            Some((id, files.first()?))
        });
        match left.next().filter(|_| is_touched) {
            None => Ok(()),
            Some((id, file)) => Err(Violation::new(
                PROPERTY,
                format!("{NODES}{id}/{file} is there, though {id} is gone"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(path: &str, flags: i32) -> Event {
        Event {
            path: path.to_owned().into(),
            value: bytes::Bytes::new(),
            flags,
        }
    }

    #[test]
    fn files_go_with_their_process_and_do_not_come_back() {
        let id = NodeId([7; 10]);
        let [addr, applied] = ["addr", "applied"].map(|name| format!("{NODES}{id}/{name}"));
        let mut remains = Remains::default();
        let both = [event(&addr, FLAG_SET), event(&applied, FLAG_SET)];
        assert_eq!(remains.note(&both), Ok(()));
        let gone = [event(&addr, FLAG_DEL), event(&applied, FLAG_DEL)];
        assert_eq!(remains.note(&gone), Ok(()));
        assert!(remains.note(&[event(&applied, FLAG_SET)]).is_err());

        let mut remains = Remains::default();
        assert_eq!(remains.note(&both), Ok(()));
        assert!(remains.note(&gone[..1]).is_err());

        let mut remains = Remains::default();
        let all = [&both[..], &gone[..]].concat();
        assert_eq!(remains.note(&all), Ok(()));
        remains.comes_back(id);
        assert_eq!(remains.note(&both), Ok(()));
        assert_eq!(remains.note(&gone), Ok(()));
        assert!(remains.note(&both).is_err());

        // The registration of a life that has ended comes late, and the next life's after it.
        let mut remains = Remains::default();
        assert_eq!(remains.note(&both), Ok(()));
        remains.comes_back(id);
        remains.comes_back(id);
        for _ in 0..2 {
            assert_eq!(remains.note(&both), Ok(()));
            assert_eq!(remains.note(&gone), Ok(()));
        }
        assert!(remains.note(&both).is_err());
    }
}
