//! What each command does.

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use bytes::Bytes;
use clap::CommandFactory;
use doozer::client::{Client, Condition, Error, Options, Stat, Uri, UriError};
use doozer::core::id::Rev;
use doozer::core::protocol::client::ErrorCode;

use crate::args::{Cli, Command, Flags, URI_DEFAULT};
use crate::backup;
use crate::bench;
use crate::failure::Failure;
use crate::output::{self, Object};
use crate::{member, status};

/// Largest value taken from standard input. Servers accept less.
const STDIN_BYTES_MAX: u64 = 16 << 20;
/// How often a list is begun again when its revision was forgotten while it was read.
const LIST_TRIES_MAX: usize = 5;

/// Runs a command.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    let flags = &cli.flags;
    if let Command::Completions { shell } = cli.command {
        return completions(shell);
    }
    if let Command::Status = cli.command {
        return status::print(flags).await;
    }
    match &cli.command {
        Command::Restore(options) => return backup::restore(flags, options).await,
        Command::Journal(options) => return backup::journal(flags, options).await,
        _ => {}
    }
    // Before connecting: a revision that is none needs no server to say so.
    let condition = match &cli.command {
        Command::Set { condition, .. } | Command::Del { condition, .. } => {
            parse_condition(condition)?
        }
        _ => Condition::MISSING,
    };
    let client = connect(flags).await?;
    let json = flags.json;
    match cli.command {
        Command::Add { path } => set(&client, &path, condition, json).await,
        Command::Set { path, .. } => set(&client, &path, condition, json).await,
        Command::Del { path, .. } => match client.del(&path, condition).await {
            Ok(()) => Ok(()),
            Err(error) => Err(client.explain(error).await.into()),
        },
        Command::Dump => backup::dump(&client, flags).await,
        Command::Find { path } => find(&client, &path, flags).await,
        Command::Get {
            path,
            long,
            raw,
            at,
        } => {
            let form = match (json, long || (output::is_terminal() && !raw)) {
                (true, _) => Form::Json,
                (_, true) => Form::Long,
                _ => Form::Raw,
            };
            get(&viewing(&client, at), &path, form).await
        }
        Command::Member {
            action,
            what,
            force,
        } => member::run(&client, flags, action, what, force).await,
        Command::Nop => Ok(client.nop().await?),
        Command::Recover { force, yes } => recover(&client, flags, force, yes).await,
        Command::Rev => {
            let rev = client.rev().await?;
            match json {
                true => Object {
                    rev: Some(rev.0),
                    ..Object::default()
                }
                .print(),
                false => output::line(format_args!("{rev}")),
            }
        }
        Command::Self_ => {
            let id = client.self_id().await?;
            match json {
                true => Object {
                    id: Some(&id),
                    ..Object::default()
                }
                .print(),
                false => output::text(&id),
            }
        }
        Command::Stat { path, at } => stat(&viewing(&client, at), &path, json).await,
        Command::Touch { path } => touch(&client, &path).await,
        Command::Wait { pattern } => wait(&client, &pattern, flags).await,
        Command::Watch { pattern } => watch(&client, &pattern, flags).await,
        Command::Bench(options) => {
            let uri = uri(flags)?;
            bench::run(&client, uri.secret, options).await
        }
        Command::Completions { .. }
        | Command::Help { .. }
        | Command::Journal(_)
        | Command::Restore(_)
        | Command::Status => Ok(()),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "doozer", &mut script);
    output::bytes(&script)
}

/// The cluster that was asked for.
pub fn uri(flags: &Flags) -> Result<Uri, Failure> {
    let text = flags.uri.clone().or_else(|| from_env("DOOZER_URI"));
    parse(&text.unwrap_or_else(|| URI_DEFAULT.to_owned()))
}

/// The name service that was given.
pub fn boot(flags: &Flags) -> Result<Option<Uri>, Failure> {
    let boot = flags.boot.clone().or_else(|| from_env("DOOZER_BOOT_URI"));
    boot.as_deref().map(parse).transpose()
}

/// A client of the cluster that was asked for.
pub async fn connect(flags: &Flags) -> Result<Client, Failure> {
    let boot = boot(flags)?;
    let client = Client::connect_with(&uri(flags)?, boot.as_ref(), Options::default()).await?;
    Ok(match flags.local {
        true => client.local(true),
        false => client,
    })
}

