//! From socket to close: the calls that make, name and end sockets.

use super::{Answer, Descriptor, Progress, Run, Socket, Step, address, argument, number, optional_number};
use crate::run::values;
use crate::script::{Call, Expression};
use std::net::SocketAddr;
use usertcp_core::config::Domain;
use usertcp_core::error::Errno;
use usertcp_core::stack::{Shutdown, socket};

/// Numbers of families, types and flags, as in Linux.
const AF_INET: i128 = 2;
const AF_INET6: i128 = 10;
const SOCK_STREAM: i128 = 1;
const SOCK_DGRAM: i128 = 2;
const SOCK_NONBLOCK: i128 = 0x800;
const SOCK_CLOEXEC: i128 = 0x80000;
const O_RDWR: i64 = 2;
const O_NONBLOCK: i64 = 0x800;
const F_GETFD: i128 = 1;
const F_SETFD: i128 = 2;
const F_GETFL: i128 = 3;
const F_SETFL: i128 = 4;
const FIONBIO: u64 = 0x5421;

/// States of a connection that still has something to send, as TCP_INFO numbers them.
const SENDING: [u8; 5] = [1, 4, 8, 9, 11];

impl Run<'_> {
    pub(super) fn socket(&mut self, call: &Call) -> Step<i64> {
        let domain = match argument(call, 0)? {
            Expression::Any => self.addresses.domain(),
            family => match values::number(family)? {
                AF_INET => Domain::V4,
                AF_INET6 => Domain::V6,
                _ => return Err(Errno::EAFNOSUPPORT.into()),
            },
        };
        let kind = number(call, 1)?;
        let protocol = match argument(call, 2)? {
            Expression::Any => 0,
            protocol => values::number(protocol)?,
        };
        let stream = match (kind & !(SOCK_NONBLOCK | SOCK_CLOEXEC), protocol) {
            (SOCK_STREAM, 0 | 6) => true,
            (SOCK_DGRAM, 0 | 17) => false,
            (_, protocol) => {
                return Err(Answer::Lacks(format!("sockets of type {kind} protocol {protocol}")));
            }
        };
        let stack = &mut self.world.stack;
        let (id, cell) = if stream { stack.socket(domain)? } else { stack.datagram_socket(domain)? };
        let nonblocking = kind & SOCK_NONBLOCK != 0;
        let socket = Socket { id, cell, domain, stream, nonblocking, written: 0, next: None };
        let fd = self.files.add(wanted(call), Descriptor::Socket(socket))?;
        if stream {
            self.files.test(fd);
        }
        Ok(fd.into())
    }

    pub(super) fn bind(&mut self, call: &Call) -> Step<i64> {
        let local = self.address(argument(call, 1)?, self.addresses.bound())?;
        let id = self.socket_at(call, 0)?.id;
        self.world.stack.bind(id, local)?;
        let local = self.world.stack.local_address(id)?;
        self.flows.bound(local.port());
        Ok(0)
    }

    pub(super) fn listen(&mut self, call: &Call) -> Step<i64> {
        // As in Linux, a negative backlog is as large as there is.
        let backlog = number(call, 1)? as i32;
        let id = self.socket_at(call, 0)?.id;
        self.world.stack.listen(self.world.now, id, backlog.cast_unsigned())?;
        let local = self.world.stack.local_address(id)?;
        self.flows.bound(local.port());
        Ok(0)
    }

    pub(super) fn accept(&mut self, call: &Call) -> Step<i64> {
        let flags = optional_number(call, 3)?;
        let listener = self.socket_at(call, 0)?.clone();
        if !listener.stream {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let accepted = socket::accept(&listener.cell, None);
        let (accepted, kick) = accepted.map_err(|errno| blocks(errno, listener.nonblocking))?;
        self.world.kick(listener.id, kick);
        let socket = Socket {
            id: accepted.socket,
            cell: accepted.cell,
            domain: listener.domain,
            stream: true,
            nonblocking: flags & SOCK_NONBLOCK != 0,
            written: 0,
            next: None,
        };
        let fd = self.files.add(wanted(call), Descriptor::Socket(socket))?;
        self.files.test(fd);
        self.compare_address("the peer's address", call.arguments.get(1), accepted.peer)?;
        Ok(fd.into())
    }

    pub(super) fn connect(&mut self, call: &Call, progress: &mut Progress) -> Step<i64> {
        let peer = self.address(argument(call, 1)?, self.addresses.peer())?;
        let socket = self.socket_at(call, 0)?.clone();
        let mut waiting = Errno::EINPROGRESS;
        if !progress.begun {
            match self.world.stack.connect(self.world.now, socket.id, peer) {
                Ok(()) => {}
                Err(Errno::EALREADY) => waiting = Errno::EALREADY,
                Err(errno) => return Err(errno.into()),
            }
            progress.begun = true;
        }
        if !socket.stream {
            return Ok(0);
        }
        match socket::connected(&socket.cell, None) {
            Ok(()) => Ok(0),
            Err(Errno::EAGAIN) if socket.nonblocking => Err(waiting.into()),
            Err(Errno::EAGAIN) => Err(Answer::Blocks),
            Err(errno) => Err(errno.into()),
        }
    }

    pub(super) fn close(&mut self, call: &Call, progress: &mut Progress) -> Step<i64> {
        let now = self.world.now;
        if let Some(until) = progress.until {
            let id = self.closing.ok_or(Answer::Failed(Errno::EBADF))?;
            let state = self.world.stack.tcp_info(now, id).map_or(0, |info| info.state);
            return if SENDING.contains(&state) && now < until { Err(Answer::Blocks) } else { Ok(0) };
        }
        let Descriptor::Socket(socket) = self.files.remove(descriptor(call, 0)?)? else { return Ok(0) };
        let linger = self.world.stack.linger(socket.id).ok().flatten().filter(|time| !time.is_zero());
        let mut wakers = Vec::new();
        if socket::close(&socket.cell, &mut wakers) {
            self.world.stack.close(now, socket.id);
        }
        wakers.into_iter().for_each(std::task::Waker::wake);
        let Some(linger) = linger.filter(|_| socket.stream) else { return Ok(0) };
        progress.until = Some(now + linger);
        self.closing = Some(socket.id);
        self.close(call, progress)
    }

    pub(super) fn shutdown(&mut self, call: &Call) -> Step<i64> {
        let how = match number(call, 1)? {
            0 => Shutdown::Read,
            1 => Shutdown::Write,
            2 => Shutdown::Both,
            _ => return Err(Errno::EINVAL.into()),
        };
        let id = self.socket_at(call, 0)?.id;
        self.world.stack.shutdown(self.world.now, id, how)?;
        Ok(0)
    }

    pub(super) fn name_of(&mut self, call: &Call) -> Step<i64> {
        let id = self.socket_at(call, 0)?.id;
        let (what, address) = if call.name == "getsockname" {
            ("the own address", self.world.stack.local_address(id)?)
        } else {
            ("the peer's address", self.world.stack.peer_address(id)?)
        };
        self.compare_address(what, call.arguments.get(1), address)?;
        Ok(0)
    }

    pub(super) fn fcntl(&mut self, call: &Call) -> Step<i64> {
        let command = number(call, 1)?;
        let value = optional_number(call, 2)?;
        let socket = self.socket_at(call, 0)?;
        match command {
            F_GETFD | F_SETFD => Ok(0),
            F_GETFL => Ok(O_RDWR | if socket.nonblocking { O_NONBLOCK } else { 0 }),
            F_SETFL => {
                socket.nonblocking = value & i128::from(O_NONBLOCK) != 0;
                Ok(0)
            }
            other => Err(Answer::Lacks(format!("fcntl({other})"))),
        }
    }

    pub(super) fn ioctl(&mut self, call: &Call) -> Step<i64> {
        let request = u64::try_from(number(call, 1)?).map_err(|_| Answer::Failed(Errno::ENOTTY))?;
        let expected = call.arguments.get(2);
        let socket = self.socket_at(call, 0)?;
        if request == FIONBIO {
            socket.nonblocking = values::number(expected.unwrap_or(&Expression::Any))? != 0;
            return Ok(0);
        }
        let got = socket::ioctl(&socket.cell, request)?;
        match expected {
            None | Some(Expression::Any) => Ok(0),
            Some(expected) => {
                same("the answer", values::number(expected)?, got.into())?;
                Ok(0)
            }
        }
    }

    /// The socket that an argument names.
    pub(super) fn socket_at(&mut self, call: &Call, index: usize) -> Step<&mut Socket> {
        self.files.socket(descriptor(call, index)?)
    }

    /// A socket address as an argument.
    pub(super) fn address(&self, argument: &Expression, default: SocketAddr) -> Step<SocketAddr> {
        match argument {
            Expression::Any => Ok(default),
            Expression::Struct(fields) => {
                if values::field(fields, "sa_family")
                    .is_some_and(|family| matches!(family, Expression::Name(name) if name == "AF_UNSPEC"))
                {
                    return Err(Answer::Lacks("AF_UNSPEC".into()));
                }
                address::written(fields)
            }
            _ => Err(Answer::Unreadable("a socket address".into())),
        }
    }

    fn compare_address(&self, what: &str, written: Option<&Expression>, got: SocketAddr) -> Step<()> {
        let Some(Expression::Struct(fields)) = written else { return Ok(()) };
        let expected = address::written(fields)?;
        if expected == got {
            return Ok(());
        }
        let (expected, got) = (expected.to_string(), got.to_string());
        Err(Answer::Differs { what: what.into(), expected, got })
    }
}

/// The descriptor that an argument names.
pub(super) fn descriptor(call: &Call, index: usize) -> Step<i32> {
    i32::try_from(number(call, index)?).map_err(|_| Answer::Failed(Errno::EBADF))
}

/// What the script calls the new descriptor.
pub(super) fn wanted(call: &Call) -> Option<i32> {
    let number = values::number(&call.result).ok()?;
    i32::try_from(number).ok().filter(|number| *number >= 0)
}

/// EAGAIN of a call that may sleep.
pub(super) fn blocks(errno: Errno, never: bool) -> Answer {
    if errno == Errno::EAGAIN && !never { Answer::Blocks } else { Answer::Failed(errno) }
}

/// Two numbers that have to be the same.
pub(super) fn same(what: &str, expected: i128, got: i128) -> Step<()> {
    if expected == got {
        return Ok(());
    }
    Err(Answer::Differs { what: what.into(), expected: expected.to_string(), got: got.to_string() })
}
