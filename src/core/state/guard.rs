//! The rules that guard `/ctl` against clients, and the paths of the files in it.
//!
//! The original lets clients write anything there, and several ways to do so stop a cluster for
//! good.

use super::State;
use crate::core::id::NodeId;
use crate::core::instrument::{planted, sometimes};
use crate::core::membership::MEMBERS_MAX;
use crate::core::store::{Mutation, Path, Value};

/// What the paths of membership slots begin with.
pub(super) const SLOTS: &str = "/ctl/cal";

const NODES: &str = "/ctl/node";
const RESTORED: &str = "/ctl/restored";
const ERR: &str = "/ctl/err";

/// The directory of the membership slots.
pub fn slots_dir() -> Path {
    path(SLOTS.to_owned())
}

/// The directory of the processes.
pub fn nodes_dir() -> Path {
    path(NODES.to_owned())
}

/// The file with the name of the cluster.
pub fn name_file() -> Path {
    path("/ctl/name".to_owned())
}

/// The file of a membership slot.
pub fn slot_file(name: &str) -> Path {
    path(format!("{SLOTS}/{name}"))
}

/// The directory in which a process keeps files about itself.
pub fn node_dir(node: NodeId) -> Path {
    path(format!("{NODES}/{node}"))
}

/// A file that a process keeps about itself.
pub fn node_file(node: NodeId, name: &str) -> Path {
    path(format!("{NODES}/{node}/{name}"))
}

/// The file that names the restoration that the contents come from.
pub fn restored_file() -> Path {
    path(RESTORED.to_owned())
}

/// Whether a file tells of something that happened, and not of how things are.
pub(super) fn is_mark(path: &Path) -> bool {
    [ERR, RESTORED].contains(&path.as_str())
}

/// Whether a file is the servers' own, in the cluster of this name: what they keep of themselves is
/// neither taken from a backup nor lost when one is restored. A name service keeps what it holds of
/// other clusters.
pub fn is_of_servers(path: &Path, cluster: &str) -> bool {
    let mut names = path.components();
    if names.next() != Some("ctl") {
        return false;
    }
    match names.next() {
        None | Some("cal" | "node" | "name" | "err" | "restored") => true,
        Some("ns" | "boot") => names.next().is_none_or(|name| name == cluster),
        Some(_) => false,
    }
}

fn path(text: String) -> Path {
    Path::parse(text.as_bytes()).expect("names in /ctl are well formed")
}

impl State {
    /// Whether a client may do this; if not, why not. Where its node has judged what it does to the
    /// majority, `judged` are the members by which it did.
    pub(super) fn guard(
        &self,
        mutation: &Mutation,
        judged: Option<&[NodeId]>,
    ) -> Result<(), String> {
        let (path, value) = match mutation {
            Mutation::Nop => return Ok(()),
            Mutation::Set { path, value, .. } => (path, Some(value)),
            Mutation::Del { path, .. } => (path, None),
        };
        let mut names = path.components();
        if names.next() != Some("ctl") {
            return Ok(());
        }
        match names.next() {
            Some("cal") => self.guard_slot(path, value, judged),
            Some("node") => self.guard_node(names.next(), path, value),
            Some("name") => {
                sometimes!(NameGuarded);
                Err(format!("{path}: the name of a cluster does not change"))
            }
            Some("err") => {
                sometimes!(ErrorsGuarded);
                Err(format!("{ERR} belongs to the servers: choose another path"))
            }
            Some("restored") => Err(format!(
                "{RESTORED} belongs to the servers: choose another path"
            )),
            _ => Ok(()),
        }
    }

    /// Whether this concerns a file of a process that is gone: what it had on its way when it was put
    /// out must not bring its directory back, which nobody would remove. Its address comes first, and
    /// once.
    pub(super) fn is_of_ghost(&self, mutation: &Mutation) -> bool {
        let (Mutation::Set { path, .. } | Mutation::Del { path, .. }) = mutation else {
            return false;
        };
        let mut names = path.components();
        if (names.next(), names.next()) != (Some("ctl"), Some("node")) {
            return false;
        }
        let id = names.next().and_then(|name| name.parse().ok());
        let is_ghost = id.is_some_and(|id| self.addr_of(id).is_none());
        is_ghost && names.next() != Some("addr") && !planted!(EvictedWriteOn)
    }

    fn guard_slot(
        &self,
        path: &Path,
        value: Option<&Value>,
        judged: Option<&[NodeId]>,
    ) -> Result<(), String> {
        let depth = path.components().count();
        // The last member of all may clear its slot; a file in the place of the directory would keep
        // everybody from holding one again.
        let is_directory = self.slot_files().next().is_some();
        if value.is_some() && (depth > 3 || depth == 2 && !is_directory) {
            return Err(format!("{path}: slots are files directly in {SLOTS}"));
        }
        if depth != 3 {
            return Ok(());
        }
        let is_held = |(file, _, held): (Path, _, &Value)| file == *path && !held.0.is_empty();
        let seats = value.filter(|value| !value.0.is_empty());
        // Several at once could together cost the majority that each alone would leave.
        let moves = seats.is_some() || self.slot_files().any(is_held);
        if moves && !self.is_settled() {
            return Err(format!(
                "{path}: another change of the members is coming into force; try again in a moment"
            ));
        }
        let is_outdated = |judged| self.epochs.latest().members != judged;
        if moves && judged.is_some_and(is_outdated) {
            sometimes!(SeatJudgedBefore);
            return Err(format!(
                "{path}: another change of the members came first; look at {SLOTS} and try again"
            ));
        }
        let Some(value) = seats else { return Ok(()) };
        let id: Option<NodeId> = std::str::from_utf8(&value.0)
            .ok()
            .and_then(|text| text.parse().ok());
        let Some(id) = id.filter(|id| self.addr_of(*id).is_some()) else {
            sometimes!(SeatOfStrangerGuarded);
            return Err(format!(
                "{path} takes the id of an attached process (see {NODES}), or nothing, which lets \
                 a standby take it"
            ));
        };
        let taken = self
            .slot_files()
            .find(|(file, _, value)| file != path && value.0 == id.to_string().as_bytes());
        if let Some((file, _, _)) = taken {
            return Err(format!("{id} holds {file} already"));
        }
        if self.slot_holders().len() >= MEMBERS_MAX {
            return Err(format!("a cluster has at most {MEMBERS_MAX} members"));
        }
        Ok(())
    }

    fn guard_node(
        &self,
        id: Option<&str>,
        path: &Path,
        value: Option<&Value>,
    ) -> Result<(), String> {
        let Some(id) = id else { return Ok(()) };
        if value.is_some() {
            sometimes!(NodeFileGuarded);
            return Err(format!(
                "{path} belongs to the servers: choose another path"
            ));
        }
        let holds_slot = id.parse().is_ok_and(|id: NodeId| {
            self.slot_holders().contains(&id) || self.epochs.latest().has(id)
        });
        if holds_slot {
            return Err(format!("{path} belongs to {id}, which is a member"));
        }
        Ok(())
    }
}
