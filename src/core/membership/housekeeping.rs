//! What a process does of itself: it founds a cluster or registers with one, keeps its files in
//! `/ctl/node/<id>`, and claims a vacant slot.

use std::time::Duration;

use crate::core::consensus::Slot;
use crate::core::env::Time;
use crate::core::id::NodeId;
use crate::core::instrument::{planted, sometimes};
use crate::core::log::{Author, Op, Seq};
use crate::core::state::{State, node_file};
use crate::core::store::{Condition, Found, Mutation, Path, Value};

/// Before a claim that came to nothing is repeated, while the slot stays vacant.
const CLAIM_PAUSE: Duration = Duration::from_millis(100);

/// How long a process that has lost its slot leaves vacancies to others.
pub const DEMOTED_PAUSE: Duration = Duration::from_secs(2);

/// What the process tells about itself.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its id.
    pub id: NodeId,
    /// The address that others reach it at.
    pub addr: String,
    /// The name of its machine.
    pub hostname: String,
    /// The version of the program.
    pub version: String,
    /// How often it writes its `applied` file, as a member.
    pub pulse: Duration,
}

/// How things stand.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// The time.
    pub now: Time,
    /// Whether this process votes.
    pub is_member: bool,
    /// The highest slot that anybody was seen to use.
    pub seen: Slot,
    /// A random value.
    pub random: u64,
}

/// What a process does of itself.
#[derive(Clone, Debug)]
pub struct Housekeeping {
    identity: Identity,
    /// The cluster to found, until that is begun.
    founds: Option<String>,
    begun: bool,
    /// The last of the commands that make this process known.
    registered: Option<Seq>,
    is_known: bool,
    pulse_due: Time,
    pulse: Option<Seq>,
    writable: Option<Seq>,
    claim: Option<Seq>,
    claim_due: Time,
}

impl Housekeeping {
    /// Nothing done yet. `founds` names the cluster that the process founds, if it does.
    pub fn new(identity: Identity, founds: Option<String>) -> Housekeeping {
        Housekeeping {
            identity,
            founds,
            begun: false,
            registered: None,
            is_known: false,
            pulse_due: Time(0),
            pulse: None,
            writable: None,
            claim: None,
            claim_due: Time::NEVER,
        }
    }

    /// Whether the process is known in the cluster.
    pub fn is_registered(&self, state: &State) -> bool {
        self.registered.is_some_and(|seq| self.is_done(seq, state))
    }

    /// When [`Housekeeping::due`] has something to do, at the latest.
    pub fn deadline(&self, is_member: bool) -> Time {
        match (self.is_known, is_member) {
            // What it waits for is a change in `/ctl`.
            (false, _) => Time::NEVER,
            (true, true) => self.pulse_due,
            (true, false) => self.claim_due,
        }
    }

    /// The commands that are due. `submit` numbers them.
    pub fn due(&mut self, state: &State, at: Situation, mut submit: impl FnMut(Op) -> Seq) {
        if !self.begun {
            self.begun = true;
            for op in self.introduce() {
                self.registered = Some(submit(op));
            }
            return;
        }
        self.is_known = self.is_registered(state);
        if !self.is_known {
            return;
        }
        if state.addr_of(self.identity.id).is_none() {
            // It was put out, or has left.
            (self.pulse_due, self.claim_due) = (Time::NEVER, Time::NEVER);
            return;
        }
        self.keep_writable(state, at, &mut submit);
        if at.is_member {
            self.pulse(state, at, &mut submit);
        } else {
            self.claim(state, at, &mut submit);
        }
    }

