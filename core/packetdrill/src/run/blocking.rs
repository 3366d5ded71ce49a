//! Calls and their results: those that are answered at once, and those that sleep while the script goes on.

use super::calls::{Answer, Progress};
use super::{Run, Stop, When, seconds, values};
use crate::report::{Difference, Kind};
use crate::script::{Call, Expression};
use usertcp_core::time::{Duration, Instant};

/// A call that sleeps.
#[derive(Debug)]
pub(super) struct Pending<'a> {
    call: &'a Call,
    line: u32,
    progress: Progress,
    /// When it has to return.
    end: Instant,
    tolerance: Duration,
}

impl Pending<'_> {
    /// When it has to be looked at, whatever the stack does.
    pub(super) fn wakes(&self) -> Option<Instant> {
        self.progress.until
    }

    /// Until when it may sleep.
    fn limit(&self) -> Instant {
        self.end + self.tolerance
    }
}

impl<'a> Run<'a> {
    /// A call: begun, and done unless it may sleep and does.
    pub(super) fn begin_call(&mut self, when: When, line: u32, call: &'a Call) -> Result<(), Stop> {
        self.world.note(|| format!("{}()", call.name));
        let mut progress = Progress::default();
        let answer = self.attempt(call, &mut progress);
        let Some(end) = call.end else { return self.result(call, answer) };
        let end = when.origin + end;
        let tolerance = self.rules.tolerance_after(end.since(self.world.now));
        let pending = Pending { call, line, progress, end, tolerance };
        if answer == Answer::Blocks {
            self.pending = Some(pending);
            return Ok(());
        }
        self.returned(&pending, answer)
    }

    /// Tries the call that sleeps again. Whether it has returned.
    pub(super) fn poll_pending(&mut self) -> Result<bool, Stop> {
        let Some(mut pending) = self.pending.take() else { return Ok(false) };
        let answer = self.attempt(pending.call, &mut pending.progress);
        if answer != Answer::Blocks {
            self.returned(&pending, answer)?;
            return Ok(true);
        }
        if self.world.now > pending.limit() {
            return Err(self.asleep(&pending));
        }
        self.pending = Some(pending);
        Ok(false)
    }

    /// Lets time pass until the call that sleeps has returned.
    pub(super) fn finish_pending(&mut self) -> Result<(), Stop> {
        loop {
            self.settle()?;
            let Some(pending) = &self.pending else { return Ok(()) };
            let limit = pending.limit();
            match self.next_instant().filter(|next| *next <= limit) {
                Some(next) => self.world.set_clock(next),
                None => {
                    self.world.set_clock(limit);
                    self.settle()?;
                    let Some(pending) = self.pending.take() else { return Ok(()) };
                    return Err(self.asleep(&pending));
                }
            }
        }
    }

    fn asleep(&mut self, pending: &Pending<'_>) -> Stop {
        self.line = pending.line;
        let difference = Difference::new("end of the call", seconds(pending.end), "none");
        let until = seconds(self.world.now);
        Stop::fail(Kind::Return, format!("{}() sleeps at {until}", pending.call.name), vec![difference])
    }

    fn returned(&mut self, pending: &Pending<'_>, answer: Answer) -> Result<(), Stop> {
        let line = std::mem::replace(&mut self.line, pending.line);
        let (now, end) = (self.world.now, pending.end);
        let off = now.since(end).max(end.since(now));
        let done = self.result(pending.call, answer).and_then(|()| {
            if off > pending.tolerance {
                let difference = Difference::new("end of the call", seconds(end), seconds(now));
                return Err(Stop::fail(Kind::Return, String::new(), vec![difference]));
            }
            self.slack = self.slack.max(off);
            Ok(())
        });
        self.bear(done)?;
        self.line = line;
        Ok(())
    }

    /// Compares what a call returned with what it has to.
    fn result(&mut self, call: &Call, answer: Answer) -> Result<(), Stop> {
        let mismatch = |kind, expected: String, got: String| {
            Err(Stop::fail(kind, String::new(), vec![Difference::new("result", expected, got)]))
        };
        let expected = match (&call.errno, &call.result) {
            (Some(errno), _) => format!("-1 {errno}"),
            (None, Expression::Any) => "success".into(),
            (None, result) => match values::number(result) {
                Ok(number) => number.to_string(),
                Err(_) => return Err(Stop::fail(Kind::Script, "the result is no number", vec![])),
            },
        };
        let answer = match answer {
            // A script that bears failing calls asks for options that only some systems have.
            Answer::Lacks(_) if self.rules.calls_not_fatal && call.name == "setsockopt" => {
                Answer::Failed(usertcp_core::error::Errno::ENOPROTOOPT)
            }
            answer => answer,
        };
        match answer {
            Answer::Lacks(name) => Err(Stop::Skip(name)),
            Answer::Unreadable(what) => Err(Stop::fail(Kind::Script, what, vec![])),
            Answer::Blocks => Err(Stop::fail(Kind::Blocks, format!("expected {expected}"), vec![])),
            Answer::Differs { what, expected, got } => {
                Err(Stop::fail(Kind::Result, String::new(), vec![Difference::new(&what, expected, got)]))
            }
            Answer::Failed(errno) => {
                let got = format!("-1 {}", errno.name());
                match &call.errno {
                    Some(name) if values::canonical(name) == errno.name() => Ok(()),
                    Some(_) => mismatch(Kind::Error, expected, got),
                    None if expected == "-1" => Ok(()),
                    None => mismatch(Kind::Result, expected, got),
                }
            }
            Answer::Returned(number) => {
                if call.errno.is_none() && (expected == number.to_string() || expected == "success") {
                    return Ok(());
                }
                mismatch(Kind::Result, expected, number.to_string())
            }
        }
    }
}
