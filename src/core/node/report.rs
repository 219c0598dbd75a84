//! What this node knows of its cluster, for people and monitoring.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Node, Replica};
use crate::core::env::{DiskPace, Time};
use crate::core::id::NodeId;
use crate::core::protocol::client::{Disk, Known, Report, Seat};
use crate::core::state::State;

impl Node {
    /// What this node knows of itself and of the others. Needs nobody's help, so that it can be
    /// told without a majority, too.
    pub fn report(&self, now: Time, disk: Option<DiskPace>) -> Report {
        let mut report = Report {
            id: self.config.id.to_string(),
            version: self.config.version.clone(),
            uptime_ms: millis(now.since(self.began)),
            timeout_ms: millis(self.config.timeout),
            leaving: self.leaving.is_some(),
            durable: self.config.durable,
            web: self.config.web.clone(),
            disk: disk.map(disk_of),
            ..Report::default()
        };
        let Some(Replica { state, consensus }) = &self.replica else {
            return report;
        };
        let texts = |ids: &[NodeId]| ids.iter().map(NodeId::to_string).collect();
        let latest = state.epochs().latest();
        report.cluster = state.cluster_name();
        report.lineage = state.lineage().to_string();
        report.generation = state.lineage().generation;
        report.applied = state.applied().0;
        report.seen = consensus.seen().max(state.applied()).0;
        report.rev = state.store().rev().0;
        report.oldest = state.store().oldest().0;
        report.voters = texts(&latest.members);
        report.owners = texts(&latest.owners);
        report.seats = seats(state);
        let mut epochs = state.epochs().iter();
        if let Some(before) = epochs.find(|epoch| epoch.members != latest.members) {
            report.voters_before = texts(&before.members);
        }
        let ids: BTreeSet<NodeId> = state
            .processes()
            .into_iter()
            .chain(state.slot_holders())
            .chain(
                state
                    .epochs()
                    .iter()
                    .flat_map(|epoch| epoch.members.clone()),
            )
            .collect();
        report.known = ids
            .into_iter()
            .map(|id| self.known(id, state, now))
            .collect();
        report
    }

    fn known(&self, id: NodeId, state: &State, now: Time) -> Known {
        let text = |name| state.text_of(id, name);
        let known = Known {
            id: id.to_string(),
            addr: text("addr"),
            hostname: text("hostname"),
            version: text("version"),
            ..Known::default()
        };
        if id == self.config.id {
            return Known {
                heard: true,
                silence_ms: Some(0),
                applied: state.applied().0,
                ..known
            };
        }
        let Some(peer) = self.peers.get(id) else {
            return known;
        };
        Known {
            heard: !peer.is_silent(now),
            silence_ms: Some(millis(peer.silence(now))),
            applied: peer.applied.0,
            round_trip_us: peer.round_trip().map(micros),
            ..known
        }
    }
}

fn seats(state: &State) -> Vec<Seat> {
    let files = state.slot_files();
    files
        .map(|(file, _, value)| Seat {
            name: file.components().last().unwrap_or_default().to_owned(),
            holder: String::from_utf8_lossy(&value.0).into_owned(),
        })
        .collect()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Whole numbers, as protocol buffers of the original have no others.
fn disk_of(pace: DiskPace) -> Disk {
    Disk {
        syncs: pace.syncs,
        records: pace.records,
        syncs_per_second: pace.syncs_per_second.round() as u64,
        records_per_1000_syncs: (pace.records_per_sync * 1e3).round() as u64,
    }
}
