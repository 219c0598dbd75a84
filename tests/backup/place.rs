//! A directory for the files of a test, the client as people run it, and a small cluster.

#[path = "../processes/place.rs"]
mod directory;

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};

use std::time::Duration;

use doozer::client::Client;
use doozer::core::id::Rev;

pub use directory::Place;

use super::processes::{Server, connect, free_port};

/// How long anything may take. Far more than it takes.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn command(addr: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doozer"));
    command
        .args(["-a", addr])
        .args(arguments)
        .env_remove("DOOZER_URI")
        .env_remove("DOOZER_BOOT_URI")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the client in a thread of its own, so that others go on.
pub async fn run(addr: &str, arguments: &[&str]) -> Output {
    let mut command = command(addr, arguments);
    let running = tokio::task::spawn_blocking(move || command.output().expect("it can be run"));
    running.await.expect("it does not panic")
}

/// Runs the client, which must do well, and gives what it prints.
pub async fn doozer(addr: &str, arguments: &[&str]) -> String {
    let output = run(addr, arguments).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

/// Runs the client, which must refuse, and gives why.
pub async fn refused(addr: &str, arguments: &[&str]) -> String {
    let output = run(addr, arguments).await;
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// One server that is a cluster of its own.
pub async fn cluster(arguments: &[&str]) -> (Server, Client) {
    let addr = format!("127.0.0.1:{}", free_port());
    let server = Server::start(&addr, arguments).await;
    let client = connect(&[&addr]).await.expect("it answers");
    (server, client)
}

/// All files outside `/ctl`.
pub async fn contents(client: &Client) -> BTreeMap<String, (Rev, Vec<u8>)> {
    let mut walk = client.walk_all("/**").await.expect("it can be listed");
    let mut files = BTreeMap::new();
    while let Some(file) = walk.next().await.expect("it can be listed") {
        if !file.path.starts_with("/ctl/") {
            files.insert(file.path, (file.rev, file.value.to_vec()));
        }
    }
    files
}
