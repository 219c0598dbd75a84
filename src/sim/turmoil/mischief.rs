//! Clients that mean harm or know no better. None of them may hurt anybody else, and the server
//! has to get rid of each.
//!
//! | kind | what it does |
//! |---|---|
//! | `Garbage` | sends random bytes as a client |
//! | `PeerGarbage` | presents itself as a peer, and sends random bytes |
//! | `HalfFrame` | sends a part of a request, and no more |
//! | `HalfGreeting` | sends a part of a peer's greeting, and no more |
//! | `Abort` | asks, and resets the connection in the middle of its next request |
//! | `Vanish` | parks a WAIT, and is gone without a goodbye |
//! | `SlowReader` | asks for far more than it reads |

use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};

use super::net::{Reader, TurmoilNet, Writer};
use super::stage::Stage;
use crate::core::id::NodeId;
use crate::core::protocol::client::{
    REV_CLOBBER, Request, Response, Verb, decode_frame, encode_frame,
};
use crate::core::protocol::peer::handshake::{Hello, MAGIC, encode_greeting};
use crate::runtime::Net;
use crate::sim::chance::{Dice, What};
use crate::sim::client::{ask, get, set};
use crate::sim::trace::Kind;

/// A kind of mischief.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mischief {
    Garbage,
    PeerGarbage,
    HalfFrame,
    HalfGreeting,
    Abort,
    Vanish,
    SlowReader,
}

/// The host that mischief comes from. The nemesis leaves its links alone.
pub(super) const HOST: &str = "mischief";

/// Requests that the slow reader has open at a time, and bytes of each answer: together more than
/// the server keeps for one client before it stops reading.
const GREEDY_PATH: &str = "/greedy";
const GREEDY_REQUESTS: usize = 400;
const GREEDY_BYTES: usize = 32 << 10;

/// How long a client tries to send what it has to say: whoever is not read from may be stuck.
const SEND_MAX: Duration = Duration::from_secs(2);

/// How often a mischievous client looks whether its time has come.
const LOOK: Duration = Duration::from_millis(200);

/// How long one connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// What runs on the host of mischief: each order names a kind, the host of the victim, and the
/// number of the order.
pub(super) async fn host_mischief(
    stage: Rc<Stage>,
    mut orders: UnboundedReceiver<(Mischief, usize, u64)>,
) -> ::turmoil::Result {
    while let Some((kind, victim, nth)) = orders.recv().await {
        tokio::task::spawn_local(make(Rc::clone(&stage), kind, victim, nth));
    }
    Ok(())
}

async fn make(stage: Rc<Stage>, kind: Mischief, victim: usize, nth: u64) {
    let mut dice = stage.chance.dice(What::Mischief, nth);
    let addr = stage.addrs.borrow()[victim];
    let connect = TurmoilNet::connect(addr.to_string());
    let Ok(Ok((mut reader, mut writer))) = timeout(CONNECT_MAX, connect).await else {
        return;
    };
    stage.add(stage.place(victim), Kind::Fault, nth, || {
        format!("{kind:?}")
    });
    let bytes = match kind {
        Mischief::Garbage => noise(&mut dice),
        Mischief::PeerGarbage => peer_noise(&mut dice),
        Mischief::HalfFrame => part(&mut dice, &frames([set("/half", "frame", REV_CLOBBER)])),
        Mischief::HalfGreeting => {
            let greeting = encode_greeting(&hello(&mut dice));
            part(&mut dice, &greeting)
        }
        Mischief::Abort => abort(&mut dice),
        Mischief::Vanish => frames([Request {
            rev: Some(i64::MAX),
            ..ask(Verb::Wait, "/**")
        }]),
        Mischief::SlowReader => {
            if !store_much(&mut reader, &mut writer).await {
                return; // What it would ask for is not there.
            }
            frames(std::iter::repeat_n(get(GREEDY_PATH), GREEDY_REQUESTS))
        }
    };
    let _ = timeout(SEND_MAX, writer.write_all(&bytes)).await;
    match kind {
        Mischief::Abort => sleep(Duration::from_millis(dice.below(200))).await,
        Mischief::Vanish => vanish(&stage, victim, reader, writer).await,
        Mischief::SlowReader => dawdle(&stage, &mut dice, &mut reader).await,
        _ => linger(&stage, &mut dice, &mut reader).await,
    }
}

