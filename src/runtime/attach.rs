//! Finding a cluster through the addresses that were given at the start.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use super::greet::{DialError, dial};
use super::link::Links;
use super::net::Net;
use super::shared::Shared;
use super::signal::Signal;

/// How long addresses are tried before the start fails. Processes of a cluster may be started in
/// any order by hand.
pub const ATTACH_MAX: Duration = Duration::from_secs(10);

/// The pause between attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// How often a process that nobody answers any more, and that has not learnt of others, goes back
/// to the addresses that it was given.
const RETURN_EVERY: Duration = Duration::from_secs(1);

/// Why no cluster was found: each address, and what came of it.
#[derive(Debug)]
pub struct AttachError(pub Vec<(String, DialError)>);

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (addr, error)) in self.0.iter().enumerate() {
            let separator = if nth == 0 { "" } else { "; " };
            write!(f, "{separator}cannot attach through {addr}: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for AttachError {}

#[derive(Default)]
struct Progress {
    changed: Signal,
    is_reached: Cell<bool>,
    failures: RefCell<Vec<(String, DialError)>>,
}

/// Tries all addresses at once, and returns as soon as one has let this process in, or when none
/// will. The others are tried on meanwhile.
pub(super) async fn attach<N: Net>(
    shared: &Rc<Shared>,
    addrs: &[String],
) -> Result<(), AttachError> {
    let progress = Rc::new(Progress::default());
    for addr in addrs {
        let attempt = try_address::<N>(Rc::clone(shared), addr.clone(), Rc::clone(&progress));
        shared.spawn(attempt);
    }
    loop {
        progress.changed.taken().await;
        if progress.is_reached.get() {
            shared.spawn(come_back::<N>(Rc::clone(shared), addrs.to_vec()));
            return Ok(());
        }
        if progress.failures.borrow().len() == addrs.len() {
            return Err(AttachError(progress.failures.take()));
        }
    }
}

async fn try_address<N: Net>(shared: Rc<Shared>, addr: String, progress: Rc<Progress>) {
    let until = Instant::now() + ATTACH_MAX;
    let mut attempts = 0_u32;
    let failure = loop {
        match dial::<N>(&shared, addr.clone(), None).await {
            Ok(connection) => {
                Links::adopt::<N>(&shared, &addr, connection);
                progress.is_reached.set(true);
                progress.changed.raise();
                return;
            }
            Err(error) if error.is_final() || Instant::now() + PAUSE >= until => break error,
            Err(error) if attempts == 0 => info!("cannot attach through {addr} yet: {error}"),
            Err(error) => debug!("cannot attach through {addr} yet: {error}"),
        }
        attempts += 1;
        sleep(PAUSE).await;
    };
    if progress.is_reached.get() {
        // Otherwise it is told as the reason why the start failed.
        warn!("attached, but not through {addr}: {failure}");
    }
    progress.failures.borrow_mut().push((addr, failure));
    progress.changed.raise();
}

/// Dials the given addresses again while the node has not learnt enough to be without them.
async fn come_back<N: Net>(shared: Rc<Shared>, addrs: Vec<String>) {
    while !shared.ready.is_reached() {
        sleep(RETURN_EVERY).await;
        for addr in &addrs {
            if shared.links.is_any_up() {
                break;
            }
            match dial::<N>(&shared, addr.clone(), None).await {
                Ok(connection) => Links::adopt::<N>(&shared, addr, connection),
                Err(error) => debug!("cannot attach through {addr}: {error}"),
            }
        }
    }
}
