use super::*;
use crate::sim::nemesis::KINDS;

/// Runs that are drawn.
const RUNS: u64 = 2_000;

/// Every kind of fault, and whether it exists in a run.
fn faults(params: &Params) -> Vec<(String, bool)> {
    let (net, tuning) = (&params.net, &params.tuning);
    let own = [
        ("Loss", net.loss_ppm > 0),
        ("Duplication", net.duplicate_ppm > 0),
        ("Reordering", !net.ordered),
        ("HeavyTail", net.tail_ppm > 0),
        ("Bandwidth", net.bandwidth > 0),
        ("ShortQueue", net.bandwidth > 0 && net.queue_bytes < 200_000),
        ("SilentDeath", net.half_open_ppm > 0),
        ("LateDisk", params.disk != Manner::AtOnce),
        ("ClockDrift", params.drift_ppm > 0),
        ("ClockOffset", params.clock_offsets),
        ("TinyWindow", tuning.alpha <= 16),
        ("TinyBatches", tuning.batch.commands <= 2),
        ("TinyBacklog", tuning.writes_open_max <= 16),
        ("TinyBackPressure", params.unsent_soft < UNSENT_SOFT),
        ("FewOpenRequests", params.requests_open <= 64),
    ];
    let own = own.map(|(name, exists)| (name.to_owned(), exists));
    let drawn = KINDS.iter().zip(&params.fault_weights);
    let drawn = drawn.map(|(kind, weight)| (format!("{kind:?}"), *weight > 0));
    own.into_iter().chain(drawn).collect()
}

#[test]
fn there_are_many_kinds_of_faults_and_each_is_absent_from_a_quarter_of_the_runs() {
    let mut present: Vec<(String, u64)> = Vec::new();
    for seed in 0..RUNS {
        let params = Params::draw(&Chance::new(seed));
        let faults = faults(&params);
        present.resize(faults.len(), (String::new(), 0));
        for (count, (name, exists)) in present.iter_mut().zip(faults) {
            count.0 = name;
            count.1 += u64::from(exists);
        }
    }
    assert!(present.len() >= 34, "{}", present.len());
    for (name, count) in present {
        assert!(count <= RUNS * 3 / 4, "{name} is in {count} of {RUNS} runs");
        assert!(count >= RUNS / 10, "{name} is in {count} of {RUNS} runs");
    }
}

#[test]
fn runs_differ_in_how_many_kinds_of_faults_they_have() {
    let kinds = |seed| {
        let params = Params::draw(&Chance::new(seed));
        params.fault_weights.iter().filter(|w| **w > 0).count()
    };
    let counts: Vec<usize> = (0..200).map(kinds).collect();
    assert!(counts.iter().any(|count| *count <= 5));
    assert!(counts.iter().any(|count| *count >= 20));
}
