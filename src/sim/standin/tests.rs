use super::*;
use crate::sim::run::{LIVENESS, NO_PANIC, Report, run};

fn standin(seed: u64, bug: Bug) -> Report {
    run::<Standin>(seed, Shared::new(bug), None)
}

#[test]
fn a_correct_store_passes_every_check() {
    for seed in 0..40 {
        let report = standin(seed, Bug::None);
        assert_eq!(report.violation, None, "seed {seed}");
    }
}
