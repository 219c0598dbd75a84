//! Who asks, and how the node is asked for them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq;
use tokio::sync::Mutex;

use super::desk::Desk;
use super::failure::Failure;
use crate::client::{self, Client, Uri};

/// What the node may take longer than it tries itself, so that it gets to say what is wrong.
const ANSWER_MARGIN: Duration = Duration::from_secs(3);

/// What they are told who may not do what they ask for.
pub(super) const SECRET_NEEDED: &str =
    "permission denied: give the secret as Authorization: Bearer SECRET";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Caller {
    /// Somebody who has not presented a secret.
    Anonymous,
    /// Somebody who knows the secret that grants reading.
    Reader,
    /// Somebody who knows the secret that grants everything.
    Writer,
}

/// What a request is for. Writes may go to another node, as standbys take none; reads and watches
/// stay with this one. A client for watches belongs to the thread of those who watch: only tasks of that
/// one ask for it and use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    Read,
    Watch,
    Write,
}

/// The two secrets of a cluster, and clients of the node that have presented them.
pub(super) struct Access {
    desk: Desk,
    rw_secret: Vec<u8>,
    ro_secret: Vec<u8>,
    request_timeout: Duration,
    clients: Mutex<BTreeMap<(Caller, Purpose), (SocketAddr, Client)>>,
}

impl Access {
    pub(super) fn new(
        desk: Desk,
        rw_secret: Vec<u8>,
        ro_secret: Vec<u8>,
        request_timeout: Duration,
    ) -> Access {
        Access {
            desk,
            rw_secret,
            ro_secret,
            request_timeout,
            clients: Mutex::default(),
        }
    }

    /// Who asks with these headers.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Failure> {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Ok(Caller::Anonymous);
        };
        let value = value.as_bytes();
        let token = match value.split_at_checked(b"Bearer ".len()) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => token,
            _ => return Err(Failure::denied(Caller::Anonymous, "not a bearer token")),
        };
        // As the protocol has it: an empty secret of the server matches what nobody presented.
        let is = |secret: &[u8]| !secret.is_empty() && bool::from(secret.ct_eq(token));
        if is(&self.rw_secret) {
            Ok(Caller::Writer)
        } else if is(&self.ro_secret) {
            Ok(Caller::Reader)
        } else if self.is_open() {
            Ok(Caller::Anonymous)
        } else {
            Err(Failure::denied(Caller::Anonymous, "no such secret"))
        }
    }

    /// How long the node tries to settle a request.
    pub(super) fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Whether anybody may do everything.
    pub(super) fn is_open(&self) -> bool {
        self.rw_secret.is_empty()
    }

    /// Refuses who may not read. For what the node is not asked for.
    pub(super) fn check_reads(&self, caller: Caller) -> Result<(), Failure> {
        let is_closed = !self.rw_secret.is_empty() && !self.ro_secret.is_empty();
        match caller {
            Caller::Anonymous if is_closed => Err(Failure::denied(caller, SECRET_NEEDED)),
            _ => Ok(()),
        }
    }

    /// Refuses who may not write, before the node is asked.
    pub(super) fn check_writes(&self, caller: Caller) -> Result<(), Failure> {
        match self.is_open() || caller == Caller::Writer {
            true => Ok(()),
            false => Err(Failure::denied(caller, SECRET_NEEDED)),
        }
    }

    /// Whether who asks may read and write.
    pub(super) fn rights(&self, caller: Caller) -> (bool, bool) {
        let may_write = self.check_writes(caller).is_ok();
        (may_write || self.check_reads(caller).is_ok(), may_write)
    }

    /// A client of the node that may do what the caller may.
    pub(super) async fn client(&self, caller: Caller, for_: Purpose) -> Result<Client, Failure> {
        let addr = self.addr()?;
        let mut clients = self.clients.lock().await;
        if let Some((at, client)) = clients.get(&(caller, for_))
            && *at == addr
        {
            return Ok(client.clone());
        }
        let options = client::Options {
            timeout: self.request_timeout + ANSWER_MARGIN,
            ..client::Options::default()
        };
        let client = Client::connect_with(&self.uri(caller)?, None, options).await;
        let client = client.map_err(|error| Failure::of(error, caller))?;
        clients.insert((caller, for_), (addr, client.clone()));
        Ok(client)
    }

    /// The node itself, with the secret of the caller.
    pub(super) fn uri(&self, caller: Caller) -> Result<Uri, Failure> {
        let addr = self.addr()?.to_string();
        let addr = addr
            .parse()
            .map_err(|_| Failure::unavailable("no address"))?;
        let secret = match caller {
            Caller::Anonymous => None,
            Caller::Reader => Some(self.ro_secret.clone()),
            Caller::Writer => Some(self.rw_secret.clone()),
        };
        Ok(Uri {
            secret,
            ..Uri::of(vec![addr])
        })
    }

    /// Where the node is reached from its own machine.
    fn addr(&self) -> Result<SocketAddr, Failure> {
        let addr = self.desk.addr();
        let mut addr = addr.ok_or_else(|| Failure::unavailable("the node has not started yet"))?;
        if addr.ip().is_unspecified() {
            addr.set_ip(match addr.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        Ok(addr)
    }
}
