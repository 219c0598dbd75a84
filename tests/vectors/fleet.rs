//! Real servers on loopback addresses: one process for each case, two for the profile `slave`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::player::{Arrival, Connection, Frame, Link, World};
use crate::script::Profile;
use crate::wire::{Fields, REQUEST, RESPONSE, Value, frame};

/// How long a server may take until it answers.
const START_MAX: Duration = Duration::from_secs(15);
/// Between two questions to a server that starts: at the second equal answer it has settled.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// What a standby gets to copy the state and announce itself.
const FOLLOW: Duration = Duration::from_millis(500);
/// Somebody else may take a port between the moment it was found free and the server's start.
const PORT_ATTEMPTS: usize = 3;
/// Lines of a server's log that a failure shows.
const LOG_LINES: usize = 12;

/// The servers of one case. They end with it.
pub struct Fleet {
    servers: Vec<Server>,
    targets: BTreeMap<&'static str, SocketAddr>,
}

impl Fleet {
    pub fn start(profile: Profile) -> Result<Fleet, String> {
        let main = Server::start(Ipv4Addr::LOCALHOST, profile, None)?;
        let mut fleet = Fleet {
            targets: BTreeMap::from([("main", main.address)]),
            servers: vec![main],
        };
        if profile == Profile::Slave {
            let address = fleet.servers[0].address;
            let slave = Server::start(Ipv4Addr::new(127, 0, 0, 2), profile, Some(address))?;
            fleet.targets.insert("slave", slave.address);
            fleet.servers.push(slave);
            thread::sleep(FOLLOW);
        }
        Ok(fleet)
    }

    /// An error if a server has ended.
    pub fn check_alive(&mut self) -> Result<(), String> {
        for server in &mut self.servers {
            match server.child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return Err(format!("{} ended: {status}", server.address)),
                Err(error) => return Err(format!("{}: {error}", server.address)),
            }
        }
        Ok(())
    }

    /// The last lines that the servers logged.
    pub fn logs(&self) -> String {
        self.servers.iter().map(Server::log).collect()
    }
}

impl World for Fleet {
    fn open(&mut self, _: &str, target: &str) -> Result<Box<dyn Link>, String> {
        let address = self.targets.get(target);
        let address = address.ok_or(format!("there is no server {target}"))?;
        match connect(*address) {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(format!("cannot connect to {address}: {error}")),
        }
    }

    fn pause(&mut self, span: Duration) {
        thread::sleep(span);
    }
}

struct Server {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Starts a process and waits until it answers.
    fn start(ip: Ipv4Addr, profile: Profile, seed: Option<SocketAddr>) -> Result<Server, String> {
        for _ in 1..PORT_ATTEMPTS {
            let mut server = Server::spawn(ip, profile, seed)?;
            match server.await_answers() {
                Ok(()) => return Ok(server),
                Err(_) if server.log().contains("in use") => {}
                Err(error) => return Err(format!("{error}{}", server.log())),
            }
        }
        let mut server = Server::spawn(ip, profile, seed)?;
        let result = server.await_answers();
        result.map_err(|error| format!("{error}{}", server.log()))?;
        Ok(server)
    }

    fn spawn(ip: Ipv4Addr, profile: Profile, seed: Option<SocketAddr>) -> Result<Server, String> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("vectors-{}-{number}.log", std::process::id()));
        let address = free_address(ip).map_err(|error| format!("no free port: {error}"))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_doozerd"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DOOZER_") {
                command.env_remove(name);
            }
        }
        command.args(["-w", "false", "-l", &address.to_string()]);
        if let Some(seed) = seed {
            command.args(["-a", &seed.to_string()]);
        }
        match profile {
            Profile::Default | Profile::Slave => &mut command,
            Profile::Hist => command.args(["-hist", "20"]),
            Profile::Rwonly => command.env("DOOZER_RWSECRET", "rw-sesame"),
            Profile::Roonly => command.env("DOOZER_ROSECRET", "ro-sesame"),
            Profile::Secrets => command
                .env("DOOZER_RWSECRET", "rw-sesame")
                .env("DOOZER_ROSECRET", "ro-sesame"),
        };
        let start = || -> io::Result<Child> {
            let out = File::create(&log)?;
            let errors = out.try_clone()?;
            command
                .stdin(Stdio::null())
                .stdout(out)
                .stderr(errors)
                .spawn()
        };
        let child = { start }().map_err(|error| format!("cannot start doozerd: {error}"))?;
        Ok(Server {
            child,
            address,
            log,
        })
    }

    fn await_answers(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START_MAX;
        let mut before = None;
        while Instant::now() < deadline {
            let ended = self.child.try_wait().map_err(|error| error.to_string())?;
            if let Some(status) = ended {
                return Err(format!("doozerd ended before it answered: {status}"));
            }
            let rev = self.ask_rev();
            if rev.is_some() && rev == before {
                return Ok(());
            }
            before = rev;
            thread::sleep(ASK_EVERY);
        }
        Err(format!(
            "doozerd gave no steady answer within {START_MAX:?}"
        ))
    }

    /// The revision, if the server answers with one above 0.
    fn ask_rev(&self) -> Option<i64> {
        let request = Fields::from([("tag", Value::Number(0)), ("verb", Value::Number(5))]);
        let mut link = connect(self.address).ok()?;
        link.send(&frame(&REQUEST.encode(&request))).ok()?;
        let mut connection = Connection {
            link: Box::new(link),
            buffer: Vec::new(),
            is_closed: false,
        };
        let Ok(Frame::Message(answer)) = connection.frame(Duration::from_secs(2)) else {
            return None;
        };
        match RESPONSE.decode(&answer).ok()?.get("rev") {
            Some(Value::Number(rev)) if *rev > 0 => Some(*rev),
            _ => None,
        }
    }

    fn log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
        last.iter()
            .map(|line| format!("\n    log: {line}"))
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Errors mean that the process has ended or the file is gone, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
    }
}

fn free_address(ip: Ipv4Addr) -> io::Result<SocketAddr> {
    TcpListener::bind((ip, 0))?.local_addr()
}

pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

impl Link for TcpStream {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn receive(&mut self, deadline: Instant) -> io::Result<Arrival> {
        // Zero would mean to wait for ever.
        let left = deadline.saturating_duration_since(Instant::now());
        self.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let mut bytes = vec![0; 1 << 16];
        match self.read(&mut bytes) {
            Ok(0) => Ok(Arrival::Closed),
            Ok(length) => {
                bytes.truncate(length);
                Ok(Arrival::Bytes(bytes))
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {
                    Ok(Arrival::Nothing)
                }
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Ok(Arrival::Closed),
                _ => Err(error),
            },
        }
    }

    fn shut_down(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}
