//! The one blocking loop: try, register, sleep, try again.

use super::Engine;
use super::callers::{Seat, Slept};
use crate::buffer::Cell;
use crate::clock;
use crate::error::Errno;
use crate::socket::{Sleeper, Woke};
use crate::sync::TaskArc;
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
    pub(crate) fn at_most(time: Duration) -> Self {
        if time.is_zero() { Self::Never } else { Self::Until(clock::now() + time) }
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
/// EAGAIN when the time is over, EINTR when a signal handler ran, ECANCELED when the socket or the stack was closed meanwhile.
pub(crate) fn block<T>(
    engine: &Engine,
    place: Place,
    patience: Patience,
    attempt: impl FnMut(Option<&Waker>) -> Result<T, Errno>,
    forget: impl FnOnce(&Waker),
) -> Result<T, Errno> {
    block_on(&[engine], place, patience, attempt, forget)
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

/// [`block`] for a caller who waits for sockets of several stacks. It sleeps on the device of one only.
pub(crate) fn block_on<T>(
    engines: &[&Engine],
    place: Place,
    patience: Patience,
    mut attempt: impl FnMut(Option<&Waker>) -> Result<T, Errno>,
    forget: impl FnOnce(&Waker),
) -> Result<T, Errno> {
    let first = attempt(None);
    if !matches!(first, Err(Errno::EAGAIN)) {
        return first;
    }
    let on_device = match (place, engines) {
        (Place::Device, [engine]) => Some(*engine),
        _ => None,
    };
    if patience == Patience::Never {
        let looked = on_device.is_some_and(Engine::look_once);
        return if looked { attempt(None) } else { first };
    }
    if on_device.is_some_and(Engine::glance) {
        let second = attempt(None);
        if !matches!(second, Err(Errno::EAGAIN)) {
            return second;
        }
    }
    with_sleeper(|sleeper, waker| {
        for engine in engines {
            engine.register(waker);
        }
        let bed = Bed { sleeper, on_device, seat: None };
        let outcome = sleep_until_answered(engines, patience, bed, waker, &mut attempt);
        forget(waker);
        for engine in engines {
            engine.unregister(waker);
        }
        outcome
    })
}

fn sleep_until_answered<T>(
    engines: &[&Engine],
    patience: Patience,
    mut bed: Bed<'_>,
    waker: &Waker,
    attempt: &mut impl FnMut(Option<&Waker>) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut woke = Woke::Woken;
    loop {
        for engine in engines {
            engine.check_asleep()?;
        }
        match attempt(Some(waker)) {
            Err(Errno::EAGAIN) => {}
            Err(Errno::EBADF) => return Err(Errno::ECANCELED),
            answer => return answer,
        }
        match woke {
            Woke::Woken => woke = bed.sleep(patience.until()),
            Woke::TimedOut => return Err(Errno::EAGAIN),
            Woke::Interrupted => return Err(Errno::EINTR),
        }
    }
}

/// Where one call sleeps, sleep after sleep.
struct Bed<'a> {
    sleeper: &'a Sleeper,
    /// The stack on whose device it may sleep.
    on_device: Option<&'a Engine>,
    seat: Option<Seat<'a>>,
}

impl Bed<'_> {
    fn sleep(&mut self, until: Option<Instant>) -> Woke {
        if self.seat.is_none() {
            self.seat = self.on_device.and_then(|engine| engine.take_seat(self.sleeper));
        }
        match self.seat.as_mut().map(|seat| seat.sleep(until)) {
            None => self.sleeper.sleep(until),
            Some(Slept::Woke(woke)) => woke,
            Some(Slept::Served) => Woke::Woken,
            Some(Slept::Leave) => {
                // Whatever there is to do is somebody else's now.
                (self.seat, self.on_device) = (None, None);
                Woke::Woken
            }
        }
    }
}

thread_local! {
    static SLEEPER: RefCell<Option<(TaskArc<Sleeper>, Waker)>> = const { RefCell::new(None) };
}

/// Runs `f` with this thread's sleeper, kept from one call to the next.
pub(crate) fn with_sleeper<T>(f: impl FnOnce(&Sleeper, &Waker) -> T) -> T {
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
