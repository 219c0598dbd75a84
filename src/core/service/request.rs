//! The checks of each verb, in the order that clients rely on. Everything found here is answered
//! in request order, before the next request of the connection is looked at.

#![allow(
    clippy::result_large_err,
    reason = "an answer that is given at once is as ordinary an outcome as one that waits"
)]

use bytes::Bytes;
use prost::Message;

use super::{Read, Recovery, Service, Standing, Task, event_response};
use crate::core::consensus::Ticket;
use crate::core::env::Env;
use crate::core::id::{Rev, SessionId};
use crate::core::instrument::{planted, sometimes};
use crate::core::log::{Author, Op};
use crate::core::protocol::client::{ErrorCode, Request, Response, Verb, detail};
use crate::core::store::{Condition, Glob, Mutation, Path, Store, Unreadable, Value, WatchId};

impl Service {
    /// A client asks for something.
    pub fn request(
        &mut self,
        session: SessionId,
        request: Request,
        standing: &Standing,
        store: &mut Store,
        env: &mut impl Env,
    ) -> Task {
        let Some(state) = self.sessions.get_mut(&session) else {
            return Task::Nothing;
        };
        let tag = request.tag;
        let open_max = self.rules.limits.requests_open_max;
        if state.open >= open_max {
            let text = format!(
                "{}: {open_max}, parked WAITs included, is the limit; use another connection",
                detail::CONNECTION_FULL
            );
            env.reply(session, Response::refuse_with(tag, text));
            return Task::Nothing;
        }
        match self.check(session, &request, standing, store) {
            Ok(Next::Answer) => {
                self.count(session);
                self.answer_now(session, &request, store, env);
                Task::Nothing
            }
            Ok(Next::AskFirst) => {
                self.count(session);
                self.next_read += 1;
                let ticket = Ticket(self.next_read);
                let deadline = env.now() + self.rules.timeout;
                self.reads.insert(
                    ticket,
                    Read {
                        session,
                        request,
                        deadline,
                    },
                );
                Task::Read(ticket)
            }
            Ok(Next::Park(glob, from)) => {
                self.count(session);
                self.next_watch += 1;
                let id = WatchId(self.next_watch);
                self.watches.add(id, glob, from);
                self.parked.insert(id, (session, tag));
                let state = self.sessions.get_mut(&session).expect("it is open");
                state.parked.insert(id);
                Task::Nothing
            }
            Ok(Next::AtRev(rev)) => {
                self.count(session);
                let state = self.sessions.get_mut(&session).expect("it is open");
                state.future.insert(rev);
                self.future.entry(rev).or_default().push((session, request));
                Task::Nothing
            }
            Ok(Next::Propose(op, verb)) => {
                self.count(session);
                Task::Propose { op, verb, tag }
            }
            Ok(Next::Recover) => Task::Recover(Recovery {
                tag,
                force: request.force == Some(true),
                confirmed: request
                    .value
                    .as_ref()
                    .is_some_and(|value| !value.is_empty()),
            }),
            Err(response) => {
                if response.error() == Some(ErrorCode::Readonly) {
                    self.turned_away = Some(env.now());
                }
                env.reply(session, response);
                Task::Nothing
            }
        }
    }

    fn count(&mut self, session: SessionId) {
        self.sessions.get_mut(&session).expect("it is open").open += 1;
    }

    /// What comes next, or the answer that is given at once.
    fn check(
        &mut self,
        session: SessionId,
        request: &Request,
        standing: &Standing,
        store: &mut Store,
    ) -> Result<Next, Response> {
        let tag = request.tag;
        let refuse = |code| Response::refuse(tag, code);
        let verb = request.verb.and_then(Verb::from_number);
        let verb = verb.ok_or_else(|| refuse(ErrorCode::UnknownVerb))?;
        let state = self.sessions.get_mut(&session).expect("it is open");
        let may = match verb {
            Verb::Rev | Verb::Self_ | Verb::Access => true,
            Verb::Get
            | Verb::Stat
            | Verb::Getdir
            | Verb::Walk
            | Verb::Files
            | Verb::Wait
            | Verb::Status => state.may_read,
            Verb::Set | Verb::Del | Verb::Nop | Verb::Restore | Verb::Recover => state.may_write,
        };
        if !may {
            return Err(Response::refuse_with(tag, detail::PERMISSION_DENIED));
        }
        match verb {
            Verb::Rev => Err(Response {
                rev: Some(store.rev().0 as i64),
                ..Response::to(tag)
            }),
            Verb::Self_ => {
                let value = Bytes::copy_from_slice(self.rules.id.as_bytes());
                Err(Response {
                    value: Some(value),
                    ..Response::to(tag)
                })
            }
            Verb::Status => {
                let report = standing.report.as_ref();
                Err(Response {
                    value: report.map(|report| report.encode_to_vec().into()),
                    ..Response::to(tag)
                })
            }
            Verb::Access => {
                let secret = request.value.as_deref().unwrap_or_default();
                Err(match state.present(secret, &self.rules) {
                    true => Response::to(tag),
                    false => Response::refuse_with(tag, detail::PERMISSION_DENIED),
                })
            }
            Verb::Get => {
                needs(request, request.path.is_some())?;
                self.when(request, store)
            }
            Verb::Stat => self.when(request, store),
            Verb::Getdir => {
                needs(request, request.path.is_some() && request.offset.is_some())?;
                self.when(request, store)
            }
            Verb::Walk | Verb::Files => {
                needs(request, request.path.is_some() && request.offset.is_some())?;
                self.glob(request)?;
                if request.offset.is_some_and(|offset| offset < 0) {
                    return Err(refuse(ErrorCode::Range));
                }
                self.when(request, store)
            }
            Verb::Wait => {
                needs(request, request.path.is_some() && request.rev.is_some())?;
                let glob = self.glob(request)?;
                let mut from = at_least_one(request.rev.unwrap_or_default());
                if planted!(WaitBeginsLate) {
                    from = from.next();
                }
                if planted!(WaitTellsThePast) {
                    from = Rev(from.0.saturating_sub(1).max(1));
                }
                match store.first_event(from, &glob) {
                    Err(_) => Err(refuse(ErrorCode::TooLate)),
                    Ok(Some(event)) => Err(event_response(tag, event)),
                    Ok(None) => {
                        sometimes!(WatchFromPast, from <= store.rev());
                        sometimes!(WatchFromFuture, from > store.rev().next());
                        Ok(Next::Park(glob, from))
                    }
                }
            }
            Verb::Recover => Ok(Next::Recover),
            Verb::Set | Verb::Del | Verb::Nop | Verb::Restore => {
                if !standing.is_member {
                    return Err(refuse(ErrorCode::Readonly));
                }
                let op = match verb {
                    Verb::Restore => Op::Restore(self.restore(request)?),
                    _ => Op::Mutate {
                        mutation: self.mutation(verb, request)?,
                        author: Author::Client,
                    },
                };
                if let Some(text) = &standing.objection {
                    return Err(Response::refuse_with(tag, text.clone()));
                }
                if self.writes.len() >= self.rules.writes_open_max {
                    sometimes!(BacklogFull);
                    return Err(Response::refuse_with(tag, detail::BACKLOG_FULL));
                }
                Ok(Next::Propose(op, verb))
            }
        }
    }

