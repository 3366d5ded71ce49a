//! Turns that callers run: what a call has caused leaves before it returns, and who would sleep does the work that would wake it.

use super::watch::Trial;
use super::{Command, Engine, Turn, flushed};
use crate::buffer::SocketId;
use crate::clock;
use crate::error::Errno;
use crate::socket::{HeldSignals, Sleeper, Watched, Woke};
use crate::stack::socket::Kick;
use crate::time::{Duration, Instant};

impl Engine {
    /// Has the holder look at a socket if a data call asks for it: here and now while the I/O thread sleeps, which is cheaper than waking it.
    pub(crate) fn kick(&self, id: SocketId, kick: Kick) {
        if kick == Kick::Yes && !self.run_here(|turn, now| turn.stack.handle_kick(now, id)) {
            self.post(Command::Kick(id));
        }
    }

    /// The same, left to the I/O thread: it sends while the caller copies more.
    pub(crate) fn leave_kick(&self, id: SocketId, kick: Kick) {
        if kick == Kick::Yes {
            self.post(Command::Kick(id));
        }
    }

    /// Closes a socket whose cell is closed.
    pub(crate) fn close(&self, id: SocketId) {
        if !self.run_here(|turn, now| turn.stack.close(now, id)) {
            self.post(Command::Close(id));
        }
    }

    /// Leaves a message for the holder.
    pub(crate) fn post(&self, command: Command) {
        // The receiver is gone only when the stack has ended; then there is nobody to tell.
        let _ = self.commands.send(command);
        self.bell.ring();
    }

    /// Runs `call` and sends what it causes, if the I/O thread sleeps and nobody else has the Turn. False: it has not been run. What it sends to an address of
    /// its own stack is received on the way, and answered: whoever waits for the end of a turn waits for the end of this one too.
    fn run_here(&self, call: impl FnOnce(&mut Turn, Instant)) -> bool {
        if !self.bell.is_asleep() {
            return false;
        }
        let Some(held) = self.gate.try_enter(&self.turn) else { return false };
        // A stack that has ended needs no more telling.
        let _ = self.within(held, |turn, now| {
            turn.wake_watchers();
            flushed(turn, now, call)
        });
        true
    }

    /// One bounded turn for a caller who does not sleep, if the device is left to callers. Whether it found anything.
    pub(crate) fn look_once(&self) -> bool {
        if !self.watch.is_open() || !self.bell.is_asleep() {
            return false;
        }
        let Some(held) = self.gate.try_enter(&self.turn) else { return false };
        let served = self.within(held, |turn, now| {
            let served = turn.serve(now);
            (served.received.then_some(now), served.ring)
        });
        let found = served.ok().flatten();
        if let Some(now) = found {
            self.watch.count_turn(now);
        }
        found.is_some()
    }

    /// The same before a sleep, where that has paid lately.
    pub(super) fn glance(&self) -> bool {
        let glance = self.watch.glance();
        if !self.watch.is_open() || !glance.begin() {
            return false;
        }
        let found = self.look_once();
        glance.end(found);
        found
    }

    /// The seat on the device, if it is free.
    pub(super) fn take_seat<'a>(&'a self, sleeper: &'a Sleeper) -> Option<Seat<'a>> {
        let device = self.watch.device()?;
        if !self.watch.take() {
            return None;
        }
        sleeper.attach(Some(self.watch.event().clone()));
        Some(Seat { engine: self, sleeper, device, slept: false, signals: None })
    }
}

#[cfg(all(test, not(loom)))]
impl Engine {
    /// Turns that callers have run where they would have slept.
    pub(crate) fn turns_of_callers(&self) -> u32 {
        self.watch.turns()
    }

    /// Whether a caller sleeps on the device.
    pub(crate) fn has_a_caller(&self) -> bool {
        self.watch.is_taken()
    }

