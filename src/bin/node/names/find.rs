//! Finding a place in a cluster: with those who are there, or as its founder.
//!
//! Processes may start in parallel, and any of them may die at any point, so that two rules keep a
//! cluster from being founded twice. A process holds its address and registers it before it writes
//! the boot file, and only then founds. And the boot file is taken over only where every registered
//! process, its founder among them, is proven to be gone, and with its revision from before they
//! were looked up.

use std::time::Duration;

use doozer::client::{Condition, Error};
use doozer::core::id::Rev;
use doozer::core::protocol::client::detail;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::probe::{Presence, look_at};
use super::{NameService, PAUSE_MAX, PAUSE_MIN, Process, text, unless_changed};

/// How often a process that waits says what it waits for.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// The longest pause while it waits for another process to found the cluster.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A place in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Found the cluster: nobody else does.
    Founder,
    /// Join it through one of these addresses.
    Through(Vec<String>),
}

/// The name service says no, and will again.
#[derive(Debug, thiserror::Error)]
#[error("{service} refuses this process: {error}")]
pub struct Refused {
    service: String,
    error: Error,
}

/// What follows from what the name service has.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Join(Vec<String>),
    /// Found, if the boot file still has this revision.
    Found(Rev),
    /// This process has won the election already.
    Founded,
    /// Wait for these, and why.
    Wait(Vec<(Process, String)>),
}

impl NameService {
    /// Finds a place for this process, which holds its address. Asks again until there is one.
    ///
    /// # Errors
    ///
    /// If the name service refuses it.
    pub async fn find(&self, me: &Process) -> Result<Place, Refused> {
        let mut pause = PAUSE_MIN;
        let mut said = None;
        loop {
            let (next_pause, pause_max) = match self.look(me).await {
                Ok(Look::Found(place)) => return Ok(place),
                Ok(Look::Again) => (PAUSE_MIN, PAUSE_MIN),
                Ok(Look::Wait(whom)) => {
                    self.say(&mut said, || info!("{}", Waiting(self, &whom)));
                    (pause * 2, LOOK_EVERY)
                }
                Err(error) if is_final(&error) => {
                    let service = self.to_string();
                    return Err(Refused { service, error });
                }
                Err(error) => {
                    self.say(&mut said, || warn!("{self}: {error}; trying again"));
                    (pause * 2, PAUSE_MAX)
                }
            };
            sleep(pause).await;
            pause = next_pause.min(pause_max);
        }
    }

    fn say(&self, said: &mut Option<Instant>, line: impl FnOnce()) {
        if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            *said = Some(Instant::now());
            line();
        }
    }

    async fn look(&self, me: &Process) -> Result<Look, Error> {
        let service = self.connect().await?;
        // In this order: whoever is in the boot file was registered before it was written there.
        let boot = self.founder(&service).await?;
        let boot = boot.map(|file| (text(&file.value), file.rev));
        let mut others = Vec::new();
        let mut is_registered = false;
        for entry in self.entries(&service).await? {
            is_registered |= entry.process.id == me.id;
            if entry.process.id == me.id {
            } else if entry.process.addr == me.addr {
                // This process has its address: it is gone.
                self.remove(&service, &entry.process.id, entry.rev.into())
                    .await?;
            } else {
                others.push(entry.process);
            }
        }
        let presences = look_at(&others).await;
        let others = others.into_iter().zip(presences).collect();
        let expect = match decide(me, boot, others) {
            Decision::Founded => return Ok(Look::Found(Place::Founder)),
            Decision::Found(expect) => expect,
            Decision::Join(addrs) => {
                if is_registered {
                    self.remove(&service, &me.id, Condition::ALWAYS).await?;
                }
                return Ok(Look::Found(Place::Through(addrs)));
            }
            Decision::Wait(whom) => {
                if is_registered {
                    self.remove(&service, &me.id, Condition::ALWAYS).await?;
                }
                return Ok(Look::Wait(whom));
            }
        };
        self.add(&service, me, Condition::ALWAYS).await?;
        let file = self.boot_file();
        let boot = service.set(&file, me.id.clone(), expect.into()).await;
        if unless_changed(boot)?.is_some() {
            return Ok(Look::Found(Place::Founder));
        }
        self.remove(&service, &me.id, Condition::ALWAYS).await?;
        Ok(Look::Again)
    }
}

