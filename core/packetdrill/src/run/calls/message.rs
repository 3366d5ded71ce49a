//! sendmsg and recvmsg.

use super::data::{Receiving, Sending, same_flags, vectors};
use super::naming::descriptor;
use super::{Answer, Progress, Run, Step, argument, optional_number};
use crate::run::values;
use crate::script::{Call, Expression};

/// What a datagram that did not fit is marked with.
const MSG_TRUNC: i128 = 0x20;

impl Run<'_> {
    pub(super) fn sendmsg(&mut self, call: &Call, progress: &mut Progress) -> Step<i64> {
        let fields = header(argument(call, 1)?)?;
        let len = length(fields)?;
        let flags = optional_number(call, 2)?;
        let fd = descriptor(call, 0)?;
        let destination = match values::field(fields, "msg_name") {
            Some(name @ Expression::Struct(_)) => Some(self.address(name, self.addresses.peer())?),
            Some(Expression::Any) if !self.files.socket(fd)?.stream => Some(self.addresses.peer()),
            _ => None,
        };
        self.send(&Sending { fd, len, text: None, flags, destination }, progress)
    }

    pub(super) fn recvmsg(&mut self, call: &Call, progress: &mut Progress) -> Step<i64> {
        let fields = header(argument(call, 1)?)?;
        let most = length(fields)?;
        let flags = optional_number(call, 2)?;
        let fd = descriptor(call, 0)?;
        let next = {
            let state = self.files.socket(fd)?.cell.lock();
            let inbox = state.datagrams.as_ref().map(|datagrams| &datagrams.inbox);
            inbox.and_then(|inbox| inbox.front()).map(|datagram| datagram.payload.len())
        };
        let count = self.recv(&Receiving { fd, most, flags }, progress)?;
        // Of a datagram what does not fit is lost, and the flags say so.
        let cut = next.is_some_and(|length| length > most);
        same_flags(values::field(fields, "msg_flags"), if cut { MSG_TRUNC } else { 0 })?;
        Ok(count)
    }
}

fn header(expression: &Expression) -> Step<&[Expression]> {
    let Expression::Struct(fields) = expression else {
        return Err(Answer::Unreadable("a msghdr".into()));
    };
    let control = values::field(fields, "msg_control");
    if control.is_some_and(|control| !matches!(control, Expression::Any)) {
        return Err(Answer::Lacks("control messages".into()));
    }
    Ok(fields)
}

fn length(fields: &[Expression]) -> Step<usize> {
    let vector = values::field(fields, "msg_iov");
    vectors(vector.ok_or_else(|| Answer::Unreadable("a msghdr without msg_iov".into()))?)
}
