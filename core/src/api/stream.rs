//! The bytes of a socket: copied outside every lock, in pages on the way out and in slices on the way in.

use super::gather::Gather;
use super::{MessageFlags, Socket, Wait};
use crate::buffer::{Interest, Life, SMALL, Slices};
use crate::engine::{Patience, Place};
use crate::error::{Errno, Result};
use crate::stack::socket::{self, Kick, More, Take, Urgency};
use bytes::{Bytes, BytesMut};
use std::task::Waker;

/// Most bytes that one reservation copies: the I/O thread sends one piece while the caller copies the next.
const PIECE: usize = 128 << 10;

/// Most bytes under way for which a caller sends what it has written itself.
const AT_ONCE: usize = 4 << 10;

impl Socket {
    /// Queues all of `bytes`, or what there was room for when the caller's patience ended.
    pub(super) fn send_all(
        &self,
        mut bytes: Gather<'_>,
        how: (More, Urgency),
        patience: Patience,
    ) -> Result<usize> {
        let (mut sent, began) = (0, self.cell.calls());
        loop {
            match self.send_some(began, &bytes, how, patience) {
                Ok(count) => {
                    sent += count;
                    bytes.advance(count);
                }
                Err(error) if sent > 0 => {
                    socket::untold(&self.cell, error.errno());
                    self.show();
                    return Ok(sent);
                }
                Err(error) => return Err(error),
            }
            if bytes.len() == 0 {
                return Ok(sent);
            }
        }
    }

    /// As in Linux, every piece that has to wait for room ends with urgent data if the whole does.
    fn send_some(
        &self,
        began: u32,
        bytes: &Gather<'_>,
        how: (More, Urgency),
        patience: Patience,
    ) -> Result<usize> {
        let (more, urgency) = how;
        if bytes.len() < SMALL {
            return self.block_since(began, "send", Place::Cell, patience, |waker| {
                let pieces = bytes.up_to(bytes.len());
                let (count, kick) =
                    socket::send_small_pieces(&self.cell, bytes.len(), pieces, more, urgency, waker)?;
                self.kick_written(kick);
                Ok(count)
            });
        }
        let reserve = |waker: Option<&Waker>| {
            if bytes.len() > PIECE {
                socket::reserve_piece(&self.cell, PIECE, waker)
            } else {
                socket::reserve(&self.cell, bytes.len(), waker)
            }
        };
        let room = self.block_since(began, "send", Place::Cell, patience, reserve)?;
        let pages = self.engine().pages();
        let mut page: BytesMut = pages.take_room(room);
        bytes.up_to(room).for_each(|piece| page.extend_from_slice(piece));
        let slice = page.split().freeze();
        pages.give(page);
        let urgency = if bytes.len() > PIECE { Urgency::None } else { urgency };
        let kick =
            socket::commit(&self.cell, slice, more, urgency).map_err(|errno| self.explain("send", errno))?;
        self.kick_written(kick);
        Ok(room)
    }

    /// Hands up to `most` bytes to `take`, chain by chain; returns how many.
    pub(super) fn receive(
        &self,
        most: usize,
        flags: MessageFlags,
        wait: Wait,
        mut take: impl FnMut(Slices),
    ) -> Result<usize> {
        let patience = self.settings.receive_patience(self.clock(), flags.for_recv()?.limit(wait));
        if flags.contains(MessageFlags::OOB) {
            return self.receive_urgent(most, flags, take);
        }
        let least = if flags.contains(MessageFlags::WAITALL) {
            most
        } else {
            socket::receive_low(&self.cell).min(most)
        };
        if flags.contains(MessageFlags::PEEK) {
            let mut peeked =
                self.block("recv", Place::Device, patience, |waker| self.peek(most, least, waker));
            if peeked.as_ref().is_err_and(|error| is_cut_short(error.errno())) {
                // Fewer than asked for are better than none.
                peeked =
                    self.block("recv", Place::Cell, Patience::Never, |_| self.peek(most, 1, None)).or(peeked);
            }
            let slices = peeked?;
            let count = length(&slices);
            take(slices);
            return Ok(count);
        }
        // However much is asked for, it is one call that sleeps: a signal between two of its sleeps ends it too.
        let mut received = 0;
        let got = self.block("recv", Place::Device, patience, |waker| {
            loop {
                let (slices, kick) = socket::recv(&self.cell, most - received, Take::Consume, waker)?;
                self.kick(kick);
                let count = length(&slices);
                received += count;
                take(slices);
                if count == 0 || received >= least || socket::at_mark(&self.cell).unwrap_or(true) {
                    return Ok(());
                }
                self.show();
            }
        });
        match got {
            Ok(()) => Ok(received),
            Err(error) if received > 0 => {
                socket::untold(&self.cell, error.errno());
                self.show();
                Ok(received)
            }
            Err(error) => Err(error),
        }
    }

    /// The last byte of urgent data; never sleeps.
    fn receive_urgent(
        &self,
        most: usize,
        flags: MessageFlags,
        mut take: impl FnMut(Slices),
    ) -> Result<usize> {
        self.engine().check()?;
        let kind = if flags.contains(MessageFlags::PEEK) || most == 0 { Take::Peek } else { Take::Consume };
        let byte = socket::recv_urgent(&self.cell, kind)?.filter(|_| most > 0);
        let Some(byte) = byte else { return Ok(0) };
        let mut slices = Slices::new();
        slices.push(Bytes::copy_from_slice(&[byte]));
        take(slices);
        Ok(1)
    }

    /// Up to `most` bytes without taking them; would block while there are fewer than `least` and more may come.
    fn peek(&self, most: usize, least: usize, waker: Option<&Waker>) -> Result<Slices, Errno> {
        {
            let mut state = self.cell.lock();
            let more_may_come =
                state.life == Life::Connected && !state.recv_end && !state.recv_shut && state.error.is_none();
            let marked = state.urgent.is_some_and(|urgent| urgent.position > state.position);
            if more_may_come && socket::readable(&state) < least && !(marked && state.inbox_len > 0) {
                waker.iter().for_each(|waker| state.register(Interest::Read, waker));
                return Err(Errno::EAGAIN);
            }
        }
        let (slices, kick) = socket::recv(&self.cell, most, Take::Peek, waker)?;
        self.kick(kick);
        Ok(slices)
    }

    fn kick(&self, kick: Kick) {
        self.engine().kick(self.id, kick);
    }

    /// What is small leaves before the call returns. More is left to the I/O thread: it sends while the caller copies, and in larger packets.
    fn kick_written(&self, kick: Kick) {
        let engine = self.engine();
        if kick == Kick::Yes && socket::under_way(&self.cell) > AT_ONCE {
            engine.leave_kick(self.id, kick);
        } else {
            engine.kick(self.id, kick);
        }
    }
}

/// Whether a call that waits for more ends with what there is.
const fn is_cut_short(errno: Errno) -> bool {
    matches!(errno, Errno::EAGAIN | Errno::EINTR | Errno::ECANCELED)
}

fn length(slices: &Slices) -> usize {
    slices.iter().map(bytes::Bytes::len).sum()
}
