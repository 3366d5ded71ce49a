//! epoll: the stack's own poll sets, with descriptors in place of names.

use super::naming::{descriptor, same};
use super::{Answer, Descriptor, Progress, Run, Step, argument, number, optional_number, size};
use crate::run::values;
use crate::script::{Call, Expression};
use usertcp_core::buffer::SocketId;
use usertcp_core::error::Errno;
use usertcp_core::stack::socket::{EpollControl, EpollEvent, EpollEvents, PollSet};
use usertcp_core::time::Duration;

impl Run<'_> {
    pub(super) fn epoll_create(&mut self, call: &Call) -> Step<i64> {
        if call.name == "epoll_create" && number(call, 0)? <= 0 {
            return Err(Errno::EINVAL.into());
        }
        let fd = self.files.add(super::naming::wanted(call), Descriptor::Epoll(PollSet::new()))?;
        Ok(fd.into())
    }

    pub(super) fn epoll_ctl(&mut self, call: &Call) -> Step<i64> {
        let control = i32::try_from(number(call, 1)?).map_err(|_| Answer::Failed(Errno::EINVAL))?;
        let control = EpollControl::try_from(control)?;
        let (events, data) = match call.arguments.get(3) {
            Some(Expression::Struct(fields)) => event(fields)?,
            _ => (EpollEvents::default(), 0),
        };
        let socket = self.socket_at(call, 2)?.clone();
        let set = self.files.epoll(descriptor(call, 0)?)?;
        set.control(control, token(socket.id), &socket.cell, events, data)?;
        Ok(0)
    }

    pub(super) fn epoll_wait(&mut self, call: &Call, progress: &mut Progress) -> Step<i64> {
        let expected: &[Expression] = match argument(call, 1)? {
            Expression::List(list) => list,
            one @ Expression::Struct(_) => std::slice::from_ref(one),
            _ => &[],
        };
        let most = size(number(call, 2)?)?;
        if most == 0 {
            return Err(Errno::EINVAL.into());
        }
        let timeout = optional_number(call, 3)?;
        let found = self.files.epoll(descriptor(call, 0)?)?.wait(most);
        if found.is_empty() && timeout != 0 {
            let now = self.world.now;
            let wait = Duration::from_millis(u64::try_from(timeout).unwrap_or(u64::MAX / 1_000_000));
            if now < *progress.until.get_or_insert(now + wait) {
                return Err(Answer::Blocks);
            }
        }
        for (EpollEvent { events, data }, expected) in found.iter().zip(expected) {
            let Expression::Struct(fields) = expected else { continue };
            let (wanted, name) = event(fields)?;
            if wanted != *events {
                let hex = |events: EpollEvents| format!("{:#x}", events.0);
                let (expected, got) = (hex(wanted), hex(*events));
                return Err(Answer::Differs { what: "events".into(), expected, got });
            }
            same("data", name.into(), (*data).into())?;
        }
        Ok(found.len() as i64)
    }
}

/// `{events=EPOLLIN, fd=4}`: what is asked for or told, and the program's name for it.
fn event(fields: &[Expression]) -> Step<(EpollEvents, u64)> {
    let events = values::field(fields, "events").map_or(Ok(0), values::number)?;
    let data = ["fd", "u32", "u64", "ptr"].iter().find_map(|name| values::field(fields, name));
    let data = data.map_or(Ok(0), values::number)?;
    Ok((EpollEvents(events as u32), data as u64))
}

/// A number that no other open socket has.
fn token(id: SocketId) -> u64 {
    u64::from(id.index) << 32 | u64::from(id.generation)
}
