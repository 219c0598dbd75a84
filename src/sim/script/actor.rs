//! A client that follows a script.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Answer, Change, Do, EXPECTED, Outcome, Revision, Step};
use crate::core::protocol::client::{ErrorCode, FLAG_DEL, FLAG_SET, Request, Response};
use crate::sim::check::Violation;
use crate::sim::client::Role;
use crate::sim::machine::Machine;
use crate::sim::narration::text;
use crate::sim::process::HostId;
use crate::sim::world::{Happening, World};

/// A client that follows a script.
#[derive(Debug)]
pub struct Script {
    name: String,
    steps: Vec<Step>,
    states: Vec<State>,
    /// Where it asks.
    host: HostId,
    /// Steps that are open, by the tag of their request.
    open: BTreeMap<i32, usize>,
    /// Answers that are compared as soon as the revision is known that they should have.
    answers: Vec<(usize, Response)>,
    complaint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Planned,
    Open,
    Ended,
}

/// Revisions that steps remembered.
pub type Labels = BTreeMap<String, i64>;

/// What a script does next.
enum Next {
    /// It asks.
    Ask(usize),
    /// It waits until then.
    Until(Duration),
    /// It waits for an answer, for itself or for another script.
    Wait,
}

impl Script {
    /// A client of this name with these steps.
    pub fn new(name: &str, steps: Vec<Step>) -> Script {
        Script {
            name: name.to_owned(),
            states: vec![State::Planned; steps.len()],
            steps,
            host: 0,
            open: BTreeMap::new(),
            answers: Vec::new(),
            complaint: None,
        }
    }

    /// The first step that has not ended, or whose answer could not be compared, in words.
    pub fn unfinished(&self) -> Option<String> {
        let open = self.states.iter().position(|s| *s != State::Ended);
        let index = open.or(self.answers.first().map(|answer| answer.0))?;
        Some(self.describe(index))
    }

    /// When each step must have ended.
    pub fn deadlines(&self) -> impl Iterator<Item = (usize, Duration)> {
        let steps = self.steps.iter().enumerate();
        steps.filter_map(|(index, step)| Some((index, step.by?)))
    }

    fn describe(&self, index: usize) -> String {
        let step = &self.steps[index];
        let verb = format!("{:?}", step.verb).to_lowercase();
        let path = step.path.as_deref().unwrap_or_default();
        format!("step {} of client {}, {verb} {path}", index + 1, self.name)
    }

    fn next(&self, now: Duration, labels: &Labels) -> Next {
        let Some(index) = self.states.iter().position(|s| *s == State::Planned) else {
            return Next::Wait;
        };
        let step = &self.steps[index];
        let mut before = self.steps.iter().zip(&self.states).take(index);
        let blocked = before.any(|(step, state)| *state == State::Open && !step.pipelined);
        if blocked
            || step
                .rev
                .as_ref()
                .is_some_and(|rev| resolve(rev, labels).is_none())
        {
            Next::Wait
        } else if step.at > now {
            Next::Until(step.at)
        } else {
            Next::Ask(index)
        }
    }

    fn request(&self, index: usize, labels: &Labels) -> Option<Request> {
        let step = &self.steps[index];
        let verb = step.verb.verb()?;
        let mut value = step.value.clone().map(String::into_bytes);
        if let (Some(value), Some(bytes)) = (&mut value, step.bytes) {
            value.resize(bytes.max(value.len()), b'.');
        }
        Some(Request {
            verb: Some(verb as i32),
            path: step.path.clone().map(Into::into),
            value: value.map(Into::into),
            rev: step.rev.as_ref().and_then(|rev| resolve(rev, labels)),
            offset: step.offset,
            local: matches!(
                step.verb,
                Do::Get | Do::Stat | Do::Walk | Do::Getdir | Do::Rev
            )
            .then_some(step.local),
            exact: step.exact.then_some(true),
            ..Request::default()
        })
    }

