//! The node, its peers and its clients.

use std::fmt;

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::Picture;
use super::sheet::{Scaled, Sheet, signed};
use crate::core::limits::{Drains, Gauge};
use crate::core::protocol::client::Known;

/// What the node keeps of its history and its log: the name in its load, and how it is told.
const KEPT: [(&str, &str, Option<Unit>, &str); 4] = [
    (
        "revisions retained",
        "doozer_history_revisions",
        None,
        "Revisions that the store can tell of",
    ),
    (
        "revisions retained, bytes",
        "doozer_history",
        Some(Unit::Bytes),
        "Memory of the revisions that the store can tell of",
    ),
    (
        "applied slots",
        "doozer_log_slots",
        None,
        "Slots that are applied and kept for those who are behind",
    ),
    (
        "applied slots, bytes",
        "doozer_log",
        Some(Unit::Bytes),
        "Memory of the slots that are kept for those who are behind",
    ),
];

/// Queues that are bounded by others.
const FOLLOWS: [&str; 2] = ["parked requests", "watches"];

impl Picture {
    pub(super) fn log(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let inside = &self.measures.inside;
        let (report, counters) = (&inside.report, &inside.counters);
        let who = vec![
            ("id", report.id.clone()),
            ("version", report.version.clone()),
            ("cluster", report.cluster.clone()),
        ];
        let one = [(who, ConstGauge::new(1i64))].into_iter();
        sheet.family("doozer_node_info", "Who this process is", None, one)?;
        let is_owner = report.owners.contains(&report.id);
        sheet.gauge(
            "doozer_member",
            "Whether this process votes and takes writes (1), or follows (0)",
            inside.is_member.into(),
        )?;
        sheet.gauge(
            "doozer_owner",
            "Whether this process may put commands into the log",
            is_owner.into(),
        )?;
        sheet.gauge(
            "doozer_majority_heard",
            "Whether this process hears a majority of the members",
            report.has_majority().into(),
        )?;
        sheet.gauge(
            "doozer_applied_slot",
            "The last slot of the log that this process has applied",
            report.applied,
        )?;
        sheet.gauge(
            "doozer_seen_slot",
            "The highest slot of the log that this process has seen anybody use",
            report.seen.max(report.applied),
        )?;
        sheet.gauge(
            "doozer_rev",
            "The revision of the copy of the store",
            report.rev,
        )?;
        sheet.counter(
            "doozer_proposals",
            "Batches that this process put into slots of its own",
            counters.proposed,
        )?;
        sheet.counter(
            "doozer_commits",
            "Batches that were decided and applied, whoever proposed them",
            counters.batches,
        )?;
        sheet.one(
            "doozer_batch_size_commands",
            "Commands in the batches that were applied",
            None,
            &Scaled {
                histogram: &counters.batch_sizes,
                scale: 1.0,
            },
        )?;
        sheet.counter(
            "doozer_slots_skipped",
            "Slots that were decided to be empty, and passed over",
            counters.skips,
        )?;
        sheet.counter(
            "doozer_revocations",
            "Times that this process took over slots of an owner that others waited for",
            counters.revocations,
        )
    }

    pub(super) fn peers(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let report = &self.measures.inside.report;
        let others = || report.known.iter().filter(|known| known.id != report.id);
        let peer = |known: &Known| vec![("peer", known.id.clone()), ("addr", known.addr.clone())];
        sheet.family(
            "doozer_peer_heard",
            "Whether this process hears the peer",
            None,
            others().map(|known| (peer(known), ConstGauge::new(i64::from(known.heard)))),
        )?;
        sheet.family(
            "doozer_peer_lag_slots",
            "Slots that the peer has not applied of those that this process has, as far as it knows",
            None,
            others().map(|known| {
                let lag = report.applied.saturating_sub(known.applied);
                (peer(known), ConstGauge::new(signed(lag)))
            }),
        )?;
        sheet.family(
            "doozer_peer_silence",
            "Time since the peer was last heard",
            Some(&Unit::Seconds),
            others().filter_map(|known| {
                let seconds = known.silence_ms? as f64 / 1e3;
                Some((peer(known), ConstGauge::new(seconds)))
            }),
        )?;
        sheet.family(
            "doozer_peer_round_trip",
            "Smoothed round trip to the peer",
            Some(&Unit::Seconds),
            others().filter_map(|known| {
                let seconds = known.round_trip_us? as f64 / 1e6;
                Some((peer(known), ConstGauge::new(seconds)))
            }),
        )
    }

