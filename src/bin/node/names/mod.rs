//! The name service (DzNS): a cluster that tells where other clusters are.
//!
//! * `/ctl/ns/<cluster>/<id>` holds the address of each member of a cluster.
//! * `/ctl/boot/<cluster>` holds the id of the process that founded it.
//!
//! A process that starts looks there for its cluster, and founds it if it is nowhere (`find.rs`,
//! `probe.rs`). A process that runs keeps what is there equal to the membership (`register.rs`,
//! `plan.rs`). All of that is done as any client would do it: the nodes know nothing of it.

mod find;
mod plan;
mod probe;
mod register;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use doozer::client::{Client, Condition, Error, File, Options, Uri};
use doozer::core::protocol::client::ErrorCode;

pub use find::Place;
pub use register::Register;

/// How long a request to a name service may take, and an attempt to connect to it. Both are tried
/// again, so that there is no need for patience.
const REQUEST_MAX: Duration = Duration::from_secs(5);
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Pauses before a name service is asked again double between these two.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Registered processes of one cluster that are looked at. Clusters have a handful.
const ENTRIES_MAX: usize = 256;

/// Where the names of clusters are to be found, and the name of this one.
#[derive(Clone)]
pub struct NameService {
    uri: Uri,
    cluster: String,
}

/// A process, as it is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub id: String,
    /// The address that others reach it at.
    pub addr: String,
}

/// A process that is registered, and the revision of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    process: Process,
    rev: doozer::core::id::Rev,
}

impl NameService {
    /// The name service at `uri`, for this cluster. It is told the secret of the cluster, unless the
    /// URI has one of its own.
    pub fn new(mut uri: Uri, cluster: String, rw_secret: &[u8]) -> NameService {
        if uri.secret.is_none() && !rw_secret.is_empty() {
            uri.secret = Some(rw_secret.to_vec());
        }
        NameService { uri, cluster }
    }

    /// Takes out what a process has registered, as far as that goes at once.
    pub async fn forget(&self, me: &Process) {
        let forget = async {
            let service = self.connect().await?;
            self.remove(&service, &me.id, Condition::ALWAYS).await
        };
        // Whoever looks for the cluster finds out that nobody is there.
        let _ = tokio::time::timeout(CONNECT_MAX, forget).await;
    }

    /// Connects. What a client reads through it is the latest state.
    async fn connect(&self) -> Result<Client, Error> {
        let client = Client::connect_with(&self.uri, None, options()).await?;
        Ok(client.local(false))
    }

    fn file(&self, id: &str) -> String {
        format!("/ctl/ns/{}/{id}", self.cluster)
    }

    fn boot_file(&self) -> String {
        format!("/ctl/boot/{}", self.cluster)
    }

    /// Who founded the cluster, if anybody has.
    async fn founder(&self, service: &Client) -> Result<Option<File>, Error> {
        service.get(&self.boot_file()).await
    }

    /// The processes that are registered.
    async fn entries(&self, service: &Client) -> Result<Vec<Entry>, Error> {
        let mut walk = service.walk_all(&self.file("*")).await?;
        let mut entries = Vec::new();
        while let Some(entry) = walk.next().await? {
            let id = entry.path.rsplit('/').next().unwrap_or_default();
            entries.push(Entry {
                process: Process {
                    id: id.to_owned(),
                    addr: text(&entry.value),
                },
                rev: entry.rev,
            });
            if entries.len() == ENTRIES_MAX {
                break;
            }
        }
        Ok(entries)
    }

    /// Registers a process. Somebody may have been faster, which is as good.
    async fn add(&self, service: &Client, process: &Process, when: Condition) -> Result<(), Error> {
        let file = self.file(&process.id);
        let set = service.set(&file, process.addr.clone(), when).await;
        unless_changed(set).map(drop)
    }

    /// Takes a process out, unless its file has changed since.
    async fn remove(&self, service: &Client, id: &str, when: Condition) -> Result<(), Error> {
        unless_changed(service.del(&self.file(id), when).await).map(drop)
    }
}

/// Shows where it is, and keeps its secret.
impl fmt::Display for NameService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name service")?;
        for (nth, addr) in self.uri.addresses.iter().enumerate() {
            write!(f, "{}{addr}", if nth == 0 { " at " } else { ", " })?;
        }
        Ok(())
    }
}

fn options() -> Options {
    Options {
        timeout: REQUEST_MAX,
        connect_timeout: CONNECT_MAX,
        reconnect: REQUEST_MAX,
    }
}

/// Whether a write was done; it was not where the file has changed meanwhile.
fn unless_changed<T>(written: Result<T, Error>) -> Result<Option<T>, Error> {
    match written {
        Ok(done) => Ok(Some(done)),
        Err(Error::Refused(refusal)) if refusal.code == ErrorCode::RevMismatch => Ok(None),
        Err(error) => Err(error),
    }
}

fn text(value: &Bytes) -> String {
    String::from_utf8_lossy(value).trim().to_owned()
}
