//! A stand-in for the node that answers at once and writes down what it is told, and a process
//! around it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::core::env::{Env, Input};
use crate::core::id::{NodeId, SessionId};
use crate::core::limits::Limits;
use crate::core::node::{Config, Start, Tuning};
use crate::core::protocol::client::{Request, Response, Verb, decode_frame, encode_frame};
use crate::core::protocol::peer::Message;
use crate::runtime::driver::Machine;
use crate::runtime::{Options, ServeError, Server, Stopper, TokioNet};

/// What a test sees of a stand-in, and tells it to do.
#[derive(Default)]
pub(super) struct Script {
    pub(super) is_unready: Cell<bool>,
    pub(super) inputs: RefCell<Vec<Input>>,
    /// Messages to send with the next flush.
    pub(super) outgoing: RefCell<Vec<(Vec<NodeId>, Message)>>,
    /// What to tell about the addresses of others with the next flush.
    pub(super) located: RefCell<Vec<(NodeId, Option<String>)>>,
}

impl Script {
    pub(super) fn count(&self, wanted: impl Fn(&Input) -> bool) -> usize {
        self.inputs.borrow().iter().filter(|i| wanted(i)).count()
    }

    pub(super) fn requests(&self) -> usize {
        self.count(|input| matches!(input, Input::Client { .. }))
    }

    pub(super) async fn until(&self, what: &str, is_so: impl Fn(&Script) -> bool) {
        let wait = async {
            while !is_so(self) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let in_time = timeout(Duration::from_secs(10), wait).await;
        assert!(in_time.is_ok(), "not in time: {what}");
    }

    pub(super) async fn until_linked(&self, peer: NodeId) {
        let is_up = |script: &Script| {
            let inputs = script.inputs.borrow();
            let last = inputs.iter().rev().find_map(|input| match input {
                Input::Linked { peer: p, .. } if *p == peer => Some(true),
                Input::Unlinked { peer: p } if *p == peer => Some(false),
                _ => None,
            });
            last == Some(true)
        };
        self.until("a link", is_up).await;
    }
}

/// Answers GET with as many bytes as its offset says, and everything else with nothing. Has a
/// pulse, so that what a script adds is done soon.
pub(super) struct StandIn {
    script: Rc<Script>,
    half_closed: Vec<SessionId>,
}

impl Machine for StandIn {
    fn handle(&mut self, input: Input, env: &mut impl Env) {
        match &input {
            Input::Client { session, request } => {
                let is_get = request.verb == Some(Verb::Get as i32);
                let length = request.offset.unwrap_or_default() as usize;
                let response = Response {
                    value: is_get.then(|| Bytes::from(vec![7; length])),
                    ..Response::to(request.tag)
                };
                env.reply(*session, response);
            }
            Input::HalfClosed { session } => self.half_closed.push(*session),
            _ => {}
        }
        self.script.inputs.borrow_mut().push(input);
    }

    fn flush(&mut self, env: &mut impl Env) {
        for session in self.half_closed.drain(..) {
            env.finish(session);
        }
        for (peer, addr) in self.script.located.take() {
            env.locate(peer, addr.as_deref());
        }
        for (to, message) in self.script.outgoing.take() {
            env.send(&to, message, None);
        }
        env.wake_at(env.now() + Duration::from_millis(5));
    }

    fn is_ready(&self) -> bool {
        !self.script.is_unready.get()
    }
}

/// A process on a free port.
pub(super) struct Process {
    pub(super) id: NodeId,
    pub(super) addr: String,
    pub(super) script: Rc<Script>,
    pub(super) stopper: Stopper,
    pub(super) task: JoinHandle<Result<(), ServeError>>,
}

impl Process {
    pub(super) async fn start(options: Options) -> Process {
        Process::start_with(options, Rc::default()).await.unwrap()
    }

    pub(super) async fn start_with(
        options: Options,
        script: Rc<Script>,
    ) -> Result<Process, ServeError> {
        let stand_in = StandIn {
            script: Rc::clone(&script),
            half_closed: Vec::new(),
        };
        let server = Server::start_machine::<TokioNet, _>(options, |_| stand_in).await?;
        Ok(Process {
            id: server.id(),
            addr: server.addr().to_owned(),
            script,
            stopper: server.stopper(),
            task: tokio::task::spawn_local(server.run()),
        })
    }

    pub(super) async fn client(&self) -> Client {
        Client {
            stream: TcpStream::connect(&self.addr).await.unwrap(),
            buffer: BytesMut::new(),
        }
    }
}

/// Options of a process whose id is `nth` everywhere.
pub(super) fn options(nth: u8) -> Options {
    Options {
        node: Config {
            id: NodeId([nth; 10]),
            boot: 0,
            addr: String::new(),
            web: String::new(),
            hostname: "host".into(),
            version: "0".into(),
            start: match nth {
                1 => Start::Found {
                    cluster: "local".into(),
                },
                _ => Start::Join,
            },
            rw_secret: Vec::new(),
            ro_secret: Vec::new(),
            pulse: Duration::from_secs(1),
            timeout: Duration::from_secs(60),
            history_revs: 1000,
            history_bytes: 1 << 20,
            durable: false,
            local_reads: false,
            request_timeout: Duration::from_secs(10),
            limits: Limits::default(),
            tuning: Tuning::default(),
        },
        cluster: "local".into(),
        listen: "127.0.0.1:0".parse().unwrap(),
        advertise: None,
        attach: Vec::new(),
        entropy: u64::from(nth),
        data: None,
    }
}

/// A client at the level of bytes.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    buffer: BytesMut,
}

impl Client {
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next answer, or `None` at the end of the connection.
    pub(super) async fn answer(&mut self) -> Option<Response> {
        loop {
            if let Some(response) = decode_frame(&mut self.buffer, usize::MAX).unwrap() {
                return Some(response);
            }
            let read = self.stream.read_buf(&mut self.buffer);
            let read = timeout(Duration::from_secs(10), read).await;
            if read.expect("an answer in time").expect("no reset") == 0 {
                return None;
            }
        }
    }

    /// The tags of the next answers.
    pub(super) async fn tags(&mut self, count: usize) -> Vec<i32> {
        let mut tags = Vec::new();
        for _ in 0..count {
            tags.push(self.answer().await.unwrap().tag.unwrap());
        }
        tags
    }
}

/// The frames of requests with these tags.
pub(super) fn nops(tags: impl IntoIterator<Item = i32>) -> Vec<u8> {
    frames(tags.into_iter().map(|tag| (tag, Verb::Nop, None)))
}

pub(super) fn frames(requests: impl IntoIterator<Item = (i32, Verb, Option<i32>)>) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    for (tag, verb, offset) in requests {
        let request = Request {
            tag: Some(tag),
            verb: Some(verb as i32),
            offset,
            ..Request::default()
        };
        encode_frame(&request, &mut buffer);
    }
    buffer.to_vec()
}

/// Runs a test on a runtime of its own.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default());
    runtime.unwrap().block_on(test);
}
