//! Measures a cluster under a closed loop of requests.
//!
//! The generator usually shares its processors with the servers, so it must be cheap: one thread,
//! one task for each connection that owns the socket, and requests and answers that need no
//! allocation of their own.

mod data;
mod lane;
mod report;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use doozer::client::{Address, Client, Condition};
use tokio::task::JoinSet;

use crate::args::{Bench, Workload};
use crate::failure::Failure;
use data::{COUNTER, Keys};
use lane::{Lane, Tally};
use report::{CpuSample, Recorder, Report};

/// Runs a workload and reports what it measured.
pub async fn run(client: &Client, secret: Option<Vec<u8>>, options: Bench) -> Result<(), Failure> {
    let plan = Arc::new(Plan {
        keys: Keys::new(options.keys as usize),
        addresses: client.addresses(),
        secret: secret.map(Bytes::from),
        tally: Tally::default(),
        options,
    });
    match plan.options.workload {
        Workload::Fill => fill(plan).await,
        Workload::Watch => watch::run(client, plan).await,
        _ => timed(client, plan).await,
    }
}

/// What all connections have in common.
struct Plan {
    options: Bench,
    keys: Keys,
    addresses: Vec<Address>,
    secret: Option<Bytes>,
    tally: Tally,
}

impl Plan {
    /// The server of the connection with this number.
    fn address(&self, connection: usize) -> Option<&Address> {
        self.addresses.get(connection % self.addresses.len().max(1))
    }
}

/// The window in which answers are measured.
#[derive(Clone, Copy)]
struct Window {
    begin: Instant,
    end: Instant,
}

async fn timed(client: &Client, plan: Arc<Plan>) -> Result<(), Failure> {
    let counts = plan.options.workload == Workload::Cas;
    if counts {
        client.set(COUNTER, "0", Condition::ALWAYS).await?;
    }
    let begin = Instant::now() + plan.options.warmup;
    let end = begin + plan.options.duration;
    let mut lanes = start(&plan, Window { begin, end });
    tokio::time::sleep_until(begin.into()).await;
    let before = CpuSample::take();
    tokio::time::sleep_until(end.into()).await;
    let spent = CpuSample::take().since(before);
    let load = collect(&mut lanes).await?;

    let mut report = Report::new(&plan);
    report.put_load(&load, plan.options.duration);
    if counts {
        let count = client
            .local(false)
            .get(COUNTER)
            .await?
            .unwrap_or_else(missing);
        let count = String::from_utf8_lossy(&count.value).parse().unwrap_or(0);
        report.put("conflicts", plan.tally.conflicts());
        // A failed increment may or may not have happened.
        let lost = plan.tally.increments().saturating_sub(count);
        report.put("lost_increments", lost);
    }
    report.put_cpu(spent, load.count());
    report.publish()?;
    if load.count() == 0 && load.errors() > 0 {
        let text = "no operation succeeded: see first_error above".to_owned();
        return Err(Failure::Message(text));
    }
    Ok(())
}

fn missing() -> doozer::client::File {
    doozer::client::File {
        rev: doozer::core::id::Rev(0),
        value: Bytes::new(),
    }
}

async fn fill(plan: Arc<Plan>) -> Result<(), Failure> {
    let begin = Instant::now();
    // A store that takes longer than a day to fill is not measured here.
    let end = begin + Duration::from_secs(24 * 3600);
    let before = CpuSample::take();
    let mut lanes = start(&plan, Window { begin, end });
    let load = collect(&mut lanes).await?;
    let elapsed = begin.elapsed();
    let mut report = Report::new(&plan);
    report.put_load(&load, elapsed);
    report.put_cpu(CpuSample::take().since(before), load.count());
    report.publish()?;
    let keys = u64::from(plan.options.keys);
    match keys.saturating_sub(load.count()) {
        0 => Ok(()),
        unwritten => Err(Failure::Message(format!(
            "{unwritten} of {keys} keys were not written: see first_error above"
        ))),
    }
}

fn start(plan: &Arc<Plan>, window: Window) -> JoinSet<Recorder> {
    let mut lanes = JoinSet::new();
    for number in 0..plan.options.connections as usize {
        lanes.spawn(Lane::new(plan.clone(), number, window).run());
    }
    lanes
}

async fn collect(lanes: &mut JoinSet<Recorder>) -> Result<Recorder, Failure> {
    let mut load = Recorder::new();
    while let Some(recorder) = lanes.join_next().await {
        load.merge(recorder.map_err(|error| Failure::Message(error.to_string()))?);
    }
    Ok(load)
}
