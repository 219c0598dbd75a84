//! Latencies, processor time, and the two forms of the result.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::Plan;
use crate::failure::Failure;
use crate::output;

/// Largest latency that is told apart, in nanoseconds: an hour.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// What one connection saw during the measurement.
pub struct Recorder {
    latency: Histogram<u64>,
    errors: u64,
    first_error: Option<String>,
}

impl Recorder {
    /// Nothing yet.
    pub fn new() -> Recorder {
        // Three digits: a quantile is at most 0.1 % off.
        let latency = Histogram::new_with_max(LATENCY_NS_MAX, 3);
        Recorder {
            latency: latency.expect("the bounds are those that the histogram supports"),
            errors: 0,
            first_error: None,
        }
    }

    /// An operation was answered.
    pub fn success(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.latency.saturating_record(nanos);
    }

    /// Operations failed.
    pub fn errors_of(&mut self, count: u64, text: impl FnOnce() -> String) {
        self.errors += count;
        self.first_error.get_or_insert_with(text);
    }

    /// Takes in what another one saw.
    pub fn merge(&mut self, other: Recorder) {
        let added = self.latency.add(&other.latency);
        added.expect("all histograms have the same bounds");
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }

    /// Operations that were answered.
    pub fn count(&self) -> u64 {
        self.latency.len()
    }

    /// Operations that failed.
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// The latencies in microseconds.
    pub fn latency_us(&self) -> Value {
        let us = |nanos: u64| (nanos as f64 / 100.0).round() / 10.0;
        let quantile = |q: f64| us(self.latency.value_at_quantile(q));
        json!({
            "mean": us(self.latency.mean() as u64),
            "p50": quantile(0.5),
            "p90": quantile(0.9),
            "p99": quantile(0.99),
            "p99.9": quantile(0.999),
            "max": us(self.latency.max()),
        })
    }
}

/// Processor time of this program so far, where the system tells it.
#[derive(Clone, Copy)]
pub struct CpuSample(Option<Duration>);

impl CpuSample {
    /// The program has one thread that works, and this must be called on it.
    pub fn take() -> CpuSample {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let nanos = text
            .split_whitespace()
            .next()
            .and_then(|nanos| nanos.parse().ok());
        CpuSample(nanos.map(Duration::from_nanos))
    }

    /// The time between two samples.
    pub fn since(self, earlier: CpuSample) -> CpuSample {
        CpuSample(
            self.0
                .zip(earlier.0)
                .map(|(to, from)| to.saturating_sub(from)),
        )
    }
}

/// The result of one run, in the order in which it is told.
pub struct Report(Vec<(&'static str, Value)>);

impl Report {
    /// What was done.
    pub fn new(plan: &Plan) -> Report {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let options = &plan.options;
        let workload = format!("{:?}", options.workload).to_lowercase();
        let workload = if workload == "getlocal" {
            "get-local".to_owned()
        } else {
            workload
        };
        let mut report = Report(Vec::new());
        report.put("workload", workload);
        report.put("target", "doozer");
        report.put("label", options.label.as_str());
        report.put("unix_time", now.as_secs());
        report.put("servers", plan.addresses.len());
        report.put("connections", options.connections);
        report.put("inflight", options.inflight);
        report.put("value_size", options.value_size);
        report.put("keys", options.keys);
        report
    }

    /// Adds a figure.
    pub fn put(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push((name, value.into()));
    }

    /// Adds rate, latencies and errors.
    pub fn put_load(&mut self, load: &Recorder, elapsed: Duration) {
        let rate = load.count() as f64 / elapsed.as_secs_f64().max(1e-9);
        self.put("seconds", elapsed.as_secs_f64());
        self.put("ops", load.count());
        self.put("throughput", (rate * 10.0).round() / 10.0);
        self.put("latency_us", load.latency_us());
        self.put("errors", load.errors);
        self.put("first_error", load.first_error.clone());
    }

    /// Adds the processor time that this program took for each operation.
    pub fn put_cpu(&mut self, spent: CpuSample, ops: u64) {
        if let CpuSample(Some(spent)) = spent {
            let us = spent.as_secs_f64() * 1e6 / ops.max(1) as f64;
            self.put("client_cpu_us_per_op", (us * 100.0).round() / 100.0);
        }
    }

    /// Prints a table to standard error and a line of JSON to standard output.
    pub fn publish(self) -> Result<(), Failure> {
        for (name, value) in &self.0 {
            match value {
                Value::Object(parts) => {
                    let parts = parts.iter().map(|(name, part)| format!("{name} {part}"));
                    eprintln!("{name:>22}  {}", parts.collect::<Vec<_>>().join("  "));
                }
                Value::String(text) => eprintln!("{name:>22}  {text}"),
                Value::Null => {}
                value => eprintln!("{name:>22}  {value}"),
            }
        }
        let fields: serde_json::Map<String, Value> = self
            .0
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        output::line(format_args!("{}", Value::Object(fields)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_keeps_every_latency_and_the_first_error() {
        let mut all = Recorder::new();
        let mut other = Recorder::new();
        all.success(Duration::from_micros(10));
        other.success(Duration::from_secs(2));
        other.errors_of(2, || "first".to_owned());
        all.merge(other);
        all.errors_of(1, || "second".to_owned());
        assert_eq!((all.count(), all.errors()), (2, 3));
        assert_eq!(all.first_error.as_deref(), Some("first"));
        let max = all.latency_us()["max"].as_f64().unwrap_or(0.0);
        assert!((max / 2e6 - 1.0).abs() < 0.01, "{max}");
    }
}
