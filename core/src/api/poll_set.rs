//! Sets of sockets to wait for, at the cost of those that are ready: epoll(7).

use super::poll::mixed;
use super::{Socket, Wait};
use crate::buffer::Notices;
use crate::engine::{Clock, Engine, Patience, block_beside, is_inside_any};
use crate::error::{Errno, Result};
use crate::socket::Flag;
use crate::stack::socket::{self, EpollControl, EpollEvent, EpollEvents};
use crate::sync::{Arc, Mutex, OnceLock, TaskArc, lock};
use crate::sys::Home;
use std::os::fd::RawFd;
use std::task::Waker;

/// A set of sockets, of any number of stacks: any thread, any time. A socket that is closed is in it no more; one that is open stays, and is no
/// more kept open by it than a descriptor by epoll(7).
#[derive(Debug)]
pub struct PollSet {
    set: Mutex<socket::PollSet>,
    /// Whose turns a thread runs that sleeps on the set.
    host: Mutex<Host>,
    /// What all sockets that have been in it go by.
    clock: OnceLock<Clock>,
    home: Home,
    /// Shows that there is something to look at, if the program asked for a descriptor.
    flag: OnceLock<TaskArc<Flag>>,
}

/// The stack of the sockets in a set, as far as that has had any.
#[derive(Debug, Default)]
enum Host {
    #[default]
    Nobody,
    /// All of them are of this one worker, whose end the set outlives.
    One(Arc<Engine>),
    /// Who works for one of them would let the others wait.
    Several,
}

impl Host {
    fn add(&mut self, engine: &Arc<Engine>) {
        match (self.now(), &self) {
            (Some(known), _) if Arc::ptr_eq(&known, engine) => {}
            (None, Self::Nobody) => *self = Self::One(engine.clone()),
            _ => *self = Self::Several,
        }
    }

    /// Who it is now; one that has ended is let go of.
    fn now(&mut self) -> Option<Arc<Engine>> {
        let Self::One(engine) = self else { return None };
        if engine.is_over() {
            *self = Self::Nobody;
            return None;
        }
        Some(engine.clone())
    }
}

impl PollSet {
    /// An empty set. ENOMEM.
    pub fn new() -> Result<Self> {
        let set = Mutex::new(socket::PollSet::new());
        let (host, clock) = (Mutex::default(), OnceLock::new());
        Ok(Self { set, host, clock, home: Home::new()?, flag: OnceLock::new() })
    }

    /// Adds, changes or removes a socket, as epoll_ctl(2); `data` comes back with its events. Sleepers hear of what is ready already.
    ///
    /// EEXIST: it is in the set; ENOENT: it is not; EINVAL: `events` has bits that are none of [`EpollEvents`], or the set is of sockets of another simulated network, or
    /// of none; EBADF: socket, stack or set is closed.
    pub fn control(
        &self,
        control: EpollControl,
        socket: &Socket,
        events: EpollEvents,
        data: u64,
    ) -> Result<()> {
        socket.open()?;
        self.at_home()?;
        let mut set = lock(&self.set);
        if set.is_closed() {
            return Err(Errno::EBADF.into());
        }
        if control == EpollControl::Add && self.clock.get().is_some_and(|clock| !clock.is(socket.clock())) {
            return Err(mixed());
        }
        // A name that no other socket has as long as this one is in a set.
        let token = Arc::as_ptr(&socket.cell) as u64;
        set.control(control, token, &socket.cell, events, data)?;
        self.clock.get_or_init(|| socket.clock().clone());
        drop(set);
        if control == EpollControl::Add {
            lock(&self.host).add(socket.running.engine_of(socket.id));
        }
        Ok(())
    }

    /// Up to `max` sockets that are ready, in turn; sleeps until there is one, somebody calls [`PollSet::wake`], or the time is over, with nothing then. Of several threads each gets
    /// what it is given, and all of them hear of news.
    ///
    /// EINVAL: `max` is 0; EINTR: a signal handler ran; ECANCELED: the set was closed meanwhile; EBADF: it was before; EDEADLK: a callback of a stack
    /// must not sleep.
    pub fn wait(&self, max: usize, wait: Wait) -> Result<Vec<EpollEvent>> {
        Ok(self.wait_or_expire(max, wait)?.unwrap_or_default())
    }

