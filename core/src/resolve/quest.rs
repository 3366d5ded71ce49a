//! One name and one kind of address: servers in turn, UDP and then TCP, through aliases.

use super::message::{Kind, Question, Reading, Said};
use super::{Failure, Name, Settings};
use crate::error::Errno;
use crate::rng::Rng;
use crate::time::Instant;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Messages of an exchange that are no answer to it after which it is given up: somebody is guessing.
const STRANGERS_MAX: u8 = 64;

/// Answers that lead to another name and say nothing of it.
const HOPS_MAX: u8 = 8;

/// Names one conversation with a server: a socket of its own.
pub type Exchange = u32;

/// How a question travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram, from a port of its own.
    Udp,
    /// A connection, each message behind its length in two bytes (RFC 7766).
    Tcp,
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Whose it is; answers are told under the same number.
    pub exchange: Exchange,
    /// How to send it.
    pub transport: Transport,
    /// Whom to.
    pub server: SocketAddr,
    /// What, without a length in front.
    pub message: Vec<u8>,
}

/// What quests of one lookup share.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    pub(super) settings: &'a Settings,
    pub(super) rng: &'a mut Rng,
    pub(super) exchanges: &'a mut Exchange,
    pub(super) out: &'a mut VecDeque<Transmit>,
    /// Servers that do not understand EDNS, by their places.
    pub(super) plain: &'a mut [bool],
}

/// The quest.
#[derive(Debug)]
pub(super) struct Quest {
    pub(super) asked: Name,
    pub(super) kind: Kind,
    /// The name that `asked` stands for, as far as that is known.
    name: Name,
    hops: u8,
    /// For how many seconds the way through those holds.
    holds: u32,
    /// Tries so far, the one under way included; each asks the next server.
    tries: usize,
    open: Vec<Open>,
    deadline: Instant,
    trouble: Option<String>,
    pub(super) outcome: Option<Result<Said, Failure>>,
}

/// An exchange under way. One that another try has overtaken may still be answered.
#[derive(Debug)]
struct Open {
    exchange: Exchange,
    transport: Transport,
    server: usize,
    attempt: usize,
    question: Question,
    strangers: u8,
}

impl Quest {
    pub(super) fn start(now: Instant, shared: &mut Shared<'_>, asked: Name, kind: Kind) -> Self {
        let name = asked.clone();
        let (hops, holds, tries, open) = (0, u32::MAX, 0, Vec::new());
        let mut quest =
            Self { asked, kind, name, hops, holds, tries, open, deadline: now, trouble: None, outcome: None };
        quest.next_try(now, shared);
        quest
    }

    /// One that somebody else has answered already.
    pub(super) fn answered(asked: Name, kind: Kind, name: Name, said: Said) -> Self {
        let (hops, holds, tries, open) = (0, u32::MAX, 0, Vec::new());
        let outcome = Some(Ok(said));
        Self { asked, kind, name, hops, holds, tries, open, deadline: Instant::MAX, trouble: None, outcome }
    }

    pub(super) fn is_open(&self, exchange: Exchange) -> bool {
        self.open.iter().any(|open| open.exchange == exchange)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.outcome.is_none().then_some(self.deadline)
    }

    pub(super) fn on_timeout(&mut self, now: Instant, shared: &mut Shared<'_>) {
        if self.outcome.is_none() && self.deadline <= now {
            self.next_try(now, shared);
        }
    }

