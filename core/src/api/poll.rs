//! Waiting for many sockets at once, as poll(2) does.

use super::{Socket, Wait};
use crate::engine::{Engine, Patience, Place, block_on};
use crate::error::{Errno, Result};
use crate::stack::socket::Readiness;
use std::task::Waker;

/// One socket to wait for. Sockets of several stacks may stand in one call.
#[derive(Debug)]
pub struct PollEntry<'a> {
    /// The socket; `None` is skipped.
    pub socket: Option<&'a Socket>,
    /// What to wait for; ERR, HUP and NVAL always count.
    pub interest: Readiness,
    /// What it was ready for; written by `poll`.
    pub ready: Readiness,
}

/// Sleeps until an entry is ready or the time is over; returns how many are. EINTR when a signal handler ran.
pub fn poll(entries: &mut [PollEntry<'_>], wait: Wait) -> Result<usize> {
    let patience = match wait {
        Wait::Never => Patience::Never,
        Wait::AtMost(time) => Patience::at_most(time),
        Wait::AsSet | Wait::Forever => Patience::Forever,
    };
    let sockets: Vec<&Socket> = entries.iter().filter_map(|entry| entry.socket).collect();
    let mut engines: Vec<&Engine> = sockets.iter().map(|socket| socket.engine()).collect();
    engines.dedup_by(|a, b| std::ptr::eq(*a, *b));
    let forget = |waker: &Waker| sockets.iter().for_each(|socket| socket.forget(waker));
    let mut answer = block_on(&engines, Place::Device, patience, |waker| look(entries, waker), forget);
    // Whoever never sleeps, since one socket always has more, hears of the others all the same.
    if let (Ok(_), [engine]) = (&answer, &engines[..])
        && engine.look_once()
    {
        answer = Ok(look_again(entries));
    }
    match answer {
        Err(Errno::EAGAIN) => Ok(0),
        Err(Errno::ECANCELED | Errno::ENOTRECOVERABLE) => Ok(look(entries, None).unwrap_or(0)),
        answer => Ok(answer?),
    }
}

/// One more look at every entry, whatever was found before.
fn look_again(entries: &mut [PollEntry<'_>]) -> usize {
    for entry in entries.iter_mut() {
        entry.ready = entry.ready | entry.look(None);
    }
    entries.iter().filter(|entry| entry.ready.any(entry.ready)).count()
}

impl PollEntry<'_> {
    fn look(&self, waker: Option<&Waker>) -> Readiness {
        let always = Readiness::ERR | Readiness::HUP | Readiness::NVAL;
        let found = self.socket.map_or(Readiness::default(), |socket| socket.look(self.interest, waker));
        Readiness(found.0 & (self.interest | always).0)
    }
}

/// One look at every entry; EAGAIN when none is ready.
fn look(entries: &mut [PollEntry<'_>], waker: Option<&Waker>) -> Result<usize, Errno> {
    let mut ready = 0;
    for entry in entries.iter_mut() {
        let waker = waker.filter(|_| ready == 0);
        entry.ready = entry.look(waker);
        ready += usize::from(entry.ready.any(entry.ready));
    }
    if ready == 0 { Err(Errno::EAGAIN) } else { Ok(ready) }
}
