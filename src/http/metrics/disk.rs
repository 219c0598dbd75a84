//! The log on disk; nothing where everything is in memory.

use std::fmt;

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::Picture;
use super::sheet::Sheet;

impl Picture {
    pub(super) fn disk(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let Some(pace) = self.measures.inside.disk else {
            return Ok(());
        };
        sheet.counter(
            "doozer_disk_syncs",
            "Times that records were made durable",
            pace.syncs,
        )?;
        sheet.counter(
            "doozer_disk_records",
            "Records that were made durable; divided by syncs, the size of a group",
            pace.records,
        )?;
        sheet.one(
            "doozer_disk_log",
            "Bytes of log that were made durable",
            Some(&Unit::Bytes),
            &ConstCounter::new(pace.bytes),
        )?;
        sheet.one(
            "doozer_disk_syncs_per_second",
            "Syncs a second, over the last five to ten seconds",
            None,
            &ConstGauge::new(pace.syncs_per_second),
        )?;
        sheet.one(
            "doozer_disk_records_per_sync",
            "Records that one sync has made durable, in the mean, over the last five to ten seconds",
            None,
            &ConstGauge::new(pace.records_per_sync),
        )
    }
}
