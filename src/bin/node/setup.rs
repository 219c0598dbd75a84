//! From flags and environment to what the runtime is started with.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use doozer::client::{Address, Uri, UriError};
use doozer::core::id::NodeId;
use doozer::core::limits::Limits;
use doozer::core::node::{Config, Start, Tuning};
use doozer::core::protocol::peer::handshake::SECRET_BYTES_MAX;
use doozer::core::state::State;
use doozer::core::store::Path;
use doozer::runtime::{Data, Options};

use crate::flags::{Flags, Reads};
use crate::names::NameService;

/// Why a process cannot be started as it was told to.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A flag of the original that this version does not have.
    #[error("{flag} is not available yet: start without it")]
    NotAvailable {
        /// The flag, or the variable.
        flag: &'static str,
    },
    /// `-l` is empty.
    #[error("-l is empty: give the address to listen on, such as -l 127.0.0.1:8046")]
    NoAddress,
    /// An address has no port.
    #[error("{flag} {addr}: not an address with a port, such as 127.0.0.1:8046")]
    NoPort {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        addr: String,
    },
    /// The host of `-l` is unknown.
    #[error("-l {addr}: cannot find out which address that is: {source}")]
    Unresolved {
        /// What it was given.
        addr: String,
        /// What the system said.
        source: io::Error,
    },
    /// The host of `-w` is unknown.
    #[error("-w {addr}: cannot find out which address that is: {source}")]
    UnknownWeb {
        /// What it was given.
        addr: String,
        /// What the system said.
        source: io::Error,
    },
    /// `-l` is an address of every machine.
    #[error(
        "-l {addr}: others know this node by its address and could not reach it by that one; give \
         an address of this machine, or the one that they can reach with --advertise"
    )]
    Wildcard {
        /// What it was given.
        addr: String,
    },
    /// The name service is no URI.
    #[error("-b (or DOOZER_BOOT_URI): {0}")]
    NameServiceUri(#[from] UriError),
    /// The name service is itself to be looked up.
    #[error(
        "-b (or DOOZER_BOOT_URI): a name service is found by its addresses, such as \
         -b doozer:?ca=10.0.0.1:8046"
    )]
    NameServiceAddress,
    /// Others would look for this process on their own machines.
    #[error(
        "-l {addr}: an address of this machine alone, and the name service is on another one; give \
         an address that others can reach, or name it with --advertise"
    )]
    Loopback {
        /// What it was given.
        addr: SocketAddr,
    },
    /// Nobody could connect to the advertised address.
    #[error(
        "--advertise {addr}: others could not reach this node by that address; give the host and \
         port that they connect to"
    )]
    Unreachable {
        /// What it was given.
        addr: String,
    },
    /// The name of the cluster cannot be part of a path.
    #[error("-c {name:?}: the name of a cluster consists of A-Z a-z 0-9 . -")]
    ClusterName {
        /// What it was given.
        name: String,
    },
    /// The largest value would not fit the largest request.
    #[error(
        "--max-frame {frame}: too small for a value of --max-value {value} bytes with its path of \
         --max-path {path}"
    )]
    FrameTooSmall {
        /// Largest request.
        frame: usize,
        /// Largest value.
        value: usize,
        /// Longest path.
        path: usize,
    },
    /// A secret is too long.
    #[error("{name}: a secret has at most {SECRET_BYTES_MAX} bytes")]
    SecretTooLong {
        /// The variable.
        name: &'static str,
    },
}

/// The two secrets; empty where unset.
pub struct Secrets {
    /// Grants everything.
    pub rw: Vec<u8>,
    /// Grants reading.
    pub ro: Vec<u8>,
}

/// Random values that are the process's own.
pub struct Entropy {
    /// For its id.
    pub id: [u64; 2],
    /// For everything else.
    pub seed: u64,
}

impl Entropy {
    /// The id.
    pub fn node_id(&self) -> NodeId {
        NodeId::from_random(self.id[0], self.id[1])
    }
}

/// Bytes of a request besides path and value.
const FRAME_OVERHEAD_BYTES: usize = 64;

/// How a process starts again that was put out of its cluster: as a newcomer, at the same address.
pub fn anew(options: Options, members: Vec<String>, entropy: &Entropy) -> Options {
    let mut attach = members;
    attach.extend(options.attach);
    attach.dedup();
    Options {
        node: Config {
            id: entropy.node_id(),
            boot: 0,
            start: Start::Join,
            ..options.node
        },
        attach,
        entropy: entropy.seed,
        data: options.data.map(|data| Data { tail: None, ..data }),
        ..options
    }
}

/// How a process starts again that makes a new cluster of what it remembers of the old one: under
/// another id, at the same address.
pub fn recovered(options: Options, state: Box<State>, entropy: &Entropy) -> Options {
    let survivor = options.node.id;
    let anew = anew(options, Vec::new(), entropy);
    Options {
        node: Config {
            start: Start::Recover { survivor, state },
            ..anew.node
        },
        attach: Vec::new(),
        ..anew
    }
}

