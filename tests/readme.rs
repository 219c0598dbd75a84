//! The console sessions that README.md shows really go like that.
//!
//! Every block marked `console` is typed into a shell, line by line, with servers on a free port;
//! other blocks are not run. The blocks below one heading share one shell. What differs from run to
//! run, which is revisions, ids and times, may differ here; but who is called A once has to be A
//! ever after. Lines that a reader sees in another terminal are treated so:
//!
//! * A bare `doozerd` goes to the background.
//! * So does `doozer watch`, whose output is compared at the end: it tells of what comes later.
//! * `doozer get` is asked for the form that it has on a terminal.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "runs a shell and real processes"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use regex::Regex;

const README: &str = include_str!("../README.md");

/// The port that the README uses.
const PORT: &str = "8046";

/// Ends the output of a command. Nothing else prints it.
const MARK: &str = "-- end of output --";

/// How long it may take until things are as the README shows them.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn the_quick_start_goes_as_shown() {
    play("Quick start");
}

#[test]
fn the_walk_through_of_a_cluster_goes_as_shown() {
    play("A cluster");
}

#[test]
fn the_walk_through_with_a_name_service_goes_as_shown() {
    play("A name service");
}

#[test]
fn no_session_is_left_out() {
    let played: usize = ["Quick start", "A cluster", "A name service"]
        .map(|heading| blocks(section(heading)))
        .iter()
        .map(Vec::len)
        .sum();
    assert_eq!(blocks(README).len(), played);
    assert!(played >= 2);
}

#[test]
fn names_stand_for_one_thing_each() {
    let mut names = Names::default();
    assert!(names.agree("14 5\nweb-1", "27 5\nweb-1\n"));
    assert!(!names.agree("14 5\nweb-2", "28 5\nweb-1\n"), "another text");
    assert!(!names.agree("14 5\nweb-1", "28 5\nweb-1\n"), "another rev");
    assert!(
        !names.agree("15 5\nweb-1", "28 6\nweb-1\n"),
        "another length"
    );
    assert_eq!(names.translate("set /14 14 -1"), "set /14 27 -1");
}

/// The README's example of the library. It is compiled here and not run.
mod example {
    use doozer::client::{Client, Condition, Error};

    async fn announce() -> Result<(), Error> {
        let client = Client::connect("doozer:?ca=127.0.0.1:8046&ca=127.0.0.2:8046").await?;
        let rev = client
            .set("/app/master", "web-1", Condition::MISSING)
            .await?;
        let mut changes = client.watch("/app/**", rev.next());
        loop {
            let event = changes.next().await?;
            println!("{} changed at {}", event.path, event.rev);
        }
    }

    #[test]
    fn it_is_what_is_compiled_here() {
        let _ = announce;
        let shown = super::README
            .split("```rust\n")
            .nth(1)
            .expect("there is one");
        let shown = shown.split("```").next().expect("it ends");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(include_str!("readme.rs")).contains(&words(shown)));
    }
}

/// A command line and what the README shows below it.
struct Step {
    command: String,
    shown: String,
}

/// The part of the README from a heading to the next one.
fn section(heading: &str) -> &'static str {
    let begin = README
        .find(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("there is no heading {heading:?}"));
    let text = &README[begin + 1..];
    text.find("\n## ").map_or(text, |end| &text[..end])
}

fn blocks(text: &str) -> Vec<Vec<Step>> {
    let parts = text.split("```console\n").skip(1);
    parts
        .map(|part| steps(part.split("```").next().unwrap_or_default()))
        .collect()
}

fn steps(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push(Step {
                command: command.to_owned(),
                shown: String::new(),
            }),
            None => {
                let step = steps.last_mut().expect("a session begins with a command");
                step.shown += line;
                step.shown.push('\n');
            }
        }
    }
    steps
}

/// Types what a part of the README shows, and compares.
fn play(heading: &str) {
    let port = free_port();
    let mut shell = Shell::start(heading, &port);
    let mut names = Names::default();
    let mut watches = Vec::new();
    for step in blocks(section(heading)).into_iter().flatten() {
        let command = names.translate(&step.command.replace(PORT, &port));
        let shown = step.shown.replace(PORT, &port);
        if command == "doozerd" {
            let log = shell.path("doozerd.log");
            shell.run(&format!("doozerd -l 127.0.0.1:{port} 2>doozerd.log &"));
            names.await_file(&shown, &log);
        } else if command.starts_with("doozer watch") {
            let file = format!("watch-{}", watches.len());
            shell.run(&format!("{command} >{file} &"));
            watches.push((shell.path(&file), shown));
        } else {
            names.await_command(&mut shell, &command, &shown);
        }
        if let Some(addr) = listening(&command) {
            await_server(addr);
        }
    }
    for (file, shown) in watches {
        names.await_file(&shown, &file);
    }
}

/// The address of the server that a command starts.
fn listening(command: &str) -> Option<&str> {
    let flags = command.strip_prefix("doozerd -l ")?;
    flags.split(' ').next()
}

fn await_server(addr: &str) {
    let begin = Instant::now();
    while TcpStream::connect(addr).is_err() {
        assert!(begin.elapsed() < PATIENCE, "nobody listens on {addr}");
        pause();
    }
}

