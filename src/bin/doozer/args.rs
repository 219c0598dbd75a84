//! The command line in types. [`crate::scan`] has put the arguments into a form that clap reads.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::duration;

/// The default for `-a`.
pub const URI_DEFAULT: &str = "doozer:?ca=127.0.0.1:8046";

/// The whole command line.
#[derive(Parser, Debug)]
#[command(
    name = "doozer",
    about = "The command line client of Doozer",
    disable_help_flag = true,
    disable_help_subcommand = true,
    help_template = "{options}"
)]
pub struct Cli {
    /// Flags that are good before and after the command.
    #[command(flatten)]
    pub flags: Flags,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that are good before and after the command.
#[derive(Args, Debug)]
pub struct Flags {
    /// The cluster: doozer:?ca=HOST:PORT&ca=... with one "ca" for each server, or
    /// doozer:?cn=NAME to look its servers up in the name service, and &sk=SECRET if it has
    /// secrets. Plain HOST:PORT will do. Default: $DOOZER_URI, else doozer:?ca=127.0.0.1:8046
    #[arg(short = 'a', long = "uri", value_name = "URI", global = true)]
    pub uri: Option<String>,
    /// The name service that knows the servers of "cn", as a URI. Default: $DOOZER_BOOT_URI
    #[arg(short = 'b', long = "boot", value_name = "URI", global = true)]
    pub boot: Option<String>,
    /// The revision for find, wait and watch; -1 is the current one
    #[arg(
        short = 'r',
        long,
        value_name = "REV",
        default_value_t = -1,
        global = true,
        allow_negative_numbers = true
    )]
    pub rev: i64,
    /// How long wait waits, such as 300ms or 1m30s; 0 is for ever
    #[arg(
        short = 't',
        long,
        value_name = "DURATION",
        default_value = "0",
        value_parser = duration::parse,
        global = true
    )]
    pub timeout: Duration,
    /// Print one JSON object per line
    ///
    /// rev: {"rev"}. self: {"id"}. add, set: {"path","rev"}. get: {"path","rev","value"}. stat, find:
    /// {"path","type":"file","rev","len"} or {"path","type":"dir"}, and stat adds "entries". wait,
    /// watch: {"path","rev","op":"set"|"del"|"nop"}, with "value" after "set". A value that is not
    /// UTF-8 is base64 in "value_base64" instead of "value". status: {"cluster","health",
    /// "processes",...}. member: {"slot",...}. The others print nothing.
    #[arg(long, global = true)]
    pub json: bool,
    /// Read the server's own copy: faster, needs no majority, may be stale
    #[arg(long, global = true)]
    pub local: bool,
    /// Show help: of a command when one is named
    #[arg(short = 'h', long = "help", global = true)]
    pub help: bool,
    /// Print the version
    #[arg(short = 'v', long = "version", global = true)]
    pub version: bool,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Create a file
    ///
    /// The value comes from standard input. Prints the revision. It is an error (exit code 1) if
    /// the file exists.
    #[command(after_help = "Example:\n  echo web-1 | doozer add /app/master")]
    Add {
        /// The file
        path: String,
    },
    /// Measure how fast a cluster is
    ///
    /// Each of connections × inflight slots sends its next request when the last one was
    /// answered. After the warm-up, each answer is counted and its latency recorded. Prints a
    /// table to standard error and one line of JSON to standard output. Writes below /bench. What
    /// reads keys needs "fill" to have run with the same --keys. Whether reads are local is up to
    /// the workload, not to --local.
    #[command(
        after_help = "Examples:\n  doozer bench fill --keys 100000 --connections 4 --inflight \
                      16\n  doozer bench set --connections 8 --inflight 8 --duration 10"
    )]
    Bench(Bench),
    /// Print a script that completes commands and flags in a shell
    #[command(after_help = "Example:\n  doozer completions bash > /etc/bash_completion.d/doozer")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Delete a file
    ///
    /// The file must have the revision REV; -1 deletes whatever is there. A missing file is no
    /// error. Exit code 1 if the revision does not match.
    #[command(after_help = "Examples:\n  doozer del /app/master 57\n  doozer del /app/master -1")]
    Del {
        /// The file
        path: String,
        /// Its revision, or -1
        #[arg(value_name = "REV", allow_negative_numbers = true)]
        condition: String,
    },
    /// Print all files at one revision, as a backup
    ///
    /// At the current revision or at that of -r, as lines of JSON with checksums, which restore reads:
    /// first where they come from, then each file, {"path","rev","value"} or {"path","rev",
    /// "value_base64"}, last how many there are.
    #[command(after_help = "Examples:\n  doozer dump > backup\n  doozer dump | gzip > backup.gz")]
    Dump,
    /// List a tree
    ///
    /// Prints PATH and the paths of everything below it, depth first, at the current revision or
    /// at that of -r.
    #[command(after_help = "Examples:\n  doozer find /app\n  doozer -r 57 find --json /")]
    Find {
        /// Where to begin
        path: String,
    },
    /// Print the value of a file
    ///
    /// Into a pipe or a file it prints the value and nothing else. On a terminal a line with the
    /// revision and the length comes first.
    #[command(after_help = "Examples:\n  doozer get /app/master\n  doozer get --long /app/master")]
    Get {
        /// The file
        path: String,
        /// Print a line "REV LENGTH", the value, and a newline, wherever it goes
        #[arg(long, conflicts_with = "raw")]
        long: bool,
        /// Print the value and nothing else, also on a terminal
        #[arg(long)]
        raw: bool,
        /// The revision at which to read, instead of the present
        #[arg(long, value_name = "REV")]
        at: Option<u64>,
    },
    /// Show help of a command
    #[command(after_help = "Example:\n  doozer help set")]
    Help {
        /// The command
        command: String,
    },
    /// Follow the cluster and keep every change in a directory
    ///
    /// Begins with all files, and then appends every change, each durable before the next is read. Goes
    /// on where it stopped, also after a crash, with any member. When it was away for longer than the
    /// cluster remembers, it says which revisions are lost, and begins with all files again. "doozer
    /// restore DIR" brings the last state back. With --json, prints {"rev"} for each revision up to which
    /// everything is durable.
    #[command(after_help = "Example:\n  doozer journal /var/lib/doozer-journal")]
    Journal(Journal),
    /// List, add or remove members
    ///
    /// A cluster has as many members as there are slots with somebody in them. "list" shows the
    /// slots and who holds them. "add" adds a slot, named WHAT or by the next number, which a standby
    /// takes. "remove" with the name of a slot deletes the slot: who held it becomes a standby, and
    /// the cluster has one member less. "remove" with the id or the address of a process takes the
    /// process out, and leaves its slot to a standby. What would cost the majority is refused.
    #[command(
        after_help = "Examples:\n  doozer member list\n  doozer member add\n  doozer member remove \
                      2\n  doozer member remove 10.0.0.3:8046"
    )]
    Member {
        /// What to do
        action: Action,
        /// The slot, or the id or address of a process
        what: Option<String>,
        /// Do it even if the server thinks that it costs the majority
        #[arg(long)]
        force: bool,
    },
    /// Take a revision and change nothing
    ///
    /// Succeeds when a majority of the members has agreed on it.
    #[command(after_help = "Example:\n  doozer nop && echo writable")]
    Nop,
    /// Make a new cluster of one process, when the majority of the members is lost for good
    ///
    /// The process of -a becomes the only member of a new generation of the cluster, with everything
    /// that it knows. Says what that comes to, and asks. The others can never come back with what
    /// they know: they have to be started again, as standbys.
    #[command(after_help = "Example:\n  doozer -a 10.0.0.3:8046 recover")]
    Recover {
        /// Do it although a majority is heard, or another process knows more
        #[arg(long)]
        force: bool,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
    },
    /// Put a backup into an empty cluster
    ///
    /// FILE is what dump has written, or the directory of a journal; "-" or none is standard input. All
    /// files appear at once, or, if anything goes wrong, none. They keep their revisions, and the cluster
    /// goes on at a revision far above that of the backup, so that no client sees one twice. What the
    /// servers of the old cluster kept in /ctl is left out.
    #[command(
        after_help = "Examples:\n  doozer restore backup\n  gunzip -c backup.gz | doozer \
                      restore\n  doozer restore --at 912 /var/lib/doozer-journal\n  doozer \
                      restore --check backup"
    )]
    Restore(Restore),
    /// Print the current revision
    #[command(after_help = "Example:\n  doozer watch -r \"$(doozer rev)\" '/app/**'")]
    Rev,
    /// Print the id of the server
    #[command(after_help = "Example:\n  doozer -a 10.0.0.2:8046 self")]
    #[command(name = "self")]
    Self_,
    /// Write a file
    ///
    /// The value comes from standard input. The file must have the revision REV; 0 only creates,
    /// -1 overwrites whatever is there. Prints the file's revision. Exit code 1 if the revision
    /// does not match.
    #[command(
        after_help = "Examples:\n  echo web-2 | doozer set /app/master 57\n  echo web-2 | doozer \
                      set /app/master -1"
    )]
    Set {
        /// The file
        path: String,
        /// Its revision, 0, or -1
        #[arg(value_name = "REV", allow_negative_numbers = true)]
        condition: String,
    },
    /// Print the revision and length of a file
    ///
    /// Of a directory, prints "d" and the number of its entries.
    #[command(after_help = "Example:\n  doozer stat /app/master")]
    Stat {
        /// What to look at
        path: String,
        /// The revision at which to look, instead of the present
        #[arg(long, value_name = "REV")]
        at: Option<u64>,
    },
    /// Show how the cluster is
    ///
    /// Every member, standby and vacancy: whether it answers, whether it owns slots of the log, how
    /// far it is, and how long ago the others heard it. Asks each process directly, and needs no
    /// majority. With --json, one object. Exit code 0 if the cluster is healthy, 1 if it works and
    /// something is wrong, 3 if there is no majority, 4 if the majority is lost for good, and 2 if
    /// nobody answers.
    #[command(after_help = "Examples:\n  doozer status\n  doozer -a 10.0.0.2:8046 status --json")]
    Status,
    /// Write a file with the value that it has
    ///
    /// Watchers see it. Creates an empty file if there is none. Prints nothing.
    #[command(after_help = "Example:\n  doozer touch /app/reload")]
    Touch {
        /// The file
        path: String,
    },
    /// Print the next change
    ///
    /// Of files that match PATTERN, from the current revision or that of -r on. Prints a line
    /// "PATH REV set|del LENGTH", the value, and a newline. In patterns "?" is one character, "*"
    /// any number within a name, "**" any number with slashes.
    #[command(after_help = "Examples:\n  doozer wait -t 1m '/app/*'\n  doozer wait -r 57 '/**'")]
    Wait {
        /// Which files
        pattern: String,
    },
    /// Print all changes
    ///
    /// As they happen, like wait, until it is interrupted. When its server goes away it goes on
    /// with another one, without a gap.
    #[command(after_help = "Example:\n  doozer watch --json '/app/**'")]
    Watch {
        /// Which files
        pattern: String,
    },
}

