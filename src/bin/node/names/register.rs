//! Keeping what is registered equal to the membership.
//!
//! Every member with a name service does this: for itself, for newcomers, and for those who are
//! gone, which have nobody else to do it for them. The membership is read through consensus after
//! what is registered, so that whoever is cut off from the majority changes nothing; and each
//! change names the revision that it is meant for. So it is harmless that several do the same; to
//! spare the name service that, they take turns.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use doozer::client::{Address, Client, Condition, Error, Uri};
use doozer::core::id::{Lineage, Rev};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::plan::{Change, changes};
use super::{NameService, PAUSE_MAX, PAUSE_MIN, Process, options, text, unless_changed};

/// How often everything is compared although no membership slot has changed: the name service may
/// have lost its memory, or somebody may have written there by hand.
const COMPARE_EVERY: Duration = Duration::from_secs(5);

/// How long the second member leaves to the first what has to be changed, the third to the second,
/// and so on.
const TURN: Duration = Duration::from_millis(300);

/// How long a process that ends may take to say goodbye.
const FAREWELL_MAX: Duration = Duration::from_millis(500);

/// The membership slots.
const SLOTS: &str = "/ctl/cal/*";

/// A process and what it keeps registered.
pub struct Register {
    service: NameService,
    me: Process,
    /// Leads to the process's own server.
    own_uri: Uri,
    own: Option<Client>,
    names: Option<Client>,
    /// Ends with the next change of a membership slot.
    change: Option<Pin<Box<dyn Future<Output = ()>>>>,
    is_in_trouble: bool,
    /// It has taken the name of its cluster.
    has_name: bool,
}

/// Why what is registered cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Client(#[from] Error),
    #[error("the name belongs to another cluster, founded by {0}")]
    Taken(String),
}

impl Register {
    /// For the process `me`, whose clients need this secret to read.
    pub fn new(service: NameService, me: Process, addr: Address, rw_secret: &[u8]) -> Register {
        let mut own_uri = Uri::of(vec![addr]);
        own_uri.secret = (!rw_secret.is_empty()).then(|| rw_secret.to_vec());
        Register {
            service,
            me,
            own_uri,
            own: None,
            names: None,
            change: None,
            is_in_trouble: false,
            has_name: false,
        }
    }

    /// Goes on for as long as the process serves.
    pub async fn keep(&mut self, lineage: Lineage) -> ! {
        let mut pause = PAUSE_MIN;
        loop {
            match self.compare(lineage).await {
                Ok(rev) => {
                    if std::mem::take(&mut self.is_in_trouble) {
                        info!("{} is up to date again", self.service);
                    }
                    pause = PAUSE_MIN;
                    self.await_change(rev).await;
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_in_trouble, true) {
                        warn!(
                            "cannot keep {} up to date: {error}; trying again",
                            self.service
                        );
                    }
                    (self.own, self.names, self.change) = (None, None, None);
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Takes out what the name service has of this process, as it ends. Whoever stays would do it
    /// too; the last one of a cluster has nobody, and leaves nothing of the cluster behind.
    pub async fn say_goodbye(&self) {
        let goodbye = async {
            let names = self.service.connect().await?;
            let id = self.me.id.as_str();
            self.service.remove(&names, id, Condition::ALWAYS).await?;
            if let Some(boot) = self.service.founder(&names).await?
                && self.service.entries(&names).await?.is_empty()
            {
                let file = self.service.boot_file();
                unless_changed(names.del(&file, boot.rev.into()).await)?;
            }
            Ok::<_, Error>(())
        };
        match timeout(FAREWELL_MAX, goodbye).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!("perhaps still registered with {}: {error}", self.service),
            Err(_) => warn!("perhaps still registered with {}: it is slow", self.service),
        }
    }

    /// Makes what is registered equal to the membership, and gives the revision at which that was
    /// read.
    async fn compare(&mut self, lineage: Lineage) -> Result<Rev, Trouble> {
        let own = match &self.own {
            Some(own) => own.clone(),
            None => {
                let own = Client::connect_with(&self.own_uri, None, options()).await?;
                self.own.insert(own.local(false)).clone()
            }
        };
        let names = match &self.names {
            Some(names) => names.clone(),
            None => {
                let names = self.service.connect().await?;
                // Its members may change while this process lives.
                names.learn_members().await;
                self.names.insert(names).clone()
            }
        };
        let mut has_waited = false;
        loop {
            let boot = self.service.founder(&names).await?;
            let registered = self.service.entries(&names).await?;
            let (rev, members) = members(&own).await?;
            let Some(turn) = members.iter().position(|one| *one == self.me) else {
                return Ok(rev);
            };
            let changes = changes(&members, &registered);
            let founder = lineage.founder.to_string();
            let takes_name = match boot.map(|boot| (text(&boot.value), boot.rev)) {
                None => Some(Condition::MISSING),
                Some((named, _)) if named == founder => None,
                // Whoever has recovered a cluster takes its name along.
                Some((_, rev)) if self.takes_over(lineage) => Some(rev.into()),
                Some((named, _)) => return Err(Trouble::Taken(named)),
            };
            if changes.is_empty() && takes_name.is_none() {
                return Ok(rev);
            }
            if turn > 0 && !has_waited {
                sleep(TURN * turn as u32).await;
                has_waited = true;
                continue;
            }
            if let Some(when) = takes_name {
                // First of all: without it a process that starts would found the cluster again.
                let file = self.service.boot_file();
                unless_changed(names.set(&file, founder, when).await)?;
                self.has_name = true;
            }
            for change in changes {
                match change {
                    Change::Add(process, when) => self.service.add(&names, &process, when).await?,
                    Change::Remove(id, when) => self.service.remove(&names, &id, when).await?,
                }
            }
            return Ok(rev);
        }
    }

    /// Whether this process may take the name of its cluster from whoever has it: as the one that
    /// has recovered it, and once.
    fn takes_over(&self, lineage: Lineage) -> bool {
        lineage.generation > 1 && lineage.founder.to_string() == self.me.id && !self.has_name
    }

    /// Waits until a membership slot changes after a revision, or it is time to compare anyway.
    async fn await_change(&mut self, rev: Rev) {
        let Some(own) = self.own.clone() else { return };
        let change = self.change.get_or_insert_with(|| {
            Box::pin(async move {
                // An error shows again when the membership is read.
                let _ = own.wait(SLOTS, rev.next()).await;
            })
        });
        if timeout(COMPARE_EVERY, change).await.is_ok() {
            self.change = None;
        }
    }
}

/// The members of the cluster with their addresses, by id, and the revision at which they are.
async fn members(own: &Client) -> Result<(Rev, Vec<Process>), Error> {
    let mut slots = own.walk_all(SLOTS).await?;
    let rev = slots.rev();
    let then = own.at(rev);
    let mut members = Vec::new();
    while let Some(slot) = slots.next().await? {
        let id = text(&slot.value);
        if id.is_empty() {
            continue;
        }
        if let Some(addr) = then.get(&format!("/ctl/node/{id}/addr")).await? {
            let addr = text(&addr.value);
            members.push(Process { id, addr });
        }
    }
    members.sort_by(|a, b| a.id.cmp(&b.id));
    Ok((rev, members))
}
