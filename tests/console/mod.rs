//! Console sessions of documents, which really go as shown.
//!
//! Every block marked `console` is typed into a shell, line by line, with servers on a free port;
//! other blocks are not run. What differs from run to run may differ here: revisions, ids and
//! times; but who is called A once has to be A ever after. Of a row that `doozer status` prints for
//! a process, slot, id, address and state are compared. Lines that a reader sees in another terminal
//! are treated so:
//!
//! * A bare `doozerd` goes to the background.
//! * So does `doozer watch`, whose output is compared at the end: it tells of what comes later.
//! * `doozer get` is asked for the form that it has on a terminal.

#![allow(dead_code, reason = "each test uses what it needs")]

#[path = "../processes/port.rs"]
mod port;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use regex::Regex;

use port::free_port;

/// The port that the documents use.
const PORT: &str = "8046";

/// Ends the output of a command. Nothing else prints it.
const MARK: &str = "-- end of output --";

/// How long it may take until things are as shown.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command line and what is shown below it.
pub struct Step {
    command: String,
    shown: String,
}

/// The part of a document from a heading to the next one.
pub fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let begin = document
        .find(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("there is no heading {heading:?}"));
    let text = &document[begin + 1..];
    text.find("\n## ").map_or(text, |end| &text[..end])
}

/// The sessions in a text.
pub fn blocks(text: &str) -> Vec<Vec<Step>> {
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

/// Types what some parts of a document show into one shell, and compares.
pub fn play(document: &str, headings: &[&str]) {
    play_in(&["bash"], document, headings);
}

/// As [`play`], in a shell that is started with this command.
pub fn play_in(shell: &[&str], document: &str, headings: &[&str]) {
    let port = free_port().to_string();
    let mut shell = Shell::start(shell, &headings.join(" "), &port);
    let mut names = Names::default();
    let mut watches = Vec::new();
    let blocks = headings
        .iter()
        .flat_map(|heading| blocks(section(document, heading)));
    for step in blocks.flatten() {
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
            shell.await_server(addr);
        }
    }
    for (file, shown) in watches {
        names.await_file(&shown, &file);
    }
}

/// The address of the server that a command starts.
fn listening(command: &str) -> Option<&str> {
    let (before, flags) = command.split_once(" -l ")?;
    let is_server = before.split(' ').any(|word| word == "doozerd");
    is_server.then(|| flags.split(' ').next()).flatten()
}

/// A reader waits for a moment too, before the next line is typed.
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

/// What the document's revisions and ids are called in this run.
#[derive(Clone, Default)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    /// Whether both texts are the same but for names. Remembers names that are met for the first
    /// time.
    pub fn agree(&mut self, shown: &str, seen: &str) -> bool {
        let (shown, seen) = (without_figures(shown), without_figures(seen));
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

    /// A command of the document, with the names that things have in this run.
    pub fn translate(&self, command: &str) -> String {
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
                "$ {command}\nshown:\n{shown}\nseen here:\n{seen}\nnames: {:?}",
                self.0
            );
            pause();
        }
    }

    fn await_file(&mut self, shown: &str, path: &Path) {
        let begin = Instant::now();
        loop {
            let seen = fs::read_to_string(path).unwrap_or_default();
            // The port of the web view depends on what else runs on the machine.
            let lines = seen.split_inclusive('\n');
            let seen: String = lines.filter(|line| !line.contains("web view at")).collect();
            if self.agree(shown, &seen) {
                return;
            }
            let path = path.display();
            assert!(
                begin.elapsed() < PATIENCE,
                "{path}\nshown:\n{shown}\nseen here:\n{seen}"
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

/// Without times, spans of time, the figures of `doozer status`, and the width of columns.
fn without_figures(text: &str) -> String {
    let rules = [
        (r"[0-9-]{10}T[0-9:.]+Z", "TIME"),
        (
            r"(?-u:\b)[0-9]+(?:ms|s|m|h|d)(?:[0-9]+[smh])?(?-u:\b)",
            "SPAN",
        ),
        (r" +", " "),
        (
            r"(?m)^([^ ]+ [A-Z2-7]{16} [^ ]+ (?:up|leaving|unreached|cut off|silent|gone)) .*$",
            "$1",
        ),
    ];
    rules
        .iter()
        .fold(text.to_owned(), |text, (pattern, instead)| {
            let pattern = Regex::new(pattern).expect("a well-formed pattern");
            pattern.replace_all(&text, *instead).into_owned()
        })
}

fn is_reading(command: &str) -> bool {
    let writes = [
        "add ", "remove ", "set ", "del ", "touch ", "kill ", "doozerd ", "mount ", "recover ",
        "restore ", "journal ",
    ];
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
    fn start(command: &[&str], name: &str, port: &str) -> Shell {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name} {port}"));
        fs::create_dir_all(&dir).expect("a folder can be made");
        let programs = Path::new(env!("CARGO_BIN_EXE_doozer"))
            .parent()
            .expect("programs are in a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new(command[0])
            .args(&command[1..])
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

    /// Waits until a server serves, as a person would before the next line.
    fn await_server(&mut self, addr: &str) {
        let begin = Instant::now();
        let answers = |seen: &str| seen.trim().parse::<u64>().is_ok();
        while !answers(&self.run(&format!("doozer -a {addr} rev"))) {
            assert!(begin.elapsed() < PATIENCE, "nobody serves at {addr}");
            pause();
        }
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
        let _ = writeln!(self.input, "kill -9 $(jobs -p); exit");
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
