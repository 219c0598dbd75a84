//! The account of a slot, for people.

use std::fmt;

use super::account::{Account, Asked, Attempt, Learned, Moment, Promise, Vote};
use super::verdict::{Basis, Decision, Reason, Wrong, majority};
use crate::core::consensus::Ballot;
use crate::core::id::NodeId;
use crate::core::log::{Author, Entry, Op};
use crate::core::protocol::client::Verb;
use crate::core::store::{Condition, Mutation};
use crate::sim::narration::text;
use crate::sim::process::Pid;

/// Times that the outcome was told which are shown.
const TIPS_SHOWN: usize = 12;
/// Requests that are named where several may be meant.
const ASKED_SHOWN: usize = 3;

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ms, us) = (self.time.0 / 1000, self.time.0 % 1000);
        write!(f, "event {} ({ms}.{us:03} ms)", self.number)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "slot {}", self.slot)?;
        self.show_configuration(f)?;
        for (ballot, attempt) in &self.attempts {
            self.show_attempt(f, *ballot, attempt)?;
        }
        self.show_given_up(f)?;
        self.show_outcome(f)?;
        self.show_told(f)?;
        self.show_learned(f)?;
        if let Some((violation, at)) = &self.violation {
            let text = self.cast().rename(&violation.to_string());
            writeln!(f, "\nthe run ends at {at}: {text}")?;
        }
        Ok(())
    }
}

impl Account {
    fn node(&self, pid: Pid) -> String {
        self.cast().node(pid)
    }

    fn nodes(&self, pids: &[Pid]) -> String {
        let names: Vec<String> = pids.iter().map(|pid| self.node(*pid)).collect();
        format!("{{{}}}", names.join(","))
    }

    fn ballot(&self, ballot: Ballot) -> String {
        text::ballot(ballot, &self.cast())
    }

    fn entry(&self, entry: &Entry) -> String {
        text::entry(entry, &self.cast())
    }

    fn show_configuration(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nconfiguration")?;
        let Some((epoch, at)) = &self.epoch else {
            return writeln!(f, "  nobody knew one that governs this slot");
        };
        let cast = self.cast();
        writeln!(
            f,
            "  from slot {} on: {}; first shown at {at}",
            epoch.start,
            text::epoch(epoch, &cast)
        )?;
        writeln!(
            f,
            "  the slot belongs to {}; {} of {} members are a majority",
            cast.who(epoch.owner(self.slot)),
            majority(epoch.members.len()),
            epoch.members.len()
        )
    }

    fn show_attempt(
        &self,
        f: &mut fmt::Formatter<'_>,
        ballot: Ballot,
        attempt: &Attempt,
    ) -> fmt::Result {
        writeln!(f, "\nballot {}", self.ballot(ballot))?;
        let who = self.cast().who(ballot.member);
        if let Some(at) = attempt.prepared {
            writeln!(f, "  {who} asks for promises at {at}")?;
        }
        for promise in &attempt.promises {
            self.show_promise(f, promise, ballot.member)?;
        }
        match &attempt.proposed {
            None => writeln!(f, "  nothing is proposed")?,
            Some((at, entry)) => {
                let sent = match attempt.sent {
                    0 => "not sent to anybody else".to_owned(),
                    1 => "sent once".to_owned(),
                    times => format!("sent {times} times"),
                };
                writeln!(f, "  {who} proposes at {at}, {sent}")?;
                self.show_commands(f, *at, entry)?;
                if let Some(basis) = self.basis(ballot) {
                    writeln!(f, "  {}", self.show_basis(ballot, &basis))?;
                }
            }
        }
        for vote in &attempt.votes {
            self.show_vote(f, vote)?;
        }
        for (by, at, promised) in &attempt.refused {
            let (by, promised) = (self.node(*by), self.ballot(*promised));
            writeln!(f, "  {by} refuses at {at}: it has promised {promised}")?;
        }
        Ok(())
    }

    fn show_promise(
        &self,
        f: &mut fmt::Formatter<'_>,
        promise: &Promise,
        proposer: NodeId,
    ) -> fmt::Result {
        let show = |told: &Option<(Ballot, Entry)>| match told {
            None => "nothing accepted".to_owned(),
            Some((ballot, entry)) => {
                format!("{} accepted at {}", self.entry(entry), self.ballot(*ballot))
            }
        };
        let by = self.node(promise.by);
        let durable = show_durable(promise.made, promise.durable);
        write!(f, "  {by} promises at {}{durable}", promise.made)?;
        match &promise.reached {
            _ if self.is(promise.by, proposer) => {
                writeln!(f, ", to itself: {}", show(&promise.before))
            }
            Some((at, told)) => writeln!(f, "; that arrives at {at}: {}", show(told)),
            None => writeln!(f, "; that never arrives"),
        }
    }

