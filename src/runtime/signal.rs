//! Wake-ups between tasks of one thread, without locks.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

/// Something that one task raises and one other waits for. Raising it often before the other looks
/// counts once.
#[derive(Debug, Default)]
pub(super) struct Signal {
    is_raised: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Signal {
    /// Wakes whoever waits, or will wait next.
    pub(super) fn raise(&self) {
        if !self.is_raised.replace(true)
            && let Some(waiter) = self.waiter.borrow_mut().take()
        {
            waiter.wake();
        }
    }

    /// Waits until it is raised, and lowers it.
    pub(super) async fn taken(&self) {
        poll_fn(|cx| self.poll_raised(cx)).await;
        self.is_raised.set(false);
    }

    /// Waits until it is raised, and leaves it so.
    pub(super) async fn raised(&self) {
        poll_fn(|cx| self.poll_raised(cx)).await;
    }

    /// Whether it is raised.
    pub(super) fn is_raised(&self) -> bool {
        self.is_raised.get()
    }

    fn poll_raised(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_raised.get() {
            return Poll::Ready(());
        }
        let mut waiter = self.waiter.borrow_mut();
        if !waiter.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waiter = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// A state that is entered once, and that many tasks may wait for, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Milestone {
    is_reached: Cell<bool>,
    waiters: Notify,
}

impl Milestone {
    /// Lets everybody go on, for ever.
    pub(super) fn reach(&self) {
        self.is_reached.set(true);
        self.waiters.notify_waiters();
    }

    /// Whether it has been reached.
    pub(super) fn is_reached(&self) -> bool {
        self.is_reached.get()
    }

    /// Waits until it is reached.
    pub(super) async fn reached(&self) {
        while !self.is_reached.get() {
            self.waiters.notified().await;
        }
    }
}
