//! Nothing in a node grows beyond its stated bound, and nothing is left over at the end.

use super::Violation;
use crate::core::id::NodeId;
use crate::core::limits::{Drains, Gauge};
use crate::core::node::Node;

/// The property, as a sentence.
pub const PROPERTY: &str = "queues and tables of a node stay within their bounds";
/// The property of the end, as a sentence.
pub const LEAK: &str = "nothing is left over when clients are gone and all work is done";

/// Looks at everything that a node holds.
pub fn check(id: NodeId, node: &Node) -> Result<(), Violation> {
    let mut over = None;
    node.load(|gauge| {
        if gauge.used > gauge.most {
            over = Some(gauge);
        }
    });
    match over {
        None => Ok(()),
        Some(Gauge {
            what, used, most, ..
        }) => {
            let detail = format!("{id} has {used} {what}, at most {most} are allowed");
            Err(Violation::new(PROPERTY, detail))
        }
    }
}

/// What is left in a node of that which must not be left at the end; `in_touch` if every process
/// that lives can be heard.
pub fn leftover(node: &Node, in_touch: bool) -> Option<Gauge> {
    let mut left = None;
    node.load(|gauge| {
        let drains = match gauge.drains {
            Drains::Never => false,
            Drains::AtRest => true,
            Drains::InTouch => in_touch,
        };
        if drains && gauge.used > 0 {
            left = Some(gauge);
        }
    });
    left
}

#[cfg(test)]
mod tests;
