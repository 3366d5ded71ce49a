//! pipe and splice: bytes from a socket to a pipe and from there to another.

use super::data::{Receiving, Sending};
use super::naming::descriptor;
use super::{Answer, Descriptor, Progress, Run, Step, argument, number, optional_number, size};
use crate::run::values;
use crate::script::{Call, Expression};
use usertcp_core::error::Errno;

/// Bytes that a pipe has room for.
const ROOM: usize = 64 << 10;

/// SPLICE_F_NONBLOCK, SPLICE_F_MORE, MSG_DONTWAIT and MSG_MORE.
const NONBLOCK: i128 = 2;
const MORE: i128 = 4;
const MSG_DONTWAIT: i128 = 0x40;
const MSG_MORE: i128 = 0x8000;

impl Run<'_> {
    pub(super) fn pipe(&mut self, call: &Call) -> Step<i64> {
        let Expression::List(ends) = argument(call, 0)? else {
            return Err(Answer::Unreadable("two descriptors of a pipe".into()));
        };
        let ends: Vec<i32> = ends
            .iter()
            .map(|end| i32::try_from(values::number(end)?).map_err(|_| Answer::Failed(Errno::EBADF)))
            .collect::<Step<_>>()?;
        let &[out, into] = &ends[..] else { return Err(Answer::Unreadable("two ends of a pipe".into())) };
        self.files.add(Some(out), Descriptor::Pipe(out))?;
        self.files.add(Some(into), Descriptor::Pipe(out))?;
        self.files.pipes.insert(out, 0);
        Ok(0)
    }

    /// `splice(in, NULL, out, NULL, len, flags)`.
    pub(super) fn splice(&mut self, call: &Call, progress: &mut Progress) -> Step<i64> {
        let (from, into) = (descriptor(call, 0)?, descriptor(call, 2)?);
        let len = size(number(call, 4)?)?;
        let flags = optional_number(call, 5)?;
        let dont_wait = if flags & NONBLOCK != 0 { MSG_DONTWAIT } else { 0 };
        match (self.files.pipe(from), self.files.pipe(into)) {
            (None, Some(pipe)) => {
                let held = self.files.pipes.get(&pipe).copied().unwrap_or(0);
                let most = len.min(ROOM - held.min(ROOM));
                let count = self.recv(&Receiving { fd: from, most, flags: dont_wait }, progress)?;
                self.files.pipes.insert(pipe, held + count as usize);
                Ok(count)
            }
            (Some(pipe), None) => {
                let held = self.files.pipes.get(&pipe).copied().unwrap_or(0);
                let more = if flags & MORE != 0 { MSG_MORE } else { 0 };
                let flags = dont_wait | more;
                let sending = Sending { fd: into, len: len.min(held), text: None, flags, destination: None };
                let count = self.send(&sending, progress)?;
                self.files.pipes.insert(pipe, held - count as usize);
                Ok(count)
            }
            _ => Err(Errno::EINVAL.into()),
        }
    }
}