    /// The first revisions of a process, in the order that clients of the original know.
    fn introduce(&mut self) -> Vec<Op> {
        let Identity {
            id,
            addr,
            hostname,
            version,
            ..
        } = &self.identity;
        let mut ops = vec![
            set(node_file(*id, "addr"), addr, Condition::ANY),
            set(node_file(*id, "hostname"), hostname, Condition::ANY),
            set(node_file(*id, "version"), version, Condition::ANY),
        ];
        if let Some(cluster) = self.founds.take() {
            ops.insert(0, set(path("/ctl/name"), &cluster, Condition::ANY));
            ops.push(set(path("/ctl/cal/0"), &id.to_string(), Condition::ANY));
            ops.push(set(
                path(&format!("/ctl/ns/{cluster}/{id}")),
                addr,
                Condition::ANY,
            ));
        }
        ops
    }

    fn keep_writable(&mut self, state: &State, at: Situation, submit: &mut impl FnMut(Op) -> Seq) {
        if self.writable.is_some_and(|seq| !self.is_done(seq, state)) {
            return;
        }
        let file = node_file(self.identity.id, "writable");
        let view = state
            .store()
            .at(None)
            .expect("the current state can be read");
        let is_written = !matches!(view.get(&file), Found::Missing);
        if at.is_member && !is_written {
            self.writable = Some(submit(set(file, "true", Condition::MISSING)));
        } else if !at.is_member && is_written {
            // Whoever cleared the slot wants somebody else in it, if there is one.
            self.claim_due = at.now + DEMOTED_PAUSE;
            let mutation = Mutation::Del {
                path: file,
                condition: Condition::ANY,
            };
            self.writable = Some(submit(Op::Mutate {
                mutation,
                author: Author::Server,
            }));
        }
    }

    fn pulse(&mut self, state: &State, at: Situation, submit: &mut impl FnMut(Op) -> Seq) {
        if at.now < self.pulse_due {
            return;
        }
        self.pulse_due = at.now + self.identity.pulse;
        // Without a majority pulses do not pile up.
        sometimes!(
            PulseHeldBack,
            self.pulse.is_some_and(|seq| !self.is_done(seq, state))
        );
        if self.pulse.is_none_or(|seq| self.is_done(seq, state)) {
            let rev = state.store().rev().to_string();
            self.pulse = Some(submit(set(
                node_file(self.identity.id, "applied"),
                &rev,
                Condition::ANY,
            )));
        }
    }

    fn claim(&mut self, state: &State, at: Situation, submit: &mut impl FnMut(Op) -> Seq) {
        if self.claim.is_some_and(|seq| !self.is_done(seq, state)) {
            // It may come to nothing, of which there is no trace in the store.
            self.claim_due = at.now + CLAIM_PAUSE;
            return;
        }
        if planted!(ClaimsOnce) && self.claim.is_some() {
            self.claim_due = Time::NEVER;
            return;
        }
        let latest = state.epochs().latest();
        let vacancy = state.slot_files().find(|(_, _, value)| value.0.is_empty());
        let Some((file, rev, _)) = vacancy.filter(|_| !latest.has(self.identity.id)) else {
            self.claim_due = Time::NEVER;
            return;
        };
        if at.now < self.claim_due && self.claim_due != Time::NEVER {
            return;
        }
        let jitter = at.random % (CLAIM_PAUSE.as_micros() as u64);
        self.claim_due = at.now + CLAIM_PAUSE + Duration::from_micros(jitter);
        // Who lags would hold the others up, and one change of membership comes after the other.
        let is_behind =
            at.seen > state.applied().plus(state.alpha() / 2) && !planted!(ClaimsBehind);
        let is_settled = latest.start <= state.applied().next();
        sometimes!(TooFarBehindToClaim, is_behind);
        if !is_behind && is_settled {
            self.claim = Some(submit(Op::Claim { file, rev }));
        }
    }

    fn is_done(&self, seq: Seq, state: &State) -> bool {
        state.last(self.identity.id) >= seq
    }
}

fn set(path: Path, value: &str, condition: Condition) -> Op {
    let value = Value(value.to_owned().into());
    Op::Mutate {
        mutation: Mutation::Set {
            path,
            value,
            condition,
        },
        author: Author::Server,
    }
}

fn path(text: &str) -> Path {
    Path::parse(text.as_bytes()).expect("cluster names and ids are path components")
}
