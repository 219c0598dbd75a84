//! The command line. Flags of the original server keep their names, with one dash or two.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, ValueEnum};
use doozer::core::limits::Limits;

/// A consistent store for small amounts of extremely important data.
///
/// Without -a and -b the process founds a cluster of its own; with -a it attaches to one, follows it,
/// and takes the next vacant membership slot; with -b it looks its cluster up, and founds it if it is
/// nowhere.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "doozerd",
    version,
    disable_version_flag = true,
    after_help = EXAMPLES,
    max_term_width = 100
)]
pub struct Flags {
    /// What to do with a data directory, once; without it, the flags say what to do
    #[arg(value_enum, value_name = "COMMAND", requires = "dir")]
    pub order: Option<Order>,

    /// The data directory of the command
    #[arg(value_name = "DIR", conflicts_with = "data_dir")]
    dir: Option<PathBuf>,

    /// Addresses of processes of the cluster, as with -a: of `join`, and of `repair` where the
    /// directory does not know any
    #[arg(value_name = "ADDR")]
    addrs: Vec<String>,

    /// Address to listen on, for clients and other nodes. It has to be one that they can reach,
    /// unless --advertise gives another
    #[arg(
        short = 'l',
        long = "listen",
        alias = "l",
        value_name = "ADDR",
        default_value = "127.0.0.1:8046"
    )]
    pub listen: String,

    /// Address that clients and other nodes reach this one at, where it is not that of -l: behind
    /// a forwarded port, in a container
    #[arg(long, value_name = "ADDR")]
    pub advertise: Option<String>,

    /// Attach to the cluster of the process at this address, member or not. May be given several
    /// times; all are tried, and one is enough
    #[arg(short = 'a', long = "attach", alias = "a", value_name = "ADDR")]
    pub attach: Vec<String>,

    /// Name service to find the cluster with, as a doozer URI: another cluster, which the members of
    /// this one are registered with. Where -a is given too, that is tried first
    #[arg(
        short = 'b',
        long = "boot",
        alias = "b",
        value_name = "URI",
        env = "DOOZER_BOOT_URI",
        hide_env_values = true
    )]
    pub boot: Option<String>,

    /// Name of the cluster to found or to attach to
    #[arg(
        short = 'c',
        long = "cluster",
        alias = "c",
        value_name = "NAME",
        default_value = "local"
    )]
    pub cluster: String,

    /// Address of the web view, the HTTP API and metrics; any boolean word switches them off.
    /// [default: port 8000 of the address of -l, or the next one that is free]
    #[arg(short = 'w', long = "web", alias = "w", value_name = "ADDR")]
    pub web: Option<String>,

    /// Seconds between two writes of a member's `applied` file
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub pulse: Duration,

    /// Keep what must not be forgotten in this directory, which is made if it is not there. Started
    /// again with it, the process comes back as who it was, with everything that was acknowledged,
    /// and needs no -l, -a or -c. Alone with an empty directory, it asks on a terminal whether to
    /// found or to join, and is refused elsewhere. Without it, everything is in memory
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// The process of the data directory has another address from now on: that of -l and --advertise
    #[arg(long, requires = "data_dir")]
    pub moved: bool,

    /// Let `repair` set aside what is not damaged
    #[arg(long)]
    pub force: bool,

    /// Bytes of log in the data directory after which it is replaced by a snapshot (K, M, G)
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = bytes)]
    pub data_log: u64,

    /// Accepted and ignored: nobody waits for the turns of others
    #[arg(long, value_name = "SECONDS", value_parser = seconds_or_zero)]
    pub fill: Option<Duration>,

    /// A process that a majority of the members has not heard for so long is put out, and a standby
    /// takes its place
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub timeout: Duration,

    /// Revisions of history to keep
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub hist: u64,

    /// Bytes of history to keep (K, M, G for powers of 1024)
    #[arg(long, value_name = "BYTES", default_value = "256M", value_parser = bytes)]
    pub hist_bytes: u64,

    /// Certificate for clients over TLS. Not available yet
    #[arg(long, value_name = "FILE")]
    pub tlscert: Option<String>,

    /// Key of the certificate. Not available yet
    #[arg(long, value_name = "FILE")]
    pub tlskey: Option<String>,

    /// How reads are answered that do not ask for either: with the latest state of the cluster, or
    /// from this node's own copy, which may be stale
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Reads::Linearizable)]
    pub reads: Reads,

    /// Largest value of a file, in bytes (K, M, G)
    #[arg(long, value_name = "BYTES", default_value = "1M", value_parser = size)]
    pub max_value: usize,

    /// Largest request of a client, in bytes (K, M, G)
    #[arg(long, value_name = "BYTES", default_value = "16M", value_parser = size)]
    pub max_frame: usize,

    /// Longest path or pattern, in bytes (K)
    #[arg(long, value_name = "BYTES", default_value = "4K", value_parser = size)]
    pub max_path: usize,

    /// Requests of one connection that may be open, WAITs included
    #[arg(long, value_name = "N", default_value_t = Limits::default().requests_open_max)]
    #[arg(value_parser = count)]
    pub max_requests: usize,

    /// Connections of clients
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections_max)]
    #[arg(value_parser = count)]
    pub max_connections: usize,

    /// Seconds after which a request that the cluster did not settle is answered with an error
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub request_timeout: Duration,

    /// What to log to stderr, as a filter of the `tracing` crate, such as `debug` or
    /// `doozer::runtime=debug`
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "warn,doozer=info,doozerd=info"
    )]
    pub log: String,

    /// Print the version
    #[arg(short = 'v', long, alias = "v", action = ArgAction::Version)]
    version: Option<bool>,

    /// Which flags were given that have a default.
    #[arg(skip)]
    pub given: Given,
}

