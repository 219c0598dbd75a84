//! A journal that is kept while a test goes on.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doozer::core::id::Rev;
use tokio::time::sleep;

use super::place::{PATIENCE, command};

/// A `doozer journal` that runs.
pub struct Following {
    pub child: Child,
    saved: Arc<AtomicU64>,
    said: Arc<Mutex<String>>,
}

impl Following {
    pub fn start(addr: &str, dir: &str) -> Following {
        Following::start_with(addr, &["--json", "journal", dir])
    }

    pub fn start_with(addr: &str, arguments: &[&str]) -> Following {
        let mut child = command(addr, arguments).spawn().expect("it starts");
        let saved = Arc::new(AtomicU64::new(0));
        let said = Arc::new(Mutex::new(String::new()));
        let out = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let latest = saved.clone();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
                latest.store(object["rev"].as_u64().expect("a number"), Ordering::SeqCst);
            }
        });
        let errors = BufReader::new(child.stderr.take().expect("it is a pipe"));
        let lines = said.clone();
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                *lines.lock().unwrap() += &format!("{line}\n");
            }
        });
        Following { child, saved, said }
    }

    pub fn saved(&self) -> Rev {
        Rev(self.saved.load(Ordering::SeqCst))
    }

    pub async fn reach(&mut self, rev: Rev) {
        let begin = Instant::now();
        while self.saved() < rev {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && begin.elapsed() < PATIENCE,
                "{}",
                self.said()
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
        // What it has printed is read to its end.
        std::thread::sleep(Duration::from_millis(100));
    }

    /// Waits until it gives up, and tells why.
    pub async fn ends(&mut self) -> String {
        let begin = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < PATIENCE, "{}", self.said());
            sleep(Duration::from_millis(10)).await;
        }
        sleep(Duration::from_millis(100)).await;
        self.said()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
