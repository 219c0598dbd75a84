//! The lives of other processes, as this one has met them: a process that keeps its memory on disk
//! counts its starts, so that one that comes with a smaller count, or with the same one and yet is
//! another, was started from a copy of its disk that is of the past. It has forgotten promises.

use std::collections::BTreeMap;

use crate::core::id::NodeId;

/// Processes that are remembered at most. Far more than a cluster meets; of one that is forgotten, the
/// log still tells the last life in which it wrote anything.
const PROCESSES_MAX: usize = 1024;

/// One life of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    /// How often the process had been started before.
    pub(super) boot: u32,
    /// A random number of its own.
    pub(super) token: u64,
}

/// The latest life of each process.
#[derive(Debug, Default)]
pub(super) struct Lives {
    latest: BTreeMap<NodeId, Life>,
}

impl Lives {
    /// A process says which life it is in; `told` is the latest one that the log tells of. Gives that
    /// of a later life if there was one.
    pub(super) fn meet(&mut self, id: NodeId, life: Life, told: u32) -> Result<(), u32> {
        if life.boot < told {
            return Err(told);
        }
        match self.latest.get(&id) {
            Some(known) if *known == life => return Ok(()),
            Some(known) if life.boot <= known.boot => return Err(known.boot),
            Some(_) => {}
            None if self.latest.len() >= PROCESSES_MAX => {
                self.latest.pop_first();
            }
            None => {}
        }
        self.latest.insert(id, life);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_later_once_is_never_earlier_again() {
        let mut lives = Lives::default();
        let (one, other) = (NodeId([1; 10]), NodeId([2; 10]));
        let mut meet = |id, boot, token, told| lives.meet(id, Life { boot, token }, told);
        assert_eq!(meet(one, 3, 30, 0), Ok(()));
        assert_eq!(meet(one, 3, 30, 3), Ok(()), "it calls again");
        assert_eq!(meet(one, 3, 31, 3), Err(3), "another one of the same count");
        assert_eq!(meet(one, 2, 20, 0), Err(3));
        assert_eq!(meet(one, 4, 40, 5), Err(5), "the log knows of a later one");
        assert_eq!(
            meet(other, 0, 1, 0),
            Ok(()),
            "others have lives of their own"
        );
        assert_eq!(meet(one, 7, 70, 5), Ok(()));
        assert_eq!(meet(one, 3, 30, 0), Err(7));
    }

    #[test]
    fn it_remembers_a_bounded_number() {
        let mut lives = Lives::default();
        for n in 0..2 * PROCESSES_MAX as u64 {
            let id = NodeId::from_random(n, n);
            assert_eq!(lives.meet(id, Life { boot: 1, token: n }, 0), Ok(()));
        }
        assert_eq!(lives.latest.len(), PROCESSES_MAX);
    }
}
