//! Clients that restore a backup, and clients that look on.

use bytes::Bytes;
use prost::Message;

use super::ask;
use crate::core::protocol::client::{
    Begin, Commit, ErrorCode, FileAt, Files, Part, Request, Response, Restoration, Step, Verb,
};
use crate::sim::chance::Dice;

/// Files in a step at most.
const STEP_FILES_MAX: u64 = 6;
/// Steps in a million before which a restorer gives up and begins again, as if it had been killed.
const GIVES_UP_PPM: u32 = 40_000;
/// The pattern of all files of the backup.
const PATTERN: &str = "/b/**";

/// What is restored, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The files.
    pub files: Vec<FileAt>,
    /// The revision that restoring it takes.
    pub rev: u64,
    /// The revision that the backup is of; 0 if files are to take the other one.
    pub kept: u64,
}

impl Backup {
    /// So many files.
    pub fn draw(dice: &mut Dice) -> Backup {
        let kept = match dice.below(4) {
            0 => 0,
            _ => 200_000,
        };
        let count = dice.between(1, 40);
        let file = |n: u64| FileAt {
            path: format!("/b/{n:02}").into(),
            rev: 1 + dice.below(200_000),
            value: n.to_string().into(),
        };
        Backup {
            files: (0..count).map(file).collect(),
            rev: 1_000_000,
            kept,
        }
    }

    /// The files as they are to be in the cluster.
    pub fn expected(&self) -> Vec<FileAt> {
        let mut files = self.files.clone();
        if self.kept == 0 {
            files.iter_mut().for_each(|file| file.rev = self.rev);
        }
        files
    }
}

/// Restores a backup into an empty cluster, however often it has to begin.
#[derive(Debug)]
pub struct Restorer {
    backup: Backup,
    name: usize,
    attempts: u64,
    steps: Vec<Step>,
    done: usize,
    is_over: bool,
}

impl Restorer {
    /// A client with this name.
    pub fn new(name: usize, backup: Backup) -> Restorer {
        Restorer {
            backup,
            name,
            attempts: 0,
            steps: Vec::new(),
            done: 0,
            is_over: false,
        }
    }

    /// Whether the backup has been restored, by this client or by another one.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// How often it has begun.
    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    pub(super) fn next(&mut self, dice: &mut Dice) -> Option<Request> {
        if self.is_over {
            return None;
        }
        if self.steps.is_empty() || dice.hit(GIVES_UP_PPM) {
            self.begin(dice);
        }
        let restoration = Restoration {
            id: self.attempts << 32 | self.name as u64,
            step: Some(self.steps[self.done].clone()),
        };
        Some(Request {
            value: Some(restoration.encode_to_vec().into()),
            ..ask(Verb::Restore, "")
        })
    }

    fn begin(&mut self, dice: &mut Dice) {
        let Backup { files, rev, kept } = &self.backup;
        self.attempts += 1;
        self.done = 0;
        self.steps = vec![Step::Begin(Begin {
            rev: *rev,
            kept: *kept,
            replace: false,
        })];
        let mut rest = files.as_slice();
        let mut step = 0;
        while !rest.is_empty() {
            let most = STEP_FILES_MAX.min(rest.len() as u64);
            let (part, behind) = rest.split_at(dice.between(1, most) as usize);
            rest = behind;
            let files = part.to_vec();
            self.steps.push(Step::Part(Part { step, files }));
            step += 1;
        }
        let files = files.len() as u64;
        self.steps.push(Step::Commit(Commit { files }));
    }

    pub(super) fn ended(&mut self, response: Option<&Response>) {
        // What is not known is done again.
        let Some(response) = response else { return };
        let text = response.err_detail.as_deref().unwrap_or_default();
        match response.error() {
            None => self.done += 1,
            Some(ErrorCode::Other) if text.starts_with("there are files") => self.is_over = true,
            Some(ErrorCode::Other) if text.contains("nothing was restored") => self.steps.clear(),
            Some(_) => {}
        }
        self.is_over |= !self.steps.is_empty() && self.done == self.steps.len();
    }
}

/// Lists the files of the backup again and again, at any node.
#[derive(Debug)]
pub struct Onlooker;

impl Onlooker {
    pub(super) fn next(dice: &mut Dice) -> Request {
        Request {
            offset: Some(0),
            local: Some(dice.hit(500_000)),
            ..ask(Verb::Files, PATTERN)
        }
    }
}

/// The files that an onlooker was told, and the revision.
pub fn listed(response: &Response) -> Option<(i64, Vec<FileAt>)> {
    let value: Bytes = response.value.clone()?;
    Some((response.rev?, Files::decode(value).ok()?.files))
}
