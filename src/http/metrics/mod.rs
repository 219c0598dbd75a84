//! The process in numbers, as Prometheus reads them.

mod disk;
mod node;
mod process;
mod sheet;
mod web;

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use process::Own;
use sheet::Sheet;

use super::access::Caller;
use super::failure::Failure;
use super::routes::App;
use super::tally::Counts;
use crate::runtime::Measures;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Response, Failure> {
    app.access.check_reads(caller)?;
    let measures = app.measures().await?;
    let text = text_of(measures, app.tally.counts());
    let text = text.map_err(|error| Failure::unavailable(error.to_string()))?;
    let kind = HeaderValue::from_static(CONTENT_TYPE);
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

fn text_of(measures: Measures, web: Counts) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    let own = Own::read();
    registry.register_collector(Box::new(Picture { measures, web, own }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// What is told at a time.
#[derive(Debug)]
struct Picture {
    measures: Measures,
    web: Counts,
    own: Option<Own>,
}

impl Collector for Picture {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet(encoder);
        self.log(&mut sheet)?;
        self.peers(&mut sheet)?;
        self.load(&mut sheet)?;
        self.disk(&mut sheet)?;
        self.clients(&mut sheet)?;
        self.web(&mut sheet)?;
        match &self.own {
            Some(own) => own.encode(&mut sheet),
            None => Ok(()),
        }
    }
}
