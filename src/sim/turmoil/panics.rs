//! Panics of tasks, which stable tokio keeps to itself.
//!
//! A task that panics and that nobody joins would be missed. So a hook counts the panics of each
//! thread, and the run looks at the count: a simulation is one thread.

use std::cell::Cell;
use std::sync::Once;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

static INSTALLED: Once = Once::new();

/// Counts panics from now on. What else happens at a panic stays as it is.
pub(super) fn watch() {
    INSTALLED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // Not while the thread ends: its count is gone then.
            let _ = COUNT.try_with(|count| count.set(count.get() + 1));
            before(info);
        }));
    });
}

/// Panics of this thread since [`watch`] was called first, caught or not.
pub(super) fn count() -> u64 {
    COUNT.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_nobody_looks_at_is_counted() {
        watch();
        let before = count();
        let caught = std::panic::catch_unwind(|| panic!("on purpose"));
        assert!(caught.is_err());
        assert_eq!(count(), before + 1);
        let elsewhere = std::thread::spawn(|| panic!("on purpose")).join();
        assert!(elsewhere.is_err());
        assert_eq!(count(), before + 1, "that of another thread is not ours");
    }
}
