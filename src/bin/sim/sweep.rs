//! `doozer-sim sweep`: many seeds.
//!
//! On stdout there is one line at the end, the totals as JSON; everything else goes to stderr.

use std::fs::OpenOptions;
use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use clap::Args;
use doozer::sim::probes::REQUIRED_FROM;
use doozer::sim::repeat;
use doozer::sim::run::Report;
use doozer::sim::setup::Setup;
use doozer::sim::sweep::Totals;
use rand::TryRng;
use rand::rngs::SysRng;

use crate::progress::{Goal, Progress};
use crate::subject::Subject;
use crate::summary::Summary;

/// Bits of a base that is drawn: enough that no two sweeps meet, few enough to be typed.
const BASE_BITS: u32 = 40;
/// Failures that are told one by one.
const FAILURES_TOLD: u64 = 20;
/// How a process ends that was interrupted and did not wait.
const INTERRUPTED: i32 = 130;

/// Arguments of `sweep`.
#[derive(Args)]
#[group(id = "extent", required = true, multiple = false, args = ["seeds", "minutes"])]
pub struct Options {
    /// The seeds, the second number excluded.
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    seeds: Option<Range<u64>>,
    /// How long, with seeds that nobody has tried before.
    #[arg(long, value_name = "M", value_parser = parse_minutes)]
    minutes: Option<Duration>,
    /// Threads. All cores, unless told otherwise.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// A file that the line of totals is appended to.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Fails if a probe is missed, as sweeps of the node over 10,000 seeds or more always do.
    #[arg(long)]
    require_probes: bool,
    /// Tells in how many runs each probe was met.
    #[arg(long)]
    list_probes: bool,
    #[command(flatten)]
    subject: Subject,
}

/// Runs the seeds, prints what they add up to; fails if a rule was broken.
pub fn main(options: &Options) -> anyhow::Result<ExitCode> {
    silence_panics();
    let began = Instant::now();
    let (seeds, goal) = match (&options.seeds, options.minutes) {
        (Some(seeds), _) => (seeds.clone(), Goal::Runs(seeds.end - seeds.start)),
        (None, Some(span)) => {
            let base = SysRng.try_next_u64()? >> (u64::BITS - BASE_BITS);
            (base..u64::MAX, Goal::Time(span))
        }
        (None, None) => unreachable!("clap wants one of both"),
    };
    let jobs = match options.jobs {
        Some(jobs) => usize::from(jobs),
        None => thread::available_parallelism()?.get(),
    };
    eprintln!("seeds from {}, {jobs} at a time", seeds.start);
    let sweep = Sweep {
        subject: &options.subject,
        next: AtomicU64::new(seeds.start),
        end: seeds.end,
        deadline: options.minutes.map(|span| began + span),
        repeated: AtomicU64::new(0),
    };
    stop_when_interrupted()?;
    let totals = sweep.run(jobs, &mut Progress::new(goal))?;
    let repeated = sweep.repeated.into_inner();
    let summary = Summary::new(&totals, seeds.start, repeated, began.elapsed())?;
    let line = serde_json::to_string(&summary)?;
    println!("{line}");
    if let Some(path) = &options.out {
        append(path, &line).with_context(|| format!("cannot write to {}", path.display()))?;
    }
    if options.list_probes {
        eprint!("{}", totals.probes.table());
    }
    eprintln!("{}", totals.probes);
    let is_large = totals.runs >= REQUIRED_FROM && options.subject.is_node();
    let must_meet = options.require_probes || is_large;
    let misses = must_meet && totals.probes.missed().next().is_some();
    if misses {
        eprintln!("probes were missed");
    }
    let Some(failure) = &totals.first_failure else {
        return Ok(ExitCode::from(u8::from(misses)));
    };
    eprintln!("replay: {}", options.subject.replay(failure));
    Ok(ExitCode::FAILURE)
}

/// Whether the sweep has been told to come to an end.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// The first Ctrl-C ends the sweep after the runs that are under way, the second at once.
fn stop_when_interrupted() -> anyhow::Result<()> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                if STOPPED.swap(true, Ordering::Relaxed) {
                    std::process::exit(INTERRUPTED);
                }
            }
        });
    });
    Ok(())
}

/// Panics of nodes are caught and reported with their seeds; where they happened is told once more
/// by the replay.
fn silence_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// What the threads of a sweep share.
struct Sweep<'a> {
    subject: &'a Subject,
    next: AtomicU64,
    end: u64,
    deadline: Option<Instant>,
    repeated: AtomicU64,
}

impl Sweep<'_> {
    fn run(&self, jobs: usize, progress: &mut Progress) -> anyhow::Result<Totals> {
        thread::scope(|scope| {
            let (done, reports) = channel();
            let work = |done: Sender<Report>| move || self.work(&done);
            let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work(done.clone()))).collect();
            drop(done);
            let mut totals = Totals::default();
            for report in reports {
                if let Some(violation) = &report.violation
                    && totals.failures < FAILURES_TOLD
                {
                    progress.tell(&format!("seed {}: {violation}", report.seed));
                }
                totals.add(report);
                progress.show(&totals);
            }
            progress.end();
            for worker in workers {
                let panicked = |_| anyhow!("the simulator itself failed; `run` each seed to see");
                worker.join().map_err(panicked)?;
            }
            Ok(totals)
        })
    }

    fn work(&self, done: &Sender<Report>) {
        while !STOPPED.load(Ordering::Relaxed) && !self.is_over() {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end {
                return;
            }
            let setup = Setup::from_seed(seed);
            let mut report = self.subject.run(&setup, None);
            if repeat::is_repeated(seed) {
                self.repeated.fetch_add(1, Ordering::Relaxed);
                report.violation = self.subject.repeat(&setup, &report).or(report.violation);
            }
            if done.send(report).is_err() {
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }
}

fn append(path: &PathBuf, line: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "{line}")
}

/// Seeds, written as A..B.
pub fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("write it as A..B")?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text} is not a number"));
    let range = number(from)?..number(to)?;
    if range.is_empty() {
        return Err("the range is empty".to_owned());
    }
    Ok(range)
}

fn parse_minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text
        .parse()
        .map_err(|_| format!("{text} is not a number"))?;
    match Duration::try_from_secs_f64(minutes * 60.0) {
        Ok(span) if !span.is_zero() => Ok(span),
        _ => Err("there is no sweep that long".to_owned()),
    }
}
