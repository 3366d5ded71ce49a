//! The one blocking loop: try, register, sleep, try again.

use super::callers::{Seat, Slept};
use super::{Clock, Conductor, Engine};
use crate::buffer::Cell;
use crate::error::Errno;
use crate::socket::{Sleeper, Woke};
use crate::sync::{Arc, TaskArc};
use crate::time::{Duration, Instant};
use std::cell::RefCell;
use std::task::Waker;

/// How long a caller is ready to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Not at all.
    Never,
    /// Until then.
    Until(Instant),
    /// As long as it takes.
    Forever,
}

impl Patience {
    /// Sleeps at most `time` from now.
    pub(crate) fn at_most(clock: &Clock, time: Duration) -> Self {
        if time.is_zero() { Self::Never } else { Self::Until(clock.now() + time) }
    }

    const fn until(self) -> Option<Instant> {
        match self {
            Self::Never => Some(Instant::ZERO),
            Self::Until(until) => Some(until),
            Self::Forever => None,
        }
    }
}

/// Where a caller sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the device, if it is its stack's only one there, and runs the turns that what comes asks for.
    Device,
    /// On what it waits for alone: others do the work, while it goes on with its own.
    Cell,
}

/// Repeats `attempt` until it answers something else than EAGAIN. `attempt` registers the waker it is given in the section in which it saw
/// that it would block; `forget` takes the waker back wherever it may have been left.
///
/// EAGAIN when the time is over, EINTR when a signal handler ran, ECANCELED when the socket or the stack was closed meanwhile, EDEADLK where time is simulated and
/// nothing could ever wake anybody.
pub(crate) fn block<T>(
    engine: &Engine,
    place: Place,
    patience: Patience,
    attempt: impl FnMut(Option<&Waker>) -> Result<T, Errno>,
    forget: impl FnOnce(&Waker),
) -> Result<T, Errno> {
    block_on(&[engine], engine.clock(), place, patience, attempt, forget)
}

/// An attempt of a call on the socket of `cell` that began when [`Cell::calls`] was `began`: ECANCELED where it would sleep and has been called off since,
/// EBADF where the socket has been given away.
pub(crate) fn unless_called_off<T>(
    cell: &Cell,
    began: u32,
    mut attempt: impl FnMut(Option<&Waker>) -> Result<T, Errno>,
) -> impl FnMut(Option<&Waker>) -> Result<T, Errno> {
    move |waker| {
        if cell.is_given() {
            return Err(Errno::EBADF);
        }
        match attempt(waker) {
            // Asked after the waker is registered: who calls off later wakes it. What can be answered is answered all the same.
            Err(Errno::EAGAIN) if waker.is_some() && cell.calls() != began => Err(Errno::ECANCELED),
            answer => answer,
        }
    }
}

/// [`block`] for a caller who waits for sockets of several stacks, all of which go by `clock`. It sleeps on the device of one only.
pub(crate) fn block_on<T>(
    engines: &[&Engine],
    clock: &Clock,
    place: Place,
    patience: Patience,
    attempt: impl FnMut(Option<&Waker>) -> Result<T, Errno>,
    forget: impl FnOnce(&Waker),
) -> Result<T, Errno> {
    let on_device = match (place, engines) {
        (Place::Device, [engine]) => Some(*engine),
        _ => None,
    };
    let stand = Stand { needed: engines, heard: engines, on_device, conductor: clock.conductor() };
    block_in(stand, patience, attempt, forget)
}

/// The same for a caller who outlives stacks: it works for `host` meanwhile, if there is one, and does not mind its end. `clock` is what those go by that it may
/// hear of.
pub(crate) fn block_beside<T>(
    host: Option<&Engine>,
    clock: &Clock,
    patience: Patience,
    attempt: impl FnMut(Option<&Waker>) -> Result<T, Errno>,
    forget: impl FnOnce(&Waker),
) -> Result<T, Errno> {
    let host = host.filter(|engine| engine.check().is_ok());
    let stand = Stand { needed: &[], heard: host.as_slice(), on_device: host, conductor: clock.conductor() };
    block_in(stand, patience, attempt, forget)
}

/// How a caller stands to the stacks that it waits for.
#[derive(Clone, Copy)]
struct Stand<'a> {
    /// The end of one of these ends the call.
    needed: &'a [&'a Engine],
    /// The end of one of these wakes the caller.
    heard: &'a [&'a Engine],
    /// On whose device it may sleep.
    on_device: Option<&'a Engine>,
    /// Who sleeps for it where time is simulated.
    conductor: Option<&'a Arc<Conductor>>,
}

