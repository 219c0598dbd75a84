//! What befalls clients, and what clients and operators do to nodes.

use super::Fault;
use crate::core::id::NodeId;
use crate::core::protocol::client::{REV_CLOBBER, REV_MISSING, Request, Verb};
use crate::sim::client::{Flood, Operator, Role, ask, set};
use crate::sim::machine::Machine;
use crate::sim::params::micros;
use crate::sim::process::HostId;
use crate::sim::world::World;

/// The names of clients that come for one thing, above those of all others.
const VISITORS: usize = 1 << 32;
/// More of them than ever come at once.
const VISITORS_MAX: usize = 1 << 10;
/// Requests of each client of a storm.
const STORM_REQUESTS: u64 = 2;

impl<M: Machine> World<M> {
    pub(super) fn befall_clients(&mut self, fault: &Fault) {
        match fault {
            Fault::Hangup { client } => {
                if let Some(conn) = self.conn_named(*client) {
                    self.hang_up(conn);
                }
            }
            Fault::ClientAbort { client } => {
                if let Some(conn) = self.conn_named(*client) {
                    self.abort_conn(conn);
                }
            }
            Fault::ClientHalfOpen { client } => {
                if let Some(conn) = self.conn_named(*client) {
                    self.make_conn_hole(conn);
                }
            }
            Fault::ClientCut {
                clients,
                hosts,
                span_us,
            } => self.cut_clients(clients, hosts, micros(*span_us)),
            Fault::Move { client } => {
                if let Some(conn) = self.conn_named(*client) {
                    self.leave(conn);
                }
            }
            Fault::SlowReader { client, span_us } => {
                if let Some(conn) = self.conn_named(*client) {
                    self.stop_reading(conn, micros(*span_us));
                }
            }
            Fault::Storm { host, clients } => {
                for number in 0..*clients {
                    self.flood(*host, number, Flood::new(STORM_REQUESTS, 0));
                }
            }
            Fault::Glutton {
                host,
                requests,
                span_us,
            } => self.flood(*host, 0, Flood::new(*requests, *span_us)),
            Fault::Vacate { slot } => self.operate(*slot, |path| set(path, "", REV_CLOBBER)),
            Fault::AddSlot { slot } => {
                let request = set(slot_path(*slot), "", REV_MISSING);
                self.add_actor(
                    self.visitor(0),
                    Role::Operator(Operator::new(request)),
                    None,
                );
            }
            Fault::RemoveSlot { slot } => self.operate(*slot, |path| Request {
                rev: Some(REV_CLOBBER),
                ..ask(Verb::Del, path)
            }),
            Fault::Recover { host } => {
                if let Some(pid) = self.process_on(*host) {
                    let request = Request {
                        value: Some("yes".into()),
                        ..ask(Verb::Recover, "")
                    };
                    let operator = Role::Operator(Operator::new(request));
                    self.add_actor(self.visitor(0), operator, Some(pid));
                }
            }
            _ => unreachable!("it befalls no client"),
        }
    }

    /// The open connection of a client.
    fn conn_named(&self, client: usize) -> Option<usize> {
        self.open_conns()
            .find(|conn| self.actors[self.conns[*conn].actor].name == client)
    }

    fn flood(&mut self, host: HostId, number: u64, flood: Flood) {
        if let Some(pid) = self.process_on(host) {
            self.add_actor(self.visitor(number), Role::Flood(flood), Some(pid));
        }
    }

    /// The name of a client that comes now, for one thing: it does not depend on who came before.
    fn visitor(&self, number: u64) -> usize {
        let now = self.now.since(self.storm_began).as_micros() as usize;
        VISITORS + now * VISITORS_MAX + number as usize
    }

    /// An operator takes a slot from whoever holds it, unless the cluster could not live on if the
    /// holder were lost: nothing protects a cluster from that.
    fn operate(&mut self, slot: u64, request: impl FnOnce(String) -> Request) {
        if self.may_spare(slot) {
            let request = request(slot_path(slot));
            self.add_actor(
                self.visitor(0),
                Role::Operator(Operator::new(request)),
                None,
            );
        }
    }

    /// Whether every configuration that anybody knows of keeps a majority of untroubled members
    /// without the holder of this slot, be that majority counted with or without its vote.
    pub(in crate::sim) fn may_spare(&self, slot: u64) -> bool {
        let holders: Vec<NodeId> = self
            .seats()
            .into_iter()
            .filter_map(|(seat, holder)| holder.filter(|_| seat == slot))
            .collect();
        let sets = self.member_sets();
        !sets.is_empty()
            && sets.iter().all(|set| {
                let rest: Vec<NodeId> = set
                    .iter()
                    .filter(|id| !holders.contains(id))
                    .copied()
                    .collect();
                !rest.is_empty() && self.is_strong(set, &holders) && self.is_strong(&rest, &[])
            })
    }

    /// The membership slots that anybody knows of, and who holds them.
    pub(in crate::sim) fn seats(&self) -> Vec<(u64, Option<NodeId>)> {
        let mut seats = Vec::new();
        for pid in self.alive() {
            let machine = self.processes[pid].machine.as_ref();
            for seat in machine.map(M::seats).unwrap_or_default() {
                if !seats.contains(&seat) {
                    seats.push(seat);
                }
            }
        }
        seats
    }
}

fn slot_path(slot: u64) -> String {
    format!("/ctl/cal/{slot}")
}