/// What to do with a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// Found a cluster with an empty data directory, and serve
    Init,
    /// Join the cluster of the process at ADDR with an empty data directory, and serve
    Join,
    /// Set aside what a damaged data directory holds, join its cluster again as a standby, and serve
    Repair,
}

/// Which flags were given that have a default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given {
    /// `-l`.
    pub listen: bool,
    /// `-c`.
    pub cluster: bool,
}

/// How reads are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reads {
    /// With everything that was acknowledged before the read began.
    Linearizable,
    /// From this node's own copy.
    Local,
}

const EXAMPLES: &str = "\
Examples:
  doozerd
      a working store on 127.0.0.1:8046
  doozerd -l 10.0.0.1:8046 -c prod
      the first process of a cluster
  doozerd -l 10.0.0.2:8046 -c prod -a 10.0.0.1:8046
      another one, a standby; it becomes a member when there is an empty file in /ctl/cal, such
      as after: doozer -a 10.0.0.1:8046 add /ctl/cal/1 </dev/null
  doozerd -l 10.0.0.2:8046 -c prod -b 'doozer:?ca=10.9.0.1:8046&ca=10.9.0.2:8046'
      either of these, whichever it turns out to be: another cluster tells where \"prod\" is
  doozerd -l 10.0.0.1:8046 -c prod --data-dir /var/lib/doozer
      one that keeps what it promises on disk, and comes back after: doozerd --data-dir
      /var/lib/doozer
  doozerd init /var/lib/doozer -l 10.0.0.1:8046 -c prod
      the same, and refused where the directory was used before
  doozerd join /var/lib/doozer 10.0.0.1:8046 -l 10.0.0.2:8046 -c prod
      another one
  doozerd repair /var/lib/doozer
      one whose disk has lost something, as a standby under another id

Environment:
  DOOZER_RWSECRET  secret that grants everything; the same for all processes of a cluster
  DOOZER_ROSECRET  secret that grants reading
  DOOZER_BOOT_URI  default of -b";

