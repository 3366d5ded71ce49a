//! Waiting for many descriptors at once.

use super::naming::same;
use super::{Answer, Progress, Run, Step, argument, number};
use crate::run::values;
use crate::script::{Call, Expression};
use usertcp_core::stack::socket::{Readiness, readiness};
use usertcp_core::time::Duration;

/// Bits that count whether or not they were asked for.
const ALWAYS: u16 = Readiness::ERR.0 | Readiness::HUP.0 | Readiness::NVAL.0;
/// POLLRDNORM and POLLWRNORM, which say the same as POLLIN and POLLOUT.
const NORMAL: [(u16, Readiness); 2] = [(0x040, Readiness::IN), (0x100, Readiness::OUT)];

impl Run<'_> {
    pub(super) fn poll(&mut self, call: &Call, progress: &mut Progress) -> Step<i64> {
        let Expression::List(entries) = argument(call, 0)? else {
            return Err(Answer::Unreadable("an array of pollfd".into()));
        };
        let timeout = number(call, 2)?;
        let mut found = Vec::new();
        for entry in entries {
            found.push(self.look(entry)?);
        }
        let ready = found.iter().filter(|events| **events != 0).count();
        let now = self.world.now;
        if ready == 0 && timeout != 0 {
            let wait = Duration::from_millis(u64::try_from(timeout).unwrap_or(u64::MAX / 1_000_000));
            let until = *progress.until.get_or_insert(now + wait);
            if now < until {
                return Err(Answer::Blocks);
            }
        }
        for (entry, got) in entries.iter().zip(found) {
            let Expression::Struct(fields) = entry else { continue };
            if let Some(expected) = values::field(fields, "revents").filter(|e| !matches!(e, Expression::Any))
            {
                same("revents", values::number(expected)?, got.into())?;
            }
        }
        Ok(ready as i64)
    }

    /// What a pollfd is ready for of what it asks for.
    fn look(&mut self, entry: &Expression) -> Step<u16> {
        let Expression::Struct(fields) = entry else { return Err(Answer::Unreadable("a pollfd".into())) };
        let field = |name: &str| {
            values::field(fields, name).ok_or_else(|| Answer::Unreadable(format!("a pollfd without {name}")))
        };
        let fd = values::number(field("fd")?)?;
        let events = values::number(field("events")?)? as u16;
        let Ok(fd) = i32::try_from(fd) else { return Ok(0) };
        if fd < 0 {
            return Ok(0);
        }
        let Ok(socket) = self.files.socket(fd) else { return Ok(Readiness::NVAL.0) };
        let mut ready = readiness(&socket.cell, Readiness::default(), None).0;
        for (normal, plain) in NORMAL {
            if ready & plain.0 != 0 {
                ready |= normal;
            }
        }
        Ok(ready & (events | ALWAYS))
    }
}