/// Tells what a recovery comes to, asks, and does it.
async fn recover(client: &Client, flags: &Flags, force: bool, yes: bool) -> Result<(), Failure> {
    let addresses = uri(flags)?.addresses;
    let [addr] = addresses.as_slice() else {
        let text = "recover is about one process: give its address alone, with -a HOST:PORT";
        return Err(Failure::Message(text.to_owned()));
    };
    let plan = client.recover(force, false).await?;
    eprint!("{plan}");
    if !yes {
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            let text = "nobody is there to be asked: to do this, give --yes";
            return Err(Failure::Message(text.to_owned()));
        }
        eprint!("Make a new cluster of {addr}? Type yes: ");
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        read.map_err(|error| Failure::Message(format!("cannot read the answer: {error}")))?;
        if answer.trim() != "yes" {
            return Err(Failure::Message("nothing was done".to_owned()));
        }
    }
    client.recover(force, true).await?;
    output::line(format_args!("{addr} is the only member of the new cluster"))
}

/// An empty variable is as good as none.
fn from_env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn parse(text: &str) -> Result<Uri, Failure> {
    text.parse()
        .map_err(|error: UriError| Failure::Client(error.into()))
}

fn viewing(client: &Client, at: Option<u64>) -> Client {
    at.map_or_else(|| client.clone(), |rev| client.at(Rev(rev)))
}

fn parse_condition(text: &str) -> Result<Condition, Failure> {
    match text.parse() {
        Ok(rev) => Ok(Condition::from_number(rev)),
        Err(_) => Err(Failure::Message(format!(
            "\"{text}\" is not a revision: give the file's revision (doozer stat PATH), 0 if it \
             must not exist, or -1 for whatever it is"
        ))),
    }
}

async fn set(client: &Client, path: &str, condition: Condition, json: bool) -> Result<(), Failure> {
    let mut value = Vec::new();
    let read = io::stdin()
        .lock()
        .take(STDIN_BYTES_MAX + 1)
        .read_to_end(&mut value);
    read.map_err(|error| Failure::Message(format!("cannot read standard input: {error}")))?;
    if value.len() as u64 > STDIN_BYTES_MAX {
        return Err(Failure::Message(format!(
            "the value is larger than {STDIN_BYTES_MAX} bytes: Doozer is for small things"
        )));
    }
    match client.set(path, value, condition).await {
        Ok(rev) if json => Object {
            path: Some(path),
            rev: Some(rev.0),
            ..Object::default()
        }
        .print(),
        Ok(rev) => output::line(format_args!("{rev}")),
        Err(error) => Err(client.explain(error).await.into()),
    }
}

enum Form {
    Raw,
    Long,
    Json,
}

async fn get(client: &Client, path: &str, form: Form) -> Result<(), Failure> {
    let Some(file) = client.get(path).await? else {
        return Err(Failure::Missing(path.to_owned()));
    };
    match form {
        Form::Raw => output::bytes(&file.value),
        Form::Long => {
            let head = format!("{} {}\n", file.rev, file.value.len());
            output::bytes(&[head.as_bytes(), &file.value, b"\n"].concat())
        }
        Form::Json => Object {
            path: Some(path),
            rev: Some(file.rev.0),
            ..Object::default()
        }
        .with_value(&file.value)
        .print(),
    }
}

async fn stat(client: &Client, path: &str, json: bool) -> Result<(), Failure> {
    let stat = client.stat(path).await?;
    let mut object = Object {
        path: Some(path),
        ..Object::default()
    };
    let text = match stat {
        Stat::Missing => return Err(Failure::Missing(path.to_owned())),
        Stat::File { rev, len } => {
            object.kind = Some("file");
            object.rev = Some(rev.0);
            object.len = Some(len.into());
            format!("{rev} {len}")
        }
        Stat::Dir { entries } => {
            object.kind = Some("dir");
            object.entries = Some(entries.into());
            format!("d {entries}")
        }
    };
    match json {
        true => object.print(),
        false => output::line(format_args!("{text}")),
    }
}

