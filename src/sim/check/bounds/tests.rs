use std::time::Duration;

use super::*;
use crate::core::durable::Record;
use crate::core::env::{Env, Halt, Input, Notice, RecordId, Time};
use crate::core::id::SessionId;
use crate::core::limits::Limits;
use crate::core::node::{Config, Start, Tuning};
use crate::core::protocol::client::Response;
use crate::core::protocol::peer::Message;

/// Nobody is outside.
struct Nowhere;

impl Env for Nowhere {
    fn now(&self) -> Time {
        Time(1)
    }
    fn random(&mut self) -> u64 {
        0
    }
    fn send(&mut self, _: &[NodeId], _: Message, _: Option<RecordId>) {}
    fn reply(&mut self, _: SessionId, _: Response) {}
    fn finish(&mut self, _: SessionId) {}
    fn record(&mut self, _: Record) -> RecordId {
        RecordId(1)
    }
    fn wake_at(&mut self, _: Time) {}
    fn locate(&mut self, _: NodeId, _: Option<&str>) {}
    fn notice(&mut self, _: Notice) {}
    fn halt(&mut self, _: Halt) {}
}

#[test]
fn one_connection_too_many_is_found_and_one_that_is_left_over() {
    let id = NodeId([1; 10]);
    let limits = Limits {
        connections_max: 1,
        ..Limits::default()
    };
    let mut node = Node::new(Config {
        id,
        boot: 0,
        addr: "10.0.0.1:8046".to_owned(),
        web: String::new(),
        hostname: "host".to_owned(),
        version: "test".to_owned(),
        start: Start::Join,
        rw_secret: Vec::new(),
        ro_secret: Vec::new(),
        pulse: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        history_revs: 1,
        history_bytes: 1,
        durable: false,
        local_reads: false,
        request_timeout: Duration::from_secs(1),
        limits,
        tuning: Tuning::default(),
    });
    assert_eq!((check(id, &node), leftover(&node, true)), (Ok(()), None));
    let mut open = |session| {
        let session = SessionId(session);
        node.handle(Input::Opened { session }, &mut Nowhere);
        (
            check(id, &node),
            leftover(&node, true).map(|gauge| gauge.used),
        )
    };
    assert_eq!(open(1), (Ok(()), Some(1)));
    assert!(open(2).0.is_err());
}
