//! What waits for the node: two bounded queues, that of the peers first.
//!
//! Work of the cluster goes before work of clients, so that what is in flight ends before more is
//! begun. Readers that find their queue full wait, and thereby their senders do.

use std::cell::{Cell, RefCell};

use tokio::sync::Notify;

use super::signal::Signal;
use crate::core::env::Input;

/// Inputs of one kind that may wait. One group of them is handled before anything is written, so
/// this also bounds how long an answer waits for its group: a few milliseconds.
const INPUTS_MAX: usize = 1024;

/// Bytes of inputs of one kind that may wait, not counting the one that goes beyond.
const BYTES_MAX: usize = 16 << 20;

/// The inputs that wait for the driver.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    peers: Queue,
    clients: Queue,
    arrival: Signal,
}

#[derive(Debug, Default)]
struct Queue {
    inputs: RefCell<Vec<Input>>,
    bytes: Cell<usize>,
    room: Notify,
}

impl Inbox {
    /// Hands in what a peer sent, once there is room.
    pub(super) async fn push_peer(&self, input: Input, bytes: usize) {
        self.peers.wait_for_room().await;
        self.peers.push(input, bytes);
        self.arrival.raise();
    }

    /// Waits until there is room for what clients send.
    pub(super) async fn room_for_clients(&self) {
        self.clients.wait_for_room().await;
    }

    /// Hands in what a client sent.
    pub(super) fn push_client(&self, input: Input, bytes: usize) {
        self.clients.push(input, bytes);
        self.arrival.raise();
    }

    /// Hands in a change of a link at once. There are few, as they come from bounded tables.
    pub(super) fn push_link(&self, input: Input) {
        self.peers.push(input, 0);
        self.arrival.raise();
    }

    /// Hands in a change of a session at once. There are few, as sessions are bounded in number.
    pub(super) fn push_session(&self, input: Input) {
        self.clients.push(input, 0);
        self.arrival.raise();
    }

    /// Lets the driver have a turn although nothing came in.
    pub(super) fn nudge(&self) {
        self.arrival.raise();
    }

    /// Waits until something is there.
    pub(super) async fn arrival(&self) {
        self.arrival.taken().await;
    }

    /// Swaps everything that waits into empty buffers, and lets waiting readers go on.
    pub(super) fn take(&self, peers: &mut Vec<Input>, clients: &mut Vec<Input>) {
        self.peers.take(peers);
        self.clients.take(clients);
    }
}

impl Queue {
    fn has_room(&self) -> bool {
        self.inputs.borrow().len() < INPUTS_MAX && self.bytes.get() < BYTES_MAX
    }

    async fn wait_for_room(&self) {
        while !self.has_room() {
            self.room.notified().await;
        }
    }

    fn push(&self, input: Input, bytes: usize) {
        self.inputs.borrow_mut().push(input);
        self.bytes.set(self.bytes.get() + bytes);
    }

    fn take(&self, into: &mut Vec<Input>) {
        assert!(into.is_empty(), "the last group has not been handled");
        let was_full = !self.has_room();
        std::mem::swap(into, &mut self.inputs.borrow_mut());
        self.bytes.set(0);
        if was_full {
            self.room.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::core::id::SessionId;

    fn opened(n: u64) -> Input {
        Input::Opened {
            session: SessionId(n),
        }
    }

    fn poll(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> Poll<()> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_full_queue_holds_back_its_own_kind_only_until_it_is_taken() {
        let inbox = Inbox::default();
        for n in 0..INPUTS_MAX {
            assert!(poll(pin!(inbox.room_for_clients())).is_ready());
            inbox.push_client(opened(n as u64), 1);
        }
        let mut one_more = pin!(inbox.room_for_clients());
        assert!(poll(one_more.as_mut()).is_pending());
        assert!(poll(pin!(inbox.push_peer(Input::Tick, 1))).is_ready());
        let (mut peers, mut clients) = (Vec::new(), Vec::new());
        inbox.take(&mut peers, &mut clients);
        assert_eq!((peers.len(), clients.len()), (1, INPUTS_MAX));
        assert!(poll(one_more.as_mut()).is_ready());
    }

    #[test]
    fn bytes_count_as_well() {
        let inbox = Inbox::default();
        assert!(poll(pin!(inbox.push_peer(Input::Tick, BYTES_MAX))).is_ready());
        assert!(poll(pin!(inbox.push_peer(Input::Tick, 0))).is_pending());
    }
}
