//! Waiting for many sockets at once, as poll(2) does.

use super::{Signal, Socket, Wait};
use crate::engine::{Clock, Engine, Patience, Place, block_on};
use crate::error::{Errno, Error, Result};
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

/// Sleeps until an entry is ready or the time is over; returns how many are. EINTR when a signal handler ran, ECANCELED when a socket's
/// [`cancel`](Socket::cancel) was called, EINVAL when not all sockets are of one simulated network, or of none.
pub fn poll(entries: &mut [PollEntry<'_>], wait: Wait) -> Result<usize> {
    poll_beside(entries, None, wait)
}

/// [`poll`] that a signal of the sockets' network ends as well, be it with no entry ready; without entries, it is the signal that is waited for. EDEADLK where time is
/// simulated and nothing could ever wake anybody, EINVAL for a signal of another network.
pub fn poll_beside(entries: &mut [PollEntry<'_>], signal: Option<&Signal>, wait: Wait) -> Result<usize> {
    let sockets: Vec<&Socket> = entries.iter().filter_map(|entry| entry.socket).collect();
    let mut engines: Vec<&Engine> = sockets.iter().map(|socket| socket.engine()).collect();
    let own = || engines.first().map_or(&Clock::SYSTEM, |engine| engine.clock());
    let clock = signal.map_or_else(own, Signal::clock);
    if engines.iter().any(|engine| !engine.clock().is(clock)) {
        return Err(mixed());
    }
    let patience = match wait {
        Wait::Never => Patience::Never,
        Wait::AtMost(time) => Patience::at_most(clock, time),
        Wait::AsSet | Wait::Forever => Patience::Forever,
    };
    engines.dedup_by(|a, b| std::ptr::eq(*a, *b));
    let forget = |waker: &Waker| {
        sockets.iter().for_each(|socket| socket.forget(waker));
        signal.iter().for_each(|signal| signal.forget(waker));
    };
    let calls = || sockets.iter().fold(0, |sum: u32, socket| sum.wrapping_add(socket.cell.calls()));
    let (began, mut called_off) = (calls(), false);
    let looked = |waker: Option<&Waker>| match look(entries, waker) {
        Err(Errno::EAGAIN) if waker.is_some() && calls() != began => {
            called_off = true;
            Err(Errno::ECANCELED)
        }
        Err(Errno::EAGAIN) if signal.is_some_and(|signal| signal.look(waker)) => Ok(0),
        answer => answer,
    };
    let mut answer = block_on(&engines, clock, Place::Device, patience, looked, forget);
    if called_off {
        return Err(Errno::ECANCELED.into());
    }
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

/// Nobody can wait for two clocks.
pub(super) fn mixed() -> Error {
    let text =
        "sockets of one simulated network can be waited for together, and sockets of none, but not both";
    Error::new(Errno::EINVAL, text)
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::api::{Config, DeviceOptions, Domain, Stack, StackOptions};
    use crate::sys;
    use std::os::fd::AsFd;
    use std::time::{Duration, Instant};

    /// A caller on the device, of whom the I/O thread thinks that it works, keeps that away; what has come is for another socket than the one that always has more.
    #[test]
    fn who_never_sleeps_takes_what_comes_from_the_device_itself() {
        let (near, far) = sys::socketpair(libc::SOCK_SEQPACKET).expect("a socket pair");
        let addresses = vec!["192.0.2.2/24".parse().expect("an address")];
        let config = Config { addresses, ..Config::default() };
        let device = DeviceOptions::Descriptor(near);
        let stack = Stack::open(StackOptions { config, device, ..StackOptions::default() }).expect("a stack");
        let [ready, other] = [1, 2].map(|port| {
            let socket = stack.datagram_socket(Domain::V4).expect("a socket");
            socket.bind(([192, 0, 2, 2], port).into()).expect("a port");
            socket
        });
        ready.engine().occupy_seat();
        let ip = [0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0xf6, 0xcc, 192, 0, 2, 1, 192, 0, 2, 2];
        let udp = [0, 7, 0, 2, 0, 9, 0, 0, b'x'];
        sys::send(far.as_fd(), &[&ip[..], &udp[..]].concat(), 0).expect("a packet");
        let start = Instant::now();
        loop {
            let mut entries = [(&ready, Readiness::OUT), (&other, Readiness::IN)]
                .map(|(socket, interest)| PollEntry { socket: Some(socket), interest, ready: Readiness(0) });
            let count = poll(&mut entries, Wait::Forever).expect("poll");
            assert_eq!(entries.each_ref().map(|entry| entry.ready)[0], Readiness::OUT);
            if count == 2 {
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "the packet is left lying");
        }
    }
}
