//! Ports for servers on loopback addresses.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that systems give to connections: one of those could be taken between this
/// moment and the start of a server.
const FIRST: u16 = 10_000;
/// How many are tried.
const COUNT: u32 = 20_000;

/// The last octets of the loopback addresses that tests use.
const HOSTS: std::ops::RangeInclusive<u8> = 1..=20;

/// A port that nobody listens at on any of the loopback addresses of tests, and that this process
/// has not given out before.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Tests of other processes begin elsewhere.
    let begin = std::process::id().wrapping_mul(617);
    for _ in 0..COUNT {
        let nth = begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = FIRST + nth as u16;
        let is_free = |host| TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), port)).is_ok();
        if HOSTS.into_iter().all(is_free) {
            return port;
        }
    }
    panic!("no port is free");
}
