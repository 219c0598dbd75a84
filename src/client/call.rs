//! A client: what it knows of its cluster, and its one connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::attempt::{Attempts, Losses};
use super::book::Book;
use super::connection::{Connection, OpenError};
use super::error::{Error, Unreached};
use super::resolve;
use super::uri::{Address, Uri};
use crate::core::id::Rev;
use crate::core::protocol::client::{Request, Response, Verb};

/// Pauses between attempts when nothing can be reached double between these two.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(20);
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How patient a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a request may take, all attempts together, where nothing else is said with
    /// [`Client::within`]. WAITs have no limit of their own.
    pub timeout: Duration,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// How long a client that was connected tries to connect again before it gives up.
    pub reconnect: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            // Longer than servers try by default, so that they get to say what is wrong.
            timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(2),
            reconnect: Duration::from_secs(10),
        }
    }
}

/// A client of one cluster. Clones share its connection, which has room for 16,000 requests and
/// watches at a time; more wait until others are answered.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    pub(super) view: View,
}

/// What requests through one handle have in common.
#[derive(Clone, Copy, Default)]
pub(super) struct View {
    /// The state to read; the present if absent.
    pub(super) at: Option<Rev>,
    pub(super) local: Option<bool>,
    pub(super) timeout: Option<Duration>,
    pub(super) force: Option<bool>,
}

struct Shared {
    options: Options,
    secret: Mutex<Option<Bytes>>,
    book: Mutex<Book>,
    /// Held while connecting, so that all who need a connection wait for the same one.
    current: tokio::sync::Mutex<Option<Connection>>,
}

impl Client {
    /// Connects to the cluster that a text names: a doozer URI with addresses, or one `HOST:PORT`.
    ///
    /// # Errors
    ///
    /// [`Error::Uri`] if it is none of these, [`Error::Unreachable`] if no address answers, and
    /// [`Error::Refused`] if the server does not accept the URI's secret.
    pub async fn connect(uri: &str) -> Result<Client, Error> {
        Client::connect_with(&uri.parse()?, None, Options::default()).await
    }

    /// Connects to a cluster. Where `uri` has a cluster name and `name_service` is given, the
    /// addresses come from there.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`]; [`Error::UnknownName`] and [`Error::NoNameService`] if the name
    /// leads nowhere.
    pub async fn connect_with(
        uri: &Uri,
        name_service: Option<&Uri>,
        options: Options,
    ) -> Result<Client, Error> {
        let addresses = match (&uri.name, name_service) {
            (Some(name), Some(service)) => {
                let service = Client::to(service.addresses.clone(), service, options);
                service.connection(&[], Instant::now()).await?;
                resolve::members_of(&service, name).await?
            }
            (Some(name), None) if uri.addresses.is_empty() => {
                return Err(Error::NoNameService { name: name.clone() });
            }
            _ => uri.addresses.clone(),
        };
        let client = Client::to(addresses, uri, options);
        client.connection(&[], Instant::now()).await?;
        Ok(client)
    }

    fn to(addresses: Vec<Address>, uri: &Uri, options: Options) -> Client {
        let mut book = Book::default();
        for addr in addresses {
            book.add(addr);
        }
        let shared = Shared {
            options,
            secret: Mutex::new(uri.secret.clone().map(Bytes::from)),
            book: Mutex::new(book),
            current: tokio::sync::Mutex::new(None),
        };
        Client {
            shared: Arc::new(shared),
            view: View::default(),
        }
    }

    /// The same client, but its reads give the state right after this revision, and wait for it
    /// when it is in the future. Revision 0 counts as 1.
    pub fn at(&self, rev: Rev) -> Client {
        let view = View {
            at: Some(rev),
            ..self.view
        };
        self.viewing(view)
    }

    /// The same client, but its reads come from the copy of the server that it is connected to
    /// (true: fast, perhaps stale), or are the latest state of the cluster (false), whatever the
    /// server does by itself.
    pub fn local(&self, local: bool) -> Client {
        let view = View {
            local: Some(local),
            ..self.view
        };
        self.viewing(view)
    }

    /// The same client, but each of its requests, WAITs included, may take this long.
    pub fn within(&self, limit: Duration) -> Client {
        let view = View {
            timeout: Some(limit),
            ..self.view
        };
        self.viewing(view)
    }

