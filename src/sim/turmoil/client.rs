//! Clients on simulated sockets: what they do is decided in [`crate::sim::client`]; here it travels.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, sleep, timeout};

use super::net::{Reader, TurmoilNet, Writer};
use super::operator::Operator;
use super::stage::Stage;
use crate::core::protocol::client::{ErrorCode, Request, Response, decode_frame, encode_frame};
use crate::runtime::Net;
use crate::sim::chance::{Dice, What};
use crate::sim::check::Violation;
use crate::sim::client::Role;
use crate::sim::history::Operation;
use crate::sim::narration::text;
use crate::sim::params::micros;
use crate::sim::trace::{Kind, digest};

/// Each request is answered once.
const ONE_ANSWER: &str = "each request is answered once";

/// Shortest and longest pause before a client connects again, in microseconds.
const RETRY: (u64, u64) = (5_000, 500_000);

/// How long a client tries to connect.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How often a client looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(200);

/// How much longer than others a client waits that waits for what may never happen.
pub(super) const WATCH_PATIENCE: u32 = 3;

/// Largest answer that is read.
const FRAME_BYTES_MAX: usize = 32 << 20;

/// A client.
pub(super) struct Actor {
    pub(super) part: Part,
    /// The only host that it talks to, if there is one.
    pub(super) pinned: Option<usize>,
    /// Its requests that wait for an answer, by tag.
    pub(super) open: BTreeMap<i32, usize>,
    /// It has nothing left to do and has left.
    pub(super) is_gone: bool,
    dice: Dice,
}

/// What a client is there for.
pub(super) enum Part {
    /// As in the other simulator.
    Role(Role),
    /// Clears the slots of members that are dead.
    Operator(Operator),
}

impl Part {
    fn next(&mut self, dice: &mut Dice) -> Option<Request> {
        match self {
            Part::Role(role) => role.next(dice),
            Part::Operator(operator) => operator.next(),
        }
    }

    fn ended(
        &mut self,
        stage: &Stage,
        request: &Request,
        response: Option<&Response>,
        dice: &mut Dice,
    ) {
        match self {
            Part::Role(role) => role.ended(request, response, dice),
            Part::Operator(operator) => operator.ended(stage, request, response),
        }
    }

    fn window(&self) -> usize {
        match self {
            Part::Role(role) => role.window(),
            Part::Operator(_) => 1,
        }
    }

    fn is_patient(&self) -> bool {
        matches!(self, Part::Role(role) if role.is_patient())
    }

    /// Whether it goes on asking while ordinary clients have stopped.
    fn is_final(&self) -> bool {
        match self {
            Part::Role(role) => role.is_final(),
            Part::Operator(_) => true,
        }
    }

    /// Whether it has nothing left to do soon after faults have ended.
    pub(super) fn leaves_in_calm(&self) -> bool {
        match self {
            Part::Role(role) => !role.is_final(),
            Part::Operator(_) => true,
        }
    }
}

/// What becomes of a connection.
enum Verdict {
    /// The client has what it wants.
    Finished,
    /// The connection is of no use any more.
    Lost,
}

impl Stage {
    /// Adds a client that begins at once, on one of the hosts for clients.
    pub(super) fn add_actor(&self, part: Part, pinned: Option<usize>) -> usize {
        let actor = self.actors.borrow().len();
        self.actors.borrow_mut().push(Actor {
            part,
            pinned,
            open: BTreeMap::new(),
            is_gone: false,
            dice: self.chance.dice(What::Client, actor as u64),
        });
        let homes = self.homes.borrow();
        homes[actor % homes.len()]
            .send(actor)
            .expect("hosts of clients always run");
        actor
    }

    fn is_wanted(&self, actor: usize) -> bool {
        let is_final = self.actors.borrow()[actor].part.is_final();
        !self.is_over.get() && (is_final || !self.is_calm.get())
    }

    fn draw<T>(&self, actor: usize, choose: impl FnOnce(&mut Dice) -> T) -> T {
        choose(&mut self.actors.borrow_mut()[actor].dice)
    }

    fn next_request(&self, actor: usize) -> Option<Request> {
        if !self.is_wanted(actor) {
            return None;
        }
        let mut actors = self.actors.borrow_mut();
        let Actor {
            part, dice, open, ..
        } = &mut actors[actor];
        (open.len() < part.window())
            .then(|| part.next(dice))
            .flatten()
    }

    /// What is open has an unknown outcome.
    fn lose_open(&self, actor: usize) {
        let open = std::mem::take(&mut self.actors.borrow_mut()[actor].open);
        for operation in open.into_values() {
            let request = self.history.borrow()[operation].request.clone();
            let Actor { part, dice, .. } = &mut self.actors.borrow_mut()[actor];
            part.ended(self, &request, None, dice);
        }
    }
}

/// What runs on a host of clients.
pub(super) async fn host_clients(stage: Rc<Stage>) -> ::turmoil::Result {
    let (home, mut actors) = unbounded_channel();
    stage.homes.borrow_mut().push(home);
    while let Some(actor) = actors.recv().await {
        tokio::task::spawn_local(act(Rc::clone(&stage), actor));
    }
    Ok(())
}