    /// Has somebody on the seat who neither sleeps nor works there, once the I/O thread sleeps.
    pub(crate) fn occupy_seat(&self) {
        let start = clock::now();
        while !self.bell.is_asleep() {
            assert!(clock::now().since(start) < Duration::from_secs(30), "the I/O thread does not sleep");
            std::thread::yield_now();
        }
        assert!(self.watch.take());
    }
}

/// A caller's place on the device: there is one.
pub(super) struct Seat<'a> {
    engine: &'a Engine,
    sleeper: &'a Sleeper,
    device: i32,
    /// Whether it has been slept on.
    slept: bool,
    /// Kept out from the second sleep on: a request whose response ends the first one need not pay for that.
    signals: Option<HeldSignals>,
}

/// How a sleep on the seat ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slept {
    /// Not by the device.
    Woke(Woke),
    /// The device had something, and the turn was run.
    Served,
    /// The device has something, and somebody else has the Turn, or the seat is closed: it is to be left.
    Leave,
}

impl Seat<'_> {
    /// Sleeps until the device, the sleeper's waker or the clock calls; then runs a turn if it was the device. What comes for others does not keep
    /// the caller beyond `until`, nor does it keep a signal from ending the call.
    pub(super) fn sleep(&mut self, until: Option<Instant>) -> Slept {
        if std::mem::replace(&mut self.slept, true)
            && self.signals.get_or_insert_with(HeldSignals::new).came(until)
        {
            return Slept::Woke(Woke::Interrupted);
        }
        match self.sleep_or_serve(until) {
            Slept::Served if until.is_some_and(|until| clock::now() >= until) => Slept::Woke(Woke::TimedOut),
            Slept::Leave if self.signals.as_ref().is_some_and(|held| held.came(until)) => {
                Slept::Woke(Woke::Interrupted)
            }
            slept => slept,
        }
    }

    fn sleep_or_serve(&self, until: Option<Instant>) -> Slept {
        if let Some((spin, time)) = self.engine.watch.spin()
            && self.look(spin, time, until)
        {
            return self.served();
        }
        match self.sleeper.watch(self.device, self.engine.watch.event(), until, self.signals.as_ref()) {
            Watched::Woke(woke) => Slept::Woke(woke),
            Watched::Device => self.serve(),
        }
    }

    /// Whoever finds the Turn taken does not look again: the device stays readable until its holder has read it, and the holder may need this CPU.
    fn serve(&self) -> Slept {
        let engine = self.engine;
        let Some(held) = engine.gate.try_enter_or_tell(&engine.turn) else { return Slept::Leave };
        let Ok(now) = engine.within(held, |turn, now| (now, turn.serve(now).ring)) else {
            return Slept::Leave;
        };
        engine.watch.count_turn(now);
        self.served()
    }

    fn served(&self) -> Slept {
        if self.engine.watch.is_open() { Slept::Served } else { Slept::Leave }
    }

    /// Runs turns until one finds something, or for `time`, but not beyond `until`; whether one did.
    fn look(&self, spin: &Trial, time: Duration, until: Option<Instant>) -> bool {
        let engine = self.engine;
        let end = clock::now() + time;
        let until = until.map_or(end, |until| until.min(end));
        loop {
            if self.sleeper.is_woken() {
                spin.end(true);
                return false;
            }
            let Some(held) = engine.gate.try_enter(&engine.turn) else { return false };
            let served = engine.within(held, |turn, now| {
                let served = turn.serve(now);
                ((served, now), served.ring)
            });
            match served {
                Ok((served, now)) if served.received => {
                    engine.watch.count_turn(now);
                    spin.end(true);
                    return true;
                }
                Ok((_, now)) if now < until => std::hint::spin_loop(),
                Ok(_) | Err(Errno(_)) => {
                    spin.end(false);
                    return false;
                }
            }
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.sleeper.attach(None);
        if self.engine.watch.leave() {
            self.engine.bell.nudge();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
