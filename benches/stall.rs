//! How long a member in trouble holds up the clients of the other two: three real servers on
//! loopback addresses, 64 clients that write one file each as fast as they can, spread over all
//! three.
//!
//! `cargo bench --bench stall [-- kill|stop|slow|far|roll --rounds 10]`

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "measures real processes by the real clock"
)]

#[path = "stall/cluster.rs"]
mod cluster;
#[path = "stall/load.rs"]
mod load;
#[path = "../tests/processes/port.rs"]
mod port;
#[path = "stall/proxy.rs"]
mod proxy;

use std::time::Duration;

use clap::{Parser, ValueEnum};
use tokio::time::{Instant, sleep};

use cluster::{Cluster, MEMBERS};
use load::{Load, Span};

/// Lets owners settle before anything is measured.
const WARM_UP: Duration = Duration::from_millis(1500);
/// How long the healthy cluster is measured, for comparison.
const HEALTHY: Duration = Duration::from_millis(1500);
/// How long a killed member is missed.
const AFTER_KILL: Duration = Duration::from_secs(2);
/// How long a stopped member is stopped, and watched when it goes on.
const STOPPED: Duration = Duration::from_secs(5);
const CONTINUED: Duration = Duration::from_secs(2);
/// How long a slow member is borne.
const SLOW: Duration = Duration::from_secs(5);
/// What it takes to see that a member is slow is not counted among the latencies.
const NOTICED: Duration = Duration::from_millis(500);
/// A slow member stands still for the first part of each period.
const STANDSTILL: Duration = Duration::from_millis(90);
const PERIOD: Duration = Duration::from_millis(100);
/// How long a restarted process is given to catch up before the next one is.
const CAUGHT_UP: Duration = Duration::from_millis(1000);
/// What a far member's proxy adds to each way.
const DELAY: Duration = Duration::from_millis(100);

/// Measures how long a member in trouble holds up the clients of the others.
#[derive(Parser)]
struct Flags {
    /// What to do to a member; all of it by default
    trouble: Vec<Trouble>,
    /// How often
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Clients that write
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// What the servers log to stderr
    #[arg(long, default_value = "error")]
    log: String,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Trouble {
    /// End it with SIGKILL
    Kill,
    /// Stop it for 5 s with SIGSTOP, then let it go on
    Stop,
    /// Stop it for 90 ms of every 100
    Slow,
    /// Delay all that is sent to it by 100 ms, by a proxy
    Far,
    /// Restart all, one after the other, with a standby at hand
    Roll,
}

/// What one round showed about the clients of the members that were left alone.
struct Outcome {
    /// The longest time without any successful write, before and after the trouble began.
    gap: (Duration, Duration),
    /// How long after the trouble began the latter began.
    gap_at: Duration,
    /// The longest time that any one client went without, before and after.
    client_gap: (Duration, Duration),
    /// 99 % of writes took no longer, before and after.
    p99: (Duration, Duration),
    writes_per_second: (f64, f64),
    errors: usize,
    stale: usize,
    moved: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let flags = Flags::parse();
    let troubles = match flags.trouble.is_empty() {
        true => Trouble::value_variants().to_vec(),
        false => flags.trouble.clone(),
    };
    for trouble in troubles {
        println!("{}", headline(trouble));
        println!(
            "  round member |  longest gap (any client)   | longest gap (one client) |      p99      \
             |  writes/s | errors stale moved"
        );
        let mut outcomes = Vec::new();
        for round in 0..flags.rounds {
            let victim = round % MEMBERS;
            let outcome = measure(trouble, victim, &flags).await;
            println!("  {round:>5} {victim:>6} | {}", row(&outcome));
            outcomes.push(outcome);
        }
        summary(&outcomes);
    }
}

fn headline(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Kill => "kill: one member is killed (healthy -> after)",
        Trouble::Stop => "stop: one member stands still for 5 s, and goes on (healthy -> after)",
        Trouble::Slow => "slow: one member stands still for 90 ms of every 100 (healthy -> after)",
        Trouble::Roll => "roll: all are restarted in turn, with a standby (healthy -> after)",
        Trouble::Far => "far: what is sent to one member takes 100 ms more (healthy -> after)",
    }
}

