//! Interceptors of a running stack: SYNs for any address of a prefix, decided by the program.

use super::{Socket, Stack, Wait};
use crate::buffer::PausedSyn;
use crate::engine::{Patience, Place, Running, Turn};
use crate::error::{Errno, Error, Result};
use crate::stack::{Intercept, socket};
use crate::sync::Arc;
use crate::time::{Duration, Instant};
use std::net::SocketAddr;
use std::task::Waker;

use super::settings::Settings;

impl Stack {
    /// Has the SYNs for the addresses of a prefix and a range of ports decided by the program, whether or not the addresses are the stack's. Listeners of
    /// the stack go first, on its own addresses; of several interceptors the one with the longest prefix has the SYN. The socket is readable while
    /// [`Socket::next_syn`] has one; it is closed as others are, and neither bound, connected nor accepted from. What it accepts has its options.
    ///
    /// Beside TCP, and what ICMP reports of it, nothing is taken for addresses that are not the stack's: no echo is answered, no datagram received.
    ///
    /// EINVAL names what makes no sense; EADDRINUSE: another interceptor has some of the ports for the same prefix; EMFILE, ENETDOWN, EBADF (closed).
    pub fn intercept(&self, what: &Intercept) -> Result<Socket> {
        check(what)?;
        // One worker makes them all, so that it sees those that overlap.
        let make = |turn: &mut Turn, now| turn.stack.intercept(now, what);
        let engine = self.running().engines().next().ok_or(Errno::EBADF)?;
        let mut made = engine.control(make);
        if matches!(made, Err(Errno::EMFILE | Errno::EADDRINUSE)) && self.running().settle() {
            made = engine.control(make);
        }
        let (id, cell) = made.map_err(|errno| match errno {
            Errno::EADDRINUSE => {
                let text =
                    format!("another interceptor has some of these ports of {}", what.prefix.network());
                Error::new(errno, text)
            }
            errno => errno.into(),
        })?;
        Ok(Socket::new(self.running().clone(), id, cell, Settings::default()))
    }
}

/// EINVAL with a sentence for what makes no sense.
fn check(what: &Intercept) -> Result<()> {
    let refuse = |text: String| Err(Error::new(Errno::EINVAL, text));
    let (first, last) = (*what.ports.start(), *what.ports.end());
    if first == 0 || first > last {
        return refuse(format!("ports {first} to {last}: the first must be from 1 to the last"));
    }
    if what.queue == Some(0) {
        return refuse("the queue of an interceptor must be above 0".to_owned());
    }
    if what.timeout.is_some_and(|timeout| timeout.is_zero()) {
        return refuse("the time-out of an interceptor must be above 0".to_owned());
    }
    Ok(())
}

impl Socket {
    /// The oldest SYN that nobody has taken yet, of an interceptor.
    ///
    /// EAGAIN, EINVAL (no interceptor), EBADF, ECANCELED (closed meanwhile), ENETDOWN, EINTR.
    pub fn next_syn(&self, wait: Wait) -> Result<Syn> {
        let patience = self.settings.receive_patience(self.clock(), wait);
        let next = |waker: Option<&Waker>| socket::next_syn(&self.cell, waker);
        let syn = self.block("next_syn", Place::Device, patience, next)?;
        Ok(Syn { running: self.running.clone(), settings: self.settings.inherited(), syn })
    }
}

/// A SYN that waits for a decision, which any thread may take, once. The peer goes on sending it meanwhile, and that is still the same one. Dropping it
/// undecided ignores it.
#[derive(Debug)]
pub struct Syn {
    running: Arc<Running>,
    /// What the connection inherits.
    settings: Settings,
    syn: PausedSyn,
}

impl Syn {
    /// The address and port that the peer wants.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.syn.local
    }

    /// The peer's.
    #[must_use]
    pub const fn peer_address(&self) -> SocketAddr {
        self.syn.peer
    }

    /// The largest segment that the peer takes, bytes, if it says so.
    #[must_use]
    pub const fn mss(&self) -> Option<u16> {
        self.syn.mss
    }

    /// Whether the peer asks for ECN (RFC 3168).
    #[must_use]
    pub const fn ecn(&self) -> bool {
        self.syn.ecn
    }

    /// How long ago it came first.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.running.engine().clock().now().since(self.syn.since)
    }

    /// Whether nobody has decided, and it is not too late.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.syn.fate.is_open()
    }

    /// Accepts, and waits for the peer to acknowledge that. `Wait::Never` does not: the socket is as one that connects, ready for OUT when done, and
    /// SO_ERROR tells the outcome. Its own address is the one that the peer wants.
    ///
    /// EBADF: decided before; ETIMEDOUT: nobody decided in time, or `wait` is over (the peer is reset then), or the peer never answers; ECANCELED: the
    /// interceptor or the stack was closed; ECONNREFUSED: the peer resets; EINTR, with the connection reset. Nothing is decided at EMFILE, ENETDOWN, and EADDRINUSE (a connection of the
    /// same addresses has come to be meanwhile).
    pub fn accept(&self, wait: Wait) -> Result<Socket> {
        let accept = |turn: &mut Turn, now| turn.stack.accept_syn(now, &self.syn);
        let mut accepted = self.engine_control(accept);
        if matches!(&accepted, Err(error) if error.errno() == Errno::EMFILE) && self.running.settle() {
            accepted = self.engine_control(accept);
        }
        let (id, cell) = accepted?;
        let accepted = Socket::new(self.running.clone(), id, cell, self.settings.inherited());
        if wait == Wait::Never {
            return Ok(accepted);
        }
        let patience = match wait {
            Wait::AtMost(time) => Patience::at_most(accepted.clock(), time),
            _ => Patience::Forever,
        };
        let connected = |waker: Option<&Waker>| socket::connected(&accepted.cell, waker);
        match accepted.block("accept", Place::Device, patience, connected) {
            Ok(()) => Ok(accepted),
            Err(error) => {
                let _ = accepted.abort();
                Err(match error.errno() {
                    Errno::EAGAIN => {
                        Error::new(Errno::ETIMEDOUT, "accept: the peer has not acknowledged in time")
                    }
                    _ => error,
                })
            }
        }
    }

    /// Refuses: the peer is reset, as if nobody listened. EBADF, ETIMEDOUT, ECANCELED as [`Syn::accept`].
    pub fn refuse(&self) -> Result<()> {
        self.engine_control(|turn, now| turn.stack.refuse_syn(now, &self.syn))
    }

    /// Ignores: the peer is told nothing; when it tries again, that is a new one. EBADF, ETIMEDOUT, ECANCELED as [`Syn::accept`].
    pub fn ignore(&self) -> Result<()> {
        self.engine_control(|turn, now| turn.stack.ignore_syn(now, &self.syn))
    }

    fn engine_control<T>(&self, call: impl FnOnce(&mut Turn, Instant) -> Result<T, Errno>) -> Result<T> {
        let decided = self.running.engine_of(self.syn.interceptor).control(call);
        Ok(decided.map_err(|errno| match errno {
            // Of the stack, if not of the SYN.
            Errno::EBADF if self.is_open() => Errno::ECANCELED,
            errno => errno,
        })?)
    }
}

impl Drop for Syn {
    fn drop(&mut self) {
        if self.is_open() && !self.running.is_forked() {
            // One that cannot be decided now expires.
            let _ = self.ignore();
        }
    }
}
