//! Reno: slow start, congestion avoidance, halving on loss (RFC 5681), counting bytes (RFC 3465).

use super::{Acked, Controller};
use crate::time::{Duration, Instant};

/// The controller of RFC 5681.
#[derive(Debug)]
pub struct Reno {
    mss: u32,
    window: u32,
    threshold: u32,
    initial: u32,
    /// Bytes acknowledged in congestion avoidance towards the next segment of window.
    counted: u32,
    /// Most segments by which one ACK widens the window in slow start.
    step: u32,
    /// Window and threshold before the last reduction, while it may be taken back.
    before: Option<(u32, u32)>,
}

/// Segments of 1460 bytes bound the initial window of larger ones (RFC 6928 section 2).
const IW_SEGMENT: u32 = 1460;

/// The initial window of RFC 6928, generalised from ten to `segments`: min(n MSS, max(2 MSS, n 1460)).
#[must_use]
pub fn initial_window(mss: u32, segments: u32) -> u32 {
    let upper = mss.saturating_mul(2).max(segments.saturating_mul(IW_SEGMENT));
    mss.saturating_mul(segments.max(1)).min(upper)
}

impl Reno {
    /// A controller for segments of `mss` bytes that starts with `initial` bytes and counts at most `step` segments of one ACK in slow start.
    #[must_use]
    pub fn new(mss: u32, initial: u32, step: u32) -> Self {
        let mss = mss.max(1);
        Self {
            mss,
            window: initial.max(mss),
            //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
            //# The initial value of ssthresh SHOULD be set arbitrarily high (5681:3.1-10).
            threshold: u32::MAX,
            initial: initial.max(mss),
            counted: 0,
            step: step.max(1),
            before: None,
        }
    }

    /// ssthresh = max (FlightSize / 2, 2*SMSS), equation 4 of RFC 5681.
    //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
    //# ssthresh MUST be reduced in response to congestion (5681:3.1-11).
    fn halve(&mut self, flight: u32) {
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# the value of ssthresh MUST be set to no more than the value given in equation (4): ssthresh = max (FlightSize / 2, 2*SMSS) (5681:3.1-19).
        self.before = Some((self.window, self.threshold));
        self.threshold = (flight / 2).max(self.mss.saturating_mul(2));
        self.counted = 0;
    }
}

impl Controller for Reno {
    fn name(&self) -> &'static str {
        "reno"
    }

    fn window(&self) -> u32 {
        self.window
    }

    fn threshold(&self) -> u32 {
        self.threshold
    }

    fn on_ack(&mut self, _now: Instant, acked: Acked) {
        if !acked.window_limited {
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# The slow start and congestion avoidance algorithms MUST be used by a TCP sender to control the amount of outstanding data being injected into the network (5681:3.1-1).
        if self.window < self.threshold {
            //= https://www.rfc-editor.org/rfc/rfc3465#section-2.2
            //# TCP MUST use L=1*SMSS
            let most = if acked.after_timeout { 1 } else { self.step };
            let grown = self.window.saturating_add(acked.bytes.min(self.mss.saturating_mul(most)));
            // An ACK of many segments does not take it beyond where congestion avoidance begins.
            self.window = grown.min(self.threshold);
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# The RECOMMENDED way to increase cwnd during congestion avoidance is to count the number of bytes that have been acknowledged by ACKs for new data (5681:3.1-16).
        self.counted = self.counted.saturating_add(acked.bytes);
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# SHOULD increment cwnd per equation (2) once per RTT (5681:3.1-14).
        if self.counted >= self.window {
            self.counted -= self.window;
            //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
            //# during congestion avoidance, cwnd MUST NOT be increased by more than SMSS bytes per RTT (5681:3.1-17).
            self.window = self.window.saturating_add(self.mss);
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
            self.halve(flight.min(self.window));
        }
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# upon a timeout (as specified in [RFC2988]) cwnd MUST be set to no more than the loss window, LW, which equals 1 full-sized segment (5681:3.1-21).
        self.window = self.mss;
    }

    fn set_window(&mut self, bytes: u32) {
        self.window = bytes.max(self.mss);
    }

    fn on_recovered(&mut self, _now: Instant) {
        if self.before.is_some() {
            //= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
            //# after all loss in the given window of segments has been successfully retransmitted, cwnd MUST be set to no more than ssthresh and congestion avoidance MUST be used to further increase cwnd (5681:4.3-3).
            self.window = self.threshold;
        }
    }

    fn on_undo(&mut self, _now: Instant) {
        if let Some((window, threshold)) = self.before.take() {
            self.window = self.window.max(window);
            self.threshold = self.threshold.max(threshold);
        }
    }

    fn on_idle(&mut self, _now: Instant, _idle: Duration, _rto: Duration) {
        //= https://www.rfc-editor.org/rfc/rfc5681#section-4.1
        //# we define RW = min(IW,cwnd) (5681:4.1-2).
        self.window = self.window.min(self.initial);
    }

    fn on_segment_size(&mut self, mss: u32) {
        let mss = mss.max(1);
        if mss < self.mss {
            //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
            //# cwnd SHOULD be reduced by the ratio of the old segment size to the new segment size (5681:3.1-9).
            self.window = part(self.window, mss, self.mss).max(mss);
            self.initial = part(self.initial, mss, self.mss).max(mss);
            self.counted = part(self.counted, mss, self.mss);
            self.before =
                self.before.map(|(window, threshold)| (part(window, mss, self.mss).max(mss), threshold));
        }
        self.mss = mss;
    }
}

/// `bytes`, counted in segments of `of` bytes, as so many of `mss`.
fn part(bytes: u32, mss: u32, of: u32) -> u32 {
    u32::try_from(u64::from(bytes) * u64::from(mss) / u64::from(of)).unwrap_or(u32::MAX)
}
