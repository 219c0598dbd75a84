//! The node: the one entrance to all rooms.

use std::time::Duration;

use super::env::{Env, Input};
use super::id::NodeId;
use super::limits::Limits;

/// What a node is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who it is.
    pub id: NodeId,
    /// How often this identity has been started before; 0 for a process that keeps nothing.
    pub boot: u32,
    /// The address that others reach it at.
    pub addr: String,
    /// The name of its machine, for `/ctl/node/<id>/hostname`.
    pub hostname: String,
    /// The version of the program, for `/ctl/node/<id>/version`.
    pub version: String,
    /// How its life begins.
    pub start: Start,
    /// The secret that grants everything; empty if unset.
    pub rw_secret: Vec<u8>,
    /// The secret that grants reading; empty if unset.
    pub ro_secret: Vec<u8>,
    /// How often a member writes its `applied` file.
    pub pulse: Duration,
    /// How long a silent member keeps its slot.
    pub timeout: Duration,
    /// Revisions of history to retain.
    pub history_revs: u64,
    /// Bytes of history to retain.
    pub history_bytes: u64,
    /// Whether reads without a `local` field are answered from this node's own copy.
    pub local_reads: bool,
    /// How long a client's request may wait for the cluster before it is answered with an error.
    pub request_timeout: Duration,
    /// Bounds on clients.
    pub limits: Limits,
}

/// How a node's life begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// It founds a cluster of this name, and is its only member.
    Found {
        /// The name of the cluster.
        cluster: String,
    },
    /// It attaches to whatever process it is linked to, copies its state, follows it, and waits
    /// for a vacant slot.
    Join,
}

/// All logic of one process.
#[derive(Clone, Debug)]
pub struct Node {
    config: Config,
}

impl Node {
    /// A node at the beginning of its life. Its first effects leave with the first `flush`.
    pub fn new(config: Config) -> Node {
        Node { config }
    }

    /// Takes one input. Never blocks and never fails; effects leave through `env`, except those
    /// that are collected for the next [`Node::flush`].
    pub fn handle(&mut self, input: Input, env: &mut impl Env) {
        let _ = (input, env.now(), &self.config);
    }

    /// Ends a group of inputs that were ready together: what was collected leaves.
    pub fn flush(&mut self, env: &mut impl Env) {
        let _ = env.now();
    }

    /// Whether the node has what it needs to serve clients. Until then the runtime lets them wait.
    pub fn is_ready(&self) -> bool {
        false
    }
}