    /// When a read can be answered.
    fn when(&self, request: &Request, store: &Store) -> Result<Next, Response> {
        let Some(rev) = request.rev else {
            let local = request.local.unwrap_or(self.rules.local_reads);
            return Ok(if local || planted!(ReadsAreLocal) {
                Next::Answer
            } else {
                Next::AskFirst
            });
        };
        let rev = at_least_one(rev);
        match store.at(Some(rev)) {
            Ok(_) => Ok(Next::Answer),
            Err(Unreadable::Future) => Ok(Next::AtRev(rev)),
            Err(Unreadable::TooLate) => Err(Response::refuse(request.tag, ErrorCode::TooLate)),
        }
    }

    /// The pattern of a request.
    pub(super) fn glob(&self, request: &Request) -> Result<Glob, Response> {
        let pattern = request.path.as_deref().unwrap_or_default();
        let max = self.rules.limits.path_bytes_max;
        if pattern.len() > max {
            let text = format!(
                "the pattern has {} bytes; at most {max} are taken",
                pattern.len()
            );
            return Err(Response::refuse_with(request.tag, text));
        }
        Glob::parse(pattern).map_err(|_| {
            let pattern = String::from_utf8_lossy(pattern);
            Response::refuse_with(request.tag, format!("invalid glob pattern: {pattern}"))
        })
    }

    fn mutation(&self, verb: Verb, request: &Request) -> Result<Mutation, Response> {
        if verb == Verb::Nop {
            return Ok(Mutation::Nop);
        }
        needs(request, request.path.is_some() && request.rev.is_some())?;
        let text = request.path.as_deref().unwrap_or_default();
        let rev = request.rev.unwrap_or_default();
        let condition = Condition::asked(rev, request.exact == Some(true));
        let path = self.path(request.tag, text)?;
        if verb == Verb::Del {
            return Ok(Mutation::Del { path, condition });
        }
        let value = request.value.clone().unwrap_or_default();
        let value = self.value(request.tag, &value)?;
        Ok(Mutation::Set {
            path,
            value,
            condition,
        })
    }

    /// A path that may be written.
    pub(super) fn path(&self, tag: Option<i32>, text: &[u8]) -> Result<Path, Response> {
        let path = Path::parse(text).map_err(|_| Response::refuse(tag, ErrorCode::BadPath))?;
        let max = self.rules.limits.path_bytes_max;
        within(detail::PATH_TOO_LONG, text.len(), max, tag).map(|()| path)
    }

    /// A value that may be written.
    pub(super) fn value(&self, tag: Option<i32>, bytes: &[u8]) -> Result<Value, Response> {
        let max = self.rules.limits.value_bytes_max;
        within(detail::VALUE_TOO_LARGE, bytes.len(), max, tag)?;
        // A copy: the log retains it, and would retain with it all that was received beside it.
        Ok(Value(Bytes::copy_from_slice(bytes)))
    }
}

enum Next {
    /// Answer from the state as it is.
    Answer,
    /// Answer once the state is up to date.
    AskFirst,
    /// Answer once this revision has come.
    AtRev(Rev),
    /// Answer with the first matching change from this revision on.
    Park(Glob, Rev),
    /// Leave it to the node.
    Recover,
    /// Answer once the command is in the log.
    Propose(Op, Verb),
}

fn within(what_has: &str, size: usize, max: usize, tag: Option<i32>) -> Result<(), Response> {
    if size > max {
        let text = format!("{what_has} {size} bytes; at most {max} are taken");
        return Err(Response::refuse_with(tag, text));
    }
    Ok(())
}

fn needs(request: &Request, present: bool) -> Result<(), Response> {
    match present {
        true => Ok(()),
        false => Err(Response::refuse(request.tag, ErrorCode::MissingArg)),
    }
}

/// Revisions below 1 mean 1.
fn at_least_one(rev: i64) -> Rev {
    Rev(rev.max(1) as u64)
}
