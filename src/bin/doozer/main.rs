//! The command line client.
//!
//! What it prints to standard output, its exit codes and the words that scripts look for are those
//! of the original client; help texts and explanations are not part of that agreement.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a program that reads its environment and talks to servers"
)]

mod args;
mod backup;
mod bench;
mod commands;
mod duration;
mod failure;
mod help;
mod member;
mod output;
mod scan;
mod status;
mod table;

use std::process::ExitCode;

use clap::Parser;

use args::Cli;
use failure::Failure;
use scan::Scanned;

/// Exit code for a command line that makes no sense.
const EXIT_USAGE: u8 = 127;
/// Exit code for everything else that goes wrong, except revisions that do not match.
const EXIT_FAILURE: u8 = 2;

fn main() -> ExitCode {
    // Lossy: no path, pattern or address has characters that get lost.
    let args = std::env::args_os().skip(1);
    let args = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    let args = match scan::scan(args) {
        Scanned::Run(args) => args,
        Scanned::Version => {
            return exit(output::line(format_args!(
                "doozer {}",
                env!("CARGO_PKG_VERSION")
            )));
        }
        Scanned::Usage => {
            eprint!("{}", help::usage());
            return ExitCode::SUCCESS;
        }
        Scanned::Help { command } => return exit(output::text(&help::of(&command))),
        Scanned::WrongNumber { command } => {
            eprintln!("{command}: wrong number of arguments");
            let _ = output::text(&help::of(&command));
            return ExitCode::from(EXIT_USAGE);
        }
        Scanned::Mistake(message) => return usage_error(&message, EXIT_USAGE),
        Scanned::BadFlag(message) => return usage_error(&message, EXIT_FAILURE),
    };
    match Cli::try_parse_from(std::iter::once("doozer".to_owned()).chain(args)) {
        Ok(cli) => exit(run(cli)),
        Err(error) => usage_error(&help::invalid_value(&error), EXIT_FAILURE),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::Message(format!("cannot start: {error}")))?;
    runtime.block_on(commands::run(cli))
}

fn usage_error(message: &str, code: u8) -> ExitCode {
    eprint!("{message}\n{}", help::usage());
    ExitCode::from(code)
}

fn exit(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
