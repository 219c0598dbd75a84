//! Restoring a backup: files wait beside the tree until all have come, and take its place in one
//! step, at a revision above all that the backup and the cluster have given out.
//!
//! So readers see the cluster as it was, or the backup as a whole; a restoration that is cut short
//! leaves nothing behind that anybody could see, and can begin again. What the servers keep in `/ctl`
//! is not restored: it is of this cluster, and stays.

use super::{Outcome, State, guard};
use crate::core::id::Rev;
use crate::core::log::{RESTORED_REV_MAX, Restore, RestoredFile};
use crate::core::store::{Glob, Path, Store, Value};

/// A restoration that is under way.
#[derive(Clone, Debug)]
pub(super) struct Restoration {
    pub(super) about: About,
    /// The files that have come, at the revision that they will have.
    pub(super) store: Store,
}

/// What a restoration is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(super) struct About {
    /// Names it.
    pub(super) id: u64,
    /// Files keep revisions up to this one; with 0 they take that of the restoration.
    pub(super) kept: Rev,
    /// The files that are there may go.
    pub(super) replace: bool,
    /// The step with files that is due.
    pub(super) due: u64,
}

/// Why a step does not fit.
const GONE: &str = "no such restoration is under way: another one began, or somebody wrote a file \
                    meanwhile; nothing was restored; begin again";

impl State {
    /// Does a step of a restoration.
    pub(super) fn restore(&mut self, step: &Restore) -> Outcome {
        let done = match step {
            Restore::Begin {
                id,
                rev,
                kept,
                replace,
            } => self.begin_restoration(*id, *rev, *kept, *replace),
            Restore::Files { id, step, files } => self.take_restored(*id, *step, files),
            Restore::Commit { id, files } => self.commit_restoration(*id, *files),
        };
        done.unwrap_or_else(Outcome::Declined)
    }

    /// A file has been set. Whoever counts on a cluster without files cannot go on.
    pub(super) fn note_set(&mut self, path: &Path) {
        if path.components().next() == Some("ctl") {
            return;
        }
        self.is_fresh = false;
        let is_spoilt = |restoration: &mut Restoration| {
            let about = restoration.about;
            !about.replace || about.kept > Rev(0)
        };
        self.restoration.take_if(is_spoilt);
    }

    fn begin_restoration(
        &mut self,
        id: u64,
        rev: Rev,
        kept: Rev,
        replace: bool,
    ) -> Result<Outcome, String> {
        let is_this_one = |Restoration { about, store }: &Restoration| {
            (about.id, about.kept, about.replace, store.rev()) == (id, kept, replace, rev)
        };
        if self.restoration.as_ref().is_some_and(is_this_one) {
            // It was sent twice, and the second one may come after steps that followed the first.
            return Ok(Outcome::Nothing);
        }
        if !replace && !self.store.is_empty() {
            return Err("there are files already, which a restoration would remove".to_owned());
        }
        if kept > Rev(0) && !self.is_fresh {
            let text =
                "files have had revisions here already, so those of the backup cannot be kept";
            return Err(text.to_owned());
        }
        let floor = self.store.rev().max(kept);
        if rev <= floor || rev > RESTORED_REV_MAX {
            return Err(format!(
                "a restoration to revision {rev}: it has to be above {floor}, so that no revision \
                 is given out twice, and at most {RESTORED_REV_MAX}"
            ));
        }
        let about = About {
            id,
            kept,
            replace,
            due: 0,
        };
        let store = self.store.bare(rev);
        self.restoration = Some(Restoration { about, store });
        Ok(Outcome::Nothing)
    }

    fn take_restored(
        &mut self,
        id: u64,
        step: u64,
        files: &[RestoredFile],
    ) -> Result<Outcome, String> {
        let cluster = self.cluster_name();
        let restoration = self.restoration.as_mut().ok_or(GONE)?;
        let Restoration { about, store } = restoration;
        if about.id != id || step > about.due {
            return Err(GONE.to_owned());
        }
        if step < about.due {
            return Ok(Outcome::Nothing);
        }
        about.due += 1;
        let kept = about.kept;
        let mut install = |file: &RestoredFile| {
            let RestoredFile { path, rev, value } = file;
            if guard::is_of_servers(path, &cluster) {
                return Err(format!("{path} is of the servers, and not restored"));
            }
            let rev = match kept {
                Rev(0) => store.rev(),
                _ if (Rev(1)..=kept).contains(rev) => *rev,
                _ => return Err(format!("{path} has revision {rev}, above {kept}")),
            };
            let installed = store.install(path.clone(), rev, value);
            installed.map_err(|error| format!("{path}: {error}"))
        };
        let installed = files.iter().try_for_each(&mut install);
        if let Err(text) = installed {
            self.restoration = None;
            return Err(text);
        }
        Ok(Outcome::Nothing)
    }

    fn commit_restoration(&mut self, id: u64, files: u64) -> Result<Outcome, String> {
        let before = self.store.rev();
        let mark = id.to_string();
        let restoration = self
            .restoration
            .take_if(|under_way| under_way.about.id == id);
        let Some(Restoration { mut store, .. }) = restoration else {
            // The command that did it may have been handed in again by a client that was not told.
            let is_done = self.text(&guard::restored_file()) == mark;
            return is_done.then_some(Outcome::Nothing).ok_or(GONE.into());
        };
        let found = store.at(None).map_or(0, |view| view.files_len());
        if found != files {
            return Err(format!(
                "{found} files have come where there are {files}: nothing was restored; begin again"
            ));
        }
        if store.rev() <= before {
            return Err(format!(
                "the cluster is at revision {before} by now: nothing was restored; begin again"
            ));
        }
        for (path, value) in self.own_files() {
            // Only files that clients have put into `/ctl` can be in each other's way.
            let _ = store.install(path, store.rev(), &value);
        }
        self.store
            .become_restored(store, guard::restored_file(), Value(mark.into()));
        self.is_fresh = false;
        Ok(Outcome::Restored { before })
    }

    /// What is in `/ctl`, but for marks of what went wrong and of restorations.
    fn own_files(&self) -> Vec<(Path, Value)> {
        let view = self.store.at(None).expect("the current state can be read");
        let glob = Glob::parse(b"/ctl/**").expect("a well-formed pattern");
        view.files(&glob)
            .filter(|(path, ..)| !guard::is_mark(path))
            .map(|(path, _, value)| (path.clone(), value.clone()))
            .collect()
    }
}