fn free_port() -> String {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let addr = socket.local_addr().expect("it is bound");
    addr.port().to_string()
}

/// A reader waits for a moment too, before the next line is typed.
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

/// What the README's revisions and ids are called in this run.
#[derive(Clone, Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    /// Whether both texts are the same but for names. Remembers names that are met for the first
    /// time.
    fn agree(&mut self, shown: &str, seen: &str) -> bool {
        let (shown, seen) = (without_times(shown), without_times(seen));
        let (shown, seen) = (shown.trim_end(), seen.trim_end());
        let name = name();
        let mut names = self.clone();
        let is_same_but_names = name.replace_all(shown, "#") == name.replace_all(seen, "#");
        let agree = is_same_but_names
            && name
                .find_iter(shown)
                .zip(name.find_iter(seen))
                .all(|(shown, seen)| names.is(shown.as_str(), seen.as_str()));
        if agree {
            *self = names;
        }
        agree
    }

    fn is(&mut self, shown: &str, seen: &str) -> bool {
        // Small lengths, and the first revisions of a cluster.
        if shown.len() == 1 {
            return shown == seen;
        }
        let known = self.0.entry(shown.to_owned());
        known.or_insert_with(|| seen.to_owned()) == seen
    }

    /// A command of the README, with the names that things have in this run.
    fn translate(&self, command: &str) -> String {
        let words = command.split(' ').map(|word| match self.0.get(word) {
            Some(rev) => rev.clone(),
            None => self.with_ids(word),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn with_ids(&self, word: &str) -> String {
        let mut word = word.to_owned();
        for (shown, seen) in self.0.iter().filter(|(shown, _)| shown.len() == ID_LEN) {
            word = word.replace(shown, seen);
        }
        word
    }

    /// Runs a command that prints what is shown. One that changes nothing may be early, as no
    /// person is: it is run again.
    fn await_command(&mut self, shell: &mut Shell, command: &str, shown: &str) {
        let begin = Instant::now();
        loop {
            let seen = shell.run(&on_terminal(command));
            if self.agree(shown, &seen) {
                return;
            }
            let is_early = is_reading(command) && begin.elapsed() < PATIENCE;
            assert!(
                is_early,
                "$ {command}\nREADME.md shows:\n{shown}\nseen here:\n{seen}\nnames: {:?}",
                self.0
            );
            pause();
        }
    }

    fn await_file(&mut self, shown: &str, path: &Path) {
        let begin = Instant::now();
        loop {
            let seen = fs::read_to_string(path).unwrap_or_default();
            if self.agree(shown, &seen) {
                return;
            }
            let path = path.display();
            assert!(
                begin.elapsed() < PATIENCE,
                "{path}\nREADME.md shows:\n{shown}\nseen here:\n{seen}"
            );
            pause();
        }
    }
}

const ID_LEN: usize = 16;

/// Ids, and numbers: revisions, and also those in addresses, which are the same in every run.
fn name() -> Regex {
    Regex::new(r"(?-u:\b)(?:[A-Z2-7]{16}|[0-9]+)(?-u:\b)").expect("a well-formed pattern")
}

fn without_times(text: &str) -> String {
    let time = Regex::new(r"[0-9-]{10}T[0-9:.]+Z").expect("a well-formed pattern");
    time.replace_all(text, "TIME").into_owned()
}

fn is_reading(command: &str) -> bool {
    let writes = ["add ", "set ", "del ", "touch ", "kill ", "doozerd "];
    !writes.iter().any(|verb| command.contains(verb))
}

/// `get` in the form that it has on a terminal.
fn on_terminal(command: &str) -> String {
    command.replace(" get ", " get --long ")
}

/// A shell whose session goes on from command to command.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    dir: PathBuf,
}

impl Shell {
    fn start(name: &str, port: &str) -> Shell {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("readme {name} {port}"));
        fs::create_dir_all(&dir).expect("a folder can be made");
        let programs = Path::new(env!("CARGO_BIN_EXE_doozer"))
            .parent()
            .expect("programs are in a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new("bash")
            .args(["--norc", "--noprofile"])
            .current_dir(&dir)
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("DOOZER_URI", format!("127.0.0.1:{port}"))
            .env_remove("DOOZER_BOOT_URI")
            .env_remove("DOOZER_RWSECRET")
            .env_remove("DOOZER_ROSECRET")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("bash can be run");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Shell {
            child,
            input,
            output,
            dir,
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// What a command prints, errors included. The shell keeps its exit code for the next one.
    fn run(&mut self, command: &str) -> String {
        let script = format!("{{ (exit $status)\n{command}\n}} 2>&1 </dev/null");
        writeln!(self.input, "{script}\nstatus=$?; printf '\\n{MARK}\\n'")
            .expect("the shell is there");
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let len = self.output.read_line(&mut line).expect("it prints text");
            assert!(len > 0, "the shell ended in: {command}");
            if line.trim_end() == MARK {
                return seen;
            }
            // The shell's own words about a job that it was told to kill.
            if !(line.starts_with("bash: line") && line.contains(" Killed ")) {
                seen += &line;
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Ends what it started, also after a failure; an error means that it has ended already.
        let _ = writeln!(self.input, "kill $(jobs -p); exit");
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
