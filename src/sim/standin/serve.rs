//! How a stand-in serves clients.

use bytes::Bytes;

use super::{Bug, Standin};
use crate::core::env::Env;
use crate::core::id::SessionId;
use crate::core::protocol::client::{ErrorCode, Request, Response, Verb};

impl Standin {
    pub(super) fn serve(&mut self, session: SessionId, request: Request, env: &mut impl Env) {
        if self.errs(Bug::Silence, env) {
            return;
        }
        match request.verb.and_then(Verb::from_number) {
            Some(Verb::Set | Verb::Del | Verb::Nop) => self.write(session, request, env),
            Some(Verb::Rev) => {
                let rev = Some(self.applied);
                let tag = request.tag;
                env.reply(
                    session,
                    Response {
                        rev,
                        ..Response::to(tag)
                    },
                );
            }
            _ => {
                if !self.read(session, &request, env) {
                    self.parked.push((session, request));
                }
            }
        }
    }

    fn write(&mut self, session: SessionId, mut request: Request, env: &mut impl Env) {
        let tag = request.tag;
        if !self.is_member {
            return env.reply(session, Response::refuse(tag, ErrorCode::Readonly));
        }
        let size = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let limits = self.config.limits;
        let is_long = size(&request.path) > limits.path_bytes_max;
        if is_long || size(&request.value) > limits.value_bytes_max {
            return env.reply(session, Response::refuse_with(tag, "it is too large"));
        }
        if self.errs(Bug::LostWrite, env) {
            let rev = Some(self.applied + 1);
            return env.reply(
                session,
                Response {
                    rev,
                    ..Response::to(tag)
                },
            );
        }
        if self.errs(Bug::BlindSet, env) {
            request.rev = Some(-1);
        }
        let copies = 1 + i64::from(self.errs(Bug::DoubleWrite, env));
        let mut rev = 0;
        for _ in 0..copies {
            let end = self.shared.log.borrow().rev();
            let (event, _) = self.shared.log.borrow().decide(&request, end);
            rev = self.append(event);
        }
        self.unanswered.insert(rev, (session, request));
    }

    /// Answers the write at the revision that has just been applied, if it is of this stand-in.
    pub(super) fn answer_write(&mut self, env: &mut impl Env) {
        let Some((session, request)) = self.unanswered.remove(&self.applied) else {
            return;
        };
        let (_, refusal) = self.shared.log.borrow().decide(&request, self.applied - 1);
        let tag = request.tag;
        let response = match refusal {
            Some(code) if !self.errs(Bug::FalseSuccess, env) => Response::refuse(tag, code),
            _ if request.verb == Some(Verb::Set as i32) => Response {
                rev: Some(self.applied + i64::from(self.errs(Bug::WrongRev, env))),
                ..Response::to(tag)
            },
            _ => Response::to(tag),
        };
        env.reply(session, response);
    }

    /// Answers a read if it can be answered.
    fn read(&mut self, session: SessionId, request: &Request, env: &mut impl Env) -> bool {
        if request.verb == Some(Verb::Wait as i32) {
            return self.wait(session, request, env);
        }
        let is_local = request.local == Some(true);
        let end = self.shared.log.borrow().rev();
        let mut at = match request.rev {
            Some(rev) if rev.max(1) > self.applied => return false,
            Some(rev) => rev.max(1),
            None if is_local => self.applied,
            None => {
                let stale = self.applied;
                self.apply_upto(end, env);
                if self.shared.bug == Bug::StaleRead {
                    stale
                } else {
                    end
                }
            }
        };
        if request.rev.is_some() && self.errs(Bug::WrongAge, env) {
            at = self.applied;
        }
        let mut request = request.clone();
        if request.offset.is_some_and(|n| n > 0) && self.errs(Bug::ShortListing, env) {
            request.offset = request.offset.map(|n| n.saturating_add(1));
        }
        let response = self.shared.log.borrow().answer(&request, at);
        env.reply(session, response);
        true
    }

    fn wait(&mut self, session: SessionId, request: &Request, env: &mut impl Env) -> bool {
        let mut from = request.rev.unwrap_or(1).max(1);
        if self.errs(Bug::WatchGap, env) {
            from += 1;
        }
        if from > 1 && self.errs(Bug::WatchTwice, env) {
            from -= 1;
        }
        let log = self.shared.log.borrow();
        let pattern = request.path.as_deref().unwrap_or_default();
        let Some(rev) = log
            .first_match(pattern, from)
            .filter(|rev| *rev <= self.applied)
        else {
            return false;
        };
        let event = log.event(rev).expect("the sequence has no gap").clone();
        drop(log);
        let response = Response {
            rev: Some(rev),
            path: Some(event.path),
            value: Some(event.value),
            flags: Some(event.flags),
            ..Response::to(request.tag)
        };
        env.reply(session, response);
        true
    }

    /// Tries again to answer what had to wait.
    pub(super) fn retry_parked(&mut self, env: &mut impl Env) {
        for (session, request) in std::mem::take(&mut self.parked) {
            if !self.read(session, &request, env) {
                self.parked.push((session, request));
            }
        }
    }
}
