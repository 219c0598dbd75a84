//! The checks of the steps of a restoration that need nothing but the step.

#![allow(
    clippy::result_large_err,
    reason = "an answer that is given at once is as ordinary an outcome as one that waits"
)]

use prost::Message;

use super::Service;
use crate::core::id::Rev;
use crate::core::log::{RESTORE_BYTES, RESTORED_FILE_BYTES, Restore, RestoredFile};
use crate::core::protocol::client::{FileAt, Part, Request, Response, Restoration, Step};

impl Service {
    /// The step that a request asks for.
    pub(super) fn restore(&self, request: &Request) -> Result<Restore, Response> {
        let refuse = |text: String| Response::refuse_with(request.tag, text);
        let limits = &self.rules.limits;
        let max = RESTORE_BYTES + limits.path_bytes_max + limits.value_bytes_max;
        let value = request.value.clone().unwrap_or_default();
        // Before it is decoded, which may take many times as much.
        if value.len() > max {
            let size = value.len();
            return Err(refuse(format!(
                "a step of a restoration of {size} bytes; at most {max} are taken"
            )));
        }
        let asked = Restoration::decode(value).ok();
        let (id, step) = asked
            .and_then(|asked| Some((asked.id, asked.step?)))
            .ok_or_else(|| refuse("not a step of a restoration".to_owned()))?;
        match step {
            Step::Begin(begin) => Ok(Restore::Begin {
                id,
                rev: Rev(begin.rev),
                kept: Rev(begin.kept),
                replace: begin.replace,
            }),
            Step::Part(Part { step, files }) => {
                let read = |file: &FileAt| self.restored(request.tag, file);
                let files: Vec<RestoredFile> = files.iter().map(read).collect::<Result<_, _>>()?;
                let bytes: usize = files.iter().map(RestoredFile::cost).sum();
                let most = RESTORE_BYTES + RESTORED_FILE_BYTES;
                if bytes > most && files.len() > 1 {
                    return Err(refuse(format!(
                        "several files of {bytes} bytes in a step; at most {most} are taken"
                    )));
                }
                Ok(Restore::Files { id, step, files })
            }
            Step::Commit(commit) => Ok(Restore::Commit {
                id,
                files: commit.files,
            }),
        }
    }

    fn restored(&self, tag: Option<i32>, file: &FileAt) -> Result<RestoredFile, Response> {
        Ok(RestoredFile {
            path: self.path(tag, &file.path)?,
            rev: Rev(file.rev),
            value: self.value(tag, &file.value)?,
        })
    }
}
