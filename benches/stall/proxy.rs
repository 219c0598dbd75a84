//! A proxy that makes a way longer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

const READ_BYTES: usize = 64 << 10;

/// Passes connections on; ends with the program.
pub struct Proxy {
    delay_us: Arc<AtomicU64>,
}

impl Proxy {
    /// Listens on one address, and passes everything on to another, at once.
    pub async fn start(from: String, to: String) -> Proxy {
        let delay_us = Arc::new(AtomicU64::new(0));
        let delay = Arc::clone(&delay_us);
        let listener = TcpListener::bind(&from).await.expect("the port is free");
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (to, delay) = (to.clone(), Arc::clone(&delay));
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(&to).await else {
                        return;
                    };
                    let _ = (near.set_nodelay(true), far.set_nodelay(true));
                    let ((from_near, to_near), (from_far, to_far)) =
                        (near.into_split(), far.into_split());
                    tokio::spawn(pass(from_near, to_far, Arc::clone(&delay)));
                    pass(from_far, to_near, delay).await;
                });
            }
        });
        Proxy { delay_us }
    }

    /// Holds back whatever comes from now on.
    pub fn delay(&self, delay: Duration) {
        self.delay_us
            .store(delay.as_micros() as u64, Ordering::Relaxed);
    }
}

/// Passes one direction on, each piece after the delay of its arrival.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Arc<AtomicU64>) {
    let (sender, mut pieces) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        let mut waiting = VecDeque::new();
        while let Some(piece) = pieces.recv().await {
            waiting.push_back(piece);
            while let Some((due, bytes)) = waiting.pop_front() {
                sleep_until(due).await;
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
    });
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let due = Instant::now() + Duration::from_micros(delay.load(Ordering::Relaxed));
        if sender.send((due, buffer[..count].to_vec())).is_err() {
            return;
        }
    }
}