    fn show_vote(&self, f: &mut fmt::Formatter<'_>, vote: &Vote) -> fmt::Result {
        let durable = show_durable(vote.made, vote.durable);
        let by = self.node(vote.by);
        write!(f, "  {by} accepts at {}{durable}", vote.made)?;
        match vote.told {
            Some(at) => writeln!(f, ", says so at {at}"),
            None => writeln!(f, ", tells nobody"),
        }
    }

    fn show_basis(&self, ballot: Ballot, basis: &Basis) -> String {
        let who = self.cast().who(ballot.member);
        match basis {
            Basis::Owner => {
                format!(
                    "allowed: ballot 0 is the owner's, and {who} is the owner: no promise is needed"
                )
            }
            Basis::NothingAccepted(by) => format!(
                "allowed: the promises of {}, a majority, tell of nothing accepted, so that nothing \
                 can have been decided at a lower ballot: a skip",
                self.nodes(by)
            ),
            Basis::Adopted { by, from, told_by } => format!(
                "allowed: of the promises of {}, a majority, that of {} tells of the highest ballot, \
                 {}, and this is the entry accepted there",
                self.nodes(by),
                self.node(*told_by),
                self.ballot(*from)
            ),
            Basis::None(wrong) => format!("NOT ALLOWED: {}", self.show_wrong(&who, wrong)),
        }
    }

    fn show_wrong(&self, who: &str, wrong: &Wrong) -> String {
        match wrong {
            Wrong::NotTheOwner => format!("ballot 0 is the owner's, and {who} is not the owner"),
            Wrong::TooFew(had, needed) => {
                format!("{who} had {had} promises of members by then, and needs {needed}")
            }
            Wrong::NotAdopted(ballot, told_by) => format!(
                "the promise of {} tells of another entry, accepted at {}: that one had to be \
                 adopted",
                self.node(*told_by),
                self.ballot(*ballot)
            ),
            Wrong::OutOfNothing => {
                "nobody told of an accepted entry: only a skip may be proposed".to_owned()
            }
        }
    }

    /// The commands of an entry, and who asked for them.
    fn show_commands(
        &self,
        f: &mut fmt::Formatter<'_>,
        before: Moment,
        entry: &Entry,
    ) -> fmt::Result {
        let Entry::Batch(batch) = entry else {
            return writeln!(f, "    skip");
        };
        let cast = self.cast();
        for run in &batch.runs {
            for (index, op) in run.ops.iter().enumerate() {
                let (origin, seq) = (cast.who(run.origin), run.first.plus(index).0);
                writeln!(f, "    {origin}#{seq} {}", text::op(op, &cast))?;
                self.show_asked(f, run.origin, before, op)?;
            }
        }
        Ok(())
    }

    /// The requests that a command may come from: commands do not name them, their content does.
    fn show_asked(
        &self,
        f: &mut fmt::Formatter<'_>,
        origin: NodeId,
        before: Moment,
        op: &Op,
    ) -> fmt::Result {
        let (Op::Mutate {
            mutation,
            author: Author::Client,
        }
        | Op::Seat { mutation, .. }) = op
        else {
            return Ok(());
        };
        let origin = self.cast().pid(origin);
        let is_for = |asked: &&Asked| match mutation {
            Mutation::Set {
                path,
                value,
                condition,
            } => asked.is_for(Verb::Set, path.as_str(), Some(&value.0), *condition),
            Mutation::Del { path, condition } => {
                asked.is_for(Verb::Del, path.as_str(), None, *condition)
            }
            Mutation::Nop => asked.is_for(Verb::Nop, "", None, Condition::ANY),
        };
        let was_open = |asked: &&Asked| {
            let answered = asked.answered.as_ref();
            asked.at <= before && answered.is_none_or(|(at, _)| *at >= before)
        };
        let asked = self.asked.iter();
        let asked = asked.filter(|asked| Some(asked.node) == origin);
        let asked: Vec<&Asked> = asked.filter(is_for).filter(was_open).collect();
        let which = if asked.len() > 1 { "one of: " } else { "" };
        for one in asked.iter().take(ASKED_SHOWN) {
            let (client, tag, at) = (one.client, one.tag, one.at);
            write!(f, "      {which}c{client} asked for it as #{tag} at {at}")?;
            match &one.answered {
                None => writeln!(f, ", and was never answered")?,
                Some((at, answer)) => writeln!(f, ", and was answered at {at}: {answer}")?,
            }
        }
        match asked.len() {
            0 => writeln!(f, "      no request that was open then asks for this"),
            n if n > ASKED_SHOWN => writeln!(f, "      and {} more", n - ASKED_SHOWN),
            _ => Ok(()),
        }
    }

