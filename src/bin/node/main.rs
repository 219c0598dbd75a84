//! The server.
//!
//! Exit codes: 0 after `-v`, `-h` and a stop by SIGTERM or SIGINT; 1 when it cannot start; 2 for a
//! bad flag; 3 when the node halted itself; 101 for a broken invariant.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "reads its environment and starts the runtime"
)]

mod data;
mod dialogue;
mod files;
mod flags;
mod life;
mod names;
mod repair;
mod setup;
mod web;
mod words;

use std::io::IsTerminal;
use std::process::ExitCode;

use doozer::http::{CONNECTIONS_MAX, Web};
use doozer::runtime::{Options, ServeError};
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::runtime::{Builder, LocalOptions};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use flags::Flags;
use setup::{Entropy, Secrets, options, secrets_warning};
use words::Words;

const CANNOT_START: u8 = 1;
const BAD_FLAG: u8 = 2;
const HALTED: u8 = 3;

fn main() -> ExitCode {
    let mut flags = match Flags::from_args(std::env::args_os()) {
        Ok(flags) => flags,
        Err(error) => error.exit(),
    };
    if let Err(error) = start_log(&flags.log) {
        eprintln!("doozerd: --log {:?}: {error}", flags.log);
        return BAD_FLAG.into();
    }
    match run(&mut flags) {
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
        .with_writer(|| words::Log)
        // Where nobody reads the log any more, a report of that would end the process.
        .log_internal_errors(false)
        .init();
    Ok(())
}

fn run(flags: &mut Flags) -> anyhow::Result<()> {
    let (mut options, web_connections) = prepare(flags)?;
    let names = setup::name_service(flags, &options)?;
    let web = web::options(flags, &options, web_connections)?;
    let web = web.map(Web::on).transpose()?.flatten();
    if let Some(web) = &web {
        options.node.web = web::reached_at(web.addr(), &options);
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    let words = flags.order.map(Words::begin);
    runtime.block_on(life::serve(options, names, web, words))
}

/// What to start with, and how many connections there may be to the web view.
fn prepare(flags: &mut Flags) -> anyhow::Result<(Options, usize)> {
    let entropy = entropy()?;
    let taken = data::take(flags, entropy.node_id())?;
    let secrets = Secrets {
        rw: variable("DOOZER_RWSECRET"),
        ro: variable("DOOZER_ROSECRET"),
    };
    let warning = secrets_warning(&secrets);
    let mut options = options(flags, secrets, hostname(), &entropy)?;
    if let Some(taken) = taken {
        options = taken.complete(flags, options)?;
    }
    let web_connections = make_room(&mut options, web::is_wanted(flags));
    if let Some(warning) = warning {
        warn!("{warning}");
    }
    if flags.fill.is_some() {
        info!("-fill is ignored: nobody waits for the turns of others");
    }
    Ok((options, web_connections))
}

/// Keeps clients from using up the files that peers need, and gives the web view its share.
fn make_room(options: &mut Options, has_web: bool) -> usize {
    let wanted = options.node.limits.connections_max;
    let for_web = if has_web { CONNECTIONS_MAX } else { 0 };
    let allowed = files::make_room_for(wanted + for_web);
    let for_web = for_web.min((allowed / 4).max(1));
    let allowed = wanted.min(allowed - for_web).max(1);
    if allowed < wanted {
        warn!(
            "accepting {allowed} connections of clients, not {wanted}: raise the limit on open \
             files (ulimit -n)"
        );
    }
    options.node.limits.connections_max = allowed;
    for_web
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
