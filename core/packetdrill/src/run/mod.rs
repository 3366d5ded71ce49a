//! Runs a script: its events in order, on the clock that they and the stack's timers set.
//!
//! The clock moves only while nothing is left to do at its present instant. A timer of the stack that is due at the very instant of an event runs
//! after it, since timers of an operating system are never early and mostly late.

mod blocking;
mod calls;
mod figures;
mod flow;
mod icmp;
mod inbound;
mod judge;
mod oracle;
mod outbound;
mod setup;
#[cfg(test)]
mod tests;
mod values;
mod wire;
mod world;

pub use calls::IpVersion;
pub use setup::Choices;
pub use world::{START, Spoil};

use crate::code::Code;
use crate::report::{Difference, Failure, Kind, Outcome, Passed};
use crate::script::{Action, Event, Script, Time};
use crate::settings::Settings;
use blocking::Pending;
use calls::{Addresses, Files};
use flow::Flows;
use setup::Rules;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use usertcp_core::buffer::SocketId;
use usertcp_core::time::{Duration, Instant};
use usertcp_core::trace::Drained;
use wire::Wire;
use world::{Broken, World, since_start};

/// Longest that a line with `*` waits.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Why a run ends before its end.
#[derive(Clone, Debug)]
enum Stop {
    /// The script does not hold.
    Fail { kind: Kind, got: String, differences: Vec<Difference> },
    /// It needs something that there is not.
    Skip(String),
}

impl Stop {
    fn fail(kind: Kind, got: impl Into<String>, differences: Vec<Difference>) -> Self {
        Self::Fail { kind, got: got.into(), differences }
    }
}

/// When an event has to happen.
#[derive(Clone, Copy, Debug)]
struct When {
    /// From and to; none for `*`.
    span: Option<(Instant, Instant)>,
    tolerance: Duration,
    /// Until when to wait for it at most.
    until: Instant,
    /// What its times count from.
    origin: Instant,
}

impl When {
    /// Until when it may happen.
    fn limit(&self) -> Instant {
        self.until
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.span {
            None => f.write_str("any time"),
            Some((from, to)) if from == to => f.write_str(&seconds(from)),
            Some((from, to)) => write!(f, "{} to {}", seconds(from), seconds(to)),
        }
    }
}

/// An instant as scripts have it.
fn seconds(instant: Instant) -> String {
    format!("{:.6}", since_start(instant).as_secs_f64())
}

/// A script that runs.
struct Run<'a> {
    script: &'a Script,
    world: World,
    files: Files,
    flows: Flows,
    addresses: Addresses,
    rules: Rules,
    settings: Settings,
    python: Code,
    /// A call that sleeps.
    pending: Option<Pending<'a>>,
    /// The socket whose close sleeps.
    closing: Option<SocketId>,
    slack: Duration,
    /// The burst that the last `>` line began, if it was one of data.
    burst: Option<outbound::Burst>,
    /// When the packet of the last `>` line was sent.
    last_line: Instant,
    warnings: Vec<Failure>,
    /// The event that is being run.
    line: u32,
}

/// What came of a script, with its packets and events if they were asked for.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What came of it.
    pub outcome: Outcome,
    /// What was sent, received and called, in words, if it was asked for.
    pub packets: Vec<String>,
    /// The events of the stack's trace, if they were asked for; [`START`] is where its clock stood.
    pub trace: Drained,
}

impl From<Outcome> for Ran {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, packets: Vec::new(), trace: Drained::default() }
    }
}

/// Runs `script`.
#[must_use]
pub fn run(script: &Script, choices: &Choices) -> Ran {
    let mut run = match Run::new(script, choices) {
        Ok(run) => run,
        Err(stop) => return outcome(0, stop).into(),
    };
    let ended = catch_unwind(AssertUnwindSafe(|| run.events()));
    let line = run.line;
    let outcome = match ended {
        Ok(Ok(())) => match judge::verdict(&mut run.world) {
            Ok(()) => Outcome::Passed(Passed { slack: run.slack, warnings: run.warnings }),
            Err(stop) => outcome(line, stop),
        },
        Ok(Err(stop)) => outcome(line, stop),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            outcome(line, Stop::fail(Kind::Stack, format!("panic: {}", text.unwrap_or_default()), vec![]))
        }
    };
    run.world.collect();
    let World { packets, told, .. } = run.world;
    Ran { outcome, packets: packets.unwrap_or_default(), trace: told.unwrap_or_default() }
}

fn outcome(line: u32, stop: Stop) -> Outcome {
    match stop {
        Stop::Skip(reason) => Outcome::Skipped(reason),
        Stop::Fail { kind, got, differences } => Outcome::Failed(Failure { line, kind, got, differences }),
    }
}

