//! Who takes part: configurations derived from `/ctl/cal`, liveness of peers, who owns slots, and
//! what each process does of itself.

mod epoch;
mod housekeeping;
mod ownership;
mod peers;

pub use epoch::{Epoch, Epochs, MEMBERS_MAX, owners_min, quorum};
pub use housekeeping::{Housekeeping, Identity, Situation};
pub use ownership::Ownership;
pub use peers::{BEAT, BEATS_MISSED, Peer, Peers, SUSPICION_FLOOR};
