//! What a command says on standard output, and the log, which waits where both have one terminal
//! until a sentence is whole.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use crate::flags::Order;

/// Bytes of log that wait at most. The first of them tell best what goes on; the rest is lost.
const HELD_BYTES_MAX: usize = 64 << 10;

/// The log while it waits.
static HELD: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// What is still to be said about a command.
pub struct Words {
    order: Order,
    is_said: bool,
}

impl Words {
    /// Says what is begun.
    pub fn begin(order: Order) -> Words {
        let mut out = io::stdout();
        if out.is_terminal() && io::stderr().is_terminal() {
            *held() = Some(Vec::new());
        }
        match order {
            Order::Init => {}
            Order::Join | Order::Repair => say(&mut out, "Joining cluster..."),
        }
        Words {
            order,
            is_said: false,
        }
    }

    /// Says that it is done: the process serves.
    pub fn done(mut self) {
        self.is_said = true;
        let mut out = io::stdout();
        match self.order {
            Order::Init => say(&mut out, "New doozer cluster created.\n"),
            Order::Join | Order::Repair => say(&mut out, " joined.\n"),
        }
        release();
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        if self.is_said {
            return;
        }
        match self.order {
            Order::Init => {}
            Order::Join | Order::Repair => say(&mut io::stdout(), " not joined.\n"),
        }
        release();
    }
}

/// Where the log goes.
#[derive(Clone, Copy, Debug)]
pub struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *held() {
            Some(lines) if lines.len() < HELD_BYTES_MAX => lines.extend_from_slice(bytes),
            Some(_) => {}
            None => return io::stderr().write(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn release() {
    if let Some(lines) = held().take() {
        // Where nobody reads the log, nothing is lost.
        let _ = io::stderr().write_all(&lines);
    }
}

fn held() -> impl std::ops::DerefMut<Target = Option<Vec<u8>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether anybody reads it does not matter to the process.
fn say(out: &mut impl Write, text: &str) {
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}
