//! Reno: congestion avoidance by one segment a round trip, halving on loss (RFC 5681), counting bytes (RFC 3465).

use super::window::{Window, part};
use super::{Acked, Controller, Figures};
use crate::pack::{Pack, Packer, packed};
use crate::time::{Duration, Instant};

/// The controller of RFC 5681.
#[derive(Debug)]
pub struct Reno {
    window: Window,
    /// Bytes acknowledged in congestion avoidance towards the next segment of window.
    counted: u32,
}

impl Reno {
    /// A controller that begins with `window`.
    #[must_use]
    pub const fn new(window: Window) -> Self {
        Self { window, counted: 0 }
    }

    /// ssthresh = max (FlightSize / 2, 2*SMSS), equation 4 of RFC 5681.
    //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
    //# ssthresh MUST be reduced in response to congestion (5681:3.1-11).
    fn halve(&mut self, flight: u32) {
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# the value of ssthresh MUST be set to no more than the value given in equation (4): ssthresh = max (FlightSize / 2, 2*SMSS) (5681:3.1-19).
        self.window.reduce(flight / 2);
        self.counted = 0;
    }
}

impl Controller for Reno {
    fn name(&self) -> &'static str {
        "reno"
    }

    fn window(&self) -> u32 {
        self.window.bytes
    }

    fn threshold(&self) -> u32 {
        self.window.threshold
    }

    fn figures(&self, _now: Instant) -> Figures {
        self.window.figures()
    }

    fn on_ack(&mut self, now: Instant, acked: Acked) {
        if !self.window.slow_start(now, &acked) || !acked.window_limited {
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# The RECOMMENDED way to increase cwnd during congestion avoidance is to count the number of bytes that have been acknowledged by ACKs for new data (5681:3.1-16).
        self.counted = self.counted.saturating_add(acked.bytes);
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# SHOULD increment cwnd per equation (2) once per RTT (5681:3.1-14).
        if self.counted >= self.window.bytes {
            self.counted -= self.window.bytes;
            //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
            //# during congestion avoidance, cwnd MUST NOT be increased by more than SMSS bytes per RTT (5681:3.1-17).
            self.window.grow(1);
        }
    }

    fn on_congestion(&mut self, _now: Instant, flight: u32) {
        self.halve(flight);
    }

    fn on_timeout(&mut self, _now: Instant, flight: u32, again: bool) {
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# when a TCP sender detects segment loss using the retransmission timer and the given segment has already been retransmitted by way of the retransmission timer at least once, the value of ssthresh is held constant (5681:3.1-20).
        if !again {
            // What is outstanding may hold what a repair has sent on top of the window.
            //= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
            //# Loss in two successive windows of data, or the loss of a retransmission, should be taken as two indications of congestion and, therefore, cwnd (and ssthresh) MUST be lowered twice in this case (5681:4.3-4).
            self.halve(flight.min(self.window.bytes));
        }
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# upon a timeout (as specified in [RFC2988]) cwnd MUST be set to no more than the loss window, LW, which equals 1 full-sized segment (5681:3.1-21).
        self.window.set(0);
    }

    fn set_window(&mut self, bytes: u32) {
        self.window.set(bytes);
    }

    fn set_threshold(&mut self, bytes: u32) {
        self.window.set_threshold(bytes);
    }

    fn on_recovered(&mut self, _now: Instant) {
        self.window.recovered();
    }

    fn on_undo(&mut self, _now: Instant) {
        self.window.undo();
    }

    fn on_idle(&mut self, _now: Instant, idle: Duration, rto: Duration) {
        self.window.restart(idle, rto);
    }

    fn on_segment_size(&mut self, mss: u32) {
        if mss < self.window.mss {
            self.counted = part(self.counted, mss, self.window.mss);
        }
        self.window.resize(mss);
    }

    fn store(&self, to: &mut Packer) {
        self.pack(to);
    }
}

packed!(Reno { window, counted });
