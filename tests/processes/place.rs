//! A directory for the files of a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of this test run, which stays only if the test fails.
pub struct Place(pub PathBuf);

impl Place {
    pub fn new() -> Place {
        static GIVEN: AtomicU32 = AtomicU32::new(0);
        let nth = GIVEN.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{nth}", env!("CARGO_CRATE_NAME"), std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("it can be made");
        Place(path)
    }

    /// Where something of this name is in it.
    pub fn within(&self, name: &str) -> String {
        let path = self.0.join(name);
        path.to_str().expect("a name of ours").to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
