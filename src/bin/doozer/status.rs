//! `doozer status`: how the cluster is, for people and for programs.

use doozer::client;
use doozer::status::{Health, Process, State, Status, span};

use crate::args::Flags;
use crate::commands;
use crate::failure::Failure;
use crate::output;
use crate::table::{Column, Look, Table, Tone};

/// Exit code for a cluster that works and needs somebody to look at it.
const EXIT_DEGRADED: u8 = 1;
/// Exit code for a cluster without a majority.
const EXIT_NO_MAJORITY: u8 = 3;
/// Exit code for a cluster that lost its majority for good.
const EXIT_LOST: u8 = 4;

/// Prints how the cluster is.
pub async fn print(flags: &Flags) -> Result<(), Failure> {
    let status = ask(flags).await?;
    match flags.json {
        true => output::json(&status)?,
        false => output::text(&render(&status, Look::new()))?,
    }
    match status.health {
        Health::Healthy => Ok(()),
        Health::Degraded => Err(Failure::Code(EXIT_DEGRADED)),
        Health::NoMajority => Err(Failure::Code(EXIT_NO_MAJORITY)),
        Health::Lost => Err(Failure::Code(EXIT_LOST)),
    }
}

/// Asks how the cluster is.
pub async fn ask(flags: &Flags) -> Result<Status, Failure> {
    let boot = commands::boot(flags)?;
    Ok(client::status(&commands::uri(flags)?, boot.as_ref()).await?)
}

fn render(status: &Status, look: Look) -> String {
    let head = format!("{}: {}", status.cluster, status.summary);
    let tone = match status.health {
        Health::Healthy => Tone::Good,
        Health::Degraded => Tone::Warning,
        Health::NoMajority | Health::Lost => Tone::Bad,
    };
    let mut text = look.fold(&head, 2, tone);
    text.push('\n');
    text += &table(status).render(look);
    if !status.problems.is_empty() {
        text.push('\n');
    }
    for problem in &status.problems {
        text += &look.fold(&format!("* {problem}"), 2, Tone::Plain);
    }
    text
}

fn table(status: &Status) -> Table {
    let mut columns = vec![
        Column::words("SLOT", 0),
        Column::words("ID", 0),
        Column::words("ADDRESS", 0),
        Column::words("STATE", 0),
        Column::words("OWNS", 2),
        Column::numbers("APPLIED", 4),
        Column::numbers("REV", 1),
        Column::numbers("LAG", 1),
        Column::numbers("HEARD", 2),
        Column::numbers("UPTIME", 3),
        Column::words("VERSION", 5),
    ];
    // Of clusters that keep something on disk.
    let has_disks = status
        .processes
        .iter()
        .any(|process| process.disk.is_some());
    if has_disks {
        columns.push(Column::numbers("SYNCS/S", 4));
        columns.push(Column::numbers("GROUP", 4));
    }
    let mut table = Table::new(columns);
    let row = |slot: &str, process: &Process| {
        let mut cells = row(slot, process);
        if has_disks {
            cells.extend(disk(process));
        }
        cells
    };
    for process in status.members() {
        let slot = process.slot.as_deref().unwrap_or("leaves");
        table.row(row(slot, process));
    }
    for slot in &status.vacancies {
        table.row(vacancy(slot));
    }
    for process in status.standbys() {
        table.row(row("standby", process));
    }
    table
}

fn row(slot: &str, process: &Process) -> Vec<(String, Tone)> {
    let plain = |text: String| (text, Tone::Plain);
    let known = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    let time = |ms: Option<u64>| ms.map_or("-".to_owned(), span);
    vec![
        plain(slot.to_owned()),
        plain(process.id.clone()),
        plain(process.addr.clone()),
        state(process.state),
        plain(if process.owner { "yes" } else { "-" }.to_owned()),
        plain(process.applied.to_string()),
        plain(known(process.rev)),
        plain(process.lag.to_string()),
        plain(time(process.heard_ms)),
        plain(time(process.uptime_ms)),
        plain(process.version.clone()),
    ]
}

/// Syncs a second of its log, and how many records one of them makes durable.
fn disk(process: &Process) -> [(String, Tone); 2] {
    let [syncs, group] = match process.disk {
        Some(disk) => [
            disk.syncs_per_second.to_string(),
            format!("{:.1}", disk.records_per_1000_syncs as f64 / 1e3),
        ],
        None => ["-".to_owned(), "-".to_owned()],
    };
    [(syncs, Tone::Plain), (group, Tone::Plain)]
}

/// The first cells of a row for a slot that nobody holds.
pub fn vacancy(slot: &str) -> Vec<(String, Tone)> {
    vec![
        (slot.to_owned(), Tone::Plain),
        ("(vacant)".to_owned(), Tone::Warning),
    ]
}

/// A state in a cell.
pub fn state(state: State) -> (String, Tone) {
    let (text, tone) = match state {
        State::Up => ("up", Tone::Good),
        State::Leaving => ("leaving", Tone::Warning),
        State::Unreached => ("unreached", Tone::Warning),
        State::CutOff => ("cut off", Tone::Bad),
        State::Silent => ("silent", Tone::Bad),
        State::Gone => ("gone", Tone::Bad),
    };
    (text.to_owned(), tone)
}
