//! Whether a registered process is there.

use std::io::ErrorKind;
use std::time::Duration;

use doozer::client::{Client, Options, Uri};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Process;

/// How long a process may take to let a connection come about, and to say who it is. Longer than a
/// lost first packet takes, which is sent again after a second.
const CONNECT_MAX: Duration = Duration::from_secs(2);
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What can be said of a registered process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It serves: its cluster is there.
    Serving,
    /// It is proven to be gone: its machine says that nobody listens at its address, or another
    /// process has the address.
    Gone,
    /// Neither: it may be starting, standing still, or cut off.
    Unknown(String),
}

/// Looks at all of them at once, and answers in their order.
pub async fn look_at(processes: &[Process]) -> Vec<Presence> {
    let mut looks = JoinSet::new();
    for (nth, process) in processes.iter().cloned().enumerate() {
        looks.spawn(async move { (nth, presence(&process).await) });
    }
    let mut found = vec![Presence::Unknown("nobody has looked".into()); processes.len()];
    while let Some(look) = looks.join_next().await {
        let (nth, presence) = look.expect("nobody ends it, and it does not panic");
        found[nth] = presence;
    }
    found
}

async fn presence(process: &Process) -> Presence {
    match timeout(CONNECT_MAX, TcpStream::connect(&process.addr)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => return Presence::Gone,
        Ok(Err(error)) => return Presence::Unknown(error.to_string()),
        Err(_) => return Presence::Unknown("no connection comes about".into()),
    }
    // A process that cannot serve yet lets its clients wait.
    match timeout(ANSWER_MAX, id_at(&process.addr)).await {
        Ok(Ok(id)) if id == process.id => Presence::Serving,
        Ok(Ok(_)) => Presence::Gone,
        Ok(Err(reason)) => Presence::Unknown(reason),
        Err(_) => Presence::Unknown("it does not answer".into()),
    }
}

async fn id_at(addr: &str) -> Result<String, String> {
    let addr = addr.parse().map_err(|error| format!("{error}"))?;
    let client = Client::connect_with(&Uri::of(vec![addr]), None, Options::default()).await;
    let id = client.map_err(|error| error.to_string())?.self_id().await;
    id.map_err(|error| error.to_string())
}