impl<'a> Run<'a> {
    fn events(&mut self) -> Result<(), Stop> {
        let script = self.script;
        let free_from = free_from(&script.events);
        for (index, event) in script.events.iter().enumerate() {
            self.line = event.line;
            self.world.begin_event();
            let done = self.event(index, free_from, event);
            self.bear(done)?;
        }
        let line = self.line;
        self.finish_pending()?;
        self.line = line;
        if ends_in_a_look(&script.events) {
            self.bear_burst();
        }
        if looks_at_what_follows(&script.events) {
            self.bear_data(self.last_line);
        }
        let over = self.world.now;
        let end = over + self.rules.tolerance;
        self.run_to(end)?;
        if matches!(script.events.last(), Some(Event { action: Action::Outbound(_), .. })) {
            // Whose last word is what it expects has nothing to say of what timers send later.
            self.bear_data(over);
        }
        self.nothing_left(Kind::After, end)
    }

    /// Data that was sent later than `since` becomes a warning.
    fn bear_data(&mut self, since: Instant) {
        while let Some(packet) =
            self.world.sent.front().filter(|packet| packet.time > since && packet.has_data())
        {
            let got = format!("> {} at {} is no line's", self.in_script(packet), seconds(packet.time));
            let (kind, differences) = (Kind::After, vec![]);
            self.warnings.push(Failure { line: self.line, kind, got, differences });
            self.world.sent.pop_front();
        }
    }

    /// The rest of a burst whose beginning the last `>` line names becomes a warning: what goes on at the same instant, next in sequence.
    fn bear_burst(&mut self) {
        while let Some(burst) = self.burst {
            let next = self.world.sent.front().and_then(|packet| burst.followed_by(packet));
            let Some(next) = next else { return };
            let packet = self.world.sent.pop_front();
            let got = packet.map(|packet| format!("> {} goes on with the burst", self.in_script(&packet)));
            let (kind, differences) = (Kind::After, vec![]);
            self.warnings.push(Failure { line: self.line, kind, got: got.unwrap_or_default(), differences });
            self.burst = Some(next);
        }
    }

    fn event(&mut self, index: usize, free_from: usize, event: &'a Event) -> Result<(), Stop> {
        // The next call that sleeps waits for the one before.
        if matches!(&event.action, Action::Call(call) if call.end.is_some()) {
            self.finish_pending()?;
            self.line = event.line;
        }
        let when = self.when(event.time)?;
        if let Action::Outbound(packet) = &event.action {
            return self.outbound(when, packet);
        }
        self.run_to(when.span.map_or(self.world.now, |(from, _)| from))?;
        self.line = event.line;
        if index >= free_from {
            self.nothing_left(Kind::After, self.world.now)?;
        }
        self.nothing_stale(index)?;
        match &event.action {
            Action::Inbound(packet) => self.inbound(packet)?,
            Action::Call(call) => self.begin_call(when, event.line, call)?,
            Action::Shell(text) => self.shell(index, text)?,
            Action::Code(code) => self.code(code)?,
            Action::Outbound(_) => {}
        }
        self.settle()?;
        if index >= free_from && matches!(event.action, Action::Call(_)) {
            self.world.sent.clear();
        }
        Ok(())
    }

    /// A failure that the script says does not end it becomes a warning.
    fn bear(&mut self, done: Result<(), Stop>) -> Result<(), Stop> {
        let Err(Stop::Fail { kind, got, differences }) = done else { return done };
        let bears = match kind {
            Kind::Packet | Kind::Time => self.rules.packets_not_fatal,
            Kind::Result | Kind::Error | Kind::Return => self.rules.calls_not_fatal,
            _ => false,
        };
        if !bears {
            return Err(Stop::Fail { kind, got, differences });
        }
        self.warnings.push(Failure { line: self.line, kind, got, differences });
        Ok(())
    }

    /// When an event is: relative times count from now, where the event before has left the clock.
    fn when(&self, time: Time) -> Result<When, Stop> {
        let now = self.world.now;
        let (from, to) = match time {
            Time::Any => {
                let tolerance = self.rules.tolerance;
                return Ok(When { span: None, tolerance, until: now + PATIENCE, origin: now });
            }
            Time::Unwritten => (now, now),
            Time::Relative(time) => (now + time, now + time),
            Time::RelativeRange(from, to) => (now + from, now + to),
            Time::Absolute(time) => (self.world.at(time), self.world.at(time)),
            Time::AbsoluteRange(from, to) => (self.world.at(from), self.world.at(to)),
        };
        let tolerance = self.rules.tolerance_after(from.since(now));
        if to + tolerance < now {
            let difference = Difference::new("time", seconds(to), seconds(now));
            return Err(Stop::fail(Kind::Time, "the clock has passed it", vec![difference]));
        }
        let absolute = matches!(time, Time::Absolute(_) | Time::AbsoluteRange(..));
        let origin = if absolute { self.world.at(Duration::ZERO) } else { now };
        Ok(When { span: Some((from, to)), tolerance, until: to + tolerance, origin })
    }

