//! Metrics, written one after the other.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::core::histogram::Histogram;

pub(super) type Labels = Vec<(&'static str, String)>;

/// Writes metrics one after the other.
pub(super) struct Sheet<'a>(pub(super) DescriptorEncoder<'a>);

impl Sheet<'_> {
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.one(name, help, None, &ConstCounter::new(value))
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.one(name, help, None, &ConstGauge::new(signed(value)))
    }

    pub(super) fn one(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        metric: &impl EncodeMetric,
    ) -> fmt::Result {
        let kind = metric.metric_type();
        metric.encode(self.0.encode_descriptor(name, help, unit, kind)?)
    }

    pub(super) fn family<M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        members: impl Iterator<Item = (Labels, M)>,
    ) -> fmt::Result {
        let mut members = members.peekable();
        let Some((_, first)) = members.peek() else {
            return Ok(());
        };
        let kind = first.metric_type();
        let mut family = self.0.encode_descriptor(name, help, unit, kind)?;
        for (labels, metric) in members {
            metric.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// A histogram, in another unit.
pub(super) struct Scaled<'a> {
    pub(super) histogram: &'a Histogram,
    /// What one is in that unit.
    pub(super) scale: f64,
}

impl EncodeMetric for Scaled<'_> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let ranges = self.histogram.ranges();
        let ranges = ranges.map(|(bound, count)| {
            (
                bound.map_or(f64::INFINITY, |bound| bound as f64 * self.scale),
                count,
            )
        });
        let ranges: Vec<(f64, u64)> = ranges.collect();
        let count = ranges.iter().map(|(_, count)| count).sum();
        let sum = self.histogram.sum() as f64 * self.scale;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &ranges, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// A number as gauges have it.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
