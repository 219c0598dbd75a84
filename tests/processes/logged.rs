//! A `doozerd` that is only started, whose log can be read, and that takes signals.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to say what it has to say. Far more than it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that is ended when it goes out of scope; its log is shown if the test failed.
pub struct Logged {
    pub addr: String,
    child: Child,
    log: PathBuf,
}

impl Logged {
    /// Starts it, and does not wait for anything.
    pub fn start(addr: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Logged {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doozerd"));
        for name in ["DOOZER_RWSECRET", "DOOZER_ROSECRET", "DOOZER_BOOT_URI"] {
            command.env_remove(name);
        }
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let log = (0..)
            .map(|n| folder.join(format!("{addr}-{n}.log")))
            .find(|path| !path.exists())
            .expect("one of these is free");
        let child = command
            .args(["-w", "false", "-l", addr])
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a file can be made"))
            .spawn()
            .expect("doozerd starts");
        Logged {
            addr: addr.to_owned(),
            child,
            log,
        }
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args([name, &pid]).status();
        assert!(killed.expect("kill can be run").success());
    }

    /// Waits for the end of a process that was asked to end.
    pub fn ends_well(&mut self) {
        let status = self.child.wait().expect("it can be waited for");
        assert!(status.success(), "{}: {status}\n{}", self.addr, self.log());
    }

    /// Ends the process as a crash would: it gets no chance to say anything.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process can be waited for");
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("it is written")
    }

    /// Waits until the log has this in it.
    pub async fn says(&self, part: &str) {
        let begin = Instant::now();
        while !self.log().contains(part) {
            let log = self.log();
            assert!(
                begin.elapsed() < PATIENCE,
                "{}: no {part:?}: {log}",
                self.addr
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- {}\n{}", self.addr, self.log());
        }
        let _ = std::fs::remove_file(&self.log);
    }
}
