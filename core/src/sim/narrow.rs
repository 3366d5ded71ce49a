//! A router in the middle, behind which a link carries less than the two ends know.

use crate::ip::{self, Fault};
use crate::link::segment::{from_frame, segment, to_frame};
use crate::link::{Capabilities, Device, DeviceError, Frame, Sent, Transmit};
use crate::time::Instant;
use bytes::BytesMut;
use std::collections::VecDeque;
use std::net::IpAddr;

/// A device whose packets, sent and received, pass a link of a smaller MTU. Those that do not fit are lost, and the router tells their source.
pub struct Narrow {
    inner: Box<dyn Device>,
    /// MTU of the link in the middle; may change at any time.
    pub mtu: u16,
    /// Whether the router tells: a black hole does not.
    pub tells: bool,
    /// The router's addresses.
    router: [IpAddr; 2],
    /// What comes next to this side.
    arrived: VecDeque<Frame>,
    /// Packets to the other side that its device has not taken yet.
    waiting: VecDeque<Transmit>,
    /// Packets that did not fit.
    pub refused: u64,
}

impl Narrow {
    /// `inner` behind a router with these addresses, IPv4 and IPv6, and a link of `mtu` bytes.
    #[must_use]
    pub fn new(inner: Box<dyn Device>, mtu: u16, router: [IpAddr; 2]) -> Self {
        let (arrived, waiting) = (VecDeque::new(), VecDeque::new());
        Self { inner, mtu, tells: true, router, arrived, waiting, refused: 0 }
    }

    fn fits(&self, transmit: &Transmit) -> bool {
        transmit.len() <= usize::from(self.mtu)
    }

    /// What the router tells the source of a packet that does not fit.
    fn refuse(&mut self, transmit: &Transmit) -> Option<Transmit> {
        self.refused += 1;
        let packet = to_frame(transmit).bytes;
        let six = packet.first().is_some_and(|first| first >> 4 == 6);
        let reporter = self.router[usize::from(six)];
        let report = ip::fault_about(&packet, Fault::TooBig { mtu: self.mtu }, Some(reporter), 64);
        report.map(|(_, report)| report).filter(|_| self.tells)
    }

    fn flush(&mut self, now: Instant) -> Result<(), DeviceError> {
        while let Some(transmit) = self.waiting.pop_front() {
            match self.inner.send(now, &transmit)? {
                Sent::Taken => {}
                Sent::WouldBlock => {
                    self.waiting.push_front(transmit);
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Device for Narrow {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn recv(&mut self, now: Instant, page: &mut BytesMut) -> Result<Option<Frame>, DeviceError> {
        self.flush(now)?;
        if let Some(report) = self.arrived.pop_front() {
            return Ok(Some(report));
        }
        let Some(frame) = self.inner.recv(now, page)? else { return Ok(None) };
        let mut cut = VecDeque::new();
        segment(&from_frame(&frame), &mut cut);
        for transmit in cut {
            if self.fits(&transmit) {
                self.arrived.push_back(to_frame(&transmit));
            } else {
                let report = self.refuse(&transmit);
                self.waiting.extend(report);
            }
        }
        self.flush(now)?;
        Ok(self.arrived.pop_front())
    }

    fn send(&mut self, now: Instant, transmit: &Transmit) -> Result<Sent, DeviceError> {
        self.flush(now)?;
        if !self.waiting.is_empty() {
            return Ok(Sent::WouldBlock);
        }
        let mut cut = VecDeque::new();
        segment(transmit, &mut cut);
        for transmit in cut {
            if self.fits(&transmit) {
                self.waiting.push_back(transmit);
            } else {
                let report = self.refuse(&transmit);
                self.arrived.extend(report.as_ref().map(to_frame));
            }
        }
        self.flush(now)?;
        Ok(Sent::Taken)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let own = (!self.arrived.is_empty()).then_some(Instant::ZERO);
        [own, self.inner.poll_timeout()].into_iter().flatten().min()
    }

    fn spare(&self) -> usize {
        self.inner.spare()
    }
}

impl std::fmt::Debug for Narrow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Narrow")
            .field("mtu", &self.mtu)
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}