    /// The same client, but its writes to membership slots (`/ctl/cal/*`) are done even if that costs
    /// the cluster its majority, as far as the server can tell.
    pub fn forced(&self) -> Client {
        let view = View {
            force: Some(true),
            ..self.view
        };
        self.viewing(view)
    }

    /// The same client, but its reads are of the present.
    pub(super) fn unpinned(&self) -> Client {
        let view = View {
            at: None,
            ..self.view
        };
        self.viewing(view)
    }

    fn viewing(&self, view: View) -> Client {
        Client {
            shared: self.shared.clone(),
            view,
        }
    }

    /// The addresses that this client knows.
    pub fn addresses(&self) -> Vec<Address> {
        self.book(|book| book.addresses().to_vec())
    }

    /// The server that the client is connected to, if it is.
    pub async fn connected_to(&self) -> Option<Address> {
        let current = self.shared.current.lock().await;
        let connection = current.as_ref().filter(|connection| connection.is_open())?;
        Some(connection.addr().clone())
    }

    /// Asks the cluster for the addresses of its members and remembers them for fail-over.
    /// Whatever goes wrong is left for the next request to find.
    pub async fn learn_members(&self) {
        if let Ok(connection) = self.connection(&[], Instant::now()).await {
            self.learn_from(&connection).await;
        }
    }

    pub(super) async fn learn_from(&self, connection: &Connection) {
        let limit = self.shared.options.connect_timeout;
        if let Ok(members) = timeout(limit, resolve::members_seen_by(connection)).await {
            self.book(|book| members.into_iter().for_each(|addr| book.add(addr)));
        }
    }

    pub(super) fn keep_secret(&self, secret: Bytes) {
        let mut kept = self
            .shared
            .secret
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *kept = Some(secret);
    }

    fn book<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(
            &mut self
                .shared
                .book
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// When a request that begins at this moment must be answered.
    pub(super) fn limit(&self, verb: Verb) -> Option<Duration> {
        match self.view.timeout {
            None if verb == Verb::Wait => None,
            None => Some(self.shared.options.timeout),
            limit => limit,
        }
    }

    /// The connection, or another one if it is lost or leads to an address to `avoid`. Goes
    /// through all addresses at least once, and again with pauses while `patience` lasts.
    pub(super) async fn connection(
        &self,
        avoid: &[Address],
        patience: Instant,
    ) -> Result<Connection, Error> {
        let mut current = self.shared.current.lock().await;
        if let Some(connection) = &*current
            && connection.is_open()
            && !avoid.contains(connection.addr())
        {
            return Ok(connection.clone());
        }
        let mut pause = PAUSE_MIN;
        loop {
            let mut tried = Vec::new();
            for addr in self.book(|book| book.in_turn()) {
                if avoid.contains(&addr) {
                    continue;
                }
                match self.open(&addr).await? {
                    Ok(connection) => {
                        self.book(|book| book.prefer(&addr));
                        *current = Some(connection.clone());
                        return Ok(connection);
                    }
                    Err(reason) => tried.push(Unreached { addr, reason }),
                }
            }
            if tried.is_empty() || Instant::now() + pause >= patience {
                return Err(Error::Unreachable { tried });
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The outer error is final, the inner one a reason to try another address.
    async fn open(&self, addr: &Address) -> Result<Result<Connection, String>, Error> {
        let secret = self
            .shared
            .secret
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let limit = self.shared.options.connect_timeout;
        match timeout(limit, Connection::open(addr, secret)).await {
            Ok(Ok(connection)) => Ok(Ok(connection)),
            Ok(Err(OpenError::Io(reason) | OpenError::Closed(reason))) => Ok(Err(reason)),
            Ok(Err(OpenError::Refused(refusal))) => Err(refusal.into()),
            Err(_) => Ok(Err(format!("no answer within {limit:?}"))),
        }
    }

    /// Gets an answer that is no refusal.
    pub(super) async fn call(&self, request: Request) -> Result<Response, Error> {
        let verb = request.verb.and_then(Verb::from_number);
        let limit = verb.and_then(|verb| self.limit(verb));
        let losses = self.losses();
        Attempts::new(self, &request, losses).run(limit).await
    }

    /// Leaves the connection to this address behind.
    pub(super) fn leave(&self, addr: &Address) {
        self.book(|book| book.leave(addr));
    }

    pub(super) fn losses(&self) -> Losses {
        Losses::new(self.shared.options.reconnect)
    }
}