    fn show_given_up(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.given_up, self.owner()) {
            (Some((at, kind)), Some(owner)) => {
                let owner = self.cast().who(owner);
                let says = format!("{owner}, the owner, says in {kind} that it never uses it");
                writeln!(f, "\ngiven up\n  {says}: first at {at}")
            }
            _ => Ok(()),
        }
    }

    fn show_outcome(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\noutcome")?;
        let decisions = self.decisions();
        for (index, decision) in decisions.iter().enumerate() {
            let also = if index == 0 { "" } else { "also " };
            let entry = self.entry(&decision.entry);
            writeln!(f, "  {also}decided at {}: {entry}", decision.at)?;
            writeln!(f, "    {}", self.show_reason(decision))?;
        }
        let mut entries: Vec<&Entry> = decisions.iter().map(|one| &one.entry).collect();
        let knew = self.learned.iter().filter_map(|one| one.knew.as_ref());
        entries.extend(knew.map(|(_, entry, _)| entry));
        entries.dedup();
        if entries.windows(2).any(|pair| pair[0] != pair[1]) {
            writeln!(f, "  NOT ALLOWED: there is more than one outcome")?;
        }
        let first = self.learned.first();
        match (decisions.first(), first) {
            (None, None) => writeln!(f, "  none by the end of the run"),
            (None, Some(one)) => {
                let by = self.node(one.by);
                writeln!(
                    f,
                    "  NOT ALLOWED: nothing decides it, and yet {by} knows an outcome"
                )
            }
            (Some(decision), Some(one)) if first_knew(one) < Some(decision.at) => {
                let by = self.node(one.by);
                writeln!(
                    f,
                    "  NOT ALLOWED: {by} knew an outcome before it was decided"
                )
            }
            _ => Ok(()),
        }
    }

    fn show_reason(&self, decision: &Decision) -> String {
        match &decision.reason {
            Reason::Majority { ballot, by } => format!(
                "{}, a majority, have accepted it durably at ballot {}",
                self.nodes(by),
                self.ballot(*ballot)
            ),
            Reason::GivenUp => {
                "its owner will never use it, and nobody else may bring anything in: \
                                no votes are needed"
                    .to_owned()
            }
        }
    }

    fn show_told(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.told.is_empty() {
            return Ok(());
        }
        writeln!(f, "\ntold by those who knew")?;
        for tip in self.told.iter().take(TIPS_SHOWN) {
            let (by, to) = (self.node(tip.by), self.cast().list(&tip.to));
            let (at, kind, entry) = (tip.at, tip.kind, self.entry(&tip.entry));
            writeln!(f, "  {by} to {to} at {at}, in {kind}: {entry}")?;
        }
        match self.told.len() {
            n if n > TIPS_SHOWN => writeln!(f, "  and {} times more", n - TIPS_SHOWN),
            _ => Ok(()),
        }
    }

    fn show_learned(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nwho knew it when")?;
        if self.learned.is_empty() {
            writeln!(f, "  nobody")?;
        }
        for one in &self.learned {
            write!(f, "  {:<5} ", self.node(one.by))?;
            match &one.knew {
                Some((at, entry, heard)) => {
                    write!(f, "knew at {at}: {}", self.entry(entry))?;
                    if let Some(heard) = heard {
                        let (from, kind) = (self.node(heard.from), heard.kind);
                        write!(f, ", after {kind} of {from} ({})", heard.at)?;
                    }
                }
                None => write!(
                    f,
                    "never showed it: it applied more than it keeps in that turn, or took a snapshot"
                )?,
            }
            match one.applied {
                Some(at) => writeln!(f, "; has applied it at {at}")?,
                None => writeln!(f, "; never applied it")?,
            }
        }
        Ok(())
    }
}

fn first_knew(one: &Learned) -> Option<Moment> {
    one.knew.as_ref().map(|(at, ..)| *at).or(one.applied)
}

fn show_durable(made: Moment, durable: Option<Moment>) -> String {
    match durable {
        Some(at) if at == made => String::new(),
        Some(at) => format!(", durably at {at}"),
        None => ", never durably".to_owned(),
    }
}
