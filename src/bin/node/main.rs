//! The server.
//!
//! Exit codes: 0 after `-v`, `-h` and a stop by SIGTERM or SIGINT; 1 when it cannot start; 2 for a
//! bad flag; 3 when the node halted itself; 101 for a broken invariant.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "reads its environment and starts the runtime"
)]

mod files;
mod flags;
mod setup;

use std::io::IsTerminal;
use std::process::ExitCode;

use doozer::core::env::Halt;
use doozer::runtime::{Options, ServeError, Server, TokioNet};
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use flags::Flags;
use setup::{Entropy, Secrets, options, secrets_warning};

const CANNOT_START: u8 = 1;
const BAD_FLAG: u8 = 2;
const HALTED: u8 = 3;

fn main() -> ExitCode {
    let flags = match Flags::from_args(std::env::args_os()) {
        Ok(flags) => flags,
        Err(error) => error.exit(),
    };
    if let Err(error) = start_log(&flags.log) {
        eprintln!("doozerd: --log {:?}: {error}", flags.log);
        return BAD_FLAG.into();
    }
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let is_halt = matches!(error.downcast_ref(), Some(ServeError::Halted(_)));
            eprintln!("doozerd: {error}");
            if is_halt { HALTED } else { CANNOT_START }.into()
        }
    }
}

fn start_log(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}

fn run(flags: &Flags) -> anyhow::Result<()> {
    let options = prepare(flags)?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(serve(options))
}

fn prepare(flags: &Flags) -> anyhow::Result<Options> {
    let secrets = Secrets {
        rw: variable("DOOZER_RWSECRET"),
        ro: variable("DOOZER_ROSECRET"),
    };
    let warning = secrets_warning(&secrets);
    let mut options = options(flags, secrets, hostname(), &entropy()?)?;
    make_room(&mut options);
    if let Some(warning) = warning {
        warn!("{warning}");
    }
    if flags.fill.is_some() {
        info!("-fill is ignored: nobody waits for the turns of others");
    }
    Ok(options)
}

/// Keeps clients from using up the files that peers need.
fn make_room(options: &mut Options) {
    let wanted = options.node.limits.connections_max;
    let allowed = files::make_room_for(wanted);
    if allowed < wanted {
        warn!(
            "accepting {allowed} connections of clients, not {wanted}: raise the limit on open \
             files (ulimit -n)"
        );
    }
    options.node.limits.connections_max = allowed;
}

/// Serves until a signal asks to stop. Whoever was put out of its cluster joins again, as another.
async fn serve(mut options: Options) -> anyhow::Result<()> {
    let mut signals = Signals {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    };
    loop {
        match serve_once(options.clone(), &mut signals).await {
            Err(ServeError::Halted(Halt::Evicted { members })) => {
                info!("joining again as a standby, under another id");
                options = setup::anew(options, members, &entropy()?);
            }
            ended => return Ok(ended?),
        }
    }
}

/// Serves until a signal asks to stop. The node leaves its cluster then; a second signal does not
/// wait for that, nor for answers to be written.
async fn serve_once(options: Options, signals: &mut Signals) -> Result<(), ServeError> {
    let server = tokio::select! {
        biased; // a signal ends a start that takes long
        () = signals.any() => return Ok(()),
        server = Server::start::<TokioNet>(options) => server?,
    };
    let stopper = server.stopper();
    let stop = async {
        signals.any().await;
        info!("leaving the cluster");
        stopper.leave();
        signals.any().await;
    };
    tokio::select! {
        biased; // the end of the process first
        ended = server.run() => ended,
        () = stop => Ok(()),
    }
}

/// The signals that ask to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Waits for either.
    async fn any(&mut self) {
        tokio::select! {
            biased; // whichever: both mean the same
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Random values for a process that starts.
fn entropy() -> anyhow::Result<Entropy> {
    Ok(Entropy {
        id: [SysRng.try_next_u64()?, SysRng.try_next_u64()?],
        seed: SysRng.try_next_u64()?,
    })
}

/// An environment variable, whatever bytes it has; empty when it is unset.
fn variable(name: &str) -> Vec<u8> {
    std::env::var_os(name)
        .unwrap_or_default()
        .into_encoded_bytes()
}

/// The name of this machine, for people who look at `/ctl/node`.
fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "unknown".into(),
        name => name.into(),
    }
}