fn block_in<T>(
    stand: Stand<'_>,
    patience: Patience,
    mut attempt: impl FnMut(Option<&Waker>) -> Result<T, Errno>,
    forget: impl FnOnce(&Waker),
) -> Result<T, Errno> {
    let first = attempt(None);
    if !matches!(first, Err(Errno::EAGAIN)) {
        return first;
    }
    let Stand { needed, heard, on_device, conductor } = stand;
    if patience == Patience::Never {
        let looked = match conductor {
            Some(conductor) => conductor.look(),
            None => on_device.is_some_and(Engine::look_once),
        };
        return if looked { attempt(None) } else { first };
    }
    if on_device.is_some_and(Engine::glance) {
        let second = attempt(None);
        if !matches!(second, Err(Errno::EAGAIN)) {
            return second;
        }
    }
    with_sleeper(|sleeper, waker| {
        for engine in heard {
            engine.register(waker);
        }
        let bed = Bed { sleeper, on_device, conductor, outlives: needed.is_empty(), seat: None };
        let outcome = sleep_until_answered(needed, patience, bed, waker, &mut attempt);
        forget(waker);
        for engine in heard {
            engine.unregister(waker);
        }
        outcome
    })
}

fn sleep_until_answered<T>(
    needed: &[&Engine],
    patience: Patience,
    mut bed: Bed<'_>,
    waker: &Waker,
    attempt: &mut impl FnMut(Option<&Waker>) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut woke = Woke::Woken;
    loop {
        for engine in needed {
            engine.check_asleep()?;
        }
        match attempt(Some(waker)) {
            Err(Errno::EAGAIN) => {}
            Err(Errno::EBADF) => return Err(Errno::ECANCELED),
            answer => return answer,
        }
        match woke {
            Woke::Woken => woke = bed.sleep(patience.until())?,
            Woke::TimedOut => return Err(Errno::EAGAIN),
            Woke::Interrupted => return Err(Errno::EINTR),
        }
    }
}

/// Where one call sleeps, sleep after sleep.
struct Bed<'a> {
    sleeper: &'a TaskArc<Sleeper>,
    conductor: Option<&'a Arc<Conductor>>,
    /// The stack on whose device it may sleep.
    on_device: Option<&'a Engine>,
    /// The call goes on when that ends.
    outlives: bool,
    seat: Option<Seat<'a>>,
}

impl Bed<'_> {
    fn sleep(&mut self, until: Option<Instant>) -> Result<Woke, Errno> {
        if let Some(conductor) = self.conductor {
            return conductor.sleep(self.sleeper, until);
        }
        // Asked after the waker is registered: whoever ends it later wakes this caller.
        if self.outlives && self.on_device.is_some_and(|engine| engine.check().is_err()) {
            (self.seat, self.on_device) = (None, None);
        }
        if self.seat.is_none() {
            self.seat = self.on_device.and_then(|engine| engine.take_seat(self.sleeper));
        }
        Ok(match self.seat.as_mut().map(|seat| seat.sleep(until)) {
            None => self.sleeper.sleep(until),
            Some(Slept::Woke(woke)) => woke,
            Some(Slept::Served) => Woke::Woken,
            Some(Slept::Leave) => {
                // Whatever there is to do is somebody else's now.
                (self.seat, self.on_device) = (None, None);
                Woke::Woken
            }
        })
    }
}

thread_local! {
    static SLEEPER: RefCell<Option<(TaskArc<Sleeper>, Waker)>> = const { RefCell::new(None) };
}

/// Runs `f` with this thread's sleeper, kept from one call to the next.
pub(crate) fn with_sleeper<T>(f: impl FnOnce(&TaskArc<Sleeper>, &Waker) -> T) -> T {
    let kept = if cfg!(loom) { None } else { SLEEPER.try_with(|kept| kept.take()).ok().flatten() };
    let (sleeper, waker) = kept.unwrap_or_else(Sleeper::new);
    // Left over from an earlier call: a thread that works for itself wakes itself.
    sleeper.forget();
    let answer = f(&sleeper, &waker);
    if !cfg!(loom) {
        let _ = SLEEPER.try_with(|kept| kept.replace(Some((sleeper, waker))));
    }
    answer
}
