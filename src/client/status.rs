//! How a cluster is, by asking each of its processes.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::attempt::refused;
use super::call::{Client, Options};
use super::connection::{Connection, Lost, OpenError};
use super::error::{Error, Unreached};
use super::uri::{Address, Uri};
use super::verbs::{report_in, status_request};
use crate::core::protocol::client::Report;
use crate::status::{Answer, NoAnswer, Status};

/// How long a process may take to answer, connecting included. It needs nobody's help for that.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Processes that are asked at most.
const ASKED_MAX: usize = 256;

/// Asks the processes at the addresses of a URI, and every other one that these know of, all at
/// once. None of them needs a majority to answer.
///
/// # Errors
///
/// As [`Client::connect_with`], and [`Error::Unreachable`] if nobody answers.
pub async fn status(uri: &Uri, name_service: Option<&Uri>) -> Result<Status, Error> {
    let addresses = match uri.name {
        Some(_) => {
            let client = Client::connect_with(uri, name_service, Options::default()).await?;
            client.addresses()
        }
        None => uri.addresses.clone(),
    };
    let secret = uri.secret.as_deref();
    let before = ask_all(&addresses, secret).await?;
    // What somebody had applied before is what all others can be measured by now.
    let applied = before.iter().filter_map(|answer| answer.said.as_ref().ok());
    let applied = applied.map(|report| report.applied).max().unwrap_or(0);
    let (talking, silent): (Vec<Answer>, Vec<Answer>) =
        before.into_iter().partition(|answer| answer.said.is_ok());
    let talking = talking.into_iter().map(|answer| answer.addr);
    let mut answers = ask_each(talking, secret).await;
    answers.extend(silent);
    Status::of(&answers, applied).ok_or_else(|| unreachable(&answers))
}

/// Asks whoever is at these addresses, and at those that they tell of. In the order of addresses
/// as they became known.
async fn ask_all(addresses: &[Address], secret: Option<&[u8]>) -> Result<Vec<Answer>, Error> {
    let mut answers: Vec<Answer> = Vec::new();
    let mut next: Vec<String> = addresses.iter().map(Address::to_string).collect();
    let mut asked: BTreeSet<String> = BTreeSet::new();
    while !next.is_empty() {
        next.retain(|addr| asked.len() < ASKED_MAX && asked.insert(addr.clone()));
        let round = ask_each(next.drain(..), secret).await;
        for report in round.iter().filter_map(|answer| answer.said.as_ref().ok()) {
            let addrs = report.known.iter().map(|known| known.addr.clone());
            next.extend(addrs.filter(|addr| !addr.is_empty()));
        }
        answers.extend(round);
    }
    match answers.iter().any(|answer| answer.said.is_ok()) {
        true => Ok(answers),
        false => Err(unreachable(&answers)),
    }
}

/// Asks whoever is at these addresses, all at a time.
async fn ask_each(addresses: impl Iterator<Item = String>, secret: Option<&[u8]>) -> Vec<Answer> {
    let mut asking = JoinSet::new();
    for (place, addr) in addresses.enumerate() {
        let secret = secret.map(<[u8]>::to_vec);
        asking.spawn(async move { (place, ask(addr, secret).await) });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn unreachable(answers: &[Answer]) -> Error {
    let tried = answers.iter().filter_map(|answer| {
        let reason = answer.said.as_ref().err()?.reason.clone();
        let addr = answer.addr.parse().ok()?;
        Some(Unreached { addr, reason })
    });
    Error::Unreachable {
        tried: tried.collect(),
    }
}

async fn ask(addr: String, secret: Option<Vec<u8>>) -> Answer {
    let said = match addr.parse() {
        Ok(address) => match timeout(ANSWER_MAX, report_of(&address, secret)).await {
            Ok(said) => said,
            Err(_) => Err(trouble(format!("no answer within {ANSWER_MAX:?}"))),
        },
        Err(error) => Err(trouble(error.to_string())),
    };
    Answer { addr, said }
}

async fn report_of(addr: &Address, secret: Option<Vec<u8>>) -> Result<Report, NoAnswer> {
    let connection = Connection::open(addr, secret.map(Into::into)).await;
    let connection = connection.map_err(|error| match error {
        OpenError::Closed(reason) => NoAnswer {
            reason,
            is_gone: true,
        },
        OpenError::Io(reason) => trouble(reason),
        OpenError::Refused(refusal) => trouble(refusal.to_string()),
    })?;
    let request = status_request();
    let response = match connection.start(request.clone()).await {
        Ok(mut pending) => pending.answer().await,
        Err(lost) => Err(lost),
    };
    let response = response.map_err(|lost| match lost {
        Lost::Sent(reason) => trouble(reason),
        Lost::Unsent => trouble("the connection broke".to_owned()),
    })?;
    let response = refused(&request, response);
    let report = response.and_then(|response| report_in(&request, response));
    report.map_err(|error| trouble(error.to_string()))
}

fn trouble(reason: String) -> NoAnswer {
    NoAnswer {
        reason,
        is_gone: false,
    }
}
