//! The seam between the simulator and what it runs: the real node, or a stand-in that tests the
//! harness itself.

use bytes::Bytes;

use crate::core::consensus::Slot;
use crate::core::durable::Checkpoint;
use crate::core::env::{Env, Input};
use crate::core::id::{Lineage, NodeId, Rev};
use crate::core::node::{Config, Node};
use crate::core::protocol::peer::Digest;
use crate::core::state::State;
use crate::core::store::Found;

/// A state machine that behaves as a node.
pub trait Machine: Sized {
    /// What all machines of one run share besides messages. Nothing, for the real node.
    type Shared;

    /// A machine at the beginning of its life.
    fn new(config: Config, shared: &Self::Shared) -> Self;

    /// Takes one input.
    fn handle(&mut self, input: Input, env: &mut impl Env);

    /// Ends a group of inputs that were ready together.
    fn flush(&mut self, env: &mut impl Env);

    /// Whether its cluster knows it.
    fn is_ready(&self) -> bool;

    /// Whether clients may be let in.
    fn serves(&self) -> bool {
        self.is_ready()
    }

    /// What the checkers may see of its state without asking as a client would. `None` where the
    /// machine does not show it, or is not ready: then the checks that need it have no say.
    fn view(&self) -> Option<View>;

    /// The node itself, for checkers that look inside; `None` for a stand-in.
    fn node(&self) -> Option<&Node>;

    /// The members of each configuration that may decide slots which are not applied here. Empty
    /// where the machine does not show it.
    fn member_sets(&self) -> Vec<Vec<NodeId>>;

    /// The content of a file in the state that is applied here. `None` where there is no such file,
    /// or the machine does not show it.
    fn file(&self, path: &str) -> Option<Bytes>;

    /// Which cluster it belongs to, as far as it knows.
    fn lineage(&self) -> Option<Lineage> {
        None
    }

    /// How often it has got its state other than by handling inputs.
    fn installs(&self) -> u64 {
        0
    }

    /// All that it must not forget; `None` where the machine keeps nothing.
    fn checkpoint(&self) -> Option<Checkpoint> {
        None
    }

    /// The membership slots, by number, and who holds each. Empty where the machine does not show
    /// it.
    fn seats(&self) -> Vec<(u64, Option<NodeId>)>;
}

/// What a machine shows of its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The last slot applied.
    pub applied: Slot,
    /// The digest of the state after it.
    pub digest: Digest,
    /// The revision there.
    pub rev: Rev,
}

impl Machine for Node {
    type Shared = ();

    fn new(config: Config, _shared: &()) -> Node {
        Node::new(config)
    }

    fn handle(&mut self, input: Input, env: &mut impl Env) {
        Node::handle(self, input, env);
    }

    fn flush(&mut self, env: &mut impl Env) {
        Node::flush(self, env);
    }

    fn is_ready(&self) -> bool {
        Node::is_ready(self)
    }

    fn serves(&self) -> bool {
        Node::serves(self)
    }

    fn view(&self) -> Option<View> {
        self.state()?;
        Some(View {
            applied: self.applied(),
            digest: self.digest(),
            rev: self.rev(),
        })
    }

    fn node(&self) -> Option<&Node> {
        Some(self)
    }

    fn lineage(&self) -> Option<Lineage> {
        self.state().map(State::lineage)
    }

    fn installs(&self) -> u64 {
        Node::installs(self)
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        Node::checkpoint(self)
    }

    fn member_sets(&self) -> Vec<Vec<NodeId>> {
        let Some(state) = self.state() else {
            return Vec::new();
        };
        let first = state.applied().next();
        let covering = state.epochs().covering(first, first.plus(state.alpha()));
        covering.map(|epoch| epoch.members.clone()).collect()
    }

    fn file(&self, path: &str) -> Option<Bytes> {
        let view = self.state()?.store().at(None).ok()?;
        match view.get_bytes(path.as_bytes()) {
            Found::File { value, .. } => Some(value.0.clone()),
            Found::Dir { .. } | Found::Missing => None,
        }
    }

    fn seats(&self) -> Vec<(u64, Option<NodeId>)> {
        let files = self.state().into_iter().flat_map(State::slot_files);
        files
            .filter_map(|(file, _, value)| {
                let slot = file.components().next_back()?.parse().ok()?;
                let holder = std::str::from_utf8(&value.0).ok()?.parse().ok();
                Some((slot, holder))
            })
            .collect()
    }
}
