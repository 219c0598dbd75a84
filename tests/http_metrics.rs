//! What `/metrics` tells of real processes, and what the dashboard and the alerts make of it.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "starts real processes and talks to them"
)]

#[path = "http/node.rs"]
mod node;

use std::collections::{BTreeMap, BTreeSet};

use node::{Node, free_port};
use regex::Regex;

/// A family of metrics.
#[derive(Debug, Default)]
struct Family {
    help: String,
    kind: String,
    unit: Option<String>,
    /// Values by name and labels, in the order in which they are told.
    samples: Vec<(String, f64)>,
}

/// Reads OpenMetrics strictly: families follow one another, and each says what it is first.
fn parse(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let lines = text.strip_suffix("# EOF\n").expect("an end").lines();
    for line in lines {
        if let Some(about) = line.strip_prefix("# ") {
            let mut words = about.splitn(3, ' ');
            let [what, name, rest] = [(); 3].map(|()| words.next().expect("three words"));
            if what == "HELP" {
                current = name.to_owned();
                let known = families.insert(current.clone(), Family::default());
                assert!(known.is_none(), "{name} is told of twice");
            }
            assert_eq!(name, current, "{line}");
            let family = families.get_mut(&current).expect("it was begun");
            match what {
                "HELP" => family.help = rest.to_owned(),
                "TYPE" => family.kind = rest.to_owned(),
                "UNIT" => family.unit = Some(rest.to_owned()),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a value");
        let value = value.parse().unwrap_or_else(|_| panic!("a number: {line}"));
        assert!(name.starts_with(&current), "{line} belongs to {current}");
        let family = families.get_mut(&current).expect("it was begun");
        family.samples.push((name.to_owned(), value));
    }
    families
}

#[test]
fn each_metric_has_help_and_a_name_by_the_conventions() {
    let node = Node::alone();
    node.put("/x", "v");
    node.get("/api/v1/files/x");
    let families = parse(&node.get("/metrics").text());
    let name_shape = Regex::new("^(doozer|process)(_[a-z]+)+$").expect("a pattern");
    let sample_shape =
        Regex::new(r#"^[a-z_]+(\{[a-z]+="[^"\\]*"(,[a-z]+="[^"\\]*")*\})?$"#).expect("a pattern");
    let mut seen = BTreeSet::new();
    for (name, family) in &families {
        assert!(name_shape.is_match(name), "{name}");
        assert!(family.help.len() > 10, "{name}");
        assert!(!family.samples.is_empty(), "{name}");
        if let Some(unit) = &family.unit {
            assert!(["bytes", "seconds"].contains(&unit.as_str()), "{name}");
            assert!(name.ends_with(&format!("_{unit}")), "{name}");
        }
        for (sample, value) in &family.samples {
            assert!(sample_shape.is_match(sample), "{sample}");
            assert!(seen.insert(sample.clone()), "{sample} is told twice");
            assert!(value.is_finite() && *value >= 0.0, "{sample} {value}");
            let plain = sample.split('{').next().expect("a name");
            let suffix = plain
                .strip_prefix(name.as_str())
                .expect("its family's name");
            let allowed: &[&str] = match family.kind.as_str() {
                "counter" => &["_total"],
                "gauge" => &[""],
                "histogram" => &["_bucket", "_sum", "_count"],
                kind => panic!("{name} is a {kind}"),
            };
            assert!(allowed.contains(&suffix), "{sample}");
        }
        if family.kind == "histogram" {
            check_histogram(name, &family.samples);
        }
        assert_eq!(family.kind == "gauge", !is_total(name, family), "{name}");
    }
}

/// Whether what a family tells only grows.
fn is_total(name: &str, family: &Family) -> bool {
    let (first, _) = &family.samples[0];
    first
        .strip_prefix(name)
        .is_some_and(|rest| rest.starts_with('_'))
}

/// Bounds and counts of a histogram grow, up to the count of all.
fn check_histogram(name: &str, samples: &[(String, f64)]) {
    let value = |suffix: &str| {
        let full = format!("{name}_{suffix}");
        let mut samples = samples.iter();
        samples
            .find(|(name, _)| *name == full)
            .expect("it is told")
            .1
    };
    let bound_shape = Regex::new(r#"_bucket\{le="(.+)"\}$"#).expect("a pattern");
    let buckets = samples.iter().filter_map(|(sample, count)| {
        let bound = bound_shape.captures(sample)?[1]
            .parse::<f64>()
            .expect("a bound");
        Some((bound, *count))
    });
    let buckets: Vec<(f64, f64)> = buckets.collect();
    let grows = |two: &[(f64, f64)]| two[0].0 < two[1].0 && two[0].1 <= two[1].1;
    assert!(buckets.windows(2).all(grows), "{name}: {buckets:?}");
    let (bound, all) = buckets.last().expect("ranges");
    assert!(bound.is_infinite() && *all == value("count"), "{name}");
    assert!(value("sum") >= 0.0, "{name}");
}

#[test]
fn metrics_count_what_happens() {
    let node = Node::alone();
    let commits = node.metric("doozer_commits_total");
    let sent = node.metric("doozer_client_sent_bytes_total");
    for _ in 0..10 {
        node.put("/x", &"v".repeat(1_000));
    }
    for _ in 0..5 {
        assert_eq!(node.get("/api/v1/files/x").status, 200);
    }
    let refused = node.ask("PUT", "/api/v1/files/x?rev=1", &[], b"");
    assert_eq!(refused.status, 409);
    assert!(node.metric("doozer_commits_total") >= commits + 10.0);
    assert!(node.metric("doozer_rev") > 10.0);
    assert!(node.metric("doozer_requests_total") >= 15.0);
    assert!(node.metric("doozer_client_received_bytes_total") > 10_000.0);
    assert!(node.metric("doozer_client_sent_bytes_total") > sent + 5_000.0);
    assert!(node.metric("doozer_batch_size_commands_sum") >= 10.0);
    assert_eq!(
        node.metric("doozer_batch_size_commands_count"),
        node.metric("doozer_commits_total")
    );
    assert!(node.metric("doozer_write_wait_seconds_count") >= 11.0);
    assert!(node.metric("doozer_write_wait_seconds_sum") < 60.0);
    assert!(node.metric("doozer_read_wait_seconds_count") >= 5.0);
    let code = |code: &str| format!("doozer_requests_refused_total{{code=\"{code}\"}}");
    assert_eq!(node.metric(&code("REV_MISMATCH")), 1.0);
    assert_eq!(node.metric("doozer_http_answers_total{code=\"409\"}"), 1.0);
    assert!(node.metric("doozer_history_revisions") > 10.0);
    assert!(node.metric("doozer_history_bytes") > 1_000.0);
    assert_eq!(node.metric("doozer_history_revisions_limit"), 20_000.0);
    assert_eq!(node.metric("doozer_http_watchers"), 0.0);
    let mut events = node.watch("pattern=/x&from=1", &[]);
    events.next();
    assert_eq!(node.metric("doozer_http_watchers"), 1.0);
    assert!(node.metric("doozer_http_events_total") >= 1.0);
    assert!(node.metric("doozer_watches") >= 1.0);
    assert!(node.metric("process_resident_memory_bytes") > 1e6);
    assert!(node.metric("process_open_fds") < node.metric("process_max_fds"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let age = now.expect("a time").as_secs_f64() - node.metric("process_start_time_seconds");
    assert!((-2.0..600.0).contains(&age), "{age}");
}

#[test]
fn the_dashboard_and_the_alerts_name_metrics_that_there_are() {
    let port = free_port();
    let node = Node::start(1, port, &[], &[]);
    let standby = Node::start(2, port, &["-a", &node.addr], &[]);
    node.put("/x", "v");
    let refused = node.ask("PUT", "/api/v1/files/x?rev=1", &[], b"");
    assert_eq!(refused.status, 409);
    // A round trip has been measured once something was sent there and back.
    let of_peer = "doozer_peer_round_trip_seconds{";
    node.until("/metrics", |answer| answer.text().contains(of_peer));
    assert!(node.metric("doozer_peer_received_bytes_total") > 0.0);
    assert!(standby.metric("doozer_peer_sent_bytes_total") > 0.0);
    let families = parse(&node.get("/metrics").text());
    let samples = families.values().flat_map(|family| &family.samples);
    let there: BTreeSet<&str> = samples
        .map(|(sample, _)| sample.split('{').next().expect("a name"))
        .collect();

    let dashboard = include_str!("../docs/grafana/doozer.json");
    let parsed: serde_json::Value = serde_json::from_str(dashboard).expect("JSON");
    let panels = parsed["panels"].as_array().expect("panels");
    assert!(
        panels
            .iter()
            .all(|panel| panel["targets"][0]["expr"].is_string())
    );
    let alerts = include_str!("../docs/alerts.yaml");
    assert_eq!(
        alerts.matches("- alert: ").count(),
        alerts.matches(" expr: ").count()
    );
    let names = Regex::new(r"(doozer|process)_[a-z_]+").expect("a pattern");
    for (file, text) in [("the dashboard", dashboard), ("the alerts", alerts)] {
        let named: BTreeSet<&str> = names.find_iter(text).map(|name| name.as_str()).collect();
        assert!(named.len() > 5, "{file}");
        for name in named {
            assert!(there.contains(name), "{file} has {name}, which is not told");
        }
    }
}