async fn act(stage: Rc<Stage>, actor: usize) {
    while stage.is_wanted(actor) {
        let pinned = stage.actors.borrow()[actor].pinned;
        let hosts = stage.addrs.borrow().len();
        let host = pinned.unwrap_or_else(|| stage.draw(actor, |d| d.below(hosts as u64) as usize));
        if let Some(mut conversation) = Conversation::begin(&stage, actor, host).await {
            let verdict = conversation.go_on().await;
            conversation.end().await;
            stage.lose_open(actor);
            if let Verdict::Finished = verdict {
                break;
            }
        }
        let pause = stage.draw(actor, |dice| dice.magnitude(RETRY.0, RETRY.1));
        sleep(micros(pause)).await;
    }
    stage.actors.borrow_mut()[actor].is_gone = true;
}

/// One connection of a client.
struct Conversation<'a> {
    stage: &'a Stage,
    actor: usize,
    conn: usize,
    reader: Reader,
    writer: Writer,
    buffer: BytesMut,
    patience: Duration,
}

impl<'a> Conversation<'a> {
    async fn begin(stage: &'a Stage, actor: usize, host: usize) -> Option<Conversation<'a>> {
        let addr = stage.addrs.borrow()[host].to_string();
        let (reader, writer) = timeout(CONNECT_MAX, TurmoilNet::connect(addr))
            .await
            .ok()?
            .ok()?;
        let conn = stage.conns.replace(stage.conns.get() + 1);
        let patience = stage.params.patience;
        let is_patient = stage.actors.borrow()[actor].part.is_patient();
        Some(Conversation {
            stage,
            actor,
            conn,
            reader,
            writer,
            buffer: BytesMut::new(),
            patience: patience * if is_patient { WATCH_PATIENCE } else { 1 },
        })
    }

    async fn go_on(&mut self) -> Verdict {
        loop {
            while let Some(request) = self.stage.next_request(self.actor) {
                if !self.ask(request).await {
                    return Verdict::Lost;
                }
            }
            if self.stage.actors.borrow()[self.actor].open.is_empty() {
                return Verdict::Finished;
            }
            if !self.hear().await {
                return Verdict::Lost;
            }
            while let Ok(Some(response)) = decode_frame(&mut self.buffer, FRAME_BYTES_MAX) {
                if !self.take(response).await {
                    return Verdict::Lost;
                }
            }
        }
    }

    /// Sends a request, and tells whether all of it left.
    async fn ask(&mut self, mut request: Request) -> bool {
        let stage = self.stage;
        let operation = stage.history.borrow().len();
        let tag = i32::try_from(operation).expect("runs are shorter than the space of tags");
        request.tag = Some(tag);
        let mut frame = BytesMut::new();
        encode_frame(&request, &mut frame);
        let invoked = stage.add(self.actor, Kind::Request, digest(&frame), || {
            format!("#{tag} of c{}: {}", self.actor, text::request(&request))
        });
        stage.history.borrow_mut().push(Operation {
            client: self.actor,
            conn: self.conn,
            request,
            began: stage.now(),
            ended: None,
            invoked,
            answer: None,
        });
        stage.actors.borrow_mut()[self.actor]
            .open
            .insert(tag, operation);
        let sent = timeout(self.patience, self.writer.write_all(&frame));
        matches!(sent.await, Ok(Ok(())))
    }

    /// Waits for more bytes, and tells whether there are some.
    async fn hear(&mut self) -> bool {
        let until = Instant::now() + self.patience;
        while Instant::now() < until && !self.stage.is_over.get() {
            let read = timeout(LOOK, self.reader.read_buf(&mut self.buffer)).await;
            match read {
                Err(_) => {}
                Ok(read) => return read.is_ok_and(|count| count > 0),
            }
        }
        false
    }

    /// Takes an answer, and tells whether to stay with this server.
    async fn take(&mut self, response: Response) -> bool {
        let (stage, actor) = (self.stage, self.actor);
        let tag = response.tag.unwrap_or(-1);
        let content = digest(&tag.to_be_bytes());
        let answered = stage.add(actor, Kind::Client, content, || {
            format!("#{tag} of c{actor} is {}", text::response(&response))
        });
        let operation = stage.actors.borrow_mut()[actor].open.remove(&tag);
        let Some(operation) = operation else {
            let detail = format!("client {actor} got a second answer, or one to nothing: {tag}");
            stage.accuse(Violation::new(ONE_ANSWER, detail));
            return false;
        };
        stage.stats.borrow_mut().answered += 1;
        let request = {
            let one = &mut stage.history.borrow_mut()[operation];
            one.answer = Some((answered, response.clone()));
            one.ended = Some(stage.now());
            one.request.clone()
        };
        let is_patient = {
            let Actor { part, dice, .. } = &mut stage.actors.borrow_mut()[actor];
            part.ended(stage, &request, Some(&response), dice);
            part.is_patient()
        };
        let is_pinned = stage.actors.borrow()[actor].pinned.is_some();
        let think = match response.error() {
            Some(ErrorCode::Readonly | ErrorCode::Other) if !is_pinned => return false,
            Some(ErrorCode::Readonly | ErrorCode::Other | ErrorCode::TooLate) => {
                stage.draw(actor, |dice| dice.magnitude(RETRY.0, RETRY.1))
            }
            _ if is_patient => return true,
            _ => {
                let most = stage.params.think.as_micros() as u64;
                stage.draw(actor, |dice| dice.below(most + 1))
            }
        };
        sleep(micros(think)).await;
        true
    }

    /// Leaves, now and then in two steps.
    async fn end(mut self) {
        if self.stage.draw(self.actor, |dice| dice.hit(300_000)) {
            let _ = self.writer.shutdown().await;
            self.buffer.clear();
            let _ = timeout(LOOK, self.reader.read_buf(&mut self.buffer)).await;
        }
    }
}
