//! The process in numbers, as Prometheus reads them.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::access::Caller;
use super::failure::Failure;
use super::routes::App;
use super::tally::Counts;
use crate::core::protocol::client::Known;
use crate::runtime::Measures;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Response, Failure> {
    app.access.check_reads(caller)?;
    let measures = app.desk.measure().await;
    let measures = measures.ok_or_else(|| Failure::unavailable("the node does not answer"))?;
    let text = text_of(measures, app.tally.counts());
    let text = text.map_err(|error| Failure::unavailable(error.to_string()))?;
    let kind = HeaderValue::from_static(CONTENT_TYPE);
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

fn text_of(measures: Measures, web: Counts) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    let own = Own::read();
    registry.register_collector(Box::new(Picture { measures, web, own }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// What is told at a time.
#[derive(Debug)]
struct Picture {
    measures: Measures,
    web: Counts,
    own: Option<Own>,
}

type Labels = Vec<(&'static str, String)>;

/// Writes metrics one after the other.
struct Sheet<'a>(DescriptorEncoder<'a>);

impl Sheet<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.one(name, help, None, &ConstCounter::new(value))
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.one(name, help, None, &ConstGauge::new(signed(value)))
    }

    fn one(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        metric: &impl EncodeMetric,
    ) -> fmt::Result {
        let kind = metric.metric_type();
        metric.encode(self.0.encode_descriptor(name, help, unit, kind)?)
    }

    fn family<M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        members: impl Iterator<Item = (Labels, M)>,
    ) -> fmt::Result {
        let mut members = members.peekable();
        let Some((_, first)) = members.peek() else {
            return Ok(());
        };
        let kind = first.metric_type();
        let mut family = self.0.encode_descriptor(name, help, unit, kind)?;
        for (labels, metric) in members {
            metric.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Collector for Picture {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet(encoder);
        self.log(&mut sheet)?;
        self.peers(&mut sheet)?;
        self.load(&mut sheet)?;
        self.clients(&mut sheet)?;
        self.web(&mut sheet)?;
        match &self.own {
            Some(own) => own.encode(&mut sheet),
            None => Ok(()),
        }
    }
}

impl Picture {
    fn log(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
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
        sheet.counter(
            "doozer_commands_applied",
            "Commands in the batches that were applied; divided by commits, the size of a batch",
            counters.commands,
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

    fn peers(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
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

    fn load(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let load = &self.measures.inside.load;
        let what = |what: &str| vec![("what", what.to_owned())];
        sheet.family(
            "doozer_held",
            "How much the node holds of what is bounded: queues, connections, watches, history",
            None,
            load.iter()
                .map(|gauge| (what(gauge.what), ConstGauge::new(signed(gauge.used)))),
        )?;
        sheet.family(
            "doozer_held_max",
            "How much the node may hold of it",
            None,
            load.iter()
                .map(|gauge| (what(gauge.what), ConstGauge::new(signed(gauge.most)))),
        )
    }

    fn clients(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
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
            "Requests of clients, those of the web view included",
            measures.requests,
        )?;
        sheet.one(
            "doozer_request_size",
            "Bytes of requests of clients",
            Some(&Unit::Bytes),
            &ConstCounter::new(measures.request_bytes),
        )?;
        let refused = measures.refused.iter();
        sheet.family(
            "doozer_requests_refused",
            "Requests that were answered with an error",
            None,
            refused.map(|(code, count)| (vec![("code", code.clone())], ConstCounter::new(*count))),
        )
    }
}

impl Picture {
    fn web(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let answers = self.web.answers.iter();
        sheet.family(
            "doozer_http_answers",
            "Answers over HTTP, by their status",
            None,
            answers
                .map(|(code, count)| (vec![("code", code.to_string())], ConstCounter::new(*count))),
        )?;
        sheet.gauge(
            "doozer_http_watchers",
            "Watchers that are sent events over HTTP",
            self.web.watchers,
        )?;
        sheet.counter(
            "doozer_http_events",
            "Events that watchers over HTTP were sent, each counted for each of them",
            self.web.events,
        )?;
        sheet.counter(
            "doozer_http_watchers_stalled",
            "Watchers over HTTP that were dropped as they took nothing",
            self.web.stalled,
        )
    }
}

/// What the system says of this process.
#[derive(Debug)]
struct Own {
    cpu_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: u64,
    open_files: u64,
}

impl Own {
    /// Reads Linux' `/proc`; nothing on other systems.
    fn read() -> Option<Own> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // The name of the program is in parentheses, and may have spaces.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        // Numbered as in proc(5), where the first of these is the third.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = field(14)? + field(15)?;
        Some(Own {
            cpu_seconds: ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
            threads: field(20)?,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * rustix::param::page_size() as u64,
            open_files: std::fs::read_dir("/proc/self/fd").ok()?.count() as u64,
        })
    }

    fn encode(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        sheet.one(
            "process_cpu",
            "Time of processors that the process has used",
            Some(&Unit::Seconds),
            &ConstCounter::new(self.cpu_seconds),
        )?;
        for (name, help, bytes) in [
            (
                "process_resident_memory",
                "Memory that the process occupies",
                self.resident_bytes,
            ),
            (
                "process_virtual_memory",
                "Address space of the process",
                self.virtual_bytes,
            ),
        ] {
            let gauge = ConstGauge::new(signed(bytes));
            sheet.one(name, help, Some(&Unit::Bytes), &gauge)?;
        }
        sheet.gauge("process_threads", "Threads of the process", self.threads)?;
        sheet.gauge("process_open_fds", "Files that are open", self.open_files)
    }
}

/// A number as gauges have it.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
