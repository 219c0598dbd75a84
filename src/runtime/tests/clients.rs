//! What clients meet.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::stand_in::{Process, frames, nops, options, run};
use crate::core::env::Input;
use crate::core::protocol::client::Verb;
use crate::runtime::session::UNSENT_BYTES_SOFT;

#[test]
fn requests_are_answered_however_their_bytes_arrive() {
    run(async {
        let process = Process::start(options(1)).await;
        let mut client = process.client().await;
        client.stream.set_nodelay(true).unwrap();
        for byte in nops(0..3) {
            client.send(&[byte]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(client.tags(3).await, [0, 1, 2]);
        client.send(&nops(0..1000)).await;
        assert_eq!(client.tags(1000).await, Vec::from_iter(0..1000));
        client.send(&[0; 4]).await;
        assert_eq!(
            client.answer().await.unwrap().tag,
            None,
            "an empty request is one"
        );
    });
}

#[test]
fn a_client_that_stops_sending_gets_its_answers_and_then_the_end() {
    run(async {
        let process = Process::start(options(1)).await;
        let mut client = process.client().await;
        client.send(&nops(0..500)).await;
        client.send(&nops([7])[..5]).await;
        client.stream.shutdown().await.unwrap();
        assert_eq!(client.tags(500).await, Vec::from_iter(0..500));
        assert_eq!(client.answer().await, None);
        let ends = |input: &Input| matches!(input, Input::HalfClosed { .. } | Input::Closed { .. });
        let both = |script: &super::stand_in::Script| script.count(ends) == 2;
        process.script.until("the session's end", both).await;
        let inputs = process.script.inputs.borrow();
        assert!(matches!(inputs.last(), Some(Input::Closed { .. })));
    });
}

#[test]
fn a_client_that_goes_away_is_told_of_once() {
    run(async {
        let process = Process::start(options(1)).await;
        let mut client = process.client().await;
        client.send(&nops(0..3)).await;
        client.tags(3).await;
        client.stream.set_zero_linger().unwrap();
        drop(client);
        let closed = |input: &Input| matches!(input, Input::Closed { .. });
        let told = |script: &super::stand_in::Script| script.count(closed) == 1;
        process.script.until("the session's end", told).await;
    });
}

#[test]
fn a_bad_frame_ends_its_own_connection_after_the_answers_before_it() {
    let limit = options(1).node.limits.frame_bytes_max as u32;
    let negative = (-1_i32).to_be_bytes().to_vec();
    let oversize = (limit + 1).to_be_bytes().to_vec();
    let undecodable = vec![0, 0, 0, 1, 0xff];
    let http = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    run(async move {
        let process = Process::start(options(1)).await;
        let mut witness = process.client().await;
        for bad in [negative, oversize, undecodable, http] {
            let mut client = process.client().await;
            let mut bytes = nops(0..20);
            bytes.extend(bad);
            bytes.extend(nops(20..40));
            client.send(&bytes).await;
            assert_eq!(client.tags(20).await, Vec::from_iter(0..20));
            assert_eq!(client.answer().await, None);
            witness.send(&nops([1])).await;
            assert_eq!(witness.tags(1).await, [1]);
        }
    });
}

#[test]
fn clients_wait_until_the_node_is_ready_and_may_give_up() {
    run(async {
        let script = Rc::new(super::stand_in::Script::default());
        script.is_unready.set(true);
        let process = Process::start_with(options(1), Rc::clone(&script)).await;
        let process = process.unwrap();
        let (mut patient, mut leaving) = (process.client().await, process.client().await);
        patient.send(&nops(0..3)).await;
        leaving.stream.shutdown().await.unwrap();
        assert_eq!(leaving.answer().await, None);
        assert!(
            script
                .inputs
                .borrow()
                .iter()
                .all(|i| matches!(i, Input::Tick))
        );
        script.is_unready.set(false);
        assert_eq!(patient.tags(3).await, [0, 1, 2]);
    });
}

#[test]
fn who_does_not_take_answers_is_not_read_from_until_it_does() {
    const LENGTH: i32 = 64 << 10;
    const COUNT: usize = 2000;
    run(async {
        let process = Process::start(options(1)).await;
        let mut client = process.client().await;
        let mut witness = process.client().await;
        let requests = (0..COUNT as i32).map(|tag| (tag, Verb::Get, Some(LENGTH)));
        client.send(&frames(requests)).await;
        let script = &process.script;
        script.until("requests", |s| s.requests() > 0).await;
        let mut before = 0;
        while script.requests() > before {
            before = script.requests();
            sleep(Duration::from_millis(50)).await;
        }
        let answered = before * LENGTH as usize;
        assert!(answered > UNSENT_BYTES_SOFT);
        assert!(before < COUNT / 2, "all but a bounded part waits");
        witness.send(&nops([1])).await;
        assert_eq!(witness.tags(1).await, [1], "others are served meanwhile");
        assert_eq!(client.tags(COUNT).await, Vec::from_iter(0..COUNT as i32));
    });
}

#[test]
fn a_busy_connection_leaves_others_their_turn() {
    run(async {
        let process = Process::start(options(1)).await;
        let mut greedy = process.client().await;
        let mut modest = process.client().await;
        modest.send(&nops([0])).await;
        modest.tags(1).await;
        let all = nops(0..20_000);
        let feeding = async { greedy.send(&all).await };
        let asking = async {
            modest.send(&nops([1])).await;
            modest.tags(1).await;
            process.script.requests()
        };
        let ((), seen) = tokio::join!(feeding, asking);
        assert!(
            seen < 10_000,
            "answered only after {seen} requests of another"
        );
    });
}

#[test]
fn connections_beyond_the_limit_are_closed_and_peers_get_in_all_the_same() {
    run(async {
        let mut few = options(1);
        few.node.limits.connections_max = 2;
        let process = Process::start(few).await;
        let (mut a, mut b) = (process.client().await, process.client().await);
        for client in [&mut a, &mut b] {
            client.send(&nops([1])).await;
            client.tags(1).await;
        }
        let mut c = process.client().await;
        c.send(&nops([1])).await;
        assert_eq!(c.answer().await, None);
        let mut joiner = options(2);
        joiner.attach = vec![process.addr.clone()];
        let joiner = Process::start(joiner).await;
        joiner.script.until_linked(process.id).await;
        drop(a);
        let closed = |input: &Input| matches!(input, Input::Closed { .. });
        let told = |script: &super::stand_in::Script| script.count(closed) == 1;
        process.script.until("the session's end", told).await;
        let mut d = process.client().await;
        d.send(&nops([4])).await;
        assert_eq!(d.tags(1).await, [4]);
    });
}

#[test]
fn a_process_that_stops_writes_its_answers_and_closes() {
    run(async {
        let process = Process::start(options(1)).await;
        let mut client = process.client().await;
        client.send(&frames([(1, Verb::Get, Some(8 << 20))])).await;
        process
            .script
            .until("a request", |s| s.requests() == 1)
            .await;
        process.stopper.stop();
        assert_eq!(client.answer().await.unwrap().value.unwrap().len(), 8 << 20);
        assert_eq!(client.answer().await, None);
        process.task.await.unwrap().unwrap();
        let again = tokio::net::TcpStream::connect(&process.addr).await;
        assert!(again.is_err(), "nobody listens");
    });
}
