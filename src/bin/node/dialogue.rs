//! What a person is asked who starts a process with an empty data directory and says nothing else.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use crate::flags::{Flags, Order};
use crate::setup::check_port;

/// Why it stays open what to do with an empty data directory.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// There is nobody to ask.
    #[error(
        "--data-dir {0}: nothing is in there, and nobody can be asked, as this is no terminal; found \
         a cluster with: doozerd init {0} -l HOST:PORT; join one with: doozerd join {0} ADDR -l \
         HOST:PORT; or, if there should be something, see that the right disk is mounted",
        path.display()
    )]
    Nobody {
        /// The directory.
        path: PathBuf,
    },
    /// The person has gone.
    #[error("nothing was founded or joined: the answers ended")]
    Ended,
    /// The terminal fails.
    #[error("the terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// Asks for the address of this process, and whether it is to found a cluster or to join one.
pub fn complete(flags: &mut Flags, path: &Path) -> Result<(), Unanswered> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Unanswered::Nobody {
            path: path.to_owned(),
        });
    }
    flags.listen = ask_address("Enter host:port> ")?;
    flags.given.listen = true;
    flags.order = Some(loop {
        match ask("Initialize or join? [ij] ")?.as_str() {
            "i" => break Order::Init,
            "j" => break Order::Join,
            _ => {}
        }
    });
    if flags.order == Some(Order::Join) {
        flags.attach = vec![ask_address("Server to join: ")?];
    }
    Ok(())
}

fn ask_address(question: &str) -> Result<String, Unanswered> {
    loop {
        let answer = ask(question)?;
        match check_port("host:port", &answer) {
            Ok(()) => return Ok(answer),
            Err(error) => println!("{error}"),
        }
    }
}

fn ask(question: &str) -> Result<String, Unanswered> {
    print!("{question}");
    io::stdout().flush()?;
    let mut answer = String::new();
    if io::stdin().read_line(&mut answer)? == 0 {
        println!();
        return Err(Unanswered::Ended);
    }
    Ok(answer.trim().to_owned())
}
