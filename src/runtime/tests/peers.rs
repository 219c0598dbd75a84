//! What processes do with each other.

use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::stand_in::{Process, Script, options, run};
use crate::core::consensus::Slot;
use crate::core::env::Input;
use crate::core::id::NodeId;
use crate::core::protocol::peer::handshake::{
    Answer, Hello, MAGIC, PREFIX_BYTES, Refusal, VERSION, decode_greeting, encode_greeting,
};
use crate::core::protocol::peer::{self, Message};
use crate::runtime::accept::RESERVE;
use crate::runtime::greet::GREETING_MAX;
use crate::runtime::link::SILENCE_MAX;
use crate::runtime::outbox::COPIED_BYTES_MAX;

fn ask(slot: u64) -> Message {
    Message::Ask { from: Slot(slot) }
}

fn heard(script: &Script, from: NodeId) -> Vec<Message> {
    let inputs = script.inputs.borrow();
    let said = inputs.iter().filter_map(|input| match input {
        Input::Peer { from: f, message } if *f == from => Some(message.clone()),
        _ => None,
    });
    said.collect()
}

async fn attached(nth: u8, to: &Process) -> Process {
    let mut joiner = options(nth);
    joiner.attach = vec![to.addr.clone()];
    Process::start(joiner).await
}

#[test]
fn who_attaches_can_be_answered_and_large_messages_keep_their_place() {
    run(async {
        let first = Process::start(options(1)).await;
        let second = attached(2, &first).await;
        second.script.until_linked(first.id).await;
        first.script.until_linked(second.id).await;
        let large = Message::SnapshotPiece {
            at: Slot(1),
            piece: 0,
            bytes: vec![5; COPIED_BYTES_MAX * 100],
        };
        let all = [ask(1), large, ask(2), ask(3)];
        for message in &all {
            let to = vec![first.id, second.id];
            second
                .script
                .outgoing
                .borrow_mut()
                .push((to, message.clone()));
        }
        first
            .script
            .outgoing
            .borrow_mut()
            .push((vec![second.id], ask(4)));
        for process in [&first, &second] {
            let is_there = |script: &Script| heard(script, second.id).len() == all.len();
            process.script.until("messages", is_there).await;
            assert_eq!(heard(&process.script, second.id), all);
        }
        let answered = |script: &Script| heard(script, first.id) == [ask(4)];
        second.script.until("an answer", answered).await;
    });
}

#[test]
fn a_process_that_comes_back_is_found_again() {
    run(async {
        let first = Process::start(options(1)).await;
        let second = Process::start(options(2)).await;
        let located = (second.id, Some(second.addr.clone()));
        first.script.located.borrow_mut().push(located);
        first.script.until_linked(second.id).await;
        let mut same = options(2);
        same.listen = second.addr.parse().unwrap();
        second.stopper.stop();
        second.task.await.unwrap().unwrap();
        let lost = |input: &Input| matches!(input, Input::Unlinked { .. });
        let told = |script: &Script| script.count(lost) > 0;
        first.script.until("the loss", told).await;
        let second = Process::start(same).await;
        first.script.until_linked(second.id).await;
        first.script.located.borrow_mut().push((second.id, None));
        let before = first.script.count(lost);
        let forgotten = |script: &Script| script.count(lost) > before;
        first.script.until("the end of the link", forgotten).await;
    });
}

#[test]
fn attaching_to_the_wrong_thing_says_what_is_wrong() {
    run(async {
        let mut guarded = options(1);
        guarded.node.rw_secret = b"sesame".to_vec();
        guarded.cluster = "foo".into();
        let first = Process::start(guarded.clone()).await;
        let attempt = async |cluster: &str, secret: &str| {
            let mut joiner = options(2);
            joiner.attach = vec![first.addr.clone()];
            joiner.cluster = cluster.into();
            joiner.node.rw_secret = secret.into();
            let start = Process::start_with(joiner, Rc::default()).await;
            start.map(|_| ()).map_err(|error| error.to_string())
        };
        let through = format!("cannot attach through {}: ", first.addr);
        assert_eq!(
            attempt("bar", "sesame").await.unwrap_err(),
            through.clone()
                + "it belongs to cluster \"foo\", not \"bar\"; give -c foo to attach to that one"
        );
        assert_eq!(
            attempt("foo", "simsim").await.unwrap_err(),
            through
                + "it has another secret; start this process with the cluster's DOOZER_RWSECRET"
        );
        attempt("foo", "sesame").await.unwrap();
    });
}

#[test]
fn a_process_that_is_given_its_own_address_says_so() {
    run(async {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut alone = options(1);
        alone.listen = free.local_addr().unwrap();
        drop(free);
        alone.attach = vec![alone.listen.to_string()];
        let error = Process::start_with(alone, Rc::default())
            .await
            .err()
            .unwrap();
        assert!(
            error
                .to_string()
                .ends_with("the address of this process itself")
        );
    });
}

