//! A server to speak HTTP with, byte by byte, as no library would: what is wrong has to be sayable.

#![allow(dead_code, reason = "each test uses what it needs")]

#[path = "../processes/port.rs"]
mod port;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

pub use port::free_port;

/// How long things may take that take their moments. Far more than they take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A `doozerd` with a web view, ended with the test.
pub struct Node {
    pub addr: String,
    pub web: String,
    child: Child,
}

impl Node {
    /// Starts it, and waits until it is ready.
    pub fn start(host: u8, port: u16, args: &[&str], secrets: &[(&str, &str)]) -> Node {
        let node = Node::starting(host, port, args, secrets);
        node.until("/readyz", |answer| answer.status == 200);
        node
    }

    /// Starts it, and waits for nothing.
    pub fn starting(host: u8, port: u16, args: &[&str], secrets: &[(&str, &str)]) -> Node {
        let addr = format!("127.0.0.{host}:{port}");
        let web = format!("127.0.0.{host}:{}", free_port());
        let mut command = Command::new(env!("CARGO_BIN_EXE_doozerd"));
        for name in ["DOOZER_RWSECRET", "DOOZER_ROSECRET", "DOOZER_BOOT_URI"] {
            command.env_remove(name);
        }
        let child = command
            .args(["-l", &addr, "-w", &web])
            .args(args)
            .envs(secrets.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("doozerd starts");
        Node { addr, web, child }
    }

    pub fn alone() -> Node {
        Node::start(1, free_port(), &[], &[])
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        self.try_ask(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub fn try_ask(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(&self.web)?;
        let host = &self.web;
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|line| line.starts_with("Host:")) {
            head.push_str(&format!("Host: {host}\r\n"));
        }
        for line in headers {
            head.push_str(&format!("{line}\r\n"));
        }
        if !headers
            .iter()
            .any(|line| line.starts_with("Content-Length:"))
        {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        // A body that is too large is refused before it is read.
        let _ = stream.write_all(body);
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        let end = all.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let head = String::from_utf8_lossy(&all[..end]).to_lowercase();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Ok(Answer {
            status: status.expect("a status"),
            head,
            body: all[end + 4..].to_vec(),
        })
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    pub fn put(&self, path: &str, value: &str) -> u64 {
        let path = format!("/api/v1/files{path}");
        let answer = self.ask("PUT", &path, &[], value.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["rev"].as_u64().expect("a revision")
    }

    /// The value of a metric, with its labels as they are written.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("no {name} in {text}"));
        value.parse().expect("a number")
    }

    /// Asks until the answer is as it should be.
    pub fn until(&self, path: &str, is_so: impl Fn(&Answer) -> bool) -> Answer {
        let begin = Instant::now();
        loop {
            let answer = self.try_ask("GET", path, &[], b"");
            match answer {
                Ok(answer) if is_so(&answer) => return answer,
                other => assert!(begin.elapsed() < PATIENCE, "{path}: {other:?}"),
            }
            sleep(Duration::from_millis(20));
        }
    }

    pub fn watch(&self, query: &str, headers: &[&str]) -> Events {
        let mut stream = TcpStream::connect(&self.web).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut head = format!(
            "GET /api/v1/watch?{query} HTTP/1.1\r\nHost: {}\r\n",
            self.web
        );
        for line in headers {
            head.push_str(&format!("{line}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).expect("it reads");
        Events(BufReader::new(stream))
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The status and the name of an error.
    pub fn error(&self) -> (u16, String) {
        let error = &self.json()["error"];
        assert_eq!(error["status"], self.status);
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        let code = error["code"].as_str().expect("a name");
        (self.status, code.to_owned())
    }
}

/// A stream of events.
pub struct Events(BufReader<TcpStream>);

impl Events {
    /// The next event that has data. Lines of chunk sizes have no colon.
    pub fn next(&mut self) -> Value {
        serde_json::from_str(&self.field("data")).expect("JSON")
    }

    /// The next `id`, of an event or without one.
    pub fn next_id(&mut self) -> u64 {
        self.field("id").parse().expect("a revision")
    }

    fn field(&mut self, name: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.0.read_line(&mut line).expect("an event comes");
            assert!(read > 0, "the stream has ended");
            if let Some((field, value)) = line.split_once(": ")
                && field == name
            {
                return value.trim_end().to_owned();
            }
        }
    }
}
