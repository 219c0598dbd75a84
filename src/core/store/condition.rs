//! What a change demands of the revision that its file has.

use std::fmt;

use bincode::{Decode, Encode};

use crate::core::id::Rev;
use crate::core::protocol::client::{REV_CLOBBER, REV_DIR, REV_MISSING};

/// No revision fulfils it, and it is told from no other even where a directory is.
const NEVER: i64 = REV_DIR - 1;

/// A condition on the revision that a file has.
///
/// The original's condition of revision 17 is that the file has no *later* one: a file that was
/// deleted meanwhile may be written. Who has read revision 17 and wants to replace just that says so.
/// One number holds all of them, and those of the original as the original writes them: what is
/// below all of these is an exact one, mirrored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Condition(i64);

impl Condition {
    /// Whatever is there.
    pub const ANY: Condition = Condition(REV_CLOBBER);
    /// There is no file.
    pub const MISSING: Condition = Condition(REV_MISSING);

    /// The file has this revision, and no other. (No store comes near the highest numbers that there
    /// are, which are one here.)
    pub fn exactly(rev: Rev) -> Condition {
        let rev = i64::try_from(rev.0).unwrap_or(i64::MAX);
        match rev {
            REV_MISSING => Condition::MISSING,
            rev => Condition(NEVER.saturating_sub(rev)),
        }
    }

    /// As a client gives it: -1 for none, 0 for a file that does not exist, else the latest revision
    /// that the file may have; or, if `exact`, the one that it has.
    pub fn asked(rev: i64, is_exact: bool) -> Condition {
        match u64::try_from(rev) {
            Ok(rev @ 1..) if is_exact => Condition::exactly(Rev(rev)),
            _ => Condition(rev.max(NEVER)),
        }
    }

    /// The revision that it names, or the number that stands for something else, and whether the
    /// file must have just this one.
    pub fn number(self) -> (i64, bool) {
        match self.0 {
            ..NEVER => (NEVER - self.0, true),
            number => (number, false),
        }
    }

    /// Whether a file of this revision fulfils it; [`REV_MISSING`] and [`REV_DIR`] for what is no
    /// file. (What cannot be done to a directory is refused for that reason then.)
    pub(super) fn holds(self, found: i64) -> bool {
        match self.number() {
            (REV_CLOBBER, false) => true,
            (rev, true) => rev == found || found == REV_DIR,
            (rev, false) => rev >= found,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            (rev, true) => write!(f, "exactly {rev}"),
            (rev, false) => write!(f, "{rev}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_exact_condition_wants_the_file_that_was_read() {
        let exact = Condition::asked(17, true);
        assert_eq!(exact, Condition::exactly(Rev(17)));
        assert_eq!(
            [REV_MISSING, 16, 17, 18].map(|found| exact.holds(found)),
            [false, false, true, false]
        );
        let latest = Condition::asked(17, false);
        assert_eq!(
            [REV_MISSING, 16, 17, 18].map(|found| latest.holds(found)),
            [true, true, true, false]
        );
        assert!(exact.holds(REV_DIR) && latest.holds(REV_DIR));
    }

    proptest! {
        #[test]
        fn no_number_of_the_original_is_taken_for_an_exact_one(rev: i64, found in 0..i64::MAX) {
            let asked = Condition::asked(rev, false);
            prop_assert!(!asked.number().1);
            prop_assert_eq!(asked.holds(found), rev == REV_CLOBBER || rev >= found);
            prop_assert_eq!(asked.holds(REV_DIR), rev >= REV_DIR);
        }

        #[test]
        fn an_exact_one_is_fulfilled_by_one_revision(rev in 1..i64::MAX, found in 0..i64::MAX) {
            let asked = Condition::asked(rev, true);
            prop_assert_eq!(asked.holds(found), asked.number() == (found, true));
            prop_assert!(asked.holds(rev) || rev > i64::MAX / 2);
            prop_assert!(asked.holds(REV_DIR));
            // Words that are not about revisions mean what they always do.
            prop_assert_eq!(Condition::asked(-rev, true), Condition::asked(-rev, false));
        }
    }
}
