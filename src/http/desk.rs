//! What the thread that serves HTTP learns from the node's thread.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::runtime::{Gauges, Measures};

/// Questions that may wait for the node's thread. Each is answered within one of its turns.
const QUESTIONS_MAX: usize = 64;

/// How long the node's thread may take to answer one. It is far below a millisecond where all is
/// well.
const ANSWER_MAX: Duration = Duration::from_secs(2);

type Question = oneshot::Sender<Option<Measures>>;

/// Where the thread that serves HTTP asks.
#[derive(Clone, Debug)]
pub struct Desk {
    questions: mpsc::Sender<Question>,
    addr: watch::Receiver<Option<SocketAddr>>,
}

/// Where the node's thread answers. A process that starts anew under another id comes to the same
/// door.
#[derive(Clone)]
pub struct Door {
    gauges: Rc<RefCell<Gauges>>,
    addr: Rc<watch::Sender<Option<SocketAddr>>>,
}

impl Desk {
    /// A desk, and its door. Has to be called where tasks of the node's thread can be spawned.
    pub fn new() -> (Desk, Door) {
        let (questions, mut asked) = mpsc::channel::<Question>(QUESTIONS_MAX);
        let (told, addr) = watch::channel(None);
        let door = Door {
            gauges: Rc::default(),
            addr: Rc::new(told),
        };
        let gauges = Rc::clone(&door.gauges);
        tokio::task::spawn_local(async move {
            while let Some(question) = asked.recv().await {
                let gauges = gauges.borrow().clone();
                // Whoever does not wait any more does not want to know.
                let _ = question.send(gauges.measure().await);
            }
        });
        (Desk { questions, addr }, door)
    }

    /// How the process is; nothing if its node does not say so in time.
    pub(super) async fn measure(&self) -> Option<Measures> {
        let (question, answer) = oneshot::channel();
        let asking = async {
            self.questions.send(question).await.ok()?;
            answer.await.ok()?
        };
        timeout(ANSWER_MAX, asking).await.ok()?
    }

    /// Where the node serves clients, once it does.
    pub(super) fn addr(&self) -> Option<SocketAddr> {
        *self.addr.borrow()
    }
}

impl Door {
    /// From now on this process is asked, which serves clients at this address.
    pub fn open(&self, addr: SocketAddr, gauges: Gauges) {
        *self.gauges.borrow_mut() = gauges;
        self.addr.send_replace(Some(addr));
    }
}