/// The largest limit in bytes that may be given: what nodes can send each other has to fit.
const SIZE_MAX: u64 = 32 << 20;

/// The longest span that may be given. About three years.
const SECONDS_MAX: f64 = 1e8;

impl Flags {
    /// Reads the command line; prints and exits where it is wrong or asks for help.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Flags, clap::Error> {
        let matches = Flags::command().try_get_matches_from(with_two_dashes(args))?;
        let is_given = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        let mut flags = Flags::from_arg_matches(&matches)?;
        flags.given = Given {
            listen: is_given("listen"),
            cluster: is_given("cluster"),
        };
        if let Some(order) = flags.order {
            flags.data_dir = flags.dir.take();
            let addrs = std::mem::take(&mut flags.addrs);
            flags.attach.extend(addrs);
            flags.check_order(order)?;
        }
        Ok(flags)
    }

    /// What a command needs, and what makes no sense with it.
    fn check_order(&self, order: Order) -> Result<(), clap::Error> {
        let has_whom = !self.attach.is_empty();
        let (kind, text) = match order {
            Order::Init if has_whom => (
                ErrorKind::ArgumentConflict,
                "init founds a cluster and attaches to nobody; to attach: doozerd join DIR ADDR",
            ),
            Order::Join if !has_whom && self.boot.is_none() => (
                ErrorKind::MissingRequiredArgument,
                "join needs the address of a process of the cluster: doozerd join DIR ADDR",
            ),
            Order::Init | Order::Join | Order::Repair => return Ok(()),
        };
        Err(Flags::command().error(kind, text))
    }

    /// Whether nothing is said about whether to found or to join, or where to serve.
    pub fn says_nothing_of_clusters(&self) -> bool {
        let Given { listen, cluster } = self.given;
        let has_whom = !self.attach.is_empty() || self.boot.is_some();
        self.order.is_none() && !listen && !cluster && !has_whom && self.advertise.is_none()
    }
}

/// Long flags with one dash, as the original takes them, get their second. A letter with something
/// behind it is one of these too, known or not: `-bogus` is not `-b ogus`.
fn with_two_dashes(args: impl IntoIterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    args.into_iter().map(|arg| match arg.as_encoded_bytes() {
        [b'-', first, second, ..] if first.is_ascii_alphabetic() && *second != b'=' => {
            let mut with_two = OsString::from("-");
            with_two.push(&arg);
            with_two
        }
        _ => arg,
    })
}

fn seconds_or_zero(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=SECONDS_MAX).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err("not a number of seconds, such as 0.5 or 60".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match seconds_or_zero(text)? {
        Duration::ZERO => Err("has to be more than zero seconds".into()),
        span => Ok(span),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number = digits.parse::<u64>().ok();
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| "not a number of bytes, such as 4096, 64K or 256M".into())
}

