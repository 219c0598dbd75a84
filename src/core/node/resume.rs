//! Coming back as who it was: a state of earlier, and the records since.

use super::config::Start;
use super::{Config, Replica};
use crate::core::env::Time;

/// What the node was, as far as it has written that down; and the cluster that it still has to
/// found, if its first life was too short for that. Takes the memory out of `config`: it is needed
/// once.
pub(super) fn resume(config: &mut Config) -> (Option<String>, Replica) {
    let start = std::mem::replace(&mut config.start, Start::Join);
    let Start::Resume {
        cluster,
        state,
        records,
    } = start
    else {
        unreachable!("it was told to resume");
    };
    let mut replica = Replica::new(config, *state);
    let Replica { state, consensus } = &mut replica;
    consensus.begin_recalling(&records);
    for record in records {
        consensus.recall(record);
        while let Some((slot, entry)) = consensus.next_decided() {
            let changed = state.apply(slot, &entry, |_, _| {});
            let epochs = changed.then(|| state.epochs());
            consensus.on_applied(Time(0), state.digest(), epochs, |id| state.last(id));
        }
    }
    consensus.end_recalling();
    let is_alone = state.epochs().latest().members == [config.id];
    let founds = (is_alone && state.cluster_name().is_empty()).then_some(cluster);
    (founds, replica)
}
