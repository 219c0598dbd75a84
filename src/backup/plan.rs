//! The steps that put contents into a cluster.

use crate::core::id::Rev;
use crate::core::log::{RESTORE_BYTES, RESTORED_FILE_BYTES};
use crate::core::protocol::client::{Begin, Commit, FileAt, Part, Restoration, Step};
use crate::core::state::is_of_servers;

use super::contents::Contents;

/// Restoring leads to the next multiple of this that leaves half of it free: revisions that the lost
/// cluster may have given out after the backup was taken. At ten thousand a second, half a billion
/// takes it fourteen hours; the revisions that there are last for nine billion restorations.
pub const REV_STRIDE: u64 = 1_000_000_000;

/// How contents are put into a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The revision that the cluster will have.
    pub rev: Rev,
    /// How many files are restored.
    pub files: u64,
    /// How many are not, as they are what the servers of the old cluster kept of themselves.
    pub skipped: u64,
    /// The steps, in order.
    pub steps: Vec<Restoration>,
}

/// What a restoration is to be.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Names it, by chance.
    pub id: u64,
    /// The cluster that the contents come from.
    pub source: &'a str,
    /// The cluster that they go to.
    pub target: &'a str,
    /// The revision of that.
    pub rev: Rev,
    /// What is there goes.
    pub replace: bool,
    /// Files take the revision of the restoration.
    pub new_revs: bool,
}

impl Plan {
    /// The steps that restore contents.
    pub fn new(contents: &Contents, order: Order<'_>) -> Plan {
        let Order { id, .. } = order;
        let floor = contents.rev.max(order.rev).0;
        let rev = floor
            .saturating_add(REV_STRIDE / 2)
            .div_ceil(REV_STRIDE)
            .saturating_mul(REV_STRIDE);
        let step = |step| Restoration {
            id,
            step: Some(step),
        };
        let begin = Begin {
            rev,
            kept: if order.new_revs { 0 } else { contents.rev.0 },
            replace: order.replace,
        };
        let mut steps = vec![step(Step::Begin(begin))];
        let (mut part, mut bytes) = (Vec::new(), 0);
        let (mut files, mut skipped, mut number) = (0, 0, 0);
        for (path, (rev, value)) in &contents.files {
            if is_of_servers(path, order.source) || is_of_servers(path, order.target) {
                skipped += 1;
                continue;
            }
            let cost = path.as_str().len() + value.len() + RESTORED_FILE_BYTES;
            if bytes + cost > RESTORE_BYTES && !part.is_empty() {
                let files = std::mem::take(&mut part);
                steps.push(step(Step::Part(Part {
                    step: number,
                    files,
                })));
                number += 1;
                bytes = 0;
            }
            bytes += cost;
            files += 1;
            part.push(FileAt {
                path: path.as_str().to_owned().into(),
                rev: rev.0,
                value: value.clone(),
            });
        }
        if !part.is_empty() {
            let files = part;
            steps.push(step(Step::Part(Part {
                step: number,
                files,
            })));
        }
        steps.push(step(Step::Commit(Commit { files })));
        Plan {
            rev: Rev(rev),
            files,
            skipped,
            steps,
        }
    }
}
