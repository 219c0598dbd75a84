//! Answers from the store, at the present or at a revision.

use bytes::Bytes;
use prost::Message;

use super::Service;
use crate::core::env::Env;
use crate::core::id::{Rev, SessionId};
use crate::core::protocol::client::{
    ErrorCode, FLAG_SET, FileAt, Files, REV_DIR, REV_MISSING, Request, Response, Verb,
};
use crate::core::store::{Found, Path, Store, View};

/// Files in an answer, in bytes: what takes a node about a millisecond. Others wait meanwhile.
const FILES_BYTES: usize = 256 << 10;

/// Bytes counted for a file beside its path and value.
const FILE_BYTES: usize = 32;

impl Service {
    /// Answers an open read from the store as it is.
    pub(super) fn answer_now(
        &mut self,
        session: SessionId,
        request: &Request,
        store: &mut Store,
        env: &mut impl Env,
    ) {
        let verb = request.verb.and_then(Verb::from_number);
        let response = match verb {
            Some(Verb::Walk) => self.walk(request, store),
            Some(Verb::Files) => self.files(request, store),
            Some(verb) => match store.at(revision(request)) {
                Ok(view) => look(verb, request, view),
                Err(_) => Err(ErrorCode::TooLate),
            },
            None => Err(ErrorCode::UnknownVerb),
        };
        let response = response.unwrap_or_else(|code| Response::refuse(request.tag, code));
        self.answer(session, response, env);
    }

    fn walk(&self, request: &Request, store: &mut Store) -> Result<Response, ErrorCode> {
        let Ok(glob) = self.glob(request) else {
            return Err(ErrorCode::Other);
        };
        let offset = request.offset.and_then(|offset| u64::try_from(offset).ok());
        let offset = offset.ok_or(ErrorCode::Range)?;
        let found = store.walk(revision(request), &glob, offset);
        let found = found.map_err(|_| ErrorCode::TooLate)?;
        let (path, rev, value) = found.ok_or(ErrorCode::Range)?;
        Ok(Response {
            flags: Some(FLAG_SET),
            rev: Some(rev.0 as i64),
            path: Some(path.as_str().to_owned().into()),
            value: Some(value.0),
            ..Response::to(request.tag)
        })
    }

    /// As many files as make a message of a good size, at least one if there is one.
    fn files(&self, request: &Request, store: &mut Store) -> Result<Response, ErrorCode> {
        let Ok(glob) = self.glob(request) else {
            return Err(ErrorCode::Other);
        };
        let offset = request.offset.and_then(|offset| u64::try_from(offset).ok());
        let offset = offset.ok_or(ErrorCode::Range)?;
        let (mut files, mut bytes) = (Vec::new(), 0);
        while bytes < FILES_BYTES {
            let found = store.walk(revision(request), &glob, offset + files.len() as u64);
            let Some((path, rev, value)) = found.map_err(|_| ErrorCode::TooLate)? else {
                break;
            };
            bytes += path.as_str().len() + value.0.len() + FILE_BYTES;
            files.push(FileAt {
                path: path.as_str().to_owned().into(),
                rev: rev.0,
                value: value.0,
            });
        }
        let at = store.at(revision(request));
        let rev = at.map_err(|_| ErrorCode::TooLate)?.rev();
        Ok(Response {
            rev: Some(rev.0 as i64),
            value: Some(Files { files }.encode_to_vec().into()),
            ..Response::to(request.tag)
        })
    }
}

/// The revision that a read names: below 1 means 1.
fn revision(request: &Request) -> Option<Rev> {
    request.rev.map(|rev| Rev(rev.max(1) as u64))
}

fn look(verb: Verb, request: &Request, view: View<'_>) -> Result<Response, ErrorCode> {
    let path = request.path.as_deref().unwrap_or_default();
    let found = view.get_bytes(path);
    let response = Response::to(request.tag);
    match verb {
        Verb::Get => match found {
            Found::File { rev, value } => Ok(Response {
                rev: Some(rev.0 as i64),
                value: Some(value.0.clone()),
                ..response
            }),
            Found::Missing => Ok(Response {
                rev: Some(REV_MISSING),
                value: Some(Bytes::new()),
                ..response
            }),
            Found::Dir { .. } => Err(ErrorCode::Isdir),
        },
        Verb::Stat => {
            let (rev, len) = match found {
                Found::File { rev, value } => (rev.0 as i64, value.0.len() as u64),
                Found::Dir { entries } => (REV_DIR, entries),
                Found::Missing => (REV_MISSING, 0),
            };
            let len = i32::try_from(len).unwrap_or(i32::MAX);
            Ok(Response {
                rev: Some(rev),
                len: Some(len),
                ..response
            })
        }
        Verb::Getdir => match found {
            Found::Missing => Err(ErrorCode::Noent),
            Found::File { .. } => Err(ErrorCode::Notdir),
            Found::Dir { .. } => {
                let offset = request.offset.and_then(|offset| u64::try_from(offset).ok());
                let dir = Path::parse(path).map_err(|_| ErrorCode::Noent)?;
                let name = offset.and_then(|offset| view.entry(&dir, offset));
                let name = name.ok_or(ErrorCode::Range)?;
                Ok(Response {
                    path: Some(name.to_owned().into()),
                    ..response
                })
            }
        },
        Verb::Set
        | Verb::Del
        | Verb::Rev
        | Verb::Wait
        | Verb::Nop
        | Verb::Walk
        | Verb::Files
        | Verb::Restore
        | Verb::Self_
        | Verb::Status
        | Verb::Recover
        | Verb::Access => unreachable!("not a read of one path"),
    }
}
