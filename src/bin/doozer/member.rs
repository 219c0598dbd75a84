//! `doozer member`: slots and who holds them, by name.
//!
//! The servers guard `/ctl`, and say why they refuse something. What is checked here besides is what
//! they cannot know: what the user wants.

use std::time::{Duration, Instant};

use doozer::client::{Change, Client, Condition, Error};
use doozer::core::id::Rev;
use doozer::core::protocol::client::ErrorCode;
use doozer::status::{Process, Status};
use serde::Serialize;

use crate::args::{Action, Flags};
use crate::failure::Failure;
use crate::output;
use crate::status;
use crate::table::{Column, Look, Table, Tone};

/// How long a standby is waited for to take a slot.
const CLAIM_MAX: Duration = Duration::from_secs(5);
/// How long a change is waited for to be in force.
const SETTLE_MAX: Duration = Duration::from_secs(5);
/// One change of the members comes after the other: how often, and after which pause, one that came
/// too soon is tried again.
const TRIES_MAX: u32 = 50;
const TRY_PAUSE: Duration = Duration::from_millis(100);
/// What servers say to those who should try again.
const TOO_SOON: &str = "try again in a moment";
/// What servers say about changes that cost the majority.
const COSTS_MAJORITY: &str = "cost the majority";

/// What a slot is, for programs.
#[derive(Serialize)]
struct Slot<'a> {
    slot: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<doozer::status::State>,
}

/// Does what the command line asks for.
pub async fn run(
    client: &Client,
    flags: &Flags,
    action: Action,
    what: Option<String>,
    force: bool,
) -> Result<(), Failure> {
    let status = status::ask(flags).await?;
    let forced = client.forced();
    let client = if force { &forced } else { client };
    let members = Members {
        client,
        status: &status,
        flags,
    };
    match (action, what) {
        (Action::List, None) => members.list(),
        (Action::List, Some(what)) => Err(Failure::Message(format!(
            "member list shows all slots; leave out \"{what}\""
        ))),
        (Action::Add, name) => members.add(name).await,
        (Action::Remove, None) => Err(Failure::Message(
            "name the slot to remove, or the id or address of a process: doozer member list".into(),
        )),
        (Action::Remove, Some(what)) => members.remove(&what).await,
    }
}

struct Members<'a> {
    client: &'a Client,
    /// How the cluster was before.
    status: &'a Status,
    flags: &'a Flags,
}