    pub(super) fn load(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        for (what, name, unit, help) in KEPT {
            let mut load = self.measures.inside.load.iter();
            let Some(gauge) = load.find(|gauge| gauge.what == what) else {
                continue;
            };
            let used = ConstGauge::new(signed(gauge.used));
            sheet.one(name, help, unit.as_ref(), &used)?;
            let help = format!("{help}, at most");
            let most = ConstGauge::new(signed(gauge.most));
            sheet.one(&format!("{name}_limit"), &help, unit.as_ref(), &most)?;
        }
        let is_queue = |gauge: &&Gauge| gauge.drains != Drains::Never;
        let is_other = |gauge: &&Gauge| {
            let mut kept = KEPT.iter();
            gauge.drains == Drains::Never && kept.all(|(what, ..)| *what != gauge.what)
        };
        let load = || self.measures.inside.load.iter();
        let queues = || load().filter(is_queue);
        let label = |gauge: &Gauge| vec![("queue", gauge.what.to_owned())];
        sheet.family(
            "doozer_queue_depth",
            "What waits in the node to be done",
            None,
            queues().map(|gauge| (label(gauge), ConstGauge::new(signed(gauge.used)))),
        )?;
        sheet.family(
            "doozer_queue_limit",
            "What may wait in the node at most; where nothing is said, the number of open requests",
            None,
            queues()
                .filter(|gauge| !FOLLOWS.contains(&gauge.what))
                .map(|gauge| (label(gauge), ConstGauge::new(signed(gauge.most)))),
        )?;
        let label = |gauge: &Gauge| vec![("what", gauge.what.to_owned())];
        sheet.family(
            "doozer_held",
            "What the node keeps besides",
            None,
            load()
                .filter(is_other)
                .map(|gauge| (label(gauge), ConstGauge::new(signed(gauge.used)))),
        )
    }

    pub(super) fn clients(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let measures = &self.measures;
        let watches = measures.inside.load.iter();
        let watches = watches.filter(|gauge| gauge.what == "watches");
        sheet.gauge(
            "doozer_connections",
            "Connections of clients",
            measures.connections as u64,
        )?;
        sheet.gauge(
            "doozer_watches",
            "Watches of clients that wait",
            watches.map(|gauge| gauge.used).sum(),
        )?;
        sheet.gauge(
            "doozer_peer_connections_in",
            "Connections that peers have dialed",
            measures.callers as u64,
        )?;
        sheet.gauge(
            "doozer_peer_connections_out",
            "Peers that this process keeps a connection to, or tries to",
            measures.links as u64,
        )?;
        sheet.counter(
            "doozer_requests",
            "Requests of clients, those over HTTP included",
            measures.requests,
        )?;
        for (name, help, bytes) in [
            (
                "doozer_client_received",
                "What clients have sent",
                measures.request_bytes,
            ),
            (
                "doozer_client_sent",
                "What clients were sent",
                measures.answer_bytes,
            ),
            (
                "doozer_peer_received",
                "What peers have sent",
                measures.peer_bytes_in,
            ),
            (
                "doozer_peer_sent",
                "What peers were sent",
                measures.peer_bytes_out,
            ),
        ] {
            sheet.one(name, help, Some(&Unit::Bytes), &ConstCounter::new(bytes))?;
        }
        let counters = &measures.inside.counters;
        for (name, help, histogram) in [
            (
                "doozer_write_wait",
                "Time until a write of a client had its place in the log and was applied",
                &counters.write_waits,
            ),
            (
                "doozer_read_wait",
                "Time until a read of a client could be answered with the latest state",
                &counters.read_waits,
            ),
        ] {
            let waits = Scaled {
                histogram,
                scale: 1e-6,
            };
            sheet.one(name, help, Some(&Unit::Seconds), &waits)?;
        }
        let refused = measures.refused.iter();
        sheet.family(
            "doozer_requests_refused",
            "Requests that were answered with an error",
            None,
            refused.map(|(code, count)| (vec![("code", code.clone())], ConstCounter::new(*count))),
        )
    }
}