    /// A request was answered, or its outcome will never be known.
    pub fn ended(&mut self, request: &Request, response: Option<&Response>) {
        let Some(index) = request.tag.and_then(|tag| self.open.remove(&tag)) else {
            return;
        };
        let step = &self.steps[index];
        let turned_away = match response.map(Response::error) {
            Some(Some(ErrorCode::Readonly)) => true,
            // The outcome of a write is unknown: it would perhaps be done twice.
            None | Some(Some(ErrorCode::Other)) => !step.verb.is_write(),
            _ => false,
        };
        if step.retry && turned_away {
            self.states[index] = State::Planned;
            return;
        }
        self.states[index] = State::Ended;
        let fits = match (&step.expect, response, response.and_then(Response::error)) {
            (Outcome::Anything, ..) | (Outcome::Ok, Some(_), None) => true,
            (Outcome::Lost, None, _) => true,
            (Outcome::Error(wanted), _, Some(code)) => *wanted == code,
            _ => false,
        };
        if !fits {
            let told = match response {
                None => "the connection broke".to_owned(),
                Some(answer) => {
                    format!("the answer is {}", text::response(answer))
                }
            };
            let text = format!("{}: {told}, not {:?}", self.describe(index), step.expect);
            self.complaint.get_or_insert(text);
        }
    }

    /// Compares answers with what is told of them, as far as that is known.
    fn compare(&mut self, labels: &Labels) {
        for (index, response) in std::mem::take(&mut self.answers) {
            let Some(wanted) = &self.steps[index].answer else {
                continue;
            };
            if wanted
                .rev
                .as_ref()
                .is_some_and(|rev| resolve(rev, labels).is_none())
            {
                self.answers.push((index, response));
            } else if let Some(difference) = difference(wanted, &response, labels) {
                let text = format!("{}: {difference}", self.describe(index));
                self.complaint.get_or_insert(text);
            }
        }
    }
}

fn resolve(rev: &Revision, labels: &Labels) -> Option<i64> {
    match rev {
        Revision::Number(number) => Some(*number),
        Revision::After(label, more) => labels.get(label).map(|rev| rev.saturating_add(*more)),
    }
}

fn difference(wanted: &Answer, response: &Response, labels: &Labels) -> Option<String> {
    let text = |bytes: &Option<bytes::Bytes>| {
        let bytes = bytes.as_deref().unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    };
    let flags = response.flags.unwrap_or_default();
    let change = match flags & (FLAG_SET | FLAG_DEL) {
        FLAG_SET => Change::Set,
        FLAG_DEL => Change::Del,
        _ => Change::Nop,
    };
    let (value, path) = (text(&response.value), text(&response.path));
    let rev = wanted.rev.as_ref().map(|rev| resolve(rev, labels));
    if wanted.value.as_ref().is_some_and(|wanted| *wanted != value) {
        Some(format!("the value is `{value}`"))
    } else if wanted.path.as_ref().is_some_and(|wanted| *wanted != path) {
        Some(format!("the path is `{path}`"))
    } else if rev.is_some_and(|rev| rev != response.rev) {
        Some(format!("the revision is {:?}", response.rev))
    } else if wanted.len.is_some() && wanted.len != response.len {
        Some(format!("the length is {:?}", response.len))
    } else if wanted.change.is_some_and(|wanted| wanted != change) {
        Some(format!("the change is {change:?}"))
    } else {
        None
    }
}

impl<M: Machine> World<M> {
    /// Adds a client that follows a script, from the beginning of the storm.
    pub(in crate::sim) fn add_script(&mut self, name: usize, script: Script) -> usize {
        let deadlines: Vec<_> = script.deadlines().collect();
        let actor = self.add_actor(name, Role::Script(script), None);
        for (step, by) in deadlines {
            let happening = Happening::Deadline { actor, step };
            self.queue.push(self.storm_began + by, happening);
        }
        actor
    }

