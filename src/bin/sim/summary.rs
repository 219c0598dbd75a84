//! What a sweep comes to, as one line of JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::anyhow;
use doozer::core::node::Node;
use doozer::sim::run::Idle;
use doozer::sim::sweep::Totals;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// The line of totals. Rates are for each second or hour of processor time that the whole process
/// has used, repetitions and checks included.
#[derive(Serialize)]
pub struct Summary {
    base: u64,
    runs: u64,
    failures: u64,
    excused: u64,
    repeated: u64,
    events: u64,
    simulated_seconds: u64,
    operations: u64,
    revisions: u64,
    /// Files and trees whose history was explained without a look at revisions, and those on which
    /// that search gave up.
    explained: u64,
    undecided: u64,
    faults: u64,
    faults_by_kind: BTreeMap<String, u64>,
    crashes: u64,
    probes_met: usize,
    wall_seconds: f64,
    cpu_seconds: f64,
    events_per_core_second: u64,
    runs_per_core_hour: u64,
    /// How many times faster than real time an idle cluster of five is simulated.
    idle_speedup: u64,
}

impl Summary {
    /// Of a sweep whose seeds began with `base`, that ran `repeated` of them twice and took `wall`.
    pub fn new(
        totals: &Totals,
        base: u64,
        repeated: u64,
        wall: Duration,
    ) -> anyhow::Result<Summary> {
        let cpu = cpu_time().as_secs_f64();
        let chosen = totals.chosen.iter();
        Ok(Summary {
            base,
            runs: totals.runs,
            failures: totals.failures,
            excused: totals.excused,
            repeated,
            events: totals.events,
            simulated_seconds: totals.simulated.as_secs(),
            operations: totals.operations,
            revisions: totals.revisions,
            explained: totals.explained,
            undecided: totals.undecided,
            faults: totals.faults,
            faults_by_kind: chosen.map(|(kind, n)| (format!("{kind:?}"), *n)).collect(),
            crashes: totals.crashes,
            probes_met: totals.probes.met(),
            wall_seconds: in_milliseconds(wall.as_secs_f64()),
            cpu_seconds: in_milliseconds(cpu),
            events_per_core_second: (totals.events as f64 / cpu) as u64,
            runs_per_core_hour: (totals.runs as f64 / cpu * 3600.0) as u64,
            idle_speedup: idle_speedup()?,
        })
    }
}

/// How long the idle cluster stands, in simulated time.
const IDLE: Duration = Duration::from_secs(60);

fn idle_speedup() -> anyhow::Result<u64> {
    let explain = |violation| anyhow!("an idle cluster: {violation}");
    let mut cluster = Idle::<Node>::form(()).map_err(explain)?;
    let before = cpu_time();
    cluster.stand(IDLE).map_err(explain)?;
    let took = cpu_time().saturating_sub(before).as_secs_f64();
    Ok((IDLE.as_secs_f64() / took) as u64)
}

fn in_milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// Processor time that this process has used.
pub fn cpu_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.try_into().unwrap_or_default()
}
