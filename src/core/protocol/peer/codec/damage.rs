//! What a codec with a planted bug makes of a message.

use super::super::message::{Accepted, Beat, Message};
use crate::core::consensus::Lane;
use crate::core::instrument::planted;

/// The message as it arrives.
pub(super) fn damage(mut message: Message) -> Message {
    match &mut message {
        Message::Accept { lane, .. } | Message::Beat(Beat { lane, .. }) => damage_lane(lane),
        Message::Accepted(Accepted { votes, lane, .. }) => {
            if planted!(CodecLosesVote) && votes.len() > 1 {
                votes.pop();
            }
            damage_lane(lane);
        }
        Message::Promise { slots, .. } if planted!(CodecLosesAccepted) => {
            slots.iter_mut().for_each(|slot| slot.accepted = None);
        }
        Message::Learn { from, .. } if planted!(CodecCutsSlots) => from.0 &= 0xff,
        _ => {}
    }
    message
}

fn damage_lane(lane: &mut Option<Lane>) {
    if planted!(CodecLosesUsed)
        && let Some(lane) = lane
    {
        lane.used.pop();
    }
}
