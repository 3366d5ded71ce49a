//! Bytes in and out of a socket.

use super::naming::{blocks, descriptor, same};
use super::{Answer, Progress, Run, Socket, Step, argument, optional_number, size};
use crate::run::values;
use crate::script::{Call, Expression};
use bytes::Bytes;
use std::net::SocketAddr;
use usertcp_core::buffer::{Life, SMALL};
use usertcp_core::error::Errno;
use usertcp_core::stack::socket::{self, More, Queued, Take, Urgency};

/// Flags of one call, as in Linux.
const OOB: i128 = 0x01;
const PEEK: i128 = 0x02;
const TRUNC: i128 = 0x20;
const DONTWAIT: i128 = 0x40;
const EOR: i128 = 0x80;
const WAITALL: i128 = 0x100;
const ERRQUEUE: i128 = 0x2000;
const MORE: i128 = 0x8000;
const ZEROCOPY: i128 = 0x400_0000;
const FASTOPEN: i128 = 0x2000_0000;

/// Flags that the stack does not know.
const LACKING: [(i128, &str); 4] =
    [(EOR, "MSG_EOR"), (ERRQUEUE, "MSG_ERRQUEUE"), (ZEROCOPY, "MSG_ZEROCOPY"), (FASTOPEN, "MSG_FASTOPEN")];

/// Most bytes that are copied at once.
const PIECE: usize = 128 << 10;

/// What one call of the sending kind wants.
pub(super) struct Sending {
    pub(super) fd: i32,
    pub(super) len: usize,
    pub(super) text: Option<Vec<u8>>,
    pub(super) flags: i128,
    pub(super) destination: Option<SocketAddr>,
}

/// What one call of the receiving kind wants.
pub(super) struct Receiving {
    pub(super) fd: i32,
    pub(super) most: usize,
    pub(super) flags: i128,
}

/// Bytes after which the pattern of a stream begins again: no size of a segment is a multiple of it.
const PERIOD: u8 = 251;

/// Byte of a stream at `position`.
pub(in crate::run) fn pattern(position: u64) -> u8 {
    (position % u64::from(PERIOD)) as u8
}

impl Run<'_> {
    pub(super) fn transmit(&mut self, call: &Call, progress: &mut Progress) -> Step<i64> {
        let (len, flags) = match call.name.as_str() {
            "writev" => (vectors(argument(call, 1)?)?, 0),
            "sendfile" => (size(super::number(call, 3)?)?, 0),
            _ => (size(super::number(call, 2)?)?, optional_number(call, 3)?),
        };
        let text = match argument(call, 1)? {
            Expression::Text(text) if text.len() >= len => Some(text[..len].to_vec()),
            _ => None,
        };
        let destination = match call.arguments.get(4) {
            Some(address) if call.name == "sendto" => Some(self.address(address, self.addresses.peer())?),
            _ => None,
        };
        let fd = descriptor(call, 0)?;
        self.send(&Sending { fd, len, text, flags, destination }, progress)
    }

    pub(super) fn send(&mut self, sending: &Sending, progress: &mut Progress) -> Step<i64> {
        lacking(sending.flags)?;
        let socket = self.files.socket(sending.fd)?.clone();
        let never = socket.nonblocking || sending.flags & DONTWAIT != 0;
        if !socket.stream {
            return self.send_datagram(sending, &socket, never);
        }
        let more = if sending.flags & MORE != 0 { More::Follows } else { More::No };
        let urgency = if sending.flags & OOB != 0 { Urgency::Last } else { Urgency::None };
        self.files.wrote_text |= sending.text.is_some();
        loop {
            let done = progress.done;
            let left = sending.len - done;
            let bytes = match &sending.text {
                Some(text) => text[done..].to_vec(),
                None => {
                    let written = self.files.socket(sending.fd)?.written;
                    (0..left.min(PIECE) as u64).map(|at| pattern(written + at)).collect()
                }
            };
            let count = match self.send_some(&socket, &bytes, (more, urgency)) {
                Ok(count) => count,
                // As in a kernel, what is written is sent while more of it is taken. A stack without end is found by the next turn.
                Err(Errno::EAGAIN) if done > 0 && self.world.turn().unwrap_or(false) => continue,
                Err(Errno::EAGAIN) if !never => return Err(Answer::Blocks),
                Err(errno) if done > 0 => {
                    socket::untold(&socket.cell, errno);
                    return Ok(done as i64);
                }
                Err(errno) => return Err(errno.into()),
            };
            self.files.socket(sending.fd)?.written += count as u64;
            progress.done += count;
            if progress.done == sending.len {
                return Ok(sending.len as i64);
            }
        }
    }

    fn send_some(&mut self, socket: &Socket, bytes: &[u8], how: (More, Urgency)) -> Result<usize, Errno> {
        let (more, urgency) = how;
        let (count, kick) = if bytes.len() < SMALL {
            socket::send_small(&socket.cell, bytes, more, urgency, None)?
        } else {
            let want = bytes.len().min(PIECE);
            let count = socket::reserve(&socket.cell, want, None)?;
            let urgency = if bytes.len() > want { Urgency::None } else { urgency };
            let slice = Bytes::copy_from_slice(&bytes[..count]);
            (count, socket::commit(&socket.cell, slice, more, urgency)?)
        };
        self.world.kick(socket.id, kick);
        Ok(count)
    }

    fn send_datagram(&mut self, sending: &Sending, socket: &Socket, never: bool) -> Step<i64> {
        if sending.flags & (OOB | MORE) != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let bytes = sending.text.clone().unwrap_or_else(|| vec![0; sending.len]);
        let payload = Bytes::from(bytes);
        let queued = socket::send_to(&socket.cell, &payload, sending.destination, None);
        match queued.map_err(|errno| blocks(errno, never))? {
            Queued::Done(kick) => self.world.kick(socket.id, kick),
            Queued::Ask => {
                let (now, destination) = (self.world.now, sending.destination);
                let stack = &mut self.world.stack;
                let sent = stack.send_datagram(now, socket.id, &payload, destination, None);
                sent.map_err(|errno| blocks(errno, never))?;
            }
        }
        Ok(sending.len as i64)
    }

    pub(super) fn receive(&mut self, call: &Call, progress: &mut Progress) -> Step<i64> {
        let (most, flags) = match call.name.as_str() {
            "readv" => (vectors(argument(call, 1)?)?, 0),
            "read" => (size(super::number(call, 2)?)?, 0),
            _ => (size(super::number(call, 2)?)?, optional_number(call, 3)?),
        };
        let fd = descriptor(call, 0)?;
        self.recv(&Receiving { fd, most, flags }, progress)
    }

    pub(super) fn recv(&mut self, receiving: &Receiving, progress: &mut Progress) -> Step<i64> {
        let &Receiving { fd, most, flags } = receiving;
        lacking(flags)?;
        let socket = self.files.socket(fd)?.clone();
        let never = socket.nonblocking || flags & DONTWAIT != 0;
        let take = if flags & PEEK != 0 { Take::Peek } else { Take::Consume };
        if !socket.stream {
            let datagram = socket::recv_from(&socket.cell, take, None);
            let Some(datagram) = datagram.map_err(|errno| blocks(errno, never))? else { return Ok(0) };
            let len = datagram.payload.len();
            return Ok(if flags & TRUNC != 0 { len } else { len.min(most) } as i64);
        }
        if flags & OOB != 0 {
            return Ok(i64::from(socket::recv_urgent(&socket.cell, take)?.is_some()));
        }
        let least = if flags & WAITALL != 0 { most } else { socket::receive_low(&socket.cell).min(most) };
        if take == Take::Peek {
            if !never && may_grow(&socket, least) {
                return Err(Answer::Blocks);
            }
            let (slices, _) =
                socket::recv(&socket.cell, most, take, None).map_err(|errno| blocks(errno, never))?;
            self.check_read(fd, &slices, take)?;
            return Ok(slices.iter().map(Bytes::len).sum::<usize>() as i64);
        }
        loop {
            let done = progress.done;
            let (slices, kick) = match socket::recv(&socket.cell, most - done, take, None) {
                Ok(got) => got,
                Err(Errno::EAGAIN) if !never => return Err(Answer::Blocks),
                Err(errno) if done > 0 => {
                    socket::untold(&socket.cell, errno);
                    return Ok(done as i64);
                }
                Err(errno) => return Err(errno.into()),
            };
            self.world.kick(socket.id, kick);
            self.check_read(fd, &slices, take)?;
            let count = slices.iter().map(Bytes::len).sum::<usize>();
            progress.done += count;
            let marked = socket::at_mark(&socket.cell).unwrap_or(true);
            if count == 0 || progress.done >= least || marked {
                return Ok(progress.done as i64);
            }
        }
    }
}

