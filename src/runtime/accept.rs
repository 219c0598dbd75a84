//! The one port: who connects, and is it a client or a peer?

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};
use tracing::{error, warn};

use super::net::Net;
use super::shared::{Counted, Shared, Throttle};
use super::{caller, session};
use crate::core::protocol::peer::handshake::MAGIC;

/// Connections beyond the limit on clients that are heard for a moment, so that peers get in
/// however many clients there are. A peer counts among these until it is let in: whoever does not
/// know the secret gets no other place by the first bytes of one.
pub(super) const RESERVE: usize = 64;

/// The moment.
const RESERVE_MAX: Duration = Duration::from_secs(3);

/// The pause after a failure to accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// Room for the first read.
const READ_BYTES: usize = 4 << 10;

/// Accepts connections for as long as the process runs.
pub(super) async fn accept<N: Net>(shared: Rc<Shared>, listener: N::Listener) {
    let crowded_lines = Rc::new(RefCell::new(Throttle::default()));
    let mut error_lines = Throttle::default();
    loop {
        let (reader, writer, from) = match N::accept(&listener).await {
            Ok(connection) => connection,
            Err(error) => {
                if let Some(more) = error_lines.pass() {
                    error!("cannot accept connections: {error} ({more} more times lately)");
                }
                sleep(PAUSE).await;
                continue;
            }
        };
        let seats_max = shared.limits.connections_max;
        let is_crowded = shared.seats.get() >= seats_max;
        if is_crowded && let Some(more) = crowded_lines.borrow_mut().pass() {
            warn!(
                "turning away client {from} ({more} more lately): there are {seats_max} clients, \
                 the most that --max-connections allows"
            );
        }
        if shared.seats.get() >= seats_max.saturating_add(RESERVE) {
            continue;
        }
        // At once: others may be accepted before its task begins.
        let seat = Counted::new(&shared, |shared| &shared.seats);
        let task = sort::<N>(Rc::clone(&shared), seat, reader, writer, from, is_crowded);
        shared.spawn(task);
    }
}

/// Waits for the first bytes and hands the connection to whom they belong to.
async fn sort<N: Net>(
    shared: Rc<Shared>,
    seat: impl Sized,
    mut reader: N::Reader,
    writer: N::Writer,
    from: SocketAddr,
    is_crowded: bool,
) {
    let mut buffer = BytesMut::new();
    let first_bytes = async {
        while buffer.len() < MAGIC.len() {
            buffer.reserve(READ_BYTES);
            let is_begun = !buffer.is_empty();
            tokio::select! {
                biased; // what has come first
                read = reader.read_buf(&mut buffer) => match read {
                    Ok(0) | Err(_) => return false,
                    Ok(_) => {}
                },
                () = sleep(session::STALL_MAX), if is_begun => return false,
            }
        }
        true
    };
    let has_spoken = if is_crowded {
        timeout(RESERVE_MAX, first_bytes).await.unwrap_or(false)
    } else {
        first_bytes.await
    };
    if !has_spoken {
        return;
    }
    if buffer.starts_with(&MAGIC) {
        caller::serve::<N>(shared, seat, reader, writer, buffer, from).await;
    } else if !is_crowded {
        session::serve(shared, reader, writer, buffer, from).await;
    }
}
