//! A browser without a screen, driven through WebDriver: JSON over HTTP, which needs no library.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long things may take that a person would wait for. Far more than they take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at the page.
const LOOK: Duration = Duration::from_millis(20);

/// What makes Chromium behave where it has no user, no screen and no internet.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    // The one of the ports that tests may get which browsers refuse.
    "--explicitly-allowed-ports=10080",
];

/// A window of a browser, closed with the test.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: PathBuf,
}

impl Browser {
    /// Opens one. Nothing where there is no browser, or nobody to drive it.
    pub fn open(name: &str) -> Option<Browser> {
        let Some((chromium, chromedriver)) = find("chromium").zip(find("chromedriver")) else {
            eprintln!("SKIPPED {name}: chromium and chromedriver are not both installed");
            return None;
        };
        let mut driver = Command::new(chromedriver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let port = port_of(&mut driver);
        let profile = std::env::temp_dir().join(format!("doozer-{name}-{}", std::process::id()));
        let mut flags: Vec<String> = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.display()));
        flags.push("--window-size=1440,1043".to_owned());
        let mut browser = Browser {
            driver,
            port,
            session: String::new(),
            profile,
        };
        let options = json!({ "args": flags, "binary": chromium });
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let session = browser.ask("POST", "/session", &wanted);
        let id = session["sessionId"].as_str().expect("a session");
        browser.session = format!("/session/{id}");
        Some(browser)
    }

    pub fn go(&self, url: &str) {
        self.tell("/url", &json!({ "url": url }));
    }

    /// What a function of this body gives.
    pub fn js(&self, body: &str) -> Value {
        self.tell("/execute/sync", &json!({ "script": body, "args": [] }))
    }

    /// What an expression comes to, as text.
    pub fn text(&self, expression: &str) -> String {
        let value = self.js(&format!("return String({expression})"));
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression holds, and says how long that took.
    pub fn until(&self, expression: &str) -> Duration {
        let begin = Instant::now();
        while self.js(&format!("return Boolean({expression})")) != true {
            if begin.elapsed() > PATIENCE {
                self.shot("failed");
                let seen = self.text("document.body.innerText");
                panic!("never: {expression}\n{seen}\n{:?}", self.complaints());
            }
            sleep(LOOK);
        }
        begin.elapsed()
    }

    /// Waits until a text can be read in an element, and says how long that took.
    pub fn until_reads(&self, selector: &str, text: &str) -> Duration {
        let text = Value::from(text);
        self.until(&format!(
            "document.querySelector('{selector}')?.checkVisibility() \
             && document.querySelector('{selector}').innerText.includes({text})"
        ))
    }

    pub fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.tell(&format!("/element/{element}/click"), &json!({}));
    }

    /// Replaces what is written in a field.
    pub fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.tell(&format!("/element/{element}/clear"), &json!({}));
        self.tell(
            &format!("/element/{element}/value"),
            &json!({ "text": text }),
        );
    }

    /// Presses keys, wherever the focus is.
    pub fn press(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })))
            .collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        self.tell("/actions", &json!({ "actions": [keyboard] }));
    }

    pub fn dark(&self, is_dark: bool) {
        let value = if is_dark { "dark" } else { "light" };
        let feature = json!({ "name": "prefers-color-scheme", "value": value });
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        );
    }

    pub fn phone(&self) {
        let phone = json!({ "width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true });
        self.devtools("Emulation.setDeviceMetricsOverride", phone);
    }

    fn devtools(&self, command: &str, params: Value) {
        self.tell(
            "/goog/cdp/execute",
            &json!({ "cmd": command, "params": params }),
        );
    }

    /// Keeps a picture of the page where people and CI find it.
    pub fn shot(&self, name: &str) {
        let folder = match std::env::var_os("DOOZER_SCREENSHOTS") {
            Some(folder) => PathBuf::from(folder),
            None => {
                let binary = Path::new(env!("CARGO_BIN_EXE_doozerd"));
                let target = binary.parent().and_then(Path::parent).expect("a target");
                target.join("screenshots")
            }
        };
        std::fs::create_dir_all(&folder).expect("a folder for pictures");
        let picture = self.ask("GET", &format!("{}/screenshot", self.session), &Value::Null);
        let picture = decoded(picture.as_str().expect("a picture"));
        std::fs::write(folder.join(format!("{name}.png")), picture).expect("it is kept");
    }

    /// What the browser complains about: errors of scripts, and what a policy has kept out. An
    /// answer that is an error is none; neither is a server that is gone.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.tell("/se/log", &json!({ "type": "browser" }));
        let lines = log.as_array().expect("a list").clone();
        let texts = lines.iter().filter_map(|line| line["message"].as_str());
        let is_meant = |text: &&str| !text.contains("Failed to load resource");
        texts.filter(is_meant).map(str::to_owned).collect()
    }

    fn element(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.tell("/element", &wanted);
        let id = found
            .as_object()
            .and_then(|found| found.values().next()?.as_str());
        id.unwrap_or_else(|| panic!("no {selector}")).to_owned()
    }

    fn tell(&self, command: &str, body: &Value) -> Value {
        self.ask("POST", &format!("{}{command}", self.session), body)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self
            .exchange(method, path, body)
            .expect("the driver answers");
        assert_eq!(status, 200, "{method} {path} {body}: {answer}");
        answer["value"].clone()
    }

    fn exchange(&self, method: &str, path: &str, body: &Value) -> std::io::Result<(u16, Value)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = BufReader::new(stream);
        let mut line = String::new();
        answer.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut length = 0;
        loop {
            line.clear();
            answer.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body)?;
        Ok((status.unwrap_or(0), serde_json::from_slice(&body)?))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.exchange("DELETE", &self.session, &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// Where a program is.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places.find(|place| place.is_file())
}

/// The port that the driver has chosen, which it tells.
fn port_of(driver: &mut Child) -> u16 {
    let output = driver.stdout.take().expect("a pipe");
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if let Some((_, rest)) = line.split_once("started successfully on port ") {
            return rest.trim_end_matches('.').parse().expect("a port");
        }
    }
    panic!("chromedriver does not start");
}

/// The bytes that base 64 stands for.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u32> = text
        .bytes()
        .filter(|byte| *byte != b'=')
        .map(digit)
        .collect();
    let group = |four: &[u32]| {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}