impl Run<'_> {
    /// What is read has to be what the peer sent: its bytes count up, whichever way they came.
    fn check_read(&mut self, fd: i32, slices: &[Bytes], take: Take) -> Step<()> {
        let socket = self.files.socket(fd)?;
        if socket.cell.lock().urgent.is_some() {
            // Around urgent data bytes are left out.
            socket.next = None;
            return Ok(());
        }
        let mut next = socket.next;
        for byte in slices.iter().flatten() {
            if let Some(expected) = next.filter(|next| next != byte) {
                return same("a byte that was read", expected.into(), (*byte).into());
            }
            next = Some((byte + 1) % PERIOD);
        }
        if take == Take::Consume {
            socket.next = next;
        }
        Ok(())
    }
}

/// Whether a read that wants `least` bytes has to wait for more.
fn may_grow(socket: &Socket, least: usize) -> bool {
    let state = socket.cell.lock();
    let open = state.life == Life::Connected && !state.recv_end && !state.recv_shut && state.error.is_none();
    let marked = state.urgent.is_some_and(|urgent| urgent.position > state.position);
    open && socket::readable(&state) < least && !(marked && state.inbox_len > 0)
}

/// Bytes that `[{..., 100}, {..., 200}]` has room for.
pub(super) fn vectors(expression: &Expression) -> Step<usize> {
    let unreadable = || Answer::Unreadable("an iovec".into());
    let Expression::List(list) = expression else { return Err(unreadable()) };
    list.iter().try_fold(0, |sum, one| {
        let Expression::Struct(fields) = one else { return Err(unreadable()) };
        let len = match &fields[..] {
            [_, Expression::Field(_, _, len)] => values::number(len)?,
            [_, len] => values::number(len)?,
            _ => return Err(unreadable()),
        };
        Ok(sum + size(len)?)
    })
}

fn lacking(flags: i128) -> Step<()> {
    let name = LACKING.iter().find(|(flag, _)| flags & flag != 0);
    name.map_or(Ok(()), |(_, name)| Err(Answer::Lacks((*name).into())))
}

/// Compares the flags that a message came with.
pub(super) fn same_flags(expected: Option<&Expression>, got: i128) -> Step<()> {
    match expected {
        None | Some(Expression::Any) => Ok(()),
        Some(expected) => same("msg_flags", values::number(expected)?, got),
    }
}