    /// The same, with `None` when the time is over: so it is told from [`PollSet::wake`] by whoever waits in slices.
    pub fn wait_or_expire(&self, max: usize, wait: Wait) -> Result<Option<Vec<EpollEvent>>> {
        self.at_home()?;
        if max == 0 {
            return Err(Errno::EINVAL.into());
        }
        let clock = self.clock();
        let patience = match wait {
            Wait::Never => Patience::Never,
            Wait::AtMost(time) => Patience::at_most(clock, time),
            Wait::AsSet | Wait::Forever => Patience::Forever,
        };
        if patience != Patience::Never && is_inside_any() {
            return Err(Errno::EDEADLK.into());
        }
        let forget = |waker: &Waker| lock(&self.set).forget(waker);
        let host = lock(&self.host).now();
        let answer = block_beside(host.as_deref(), clock, patience, |waker| self.look(max, waker), forget);
        // Whoever never sleeps, since one socket always has more, hears of the others all the same: next time.
        // Who waits on the set's descriptor leaves the device to the I/O thread.
        if let (Ok(_), Some(engine), None) = (&answer, &host, self.flag.get()) {
            engine.look_once();
        }
        if let Some(flag) = self.flag.get() {
            flag.looked();
        }
        match answer {
            Err(Errno::EAGAIN) => Ok(None),
            answer => Ok(Some(answer?)),
        }
    }

    /// Ends one [`PollSet::wait`], that which sleeps or the next one, with what is ready by then, be it nothing. EBADF: the set is closed.
    pub fn wake(&self) -> Result<()> {
        self.notices()?.nudge();
        Ok(())
    }

    /// A descriptor of the system that is readable while [`PollSet::wait`] may find something, for poll(2) and epoll(7) and whatever is made of them. A wait
    /// that finds nothing makes it unreadable, and so does one that takes all there is of what was asked for by its edge. For who waits for edges of the
    /// descriptor itself there is one at everything new.
    ///
    /// It is made by the first call, is the set's, closed with it, and close-on-exec; it is to be polled only. EBADF, EMFILE, ENFILE.
    pub fn descriptor(&self) -> Result<RawFd> {
        let notices = self.notices()?;
        let flag = match self.flag.get() {
            Some(known) => known.clone(),
            None => {
                // The set's lock keeps it at one.
                let _set = lock(&self.set);
                match self.flag.get() {
                    Some(known) => known.clone(),
                    None => {
                        let made = Flag::new(&notices)?;
                        self.flag.get_or_init(|| made).clone()
                    }
                }
            }
        };
        Ok(flag.number().ok_or(Errno::EBADF)?)
    }

    /// That of its sockets; the system's as long as it has had none.
    pub(super) fn clock(&self) -> &Clock {
        self.clock.get().unwrap_or(&Clock::SYSTEM)
    }

    fn notices(&self) -> Result<Notices> {
        self.at_home()?;
        let set = lock(&self.set);
        if set.is_closed() { Err(Errno::EBADF.into()) } else { Ok(set.notices().clone()) }
    }

    /// Closes the set: its sockets stay as they are, later calls are EBADF, sleepers wake with ECANCELED.
    pub fn close(&self) -> Result<()> {
        self.at_home()?;
        let mut set = lock(&self.set);
        if set.is_closed() {
            return Err(Errno::EBADF.into());
        }
        set.close();
        drop(set);
        if let Some(flag) = self.flag.get() {
            flag.close();
        }
        Ok(())
    }

    /// One look; EAGAIN when nothing is ready, and `waker` is registered then.
    fn look(&self, max: usize, waker: Option<&Waker>) -> Result<Vec<EpollEvent>, Errno> {
        let mut set = lock(&self.set);
        loop {
            if set.is_closed() {
                return Err(Errno::EBADF);
            }
            let events = set.wait(max);
            if set.notices().take_nudge() || !events.is_empty() {
                return Ok(events);
            }
            if waker.is_none_or(|waker| set.sleep(waker)) {
                return Err(Errno::EAGAIN);
            }
        }
    }

    /// ECHILD in a forked child: who sleeps there hears nothing.
    fn at_home(&self) -> Result<(), Errno> {
        if self.home.is_here() { Ok(()) } else { Err(Errno::ECHILD) }
    }
}

impl Drop for PollSet {
    /// A forked child leaves alone what another thread may have held when it was made.
    fn drop(&mut self) {
        if !self.home.is_here()
            && let Ok(set) = self.set.get_mut()
        {
            std::mem::forget(std::mem::take(set));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod models;