async fn touch(client: &Client, path: &str) -> Result<(), Failure> {
    let (value, condition) = match client.get(path).await? {
        Some(file) => (file.value, file.rev.into()),
        None => (Bytes::new(), Condition::MISSING),
    };
    match client.set(path, value, condition).await {
        Ok(_) => Ok(()),
        Err(error) => Err(client.explain(error).await.into()),
    }
}

/// Something that `find` tells of.
struct Found {
    path: String,
    /// Revision and length of a file; `None` for a directory.
    file: Option<(Rev, u64)>,
}

async fn find(client: &Client, path: &str, flags: &Flags) -> Result<(), Failure> {
    let mut tries = 1..=LIST_TRIES_MAX;
    let found = loop {
        tries.next();
        match list(client, path, flags.rev).await {
            // The history moved past the revision while the list was read.
            Err(Failure::Client(Error::Refused(refusal)))
                if refusal.code == ErrorCode::TooLate && flags.rev < 0 && !tries.is_empty() => {}
            result => break result?,
        }
    };
    let mut text = String::new();
    for Found { path, file } in found {
        if !flags.json {
            text += &path;
            text.push('\n');
            continue;
        }
        let object = Object {
            path: Some(&path),
            kind: Some(if file.is_some() { "file" } else { "dir" }),
            rev: file.map(|(rev, _)| rev.0),
            len: file.map(|(_, len)| len),
            ..Object::default()
        };
        text += &object.to_json()?;
        text.push('\n');
    }
    output::text(&text)
}

/// Lists a tree. The files come in order; the directories are the names on the way to them, as
/// there is no directory without a file.
async fn list(client: &Client, path: &str, rev: i64) -> Result<Vec<Found>, Failure> {
    let rev = match u64::try_from(rev) {
        Ok(rev) => Rev(rev),
        Err(_) => client.present_rev().await?,
    };
    let client = client.at(rev);
    let mut found = Vec::new();
    match client.stat(path).await? {
        Stat::Missing => return Err(Failure::Missing(path.to_owned())),
        Stat::File { rev, len } => {
            let path = path.to_owned();
            let file = Some((rev, len.into()));
            found.push(Found { path, file });
            return Ok(found);
        }
        Stat::Dir { .. } => {
            let path = path.to_owned();
            found.push(Found { path, file: None });
        }
    }
    let base = path.trim_end_matches('/');
    let mut walk = client.walk_all(&format!("{base}/**")).await?;
    let mut above: Vec<String> = Vec::new();
    while let Some(entry) = walk.next().await? {
        let below = entry.path.get(base.len() + 1..).unwrap_or_default();
        let names: Vec<&str> = below.split('/').collect();
        let depth = names.len().saturating_sub(1);
        let same = above
            .iter()
            .zip(&names[..depth])
            .take_while(|(a, b)| a == b)
            .count();
        above.truncate(same);
        for name in &names[same..depth] {
            above.push((*name).to_owned());
            let path = format!("{base}/{}", above.join("/"));
            found.push(Found { path, file: None });
        }
        found.push(Found {
            file: Some((entry.rev, entry.value.len() as u64)),
            path: entry.path,
        });
    }
    Ok(found)
}

/// The revision of `-r`, or the current one.
async fn beginning(client: &Client, flags: &Flags) -> Result<Rev, Failure> {
    match u64::try_from(flags.rev) {
        Ok(rev) => Ok(Rev(rev)),
        Err(_) => Ok(client.rev().await?),
    }
}

async fn wait(client: &Client, pattern: &str, flags: &Flags) -> Result<(), Failure> {
    let from = beginning(client, flags).await?;
    let waiting = client.wait(pattern, from);
    let event = match flags.timeout {
        Duration::ZERO => waiting.await?,
        limit => match tokio::time::timeout(limit, waiting).await {
            Ok(event) => event?,
            Err(_) => return Err(Failure::Message("wait timeout".to_owned())),
        },
    };
    output::event(&event, flags.json)
}

async fn watch(client: &Client, pattern: &str, flags: &Flags) -> Result<(), Failure> {
    let from = beginning(client, flags).await?;
    let mut watch = client.watch(pattern, from);
    loop {
        let event = watch.next().await?;
        output::event(&event, flags.json)?;
    }
}