    /// Lets the stack and the call that sleeps work until neither has anything to do at this instant.
    fn settle(&mut self) -> Result<(), Stop> {
        loop {
            self.world.settle().map_err(broken)?;
            if !self.poll_pending()? {
                return Ok(());
            }
        }
    }

    /// Lets time pass until `until`, whose own timers do not run.
    fn run_to(&mut self, until: Instant) -> Result<(), Stop> {
        loop {
            self.settle()?;
            match self.next_instant() {
                Some(next) if next < until => self.world.set_clock(next),
                _ => break,
            }
        }
        self.world.set_clock(until);
        Ok(())
    }

    /// When the stack, or the call that sleeps, has something to do.
    fn next_instant(&self) -> Option<Instant> {
        let call = self.pending.as_ref().and_then(Pending::wakes);
        [self.world.next(), call].into_iter().flatten().min()
    }

    /// The next packet of the stack; time passes until there is one, at most until `limit`.
    fn await_sent(&mut self, limit: Instant) -> Result<Option<Wire>, Stop> {
        self.await_if(limit, |_| true)
    }

    /// The same, if it is one that `wanted` wants; else it stays.
    fn await_if(&mut self, limit: Instant, wanted: impl Fn(&Wire) -> bool) -> Result<Option<Wire>, Stop> {
        loop {
            self.settle()?;
            if let Some(first) = self.world.sent.front() {
                return Ok(if wanted(first) { self.world.sent.pop_front() } else { None });
            }
            match self.next_instant() {
                Some(next) if next <= limit => self.world.set_clock(next),
                _ => {
                    self.world.set_clock(limit.min(self.world.now + PATIENCE));
                    return Ok(None);
                }
            }
        }
    }

    /// Every packet up to now has had its line.
    fn nothing_left(&mut self, kind: Kind, until: Instant) -> Result<(), Stop> {
        match self.world.sent.front().filter(|packet| packet.time <= until) {
            None => Ok(()),
            Some(packet) => {
                let got = format!("> {} at {}", self.in_script(packet), seconds(packet.time));
                Err(Stop::fail(kind, got, vec![]))
            }
        }
    }

    /// No packet waits that the next `>` line comes too late for.
    fn nothing_stale(&mut self, index: usize) -> Result<(), Stop> {
        let next = self.script.events.get(index..).unwrap_or_default().iter();
        let mut lines = next.filter(|event| matches!(event.action, Action::Outbound(_)));
        let relative = lines.next().is_some_and(|event| {
            matches!(event.time, Time::Relative(_) | Time::RelativeRange(..)) && !self.rules.packets_not_fatal
        });
        let tolerance = self.rules.tolerance;
        if !relative {
            return Ok(());
        }
        let stale = self.world.sent.front().is_some_and(|packet| packet.time + tolerance < self.world.now);
        if stale { self.nothing_left(Kind::Extra, self.world.now) } else { Ok(()) }
    }
}

/// From which event on nothing but the end of the program is left: what closing its sockets makes the stack send at once needs no line.
fn free_from(events: &[Event]) -> usize {
    let ends = |event: &Event| match &event.action {
        Action::Call(call) => matches!(&call.name[..], "close" | "shutdown"),
        Action::Shell(_) | Action::Code(_) => true,
        Action::Inbound(_) | Action::Outbound(_) => false,
    };
    let last = events.iter().rposition(|event| !ends(event)).map_or(0, |last| last + 1);
    let first = events[last..].iter().position(|event| matches!(event.action, Action::Call(_)));
    first.map_or(events.len(), |first| last + first)
}

/// Whether nothing but shell lines and code stands behind the last packet: such a script looks at figures, and need not name all that was sent.
fn ends_in_a_look(events: &[Event]) -> bool {
    let looks = |event: &Event| matches!(event.action, Action::Shell(_) | Action::Code(_));
    let end = events.iter().rev().take_while(|event| looks(event)).count();
    let before = events.len().checked_sub(end + 1).and_then(|last| events.get(last));
    end > 0 && before.is_some_and(|event| matches!(event.action, Action::Outbound(_)))
}

/// Whether packets still arrive behind the last `>` line, and then figures are looked at: they are the matter there, not what the stack sends on.
fn looks_at_what_follows(events: &[Event]) -> bool {
    let last = events.iter().rposition(|event| matches!(event.action, Action::Outbound(_)));
    let behind = last.map_or(&[][..], |last| &events[last + 1..]);
    let inbound = behind.iter().any(|event| matches!(event.action, Action::Inbound(_)));
    let calls = behind.iter().any(|event| matches!(event.action, Action::Call(_)));
    inbound && !calls && behind.iter().any(|event| matches!(event.action, Action::Code(_)))
}

fn broken(broken: Broken) -> Stop {
    match broken {
        Broken::Unsound(what) => Stop::fail(Kind::Unsound, what, vec![]),
        Broken::Endless => Stop::fail(Kind::Stack, "it goes on without end and without time passing", vec![]),
    }
}
