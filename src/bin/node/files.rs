//! How many connections the system lets this process have.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files that are needed besides connections of clients: those of peers, in both directions, those
/// that are heard for a moment beyond the limit, and a few of the process itself.
const OTHER_FILES: u64 = 512;

/// Raises this process's own limit on open files as far as `clients` connections need and the
/// system allows, and returns how many of them there may be.
///
/// Without this the usual limit of 1024 would be met in the middle of the day; and who runs out of
/// files turns away peers along with clients.
pub fn make_room_for(clients: usize) -> usize {
    let wanted = u64::try_from(clients)
        .unwrap_or(u64::MAX)
        .saturating_add(OTHER_FILES);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let mut higher = limit;
        higher.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        if setrlimit(Resource::Nofile, higher).is_ok() {
            limit = higher;
        }
    }
    allowed(limit.current, clients)
}

/// How many connections of clients fit a limit on files (none: no limit).
fn allowed(files: Option<u64>, clients: usize) -> usize {
    let for_clients = files.map_or(u64::MAX, |files| files.saturating_sub(OTHER_FILES).max(1));
    clients.min(usize::try_from(for_clients).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_others_leave() {
        assert_eq!(allowed(None, 10_000), 10_000);
        assert_eq!(allowed(Some(20_000), 10_000), 10_000);
        assert_eq!(allowed(Some(1024), 10_000), 512);
        assert_eq!(allowed(Some(100), 10_000), 1);
        assert_eq!(make_room_for(1), 1);
    }
}