/// What a look has brought.
enum Look {
    Found(Place),
    /// Somebody was faster.
    Again,
    Wait(Vec<(Process, String)>),
}

/// Whether asking again is of no use before somebody changes something.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Refused(refusal) => refusal.detail.as_deref() == Some(detail::PERMISSION_DENIED),
        _ => false,
    }
}

fn decide(me: &Process, boot: Option<(String, Rev)>, others: Vec<(Process, Presence)>) -> Decision {
    let serving = others
        .iter()
        .filter(|(_, presence)| *presence == Presence::Serving);
    let addrs: Vec<String> = serving.map(|(process, _)| process.addr.clone()).collect();
    if !addrs.is_empty() {
        return Decision::Join(addrs);
    }
    let Some((founder, rev)) = boot else {
        return Decision::Found(Rev(0));
    };
    if founder == me.id {
        return Decision::Founded;
    }
    let mut unknown = Vec::new();
    for (process, presence) in others {
        if let Presence::Unknown(reason) = presence {
            unknown.push((process, reason));
        }
    }
    match unknown.is_empty() {
        true => Decision::Found(rev),
        false => Decision::Wait(unknown),
    }
}

struct Waiting<'a>(&'a NameService, &'a [(Process, String)]);

impl std::fmt::Display for Waiting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Waiting(NameService { cluster, .. }, whom) = self;
        write!(f, "waiting for cluster {cluster:?}: registered, but")?;
        for (nth, (Process { id, addr }, reason)) in whom.iter().enumerate() {
            let separator = if nth == 0 { "" } else { "," };
            write!(f, "{separator} {id} at {addr}: {reason}")?;
        }
        write!(
            f,
            "; if all of them are gone for good, delete /ctl/boot/{cluster} in the name service"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(id: &str) -> Process {
        Process {
            id: id.into(),
            addr: format!("{id}:8046"),
        }
    }

    fn decided(boot: Option<&str>, others: &[(&str, Presence)]) -> Decision {
        let boot = boot.map(|id| (id.to_owned(), Rev(7)));
        let others = others
            .iter()
            .map(|(id, presence)| (process(id), presence.clone()))
            .collect();
        decide(&process("me"), boot, others)
    }

    fn unknown() -> Presence {
        Presence::Unknown("silent".into())
    }

    #[test]
    fn whoever_serves_is_joined_whatever_else_there_is() {
        let join = |ids: &[&str]| Decision::Join(ids.iter().map(|id| process(id).addr).collect());
        let (a, b, c) = (Presence::Serving, Presence::Gone, unknown());
        let others = [("a", a.clone()), ("b", b), ("c", c), ("d", a)];
        for boot in [None, Some("me"), Some("a"), Some("b"), Some("x")] {
            assert_eq!(decided(boot, &others), join(&["a", "d"]));
        }
    }

    #[test]
    fn a_cluster_is_founded_where_there_is_none_or_all_of_it_is_gone() {
        assert_eq!(decided(None, &[]), Decision::Found(Rev(0)));
        // One that is about to found it as well: the boot file decides.
        assert_eq!(decided(None, &[("a", unknown())]), Decision::Found(Rev(0)));
        assert_eq!(decided(Some("x"), &[]), Decision::Found(Rev(7)));
        let gone = [("x", Presence::Gone), ("a", Presence::Gone)];
        assert_eq!(decided(Some("x"), &gone), Decision::Found(Rev(7)));
        assert_eq!(decided(Some("me"), &gone), Decision::Founded);
    }

    #[test]
    fn nobody_is_taken_for_dead_without_proof() {
        for boot in ["a", "b", "x"] {
            let others = [("a", unknown()), ("b", Presence::Gone)];
            let Decision::Wait(whom) = decided(Some(boot), &others) else {
                panic!("{boot} may be there");
            };
            assert_eq!(whom, [(process("a"), "silent".to_owned())]);
        }
    }
}
