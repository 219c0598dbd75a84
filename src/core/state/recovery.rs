//! A new cluster from what one process remembers of an old one.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{State, guard};
use crate::core::id::{Lineage, NodeId};
use crate::core::membership::Epochs;
use crate::core::protocol::peer::Digest;
use crate::core::store::{Condition, Found, Mutation, Path, Value};

impl State {
    /// The state of the cluster that `founder` makes of this one, where `survivor` is who the state
    /// comes from. The contents, their history, and the count of revisions go on. Slots are the
    /// founder's or vacant, and what processes of the old cluster wrote about themselves is gone;
    /// each such change takes a revision.
    pub fn recovered_by(mut self, founder: NodeId, survivor: NodeId) -> State {
        for mutation in self.clearance(founder, survivor) {
            let done = self.store.apply(&mutation);
            assert_eq!(done.result, Ok(()), "{mutation:?} changes what was found");
        }
        self.lineage = Lineage {
            founder,
            generation: self.lineage.generation.saturating_add(1),
        };
        // Whoever had something in the log is not known by its id any more.
        self.origins.clear();
        self.restoration = None;
        self.epochs = Epochs::of(founder, self.applied.next());
        self.digest = Digest(xxh3_64_with_seed(&founder.0, self.digest.0));
        self
    }

    fn clearance(&self, founder: NodeId, survivor: NodeId) -> Vec<Mutation> {
        let text = survivor.to_string();
        let slots: Vec<(Path, &Value)> = self
            .slot_files()
            .map(|(file, _, value)| (file, value))
            .collect();
        let own = slots.iter().find(|(_, value)| value.0 == text.as_bytes());
        let seat = own.or(slots.first()).map(|(file, _)| file.clone());
        let seat = seat.unwrap_or_else(|| guard::slot_file("0"));
        let mut mutations = vec![set(seat.clone(), founder.to_string())];
        for (file, value) in slots {
            if file != seat && !value.0.is_empty() {
                mutations.push(set(file, String::new()));
            }
        }
        let view = self.store.at(None).expect("the current state can be read");
        for id in self.processes() {
            for (name, found) in view.entries(&guard::node_dir(id)) {
                if let Found::File { .. } = found {
                    mutations.push(Mutation::Del {
                        path: guard::node_file(id, name),
                        condition: Condition::ANY,
                    });
                }
            }
        }
        mutations
    }
}

fn set(path: Path, value: String) -> Mutation {
    Mutation::Set {
        path,
        value: Value(value.into()),
        condition: Condition::ANY,
    }
}

/// Two states are the same if their whole histories are.
impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        let key = |state: &State| (state.lineage, state.applied, state.digest);
        key(self) == key(other)
    }
}

impl Eq for State {}
