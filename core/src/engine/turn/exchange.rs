//! Frames in and packets out, in alternation.

use super::{ACK_BYTES, FRAMES_MAX, ROW, Supply, Turn};
use crate::buffer::SMALL;
use crate::link::coalesce::{Coalescer, SUPER_FRAME_MAX};
use crate::link::{DeviceError, Frame, Sent, Transmit};
use crate::stack::LinkState;
use crate::time::Instant;
use bytes::Bytes;

/// Bytes of a [`ROW`] at most, so that what comes does not wait for long; and of all that a turn sends, so that who writes what is to be sent next hears
/// that there is room for it before all is sent that there was.
const ROW_BYTES: usize = 1 << 20;

/// What may still be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    packets: usize,
    bytes: usize,
}

impl Allowance {
    /// That of a turn: as much as a row.
    pub(super) const fn turn() -> Self {
        Self::of(ROW, ROW_BYTES)
    }

    pub(super) const fn of(packets: usize, bytes: usize) -> Self {
        Self { packets, bytes }
    }

    const fn is_spent(&self) -> bool {
        self.packets == 0 || self.bytes == 0
    }

    const fn spend(&mut self, packets: usize, bytes: usize) {
        self.packets = self.packets.saturating_sub(packets);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Turn {
    /// Receives and sends in alternation until both run dry or the turn's share is used up.
    pub(super) fn exchange(&mut self, now: Instant, bytes_max: usize, allowance: &mut Allowance) -> Supply {
        let (mut frames, mut bytes) = (0, 0);
        let mut input = Supply::More;
        while frames < FRAMES_MAX && bytes < bytes_max && !allowance.is_spent() {
            if input == Supply::More {
                input = self.receive(now, &mut frames, &mut bytes);
            }
            let output = self.transmit_row(now, allowance);
            if output == Supply::More {
                input = Supply::More;
            } else if input == Supply::Dry {
                return Supply::Dry;
            }
        }
        Supply::More
    }

    /// Hands frames to the stack until an acknowledgement is due, or none are left.
    fn receive(&mut self, now: Instant, frames: &mut usize, bytes: &mut usize) -> Supply {
        let mut unacknowledged = 0;
        let mut supply = Supply::More;
        while *frames < FRAMES_MAX {
            let Some(length) = self.receive_one(now) else {
                supply = Supply::Dry;
                break;
            };
            *frames += 1;
            *bytes += length;
            unacknowledged += length;
            if self.shallow && *frames == 1 && length <= SMALL {
                supply = Supply::Dry;
                break;
            }
            // One more like this would stretch too far.
            if unacknowledged + length > ACK_BYTES {
                break;
            }
        }
        if let Some(frame) = self.coalescer.as_mut().and_then(Coalescer::take) {
            self.stack.handle_frame(now, frame);
        }
        self.hand_out(now);
        supply
    }

    /// Reads a frame, and gives it to the stack or to be merged with the next ones first; its length.
    fn receive_one(&mut self, now: Instant) -> Option<usize> {
        if self.link != LinkState::Up {
            return None;
        }
        let received = if self.coalescer.is_some() { self.read_merged(now) } else { self.read_single(now) };
        received.unwrap_or_else(|error| {
            self.lose_link(now, &error);
            None
        })
    }

    fn read_single(&mut self, now: Instant) -> Result<Option<usize>, DeviceError> {
        let Some(frame) = self.read_device(now)? else { return Ok(None) };
        let length = frame.bytes.len();
        if let Some(capture) = &mut self.capture {
            capture.received(now, &frame);
        }
        self.stack.handle_frame(now, frame);
        Ok(Some(length))
    }

    fn read_merged(&mut self, now: Instant) -> Result<Option<usize>, DeviceError> {
        let Some(coalescer) = &mut self.coalescer else { return Ok(None) };
        let spare = self.device.spare();
        coalescer.rewind(self.pages.page());
        if coalescer.wants_page(spare) {
            let page = self.pages.take_room(self.pages.page().max(SUPER_FRAME_MAX + spare));
            let (page, frame) = coalescer.replace_page(page);
            self.pages.give(page);
            if let Some(frame) = frame {
                self.stack.handle_frame(now, frame);
            }
        }
        let (device, capture) = (&mut self.device, &mut self.capture);
        let length = coalescer.receive(|page| match capture {
            None => device.recv_behind(now, page),
            Some(capture) => {
                let at = page.len();
                let meta = device.recv_behind(now, page)?;
                if let Some((meta, bytes)) = meta.zip(page.get(at..)) {
                    capture.received(now, &Frame { bytes: Bytes::copy_from_slice(bytes), meta });
                }
                Ok(meta)
            }
        })?;
        while let Some(frame) = coalescer.ready() {
            self.stack.handle_frame(now, frame);
        }
        Ok(length)
    }

    fn read_device(&mut self, now: Instant) -> Result<Option<Frame>, DeviceError> {
        let spare = self.device.spare();
        if self.page.capacity() - self.page.len() < spare {
            let page = self.pages.take_room(self.pages.page().max(spare));
            self.pages.give(std::mem::replace(&mut self.page, page));
        }
        self.device.recv(now, &mut self.page)
    }

    /// Sends what there is, and no more than is allowed. Dry: nothing is left, or the device is full.
    pub(super) fn transmit(&mut self, now: Instant, allowance: &mut Allowance) -> Supply {
        while !allowance.is_spent() {
            if self.transmit_row(now, allowance) == Supply::Dry {
                return Supply::Dry;
            }
        }
        Supply::More
    }

    /// Makes up to a [`ROW`] of packets, and only then sends them, one right after the other: a kernel at the other end takes those that follow each other
    /// quickly together, and has to be woken for each that does not (docs/decisions/0007).
    fn transmit_row(&mut self, now: Instant, allowance: &mut Allowance) -> Supply {
        let mut row = std::mem::take(&mut self.row);
        let (most, bytes_most) = (allowance.packets.min(ROW), allowance.bytes.min(ROW_BYTES));
        let (mut bytes, mut supply) = (row.bytes(), Supply::More);
        while row.len() < most && bytes < bytes_most {
            let Some(length) = row.add(|place| self.stack.make_transmit(now, place)) else {
                supply = Supply::Dry;
                break;
            };
            bytes += length;
        }
        for (sent, transmit) in row.packets().iter().enumerate() {
            // What is left of the row goes with the link.
            if self.link != LinkState::Up {
                break;
            }
            if self.send(now, transmit) == Sent::WouldBlock {
                row.sent(sent);
                self.row = row;
                return Supply::Dry;
            }
        }
        allowance.spend(row.len(), bytes);
        row.clear();
        self.row = row;
        supply
    }

    fn send(&mut self, now: Instant, transmit: &Transmit) -> Sent {
        match self.device.send(now, transmit) {
            Ok(Sent::Taken) => {
                if let Some(capture) = &mut self.capture {
                    capture.sent(now, transmit);
                }
            }
            Ok(Sent::WouldBlock) => return Sent::WouldBlock,
            Err(DeviceError::Refused(errno)) => {
                self.stack.trace_refused(now, transmit.len(), "frames_out_failed");
                self.refuse(now, errno);
            }
            Err(error) => {
                self.read_out(now);
                self.lose_link(now, &error);
            }
        }
        Sent::Taken
    }

    /// A device that takes nothing any more may still hold what came before its end, the peer's own word on it.
    fn read_out(&mut self, now: Instant) {
        while let Ok(Some(frame)) = self.read_device(now) {
            if let Some(capture) = &mut self.capture {
                capture.received(now, &frame);
            }
            self.stack.handle_frame(now, frame);
        }
    }
}
