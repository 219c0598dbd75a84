//! Why a command failed, what it tells, and the exit code that says so.

use std::io;
use std::process::ExitCode;

use doozer::client::{Error, Refusal};
use doozer::core::protocol::client::ErrorCode;

use crate::EXIT_FAILURE;

/// Exit code for a revision that does not match, so that scripts can try again.
const EXIT_REV_MISMATCH: u8 = 1;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// The cluster says no, or says nothing.
    Client(Error),
    /// There is nothing at this path.
    Missing(String),
    /// Something else.
    Message(String),
    /// What was printed says it; the exit code says it to programs.
    Code(u8),
    /// Nobody reads what is printed any more: no reason to complain.
    BrokenPipe,
}

impl Failure {
    /// Tells it on standard error.
    pub fn report(self) -> ExitCode {
        let code = match &self {
            Failure::BrokenPipe => return ExitCode::SUCCESS,
            Failure::Code(code) => *code,
            Failure::Missing(path) => {
                eprintln!("No such file or directory: {path}");
                EXIT_FAILURE
            }
            Failure::Message(message) => {
                eprintln!("Error: {message}");
                EXIT_FAILURE
            }
            Failure::Client(error) => {
                eprintln!("Error: {error}{}", advice(error));
                match error {
                    Error::Refused(Refusal {
                        code: ErrorCode::RevMismatch,
                        ..
                    }) => EXIT_REV_MISMATCH,
                    _ => EXIT_FAILURE,
                }
            }
        };
        ExitCode::from(code)
    }
}

/// What to do next, in terms of this program's flags.
fn advice(error: &Error) -> String {
    match error {
        Error::Unreachable { tried } => match tried.as_slice() {
            [one] => format!(
                "; is doozerd running at {}? give another with -a doozer:?ca=HOST:PORT",
                one.addr
            ),
            _ => "; is doozerd running there? give others with -a doozer:?ca=HOST:PORT".to_owned(),
        },
        Error::Refused(refusal) if refusal.code == ErrorCode::RevMismatch => match &refusal.path {
            Some(path) => format!("; see what is there with: doozer get --long {path}"),
            None => String::new(),
        },
        Error::Refused(refusal) if refusal.code == ErrorCode::TooLate => {
            "; leave out -r for the present".to_owned()
        }
        Error::TooLate { current, .. } => format!(", with -r {current}"),
        Error::NoMember { .. } => {
            "; give the address of a member with -a doozer:?ca=HOST:PORT".to_owned()
        }
        _ => String::new(),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Client(error)
    }
}

impl From<io::Error> for Failure {
    /// An error of standard output.
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => Failure::Message(format!("cannot write to standard output: {error}")),
        }
    }
}