/// Where the cluster is to be looked up, if anywhere.
pub fn name_service(flags: &Flags, options: &Options) -> Result<Option<NameService>, SetupError> {
    let Some(text) = flags.boot.as_ref().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let uri: Uri = text.parse()?;
    if uri.addresses.is_empty() {
        return Err(SetupError::NameServiceAddress);
    }
    let addr = options.listen;
    let is_hidden = options.advertise.is_some();
    if addr.ip().is_loopback() && !is_hidden && !uri.addresses.iter().any(is_loopback) {
        return Err(SetupError::Loopback { addr });
    }
    let cluster = options.cluster.clone();
    Ok(Some(NameService::new(
        uri,
        cluster,
        &options.node.rw_secret,
    )))
}

fn is_loopback(addr: &Address) -> bool {
    let host = addr.as_str().rsplit_once(':').map_or("", |(host, _)| host);
    let host = host.trim_matches(['[', ']']);
    let ip = host.parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// Checks what was asked for.
pub fn options(
    flags: &Flags,
    secrets: Secrets,
    hostname: String,
    entropy: &Entropy,
) -> Result<Options, SetupError> {
    check_available(flags)?;
    let listen = listen_addr(&flags.listen, flags.advertise.is_some())?;
    if let Some(addr) = &flags.advertise {
        check_advertised(addr)?;
    }
    for addr in &flags.attach {
        check_port("-a", addr)?;
    }
    check_cluster_name(&flags.cluster)?;
    check_secret("DOOZER_RWSECRET", &secrets.rw)?;
    check_secret("DOOZER_ROSECRET", &secrets.ro)?;
    let cluster = flags.cluster.clone();
    let start = if flags.attach.is_empty() {
        Start::Found {
            cluster: cluster.clone(),
        }
    } else {
        Start::Join
    };
    Ok(Options {
        node: Config {
            id: entropy.node_id(),
            boot: 0,
            addr: listen.to_string(),
            web: String::new(),
            hostname,
            version: env!("CARGO_PKG_VERSION").into(),
            start,
            rw_secret: secrets.rw,
            ro_secret: secrets.ro,
            pulse: flags.pulse,
            timeout: flags.timeout,
            history_revs: flags.hist,
            history_bytes: flags.hist_bytes,
            durable: flags.data_dir.is_some(),
            local_reads: flags.reads == Reads::Local,
            request_timeout: flags.request_timeout,
            limits: limits(flags)?,
            tuning: Tuning::default(),
        },
        cluster,
        listen,
        advertise: flags.advertise.clone(),
        attach: flags.attach.clone(),
        entropy: entropy.seed,
        data: None,
    })
}

/// What an operator should hear about the secrets, if anything.
pub fn secrets_warning(secrets: &Secrets) -> Option<&'static str> {
    match (secrets.rw.is_empty(), secrets.ro.is_empty()) {
        (false, true) => Some(
            "DOOZER_RWSECRET is set but DOOZER_ROSECRET is not: anybody may read; set both to \
             keep strangers out",
        ),
        (true, false) => Some(
            "DOOZER_ROSECRET is set but DOOZER_RWSECRET is not: anybody may read and write; set \
             both to keep strangers out",
        ),
        (true, true) | (false, false) => None,
    }
}

fn check_available(flags: &Flags) -> Result<(), SetupError> {
    let missing = [
        ("-tlscert", flags.tlscert.is_some()),
        ("-tlskey", flags.tlskey.is_some()),
    ];
    match missing.into_iter().find(|(_, is_asked_for)| *is_asked_for) {
        Some((flag, _)) => Err(SetupError::NotAvailable { flag }),
        None => Ok(()),
    }
}

/// Where to listen. An address of every machine will do only where another is advertised.
fn listen_addr(addr: &str, is_hidden: bool) -> Result<SocketAddr, SetupError> {
    if addr.is_empty() {
        return Err(SetupError::NoAddress);
    }
    check_port("-l", addr)?;
    let addr = match addr.strip_prefix(':') {
        // The original takes an empty host for every address of the machine.
        Some(port) => format!("0.0.0.0:{port}"),
        None => addr.to_owned(),
    };
    match addr.to_socket_addrs().map(|mut addrs| addrs.next()) {
        Ok(Some(resolved)) if resolved.ip().is_unspecified() && !is_hidden => {
            Err(SetupError::Wildcard { addr })
        }
        Ok(Some(resolved)) => Ok(resolved),
        Ok(None) => Err(SetupError::Unresolved {
            addr,
            source: io::ErrorKind::NotFound.into(),
        }),
        Err(source) => Err(SetupError::Unresolved { addr, source }),
    }
}

/// An advertised address is dialled by others, and written where clients look for it.
fn check_advertised(addr: &str) -> Result<(), SetupError> {
    check_port("--advertise", addr)?;
    let is_reachable = match addr.parse::<SocketAddr>() {
        Ok(parsed) => !parsed.ip().is_unspecified() && parsed.port() != 0,
        Err(_) => addr.parse::<Address>().is_ok(),
    };
    if is_reachable {
        Ok(())
    } else {
        Err(SetupError::Unreachable {
            addr: addr.to_owned(),
        })
    }
}

