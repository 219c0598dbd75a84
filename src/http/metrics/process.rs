//! What the system says of this process.

use std::fmt;

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};

use super::sheet::{Sheet, signed};

/// What the system says of this process.
#[derive(Debug)]
pub(super) struct Own {
    cpu_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: u64,
    open_files: u64,
    /// Since 1970.
    started_seconds: f64,
}

impl Own {
    /// Reads Linux' `/proc`; nothing on other systems.
    pub(super) fn read() -> Option<Own> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // The name of the program is in parentheses, and may have spaces.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        // Numbered as in proc(5), where the first of these is the third.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        let seconds = |ticks: u64| ticks as f64 / per_second;
        let booted = std::fs::read_to_string("/proc/stat").ok()?;
        let booted = booted
            .lines()
            .find_map(|line| line.strip_prefix("btime "))?;
        Some(Own {
            cpu_seconds: seconds(field(14)? + field(15)?),
            started_seconds: booted.trim().parse::<f64>().ok()? + seconds(field(22)?),
            threads: field(20)?,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * rustix::param::page_size() as u64,
            open_files: std::fs::read_dir("/proc/self/fd").ok()?.count() as u64,
        })
    }

    pub(super) fn encode(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        sheet.one(
            "process_cpu",
            "Time of processors that the process has used",
            Some(&Unit::Seconds),
            &ConstCounter::new(self.cpu_seconds),
        )?;
        for (name, help, bytes) in [
            (
                "process_resident_memory",
                "Memory that the process occupies",
                self.resident_bytes,
            ),
            (
                "process_virtual_memory",
                "Address space of the process",
                self.virtual_bytes,
            ),
        ] {
            let gauge = ConstGauge::new(signed(bytes));
            sheet.one(name, help, Some(&Unit::Bytes), &gauge)?;
        }
        sheet.gauge("process_threads", "Threads of the process", self.threads)?;
        sheet.one(
            "process_start_time",
            "When the process began, since 1970",
            Some(&Unit::Seconds),
            &ConstGauge::new(self.started_seconds),
        )?;
        sheet.gauge("process_open_fds", "Files that are open", self.open_files)?;
        match getrlimit(Resource::Nofile).current {
            Some(most) => sheet.gauge("process_max_fds", "Files that may be open", most),
            None => Ok(()),
        }
    }
}
