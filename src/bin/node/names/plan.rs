//! What has to change for a name service to say who the members are.

use std::collections::BTreeMap;

use doozer::client::Condition;

use super::{Entry, Process};

/// A change of what is registered. Its condition makes it harmless when it comes late or twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Registers a member.
    Add(Process, Condition),
    /// Takes out who is no member.
    Remove(String, Condition),
}

/// The changes that make what is registered equal to the members, newcomers first, so that there is
/// always somebody to be found.
pub fn changes(members: &[Process], registered: &[Entry]) -> Vec<Change> {
    let known: BTreeMap<&str, &Entry> = registered
        .iter()
        .map(|entry| (entry.process.id.as_str(), entry))
        .collect();
    let added = members.iter().filter_map(|member| {
        let when = match known.get(member.id.as_str()) {
            None => Condition::MISSING,
            Some(entry) if entry.process != *member => entry.rev.into(),
            Some(_) => return None,
        };
        Some(Change::Add(member.clone(), when))
    });
    let is_member = |entry: &&Entry| members.iter().any(|member| member.id == entry.process.id);
    let removed = registered.iter().filter(|entry| !is_member(entry));
    let removed = removed.map(|entry| Change::Remove(entry.process.id.clone(), entry.rev.into()));
    added.chain(removed).collect()
}

#[cfg(test)]
mod tests {
    use doozer::core::id::Rev;

    use super::*;

    fn process(id: &str, addr: &str) -> Process {
        Process {
            id: id.into(),
            addr: addr.into(),
        }
    }

    fn entry(id: &str, addr: &str, rev: u64) -> Entry {
        Entry {
            process: process(id, addr),
            rev: Rev(rev),
        }
    }

    #[test]
    fn newcomers_come_first_then_the_dead_go() {
        let members = [
            process("A", "a:1"),
            process("B", "b:1"),
            process("C", "c:1"),
        ];
        let registered = [
            entry("A", "a:1", 5),
            entry("C", "other:1", 6),
            entry("X", "x:1", 7),
        ];
        assert_eq!(
            changes(&members, &registered),
            [
                Change::Add(process("B", "b:1"), Condition::MISSING),
                Change::Add(process("C", "c:1"), Rev(6).into()),
                Change::Remove("X".into(), Rev(7).into()),
            ]
        );
        assert_eq!(changes(&members[..1], &registered[..1]), []);
    }
}