/// A peer at the level of bytes.
async fn greeted(process: &Process, bytes: Vec<u8>) -> (TcpStream, Answer) {
    let mut stream = TcpStream::connect(&process.addr).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = vec![0; PREFIX_BYTES];
    stream.read_exact(&mut answer).await.unwrap();
    let length = u32::from_be_bytes(*answer.last_chunk().unwrap());
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).await.unwrap();
    answer.extend(body);
    let (answer, _) = decode_greeting(&answer).unwrap().unwrap();
    (stream, answer)
}

fn hello() -> Hello {
    Hello {
        cluster: "local".into(),
        id: NodeId([9; 10]),
        addr: "127.0.0.1:1".into(),
        boot: 0,
        life: 1,
        secret: Vec::new(),
        expect: None,
        lineage: None,
    }
}

async fn is_closed(mut stream: TcpStream) -> bool {
    matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_))
}

#[test]
fn another_version_is_told_which_one_is_spoken() {
    run(async {
        let process = Process::start(options(1)).await;
        let mut bytes = encode_greeting(&hello());
        bytes[5] = 77;
        let (stream, answer) = greeted(&process, bytes).await;
        let refusal = Refusal::Version { speaks: VERSION };
        assert_eq!(answer, Answer::Refused(refusal));
        assert!(is_closed(stream).await);
    });
}

#[test]
fn garbage_of_a_peer_ends_its_connection_only() {
    run(async {
        let process = Process::start(options(1)).await;
        let nonsense = [&peer::header(&[0xff; 2])[..], &[0xff; 2]].concat();
        let damaged = [&peer::header(&[1, 2])[..], &[1, 3]].concat();
        for garbage in [&[0xff; 8][..], &nonsense, &damaged] {
            let (mut stream, answer) = greeted(&process, encode_greeting(&hello())).await;
            assert!(matches!(answer, Answer::Welcome(_)));
            stream.write_all(garbage).await.unwrap();
            assert!(is_closed(stream).await);
        }
        for garbage in [&b"\xff\xff\xff\xff"[..], b"\0\0\0\x01\xff"] {
            let mut stream = TcpStream::connect(&process.addr).await.unwrap();
            let prefix = [&MAGIC[..], &VERSION.to_be_bytes()].concat();
            stream.write_all(&prefix).await.unwrap();
            stream.write_all(garbage).await.unwrap();
            assert!(is_closed(stream).await);
        }
        let (mut stream, _) = greeted(&process, encode_greeting(&hello())).await;
        let mut body = Vec::new();
        peer::encode(&ask(3), &mut body);
        // An empty frame, then one with a message.
        let mut frames = peer::header(&[]).to_vec();
        frames.extend(peer::header(&body));
        frames.extend(body);
        for byte in frames {
            stream.write_all(&[byte]).await.unwrap();
        }
        let is_there = |script: &Script| heard(script, hello().id) == [ask(3)];
        process.script.until("a message", is_there).await;
    });
}

#[test]
fn who_only_claims_to_be_a_peer_counts_until_it_is_let_in() {
    run(async {
        let mut small = options(1);
        small.node.limits.connections_max = 2;
        let process = Process::start(small).await;
        let most = 2 + RESERVE;
        let mut stalled = Vec::new();
        for _ in 0..most {
            let mut stream = TcpStream::connect(&process.addr).await.unwrap();
            stream.write_all(&MAGIC).await.unwrap();
            stalled.push(stream);
        }
        // All of them have been heard by now, and wait for nothing but their time.
        let mut more = TcpStream::connect(&process.addr).await.unwrap();
        let closed = timeout(GREETING_MAX / 2, more.read(&mut [0; 1])).await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
        for stream in stalled {
            assert!(is_closed(stream).await);
        }
        let mut let_in = Vec::new();
        for nth in 0..most as u64 + 1 {
            let hello = Hello {
                id: NodeId([10 + nth as u8; 10]),
                ..hello()
            };
            let (stream, answer) = greeted(&process, encode_greeting(&hello)).await;
            assert!(matches!(answer, Answer::Welcome(_)), "{answer:?}");
            let_in.push(stream);
        }
    });
}

#[test]
fn a_silent_peer_gets_signs_of_life_and_then_the_end() {
    run(async {
        let process = Process::start(options(1)).await;
        let (mut stream, _) = greeted(&process, encode_greeting(&hello())).await;
        let mut signs = Vec::new();
        let end = timeout(SILENCE_MAX * 3, stream.read_to_end(&mut signs)).await;
        assert!(end.is_ok(), "the connection stays open");
        assert!((2..=6).contains(&signs.len()), "{signs:?}");
        assert!(signs.iter().all(|byte| *byte == 0));
    });
}