/// What to do about members.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Show slots and who holds them
    List,
    /// Add a slot
    Add,
    /// Remove a slot, or a process
    Remove,
}

/// What to keep, and where.
#[derive(Args, Debug, Clone)]
pub struct Journal {
    /// The directory, which is made if it is not there
    pub dir: String,
    /// Mebibytes of changes, at least, after which they are replaced by a new copy of all files
    ///
    /// Never less than such a copy takes. The directory holds two copies and up to three times as many
    /// changes.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub log_mebibytes: u32,
}

/// What to restore, and how.
#[derive(Args, Debug, Clone)]
pub struct Restore {
    /// The file, or the directory of a journal
    pub file: Option<String>,
    /// The revision that is wanted, of a journal
    #[arg(long, value_name = "REV")]
    pub at: Option<u64>,
    /// Only read the backup, and say whether it is whole
    #[arg(long)]
    pub check: bool,
    /// Replace the files that are there; implies --new-revs
    #[arg(long)]
    pub replace: bool,
    /// Give all files the revision of the restoration
    ///
    /// Then no client can write on the strength of a revision that it has seen before.
    #[arg(long)]
    pub new_revs: bool,
}

/// How to measure.
#[derive(Args, Debug, Clone)]
pub struct Bench {
    /// What to do
    pub workload: Workload,
    /// Connections, spread over the servers of the URI in order
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,
    /// Requests in flight on each connection
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8_192))]
    pub inflight: u32,
    /// Bytes in a value
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(0..=(16 << 20)))]
    pub value_size: u32,
    /// How many keys there are; each request takes one at random
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=9_999_999))]
    pub keys: u32,
    /// How long to measure, in seconds or with a unit
    #[arg(long, default_value = "5", value_parser = duration::parse)]
    pub duration: Duration,
    /// How long to load before that
    #[arg(long, default_value = "1", value_parser = duration::parse)]
    pub warmup: Duration,
    /// Reads in a hundred requests of the workload mixed
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub read_percent: u8,
    /// Watches of the workload watch, spread over the connections
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub watchers: u32,
    /// Free text that goes into the result
    #[arg(long, default_value = "", hide_default_value = true)]
    pub label: String,
}

/// What to do to the cluster.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Overwrite random keys
    Set,
    /// Read random keys, linearizable
    Get,
    /// Read random keys from the servers' own copies
    GetLocal,
    /// Read and overwrite random keys
    Mixed,
    /// Count in one file from every slot by compare-and-set, and check the sum
    Cas,
    /// Create all keys, each once
    Fill,
    /// Write one file, and measure until each watch has told
    Watch,
}