async fn measure(trouble: Trouble, victim: usize, flags: &Flags) -> Outcome {
    let far = (trouble == Trouble::Far).then_some(victim);
    let mut cluster = Cluster::start(far, &flags.log).await;
    if trouble == Trouble::Roll {
        cluster.add_standby().await;
    }
    let victim_of_load = (trouble != Trouble::Roll).then_some(victim);
    let load = Load::start(&cluster.addrs(), victim_of_load, flags.clients).await;
    sleep(WARM_UP).await;
    let began = Instant::now();
    sleep(HEALTHY).await;
    let struck = Instant::now();
    // Latencies count from here on: that somebody is slow has to be seen first.
    let mut noticed = struck;
    match trouble {
        Trouble::Kill => {
            cluster.kill(victim);
            sleep(AFTER_KILL).await;
        }
        Trouble::Stop => {
            cluster.stop(victim);
            sleep(STOPPED).await;
            cluster.resume(victim);
            load.read();
            sleep(CONTINUED).await;
        }
        Trouble::Slow => {
            noticed = struck + NOTICED;
            while struck.elapsed() < SLOW {
                cluster.stop(victim);
                sleep(STANDSTILL).await;
                cluster.resume(victim);
                sleep(PERIOD - STANDSTILL).await;
            }
        }
        Trouble::Roll => {
            for n in 0..MEMBERS {
                cluster.restart((victim + n) % MEMBERS).await;
                sleep(CAUGHT_UP).await;
            }
            load.read();
            sleep(CAUGHT_UP).await;
        }
        Trouble::Far => {
            noticed = struck + NOTICED;
            cluster.delay(DELAY);
            sleep(SLOW).await;
        }
    }
    let ended = Instant::now();
    let record = load.finish().await;
    let mut errors = record.errors.clone();
    if trouble != Trouble::Kill {
        errors.extend(record.victims_errors.iter().cloned());
    }
    for error in &errors {
        println!("        {error}");
    }
    let (before, after) = (Span::new(began, struck), Span::new(struck, ended));
    let settled = Span::new(noticed, ended);
    Outcome {
        gap: (record.gap(before), record.gap(after)),
        gap_at: record.gap_at(after),
        client_gap: (record.client_gap(before), record.client_gap(after)),
        p99: (record.p99(before), record.p99(settled)),
        writes_per_second: (record.rate(before), record.rate(after)),
        errors: errors.len(),
        stale: record.stale,
        moved: record.moved,
    }
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

fn row(outcome: &Outcome) -> String {
    let pair = |pair: (Duration, Duration)| format!("{:6.1} -> {:6.1} ms", ms(pair.0), ms(pair.1));
    format!(
        "{:>20} at {:4.0} | {:>24} | {:>13} | {:4.0} -> {:4.0} | {:>6} {:>5} {:>5}",
        pair(outcome.gap),
        ms(outcome.gap_at),
        pair(outcome.client_gap),
        pair(outcome.p99),
        outcome.writes_per_second.0,
        outcome.writes_per_second.1,
        outcome.errors,
        outcome.stale,
        outcome.moved,
    )
}

/// The middle one of some values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn summary(outcomes: &[Outcome]) {
    let all = |of: fn(&Outcome) -> f64| outcomes.iter().map(of).collect::<Vec<f64>>();
    let worst = |values: Vec<f64>| values.into_iter().fold(0.0, f64::max);
    let gaps = all(|o| ms(o.gap.1));
    let client_gaps = all(|o| ms(o.client_gap.1));
    let ratios = all(|o| ms(o.p99.1) / ms(o.p99.0));
    println!(
        "  median gap {:.1} ms (any client), {:.1} ms (one client); worst {:.1} and {:.1} ms; \
         healthy median {:.1} and {:.1} ms",
        median(gaps.clone()),
        median(client_gaps.clone()),
        worst(gaps),
        worst(client_gaps),
        median(all(|o| ms(o.gap.0))),
        median(all(|o| ms(o.client_gap.0))),
    );
    println!(
        "  median p99 {:.2} times the healthy one, worst {:.2}",
        median(ratios.clone()),
        worst(ratios)
    );
    let count = |of: fn(&Outcome) -> usize| outcomes.iter().map(of).sum::<usize>();
    println!(
        "  errors {}, stale reads {}, clients that lost their server {}\n",
        count(|o| o.errors),
        count(|o| o.stale),
        count(|o| o.moved)
    );
}