impl Members<'_> {
    fn list(&self) -> Result<(), Failure> {
        if self.flags.json {
            for process in self.status.members() {
                let slot = process.slot.as_deref().unwrap_or_default();
                self.tell(slot, Some(process), "")?;
            }
            return self
                .status
                .vacancies
                .iter()
                .try_for_each(|slot| self.tell(slot, None, ""));
        }
        let names = ["SLOT", "ID", "ADDRESS", "STATE"];
        let mut table = Table::new(names.map(|name| Column::words(name, 0)).into());
        for process in self.status.members() {
            let slot = process.slot.clone().unwrap_or("leaves".into());
            table.row(vec![
                (slot, Tone::Plain),
                (process.id.clone(), Tone::Plain),
                (process.addr.clone(), Tone::Plain),
                status::state(process.state),
            ]);
        }
        for slot in &self.status.vacancies {
            table.row(status::vacancy(slot));
        }
        output::text(&table.render(Look::new()))
    }

    /// Adds a slot, and waits for a standby to take it if there is one.
    async fn add(&self, name: Option<String>) -> Result<(), Failure> {
        let name = name.unwrap_or_else(|| self.free_name());
        let path = slot_path(&name);
        if self.slots().any(|slot| slot == name) {
            return Err(Failure::Message(format!("there is a slot {name} already")));
        }
        let rev = self.write(&path, Condition::MISSING).await?;
        if self.free_standby(None).is_none() {
            let hint = "no standby is there to take it: start one with doozerd -a";
            return self.tell(
                &name,
                None,
                &format!("slot {name} added, and vacant: {hint}"),
            );
        }
        match self.taker(&path, rev).await? {
            Some(taker) => {
                let text = format!("slot {name} added, and taken by {}", called(taker));
                self.tell(&name, Some(taker), &text)
            }
            None => self.tell(&name, None, &format!("slot {name} added, and still vacant")),
        }
    }

    async fn remove(&self, what: &str) -> Result<(), Failure> {
        let is_slot = self.slots().any(|slot| slot == what);
        let processes = &self.status.processes;
        let process = processes
            .iter()
            .find(|one| one.id == what || one.addr == what);
        match process {
            _ if is_slot => self.remove_slot(what).await,
            Some(process) => match &process.slot {
                Some(slot) => self.replace(process, slot).await,
                None => self.forget(process).await,
            },
            None => Err(Failure::Message(format!(
                "\"{what}\" is no slot, and no id or address of a process: doozer member list"
            ))),
        }
    }

    /// Deletes a slot. Whoever holds it becomes a standby.
    async fn remove_slot(&self, name: &str) -> Result<(), Failure> {
        let path = slot_path(name);
        let holder = self
            .status
            .members()
            .find(|one| one.slot.as_deref() == Some(name));
        if holder.is_some() && self.status.members().count() == 1 {
            return Err(Failure::Message(format!(
                "slot {name} is that of the only member: a cluster has one at least"
            )));
        }
        let Some(file) = self.client.get(&path).await? else {
            return Err(Failure::Message(format!("slot {name} has just gone")));
        };
        let del = || self.client.del(&path, file.rev.into());
        self.patiently(del).await?;
        self.settle().await?;
        let text = match holder {
            None => format!("slot {name} removed; it was vacant"),
            Some(holder) if holder.state.is_up() => {
                format!("slot {name} removed; {} is a standby now", called(holder))
            }
            Some(holder) => format!("slot {name} of {} removed", called(holder)),
        };
        self.tell(name, None, &text)
    }

    /// Takes a process out of its slot, which a standby takes.
    async fn replace(&self, process: &Process, slot: &str) -> Result<(), Failure> {
        let path = slot_path(slot);
        let name = called(process);
        let is_up = process.state.is_up();
        let successor = self.free_standby(Some(process));
        if is_up && successor.is_none() {
            return Err(Failure::Message(format!(
                "{name} is running, and no other process could take slot {slot}, so that it would \
                 take it again: start a standby first, stop the process with SIGTERM, or remove \
                 slot {slot}"
            )));
        }
        let file = self.client.get(&path).await?;
        let Some(file) = file.filter(|file| file.value == process.id) else {
            return Err(Failure::Message(format!(
                "{name} has just lost slot {slot}"
            )));
        };
        let rev = self.write(&path, file.rev.into()).await?;
        if !is_up {
            self.delete_files(process).await?;
        }
        let taker = match successor {
            Some(_) => self.taker(&path, rev).await?,
            None => None,
        };
        self.settle().await?;
        let text = match taker {
            Some(taker) => format!("{name} removed; {} has taken slot {slot}", called(taker)),
            None => format!("{name} removed; slot {slot} is vacant"),
        };
        self.tell(slot, taker, &text)
    }

    /// Deletes what a standby that has ended left behind.
    async fn forget(&self, process: &Process) -> Result<(), Failure> {
        let name = called(process);
        if process.state.is_up() {
            return Err(Failure::Message(format!(
                "{name} is a standby, and running: stop the process with SIGTERM"
            )));
        }
        self.delete_files(process).await?;
        match self.flags.json {
            true => Ok(()),
            false => output::line(format_args!("{name} removed; it held no slot")),
        }
    }

    async fn delete_files(&self, process: &Process) -> Result<(), Failure> {
        let dir = format!("/ctl/node/{}", process.id);
        let mut files = self.client.walk_all(&format!("{dir}/*")).await?;
        while let Some(file) = files.next().await? {
            let path = file.path;
            let del = || self.client.del(&path, Condition::ALWAYS);
            self.patiently(del).await?;
        }
        Ok(())
    }

    /// Makes a slot vacant.
    async fn write(&self, path: &str, condition: Condition) -> Result<Rev, Failure> {
        self.patiently(|| self.client.set(path, "", condition))
            .await
    }

    /// Repeats what came too soon after another change.
    async fn patiently<T, F>(&self, change: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut tries = 1..TRIES_MAX;
        loop {
            match change().await {
                Err(error) if says(&error, TOO_SOON) && tries.next().is_some() => {
                    tokio::time::sleep(TRY_PAUSE).await;
                }
                Err(error) if says(&error, COSTS_MAJORITY) => {
                    return Err(Failure::Message(format!(
                        "{error}; --force does it all the same"
                    )));
                }
                Err(error) => return Err(self.client.explain(error).await.into()),
                Ok(done) => return Ok(done),
            }
        }
    }

    /// Who takes a slot that became vacant at a revision, once it votes, if that is before long.
    async fn taker(&self, path: &str, vacant: Rev) -> Result<Option<&Process>, Failure> {
        match tokio::time::timeout(CLAIM_MAX, self.claim(path, vacant)).await {
            Ok(taker) => taker,
            Err(_) => Ok(None),
        }
    }

    async fn claim(&self, path: &str, vacant: Rev) -> Result<Option<&Process>, Failure> {
        let event = self.client.wait(path, vacant.next()).await?;
        let Change::Set(value) = event.change else {
            return Ok(None);
        };
        let mut processes = self.status.processes.iter();
        let taker = processes.find(|process| value == process.id);
        if let Some(taker) = taker {
            // It says so when the change is in force, some round trips later.
            let writable = format!("/ctl/node/{}/writable", taker.id);
            self.client.wait(&writable, event.rev).await?;
        }
        Ok(taker)
    }

    /// Waits until the change is in force: before that, whoever was removed is needed as well.
    async fn settle(&self) -> Result<(), Failure> {
        let begin = Instant::now();
        while status::ask(self.flags).await?.changing {
            if begin.elapsed() > SETTLE_MAX {
                return Err(Failure::Message(format!(
                    "the change was made and is not in force after {SETTLE_MAX:?}: do not stop \
                     anything before doozer status has nothing more to say about it"
                )));
            }
            tokio::time::sleep(TRY_PAUSE).await;
        }
        Ok(())
    }

    fn slots(&self) -> impl Iterator<Item = &str> {
        let held = self.status.members().filter_map(|one| one.slot.as_deref());
        held.chain(self.status.vacancies.iter().map(String::as_str))
    }

    fn free_name(&self) -> String {
        let mut names = (0..).map(|number: u32| number.to_string());
        let free = names.find(|name| self.slots().all(|slot| slot != name));
        free.expect("there are more numbers than slots")
    }

    /// A standby that no vacancy waits for.
    fn free_standby(&self, other_than: Option<&Process>) -> Option<&Process> {
        let up = self.status.standbys().filter(|one| one.state.is_up());
        let mut free = up.skip(self.status.vacancies.len());
        free.find(|one| other_than.is_none_or(|other| other.id != one.id))
    }

    /// Prints what became of a slot.
    fn tell(&self, slot: &str, holder: Option<&Process>, text: &str) -> Result<(), Failure> {
        if !self.flags.json {
            return output::line(format_args!("{text}"));
        }
        output::json(&Slot {
            slot,
            id: holder.map(|one| one.id.as_str()),
            addr: holder.map(|one| one.addr.as_str()),
            state: holder.map(|one| one.state),
        })
    }
}

fn slot_path(name: &str) -> String {
    format!("/ctl/cal/{name}")
}

fn called(process: &Process) -> String {
    match process.addr.as_str() {
        "" => process.id.clone(),
        addr => addr.to_owned(),
    }
}

fn says(error: &Error, words: &str) -> bool {
    let Error::Refused(refusal) = error else {
        return false;
    };
    let detail = refusal.detail.as_deref().unwrap_or_default();
    refusal.code == ErrorCode::Other && detail.contains(words)
}