    pub(super) fn on_message(
        &mut self,
        now: Instant,
        shared: &mut Shared<'_>,
        exchange: Exchange,
        from: SocketAddr,
        bytes: &[u8],
    ) {
        let Some(at) = self.open.iter().position(|open| open.exchange == exchange) else { return };
        let Some(open) = self.open.get_mut(at) else { return };
        let server = shared.settings.servers.get(open.server).copied();
        let ours = server.is_some_and(|server| (server.ip(), server.port()) == (from.ip(), from.port()));
        let reading = if ours { open.question.read(bytes) } else { Reading::Foreign };
        match reading {
            Reading::Foreign => {
                open.strangers += 1;
                // On a connection nobody else speaks.
                if open.strangers >= STRANGERS_MAX || open.transport == Transport::Tcp {
                    self.fail(now, shared, at, "answers other questions than it is asked".to_owned());
                }
            }
            Reading::Truncated if open.transport == Transport::Tcp => {
                self.fail(now, shared, at, "cuts its answers".to_owned());
            }
            Reading::Truncated => self.again(now, shared, at, Transport::Tcp),
            Reading::Plain => {
                let (server, transport) = (open.server, open.transport);
                shared.plain.iter_mut().skip(server).take(1).for_each(|plain| *plain = true);
                self.again(now, shared, at, transport);
            }
            Reading::Refused(what) => self.fail(now, shared, at, what),
            Reading::Said(Said::Alias(name, ttl)) => {
                self.hops += 1;
                self.holds = self.holds.min(ttl);
                (self.name, self.tries) = (name, 0);
                self.open.clear();
                if self.hops > HOPS_MAX {
                    self.trouble = Some("the aliases have no end".to_owned());
                    self.give_up();
                } else {
                    self.next_try(now, shared);
                }
            }
            Reading::Said(said) => {
                self.open.clear();
                self.outcome = Some(Ok(said.within(self.holds)));
            }
        }
    }

    /// Whom an exchange is with, and how.
    pub(super) fn partner(&self, exchange: Exchange) -> Option<(usize, Transport)> {
        let open = self.open.iter().find(|open| open.exchange == exchange)?;
        Some((open.server, open.transport))
    }

    /// Exchanges have come to an end without an answer.
    pub(super) fn on_failure(
        &mut self,
        now: Instant,
        shared: &mut Shared<'_>,
        errno: Errno,
        which: impl Fn(Exchange, (usize, Transport)) -> bool,
    ) {
        let failed = |open: &Open| which(open.exchange, (open.server, open.transport));
        if let Some(at) = self.open.iter().position(failed) {
            self.fail(now, shared, at, format!("cannot be asked: {errno}"));
        }
    }

    /// Ends an exchange; if it is that of the latest try, the next server is asked.
    fn fail(&mut self, now: Instant, shared: &mut Shared<'_>, at: usize, what: String) {
        let open = self.open.remove(at);
        if let Some(server) = shared.settings.servers.get(open.server) {
            self.trouble = Some(format!("name server {server} {what}"));
        }
        if open.attempt == self.tries {
            self.next_try(now, shared);
        }
    }

    /// Asks the same server once more, in another way.
    fn again(&mut self, now: Instant, shared: &mut Shared<'_>, at: usize, transport: Transport) {
        let open = self.open.remove(at);
        if open.attempt == self.tries {
            self.deadline = now + shared.settings.timeout;
        }
        self.ask(shared, open.server, open.attempt, transport);
    }

    fn next_try(&mut self, now: Instant, shared: &mut Shared<'_>) {
        let servers = shared.settings.servers.len();
        if self.tries >= servers * usize::from(shared.settings.attempts) {
            return self.give_up();
        }
        let server = self.tries % servers;
        self.tries += 1;
        self.deadline = now + shared.settings.timeout;
        self.ask(shared, server, self.tries, Transport::Udp);
    }

    fn ask(&mut self, shared: &mut Shared<'_>, server: usize, attempt: usize, transport: Transport) {
        // A new exchange each time: a new port and a new number, which an answer that was guessed before does not have (RFC 5452).
        let exchange = *shared.exchanges;
        *shared.exchanges = exchange.wrapping_add(1);
        let edns = !shared.plain.get(server).copied().unwrap_or(false);
        let id = (shared.rng.next_u32() >> 16) as u16;
        let question = Question { id, name: self.name.clone(), kind: self.kind, edns };
        let (Some(message), Some(to)) = (question.encode(), shared.settings.servers.get(server)) else {
            return;
        };
        shared.out.push_back(Transmit { exchange, transport, server: *to, message });
        self.open.push(Open { exchange, transport, server, attempt, question, strangers: 0 });
    }

    fn give_up(&mut self) {
        self.open.clear();
        let failure = self.trouble.take().map_or(Failure::Silence, Failure::Servers);
        self.outcome = Some(Err(failure));
    }
}
