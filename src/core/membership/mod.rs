//! Who takes part: configurations derived from `/ctl/cal`, liveness of peers, who owns slots, and
//! what each process does of itself.

mod epoch;
mod eviction;
mod housekeeping;
mod ownership;
mod peers;

pub use epoch::{Epoch, Epochs, MEMBERS_MAX, owners_min, quorum};
pub use eviction::{Eviction, Evidence, SILENCES_MAX, best_standby};
pub use housekeeping::{DEMOTED_PAUSE, Housekeeping, Identity, Situation};
pub use ownership::{Ownership, Sight};
pub use peers::{BEAT, BEATS_MISSED, Peer, Peers, SUSPICION, SUSPICION_CEILING, SUSPICION_FLOOR};