/// Stays until the server ends the connection, or mischief is not wanted any more.
async fn linger(stage: &Stage, dice: &mut Dice, reader: &mut Reader) {
    let mut looks = dice.magnitude(1, 256);
    let mut buffer = BytesMut::new();
    while is_wanted(stage, &mut looks) {
        match timeout(LOOK, reader.read_buf(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => return,
            Ok(Ok(_)) => buffer.clear(),
            Err(_) => {}
        }
    }
}

/// Writes a large value, and tells whether that was done.
async fn store_much(reader: &mut Reader, writer: &mut Writer) -> bool {
    let bytes = frames([set(GREEDY_PATH, vec![b'x'; GREEDY_BYTES], REV_CLOBBER)]);
    let done = async {
        writer.write_all(&bytes).await.ok()?;
        let mut buffer = BytesMut::new();
        while reader.read_buf(&mut buffer).await.ok()? > 0 {
            if let Some(response) = decode_frame::<Response>(&mut buffer, GREEDY_BYTES).ok()? {
                return response.error().is_none().then_some(());
            }
        }
        None
    };
    timeout(SEND_MAX, done).await.ok().flatten().is_some()
}

/// Reads nothing, or next to nothing.
async fn dawdle(stage: &Stage, dice: &mut Dice, reader: &mut Reader) {
    let mut looks = dice.magnitude(1, 256);
    let reads = !stage.params.is_stubborn && dice.hit(500_000);
    while is_wanted(stage, &mut looks) {
        sleep(LOOK).await;
        if reads && !matches!(reader.read(&mut [0; 512]).await, Ok(1..)) {
            return;
        }
    }
}

/// The stubborn never leave; the others do when faults end, or after some looks.
fn is_wanted(stage: &Stage, looks: &mut u64) -> bool {
    *looks = looks.saturating_sub(1);
    stage.params.is_stubborn || (*looks > 0 && !stage.is_calm.get())
}

/// Drops a connection so that the other side hears nothing of it.
async fn vanish(stage: &Stage, victim: usize, reader: Reader, writer: Writer) {
    sleep(Duration::from_millis(300)).await;
    let victim = stage.addrs.borrow()[victim].ip();
    ::turmoil::partition(HOST, victim);
    drop((reader, writer));
    ::turmoil::repair(HOST, victim);
}

fn noise(dice: &mut Dice) -> Vec<u8> {
    let length = dice.magnitude(1, 4096);
    (0..length).map(|_| dice.draw() as u8).collect()
}

/// Random bytes where a greeting, or a message after a good greeting, is expected.
fn peer_noise(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = if dice.hit(500_000) {
        encode_greeting(&hello(dice))
    } else {
        MAGIC.to_vec()
    };
    if dice.hit(500_000) {
        let length = dice.magnitude(1, 1 << 10) as u32;
        bytes.extend(length.to_be_bytes());
    }
    bytes.extend(noise(dice));
    bytes
}

/// The greeting of a process that does not exist.
fn hello(dice: &mut Dice) -> Hello {
    Hello {
        cluster: "local".into(),
        id: NodeId::from_random(dice.draw(), dice.draw()),
        addr: "192.168.77.77:1".into(),
        boot: 0,
        life: 0,
        secret: Vec::new(),
        expect: None,
        lineage: None,
    }
}

fn part(dice: &mut Dice, bytes: &[u8]) -> Vec<u8> {
    let cut = dice.between(1, bytes.len() as u64 - 1) as usize;
    bytes[..cut].to_vec()
}

/// A whole request, whose answer nobody reads, and a part of another.
fn abort(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = frames([get("/ctl/name")]);
    let next = frames([set("/abort", "value", REV_CLOBBER)]);
    bytes.extend(part(dice, &next));
    bytes
}

fn frames(requests: impl IntoIterator<Item = Request>) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    for (tag, mut request) in requests.into_iter().enumerate() {
        request.tag = i32::try_from(tag).ok();
        encode_frame(&request, &mut bytes);
    }
    bytes.to_vec()
}
