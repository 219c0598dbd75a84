//! The lives of a process. Most have one; who is put out of its cluster, or does not get into it,
//! begins another under another id.

use std::time::Duration;

use doozer::core::env::Halt;
use doozer::core::id::Lineage;
use doozer::core::node::{Config, Start};
use doozer::core::state::State;
use doozer::http::{Desk, Door, Web};
use doozer::runtime::{Listening, Options, ServeError, Server, TokioNet};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::data::{note_beginning, note_outdated};
use crate::entropy;
use crate::names::{NameService, Place, Process, Register};
use crate::setup;
use crate::words::Words;

/// How long a cluster that was looked up may take to let this process serve. Who let it in may have
/// died before it could tell of others.
const READY_MAX: Duration = Duration::from_secs(15);

/// Before the cluster is looked up again, so that a start that fails at once does not keep a machine
/// busy.
const PAUSE: Duration = Duration::from_millis(200);

/// How a life ended.
enum End {
    /// As it should: the process ends.
    Left,
    /// The others have put this process out. They are to be found there.
    PutOut(Vec<String>),
    /// It is to make a new cluster of what it remembers.
    Recovered(Box<State>),
    /// Its cluster was not where it was looked for.
    Astray(String),
}

/// Serves until a signal asks to stop. The words, if any, are finished once the process can serve.
pub async fn serve(
    mut options: Options,
    names: Option<NameService>,
    web: Option<Web>,
    mut words: Option<Words>,
) -> anyhow::Result<()> {
    let (desk, door) = Desk::new();
    let mut web = web.map(|web| (web, desk));
    let mut signals = Signals {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    };
    // Addresses that were given come first.
    let is_resumed = matches!(options.node.start, Start::Resume { .. });
    let mut looks_up = options.attach.is_empty() && !is_resumed;
    loop {
        let life = options.clone();
        // What this life begins with is large, and the next one begins otherwise.
        options.node.start = Start::Join;
        match live(
            life,
            names.as_ref(),
            looks_up,
            (&mut web, &door),
            &mut words,
            &mut signals,
        )
        .await?
        {
            End::Left => return Ok(()),
            End::PutOut(members) => {
                info!("joining again as a standby, under another id");
                options = setup::anew(options, members, &entropy()?);
                looks_up = false;
            }
            End::Recovered(state) => {
                warn!("making a new cluster of what this process remembers, under another id");
                options = setup::recovered(options, state, &entropy()?);
                looks_up = false;
            }
            End::Astray(reason) => {
                warn!("{reason}; looking the cluster up again");
                options = setup::anew(options, Vec::new(), &entropy()?);
                looks_up = true;
                sleep(PAUSE).await;
            }
        }
    }
}

async fn live(
    options: Options,
    names: Option<&NameService>,
    looks_up: bool,
    (web, door): (&mut Option<(Web, Desk)>, &Door),
    words: &mut Option<Words>,
    signals: &mut Signals,
) -> anyhow::Result<End> {
    let listening = Listening::<TokioNet>::on(options.listen).await?;
    let me = Process {
        id: options.node.id.to_string(),
        addr: options
            .advertise
            .clone()
            .unwrap_or_else(|| listening.addr().to_string()),
    };
    let bound = listening.addr();
    // Not before the address of the node is held: of two processes started there one goes on.
    if let Some((web, desk)) = web.take() {
        web.start(desk)?;
    }
    let mut options = options;
    if let Some(names) = names.filter(|_| looks_up) {
        let place = tokio::select! {
            biased; // a signal ends a start that takes long
            () = signals.any() => {
                names.forget(&me).await;
                return Ok(End::Left);
            }
            place = names.find(&me) => place?,
        };
        options = placed(options, place);
    }
    note_beginning(&options)?;
    let is_founder = options.node.lineage().is_some();
    let register = names.map(|names| {
        let addr = me.addr.parse().expect("an address with a port");
        Register::new(names.clone(), me, addr, &options.node.rw_secret)
    });
    let data = options.data.clone();
    let server = tokio::select! {
        biased; // a signal ends a start that takes long
        () = signals.any() => return Ok(End::Left),
        server = Server::start_at(listening, options) => server,
    };
    if let Ok(server) = &server {
        door.open(bound, server.gauges());
        if let Some(words) = words.take() {
            let ready = server.ready();
            tokio::task::spawn_local(async move {
                ready.await;
                words.done();
            });
        }
    }
    let ended = match server {
        Ok(server) if register.is_some() && !is_founder => {
            let ready = server.ready();
            let ended = serve_registered(server, register, signals);
            tokio::select! {
                biased; // an end first
                ended = ended => ended,
                () = too_late(ready) => {
                    return Ok(End::Astray(format!("not let in within {READY_MAX:?}")));
                }
            }
        }
        Ok(server) => serve_registered(server, register, signals).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => Ok(End::Left),
        Err(ServeError::Halted(Halt::Evicted { members })) => Ok(End::PutOut(members)),
        Err(ServeError::Halted(Halt::Recovered { state })) => Ok(End::Recovered(state)),
        Err(ServeError::Halted(halt @ Halt::Outdated { .. })) => {
            if let Some(data) = &data {
                note_outdated(data);
            }
            Err(ServeError::Halted(halt).into())
        }
        Err(ServeError::Attach(error)) if names.is_some() => Ok(End::Astray(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// The same process, in the place that was found for it.
fn placed(options: Options, place: Place) -> Options {
    let cluster = options.cluster.clone();
    let (start, attach) = match place {
        Place::Founder => (Start::Found { cluster }, Vec::new()),
        Place::Through(addrs) => (Start::Join, addrs),
    };
    let node = Config {
        start,
        ..options.node
    };
    Options {
        node,
        attach,
        ..options
    }
}

/// Ends when a process should long have been ready, and is not.
async fn too_late(ready: impl Future<Output = Lineage>) {
    tokio::select! {
        biased; // it may be ready already
        _ = ready => std::future::pending().await,
        () = sleep(READY_MAX) => {}
    }
}

/// Serves, and keeps the name service up to date if there is one.
async fn serve_registered(
    server: Server,
    register: Option<Register>,
    signals: &mut Signals,
) -> Result<(), ServeError> {
    let Some(mut register) = register else {
        return serve_once(server, signals).await;
    };
    let ready = server.ready();
    let keep = async { register.keep(ready.await).await };
    let ended = tokio::select! {
        biased; // an end first
        ended = serve_once(server, signals) => ended,
        never = keep => never,
    };
    if ended.is_ok() {
        register.say_goodbye().await;
    }
    ended
}

/// Serves until a signal asks to stop. A node that keeps nothing leaves its cluster then; a second
/// signal does not wait for that, nor for answers to be sent, nor for the disk.
async fn serve_once(server: Server, signals: &mut Signals) -> Result<(), ServeError> {
    let stopper = server.stopper();
    let is_durable = server.is_durable();
    let stop = async {
        signals.any().await;
        if is_durable {
            info!("stopping; the process keeps its place in the cluster, and can come back");
            stopper.stop();
        } else {
            info!("leaving the cluster");
            stopper.leave();
        }
        signals.any().await;
    };
    tokio::select! {
        biased; // the end of the process first
        ended = server.run() => ended,
        () = stop => Ok(()),
    }
}

/// The signals that ask to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Waits for either.
    async fn any(&mut self) {
        tokio::select! {
            biased; // whichever: both mean the same
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