    pub(in crate::sim) fn on_act_script(&mut self, actor: usize) {
        loop {
            let now = self.now.since(self.storm_began);
            let Role::Script(script) = &mut self.actors[actor].role else {
                return;
            };
            let index = match script.next(now, &self.labels) {
                Next::Wait => return,
                Next::Until(at) => return self.act_after(actor, at.saturating_sub(now)),
                Next::Ask(index) => index,
            };
            let step = &script.steps[index];
            if let Some(node) = step.node {
                script.host = node;
            }
            let host = script.host;
            if step.verb == Do::Leave {
                script.states[index] = State::Ended;
                if let Some(conn) = self.actors[actor].conn {
                    self.leave(conn);
                }
                continue;
            }
            let Some(pid) = self.process_on(host) else {
                return self.script_goes_elsewhere(actor, index);
            };
            let conn = match self.actors[actor].conn {
                Some(conn) if self.conns[conn].pid == pid => conn,
                Some(conn) => {
                    self.leave(conn);
                    self.open_conn(actor, pid)
                }
                None => self.open_conn(actor, pid),
            };
            let tag = self.next_tag();
            let Role::Script(script) = &mut self.actors[actor].role else {
                return;
            };
            script.states[index] = State::Open;
            let request = script.request(index, &self.labels);
            script.open.insert(tag, index);
            self.issue(actor, conn, request.expect("it is a request"));
        }
    }

    /// A script cannot ask its node: it tries again later, the next node if it has the choice.
    fn script_goes_elsewhere(&mut self, actor: usize, index: usize) {
        let hosts = self.hosts.len();
        if let Role::Script(script) = &mut self.actors[actor].role
            && script.steps[index].node.is_none()
        {
            script.host = (script.host + 1) % hosts;
        }
        self.act_later(actor);
    }

    /// After a request of a script has ended: remembers, compares, complains, goes on.
    pub(in crate::sim) fn script_ended(
        &mut self,
        actor: usize,
        request: &Request,
        response: Option<&Response>,
    ) {
        let hosts = self.hosts.len();
        let Role::Script(script) = &mut self.actors[actor].role else {
            return;
        };
        let index = request.tag.and_then(|tag| script.open.get(&tag).copied());
        script.ended(request, response);
        let Some(index) = index else { return };
        if script.states[index] == State::Planned {
            if script.steps[index].node.is_none() {
                script.host = (script.host + 1) % hosts;
            }
            return self.act_later(actor);
        }
        let label = script.steps[index].label.clone();
        script
            .answers
            .extend(response.map(|response| (index, response.clone())));
        self.act_after(actor, Duration::ZERO);
        if let (Some(label), Some(rev)) = (label, response.and_then(|response| response.rev)) {
            self.labels.insert(label, rev);
            for other in 0..self.actors.len() {
                self.compare_answers(other);
                if matches!(self.actors[other].role, Role::Script(_)) {
                    self.act_after(other, Duration::ZERO);
                }
            }
        }
        self.compare_answers(actor);
    }

    fn compare_answers(&mut self, actor: usize) {
        let Role::Script(script) = &mut self.actors[actor].role else {
            return;
        };
        script.compare(&self.labels);
        if let Some(complaint) = script.complaint.take() {
            self.accuse(Violation::new(EXPECTED, complaint));
        }
    }

    /// A step must have ended by now.
    pub(in crate::sim) fn on_deadline(&mut self, actor: usize, index: usize) {
        let Role::Script(script) = &mut self.actors[actor].role else {
            return;
        };
        match (script.states[index], &script.steps[index].expect) {
            (State::Ended, _) => {}
            (State::Open, Outcome::Silence) => {
                script.states[index] = State::Ended;
                script.open.retain(|_, open| *open != index);
                if let Some(conn) = self.actors[actor].conn {
                    self.leave(conn);
                }
                self.act_after(actor, Duration::ZERO);
            }
            (State::Planned, _) => {
                let text = format!("{} was not begun in time", script.describe(index));
                self.accuse(Violation::new(EXPECTED, text));
            }
            (State::Open, _) => {
                let text = format!("{} has no answer in time", script.describe(index));
                self.accuse(Violation::new(EXPECTED, text));
            }
        }
    }
}