/// Refuses what has no port.
pub fn check_port(flag: &'static str, addr: &str) -> Result<(), SetupError> {
    match addr.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => Ok(()),
        _ => Err(SetupError::NoPort {
            flag,
            addr: addr.to_owned(),
        }),
    }
}

fn check_cluster_name(name: &str) -> Result<(), SetupError> {
    let path = Path::parse(format!("/{name}").as_bytes());
    match path {
        Ok(path) if path.components().count() == 1 => Ok(()),
        _ => Err(SetupError::ClusterName {
            name: name.to_owned(),
        }),
    }
}

fn check_secret(name: &'static str, secret: &[u8]) -> Result<(), SetupError> {
    if secret.len() > SECRET_BYTES_MAX {
        return Err(SetupError::SecretTooLong { name });
    }
    Ok(())
}

fn limits(flags: &Flags) -> Result<Limits, SetupError> {
    let (frame, value, path) = (flags.max_frame, flags.max_value, flags.max_path);
    if frame < value + path + FRAME_OVERHEAD_BYTES {
        return Err(SetupError::FrameTooSmall { frame, value, path });
    }
    Ok(Limits {
        frame_bytes_max: frame,
        path_bytes_max: path,
        value_bytes_max: value,
        requests_open_max: flags.max_requests,
        connections_max: flags.max_connections,
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn setup(line: &str) -> Result<Options, String> {
        let args = std::iter::once("doozerd").chain(line.split(' ').filter(|a| !a.is_empty()));
        let flags = Flags::from_args(args.map(OsString::from)).unwrap();
        let secrets = Secrets {
            rw: b"rw".to_vec(),
            ro: Vec::new(),
        };
        let entropy = Entropy {
            id: [1, 2],
            seed: 3,
        };
        let options = options(&flags, secrets, "host".into(), &entropy);
        let options = options.map_err(|error| error.to_string())?;
        name_service(&flags, &options).map_err(|error| error.to_string())?;
        Ok(options)
    }

    #[test]
    fn without_attach_a_cluster_is_founded_and_with_it_joined() {
        let founder = setup("-c foo").unwrap();
        let found = Start::Found {
            cluster: "foo".into(),
        };
        assert_eq!(founder.node.start, found);
        assert_eq!(founder.node.rw_secret, b"rw");
        let joiner = setup("-c foo -a h:1 -a g:2 -w t").unwrap();
        assert_eq!(
            (joiner.node.start, joiner.cluster),
            (Start::Join, "foo".into())
        );
        assert_eq!(joiner.attach, ["h:1", "g:2"]);
        for service in [
            "localhost:8046",
            "[::1]:8046",
            "doozer:?ca=10.0.0.1&ca=127.1.1.1",
        ] {
            assert!(setup(&format!("-b {service}")).is_ok(), "{service}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_name() {
        for (line, part) in [
            ("-l=", "-l is empty"),
            ("-l 0.0.0.0:8046", "give an address of this machine"),
            ("-l [::]:8046", "give an address of this machine"),
            ("-l :8046", "give an address of this machine"),
            ("--advertise h", "--advertise h: not an"),
            ("--advertise 0.0.0.0:1", "could not reach this node"),
            ("--advertise :8046", "could not reach this node"),
            ("--advertise h:0", "could not reach this node"),
            ("--advertise h:00", "could not reach this node"),
            ("--advertise=:00", "could not reach this node"),
            ("-l 127.0.0.1", "not an address with a port"),
            ("-l 127.0.0.1:66000", "not an address with a port"),
            ("-a somewhere", "-a somewhere: not an address"),
            ("-c a/b", "name of a cluster"),
            ("-c=", "name of a cluster"),
            ("-b doozer:?cn=a", "is found by its addresses"),
            ("-b doozer:?", "-b (or DOOZER_BOOT_URI): invalid uri"),
            ("-b 10.0.0.1:8046", "and the name service is on another"),
            ("-tlscert c", "-tlscert is not available yet"),
            ("-tlskey k", "-tlskey is not available yet"),
            ("-max-frame 1M", "too small"),
        ] {
            let error = setup(line).map(|_| ()).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
            assert!(!error.contains('\n'));
        }
    }

    #[test]
    fn who_advertises_another_address_may_listen_on_all() {
        for line in ["-l 0.0.0.0:8046", "-l :8046", "-l [::]:8046"] {
            let options = setup(&format!("{line} --advertise db1.example:9000")).unwrap();
            assert!(options.listen.ip().is_unspecified());
            assert_eq!(options.advertise.as_deref(), Some("db1.example:9000"));
        }
    }

    #[test]
    fn one_secret_alone_is_warned_of() {
        let warning = |rw: &str, ro: &str| {
            secrets_warning(&Secrets {
                rw: rw.into(),
                ro: ro.into(),
            })
        };
        assert_eq!((warning("", ""), warning("a", "b")), (None, None));
        assert!(warning("a", "").unwrap().contains("anybody may read;"));
        assert!(warning("", "b").unwrap().contains("read and write"));
    }
}