fn size(text: &str) -> Result<usize, String> {
    match bytes(text)? {
        bytes @ 1..=SIZE_MAX => Ok(bytes as usize),
        _ => Err(format!("has to be between 1 and {}M", SIZE_MAX >> 20)),
    }
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..) => Ok(count),
        _ => Err("has to be a number above zero".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags, clap::Error> {
        let args = line.split(' ').filter(|arg| !arg.is_empty());
        Flags::from_args(std::iter::once("doozerd").chain(args).map(OsString::from))
    }

    #[test]
    fn defaults_are_those_that_the_help_names() {
        let flags = parse("").unwrap();
        assert_eq!(flags.listen, "127.0.0.1:8046");
        assert_eq!(flags.cluster, "local");
        assert_eq!(flags.pulse, Duration::from_secs(1));
        assert_eq!(flags.timeout, Duration::from_secs(60));
        assert_eq!((flags.hist, flags.hist_bytes), (20_000, 256 << 20));
        assert_eq!(flags.reads, Reads::Linearizable);
        let limits = Limits::default();
        assert_eq!(flags.max_value, limits.value_bytes_max);
        assert_eq!(flags.max_frame, limits.frame_bytes_max);
        assert_eq!(flags.max_path, limits.path_bytes_max);
        assert!(flags.attach.is_empty() && flags.web.is_none() && flags.advertise.is_none());
    }

    #[test]
    fn one_dash_or_two_and_a_space_or_an_equals_sign_are_the_same() {
        for line in [
            "-l h:1 -a x:1 -a y:2 -c foo -w false -pulse .5 -fill 0 -timeout 3 -hist 7",
            "--l h:1 --a x:1 --a y:2 --c foo --w false --pulse .5 --fill 0 --timeout 3 --hist 7",
            "-l=h:1 -a=x:1 -a=y:2 -c=foo -w=false -pulse=.5 -fill=0 -timeout=3 -hist=7",
            "--l=h:1 --a=x:1 --a=y:2 --c=foo --w=false --pulse=.5 --fill=0 --timeout=3 --hist=7",
            "-listen h:1 -attach x:1 --attach=y:2 -cluster foo -web=false -pulse .5 -fill 0 \
             -timeout 3 -hist 7",
        ] {
            let flags = parse(line).unwrap();
            assert_eq!(flags.listen, "h:1");
            assert_eq!(flags.attach, ["x:1", "y:2"]);
            assert_eq!(flags.cluster, "foo");
            assert_eq!(flags.web.as_deref(), Some("false"));
            assert_eq!(flags.pulse, Duration::from_millis(500));
            assert_eq!(flags.fill, Some(Duration::ZERO));
            assert_eq!(flags.timeout, Duration::from_secs(3));
            assert_eq!(flags.hist, 7);
        }
        let flags =
            parse("-hist-bytes=1G -max-value 2M -reads local -tlscert c -tlskey=k").unwrap();
        assert_eq!((flags.hist_bytes, flags.max_value), (1 << 30, 2 << 20));
        assert_eq!(flags.reads, Reads::Local);
        assert_eq!(flags.tlscert.as_deref(), Some("c"));
        assert_eq!(flags.tlskey.as_deref(), Some("k"));
    }

    #[test]
    fn a_command_names_its_directory() {
        let flags = parse("join -l h:1 /d 10.0.0.1:1 10.0.0.2:1 -a 10.0.0.3:1").unwrap();
        assert_eq!(flags.order, Some(Order::Join));
        assert_eq!(flags.data_dir.as_deref(), Some("/d".as_ref()));
        assert_eq!(flags.attach, ["10.0.0.3:1", "10.0.0.1:1", "10.0.0.2:1"]);
        assert!(!flags.says_nothing_of_clusters());
        let flags = parse("init /d").unwrap();
        assert_eq!(flags.order, Some(Order::Init));
        assert!(!flags.says_nothing_of_clusters());
        let flags = parse("--data-dir /d -w false").unwrap();
        assert!(flags.order.is_none() && flags.says_nothing_of_clusters());
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "-bogus",
            "stray",
            "init",
            "join d",
            "init d 10.0.0.1:8046",
            "init d --data-dir d",
            "-pulse 0",
            "-pulse -1",
            "-pulse x",
            "-timeout nan",
            "-timeout 1e300",
            "-hist 0",
            "-hist-bytes 1T",
            "-hist-bytes 99999999999G",
            "-max-value 0",
            "-max-frame 33M",
            "-max-connections 0",
            "-reads fresh",
            "-l",
        ] {
            let code = parse(line).map(|_| ()).unwrap_err().exit_code();
            assert_eq!(code, 2, "{line}");
        }
    }

    #[test]
    fn the_command_is_well_formed() {
        Flags::command().debug_assert();
        assert_eq!(parse("-v").unwrap_err().exit_code(), 0);
        assert_eq!(parse("-help").unwrap_err().exit_code(), 0);
        assert_eq!(parse("-h").unwrap_err().exit_code(), 0);
    }
}
