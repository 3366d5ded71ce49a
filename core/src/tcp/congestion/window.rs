//! What all controllers share: the window and its threshold, slow start, and the way back.

use super::slow_start::{SlowStart, Verdict};
use super::{Acked, Figures, Left};
use crate::config::TcpConfig;
use crate::pack::packed;
use crate::time::{Duration, Instant};

/// Segments of 1460 bytes bound the initial window of larger ones (RFC 6928 section 2).
const IW_SEGMENT: u32 = 1460;
/// The largest window that TCP can offer, and with it the largest that is of use (RFC 7323 2.3).
const MOST: u32 = 1 << 30;

/// The initial window of RFC 6928, generalised from ten to `segments`: min(n MSS, max(2 MSS, n 1460)).
#[must_use]
pub fn initial_window(mss: u32, segments: u32) -> u32 {
    let upper = mss.saturating_mul(2).max(segments.saturating_mul(IW_SEGMENT));
    mss.saturating_mul(segments.max(1)).min(upper)
}

/// The congestion window and the slow start threshold, in bytes.
#[derive(Debug)]
pub struct Window {
    /// Bytes of a segment, above zero.
    pub(super) mss: u32,
    /// The congestion window, a segment at least.
    pub(super) bytes: u32,
    /// The slow start threshold.
    pub(super) threshold: u32,
    initial: u32,
    /// Most segments by which one ACK widens the window in slow start.
    step: u32,
    /// A pause makes the window the initial one again.
    restarts: bool,
    start: SlowStart,
    /// What it said when it ended slow start.
    left: Option<Left>,
    /// Window and threshold before the last reduction, while it may be taken back.
    before: Option<(u32, u32)>,
}

impl Window {
    /// That of a connection that begins with `segments` of `mss` bytes.
    #[must_use]
    pub fn new(mss: u32, segments: u32, config: &TcpConfig) -> Self {
        let mss = mss.max(1);
        let initial = initial_window(mss, segments).max(mss);
        Self {
            mss,
            bytes: initial,
            //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
            //# The initial value of ssthresh SHOULD be set arbitrarily high (5681:3.1-10).
            threshold: u32::MAX,
            initial,
            step: config.slow_start_step.max(1),
            restarts: config.slow_start_after_idle,
            start: SlowStart::new(config),
            left: None,
            before: None,
        }
    }

    /// Takes over from another controller. That may have been in the middle of a recovery, which then ends as it would have.
    pub(super) const fn take_over(mut self, bytes: u32, threshold: u32) -> Self {
        (self.bytes, self.threshold, self.before) = (bytes, threshold, Some((bytes, threshold)));
        self
    }

    /// Slow start, if that is where the window is. Whether the ACK is one of congestion avoidance.
    pub(super) fn slow_start(&mut self, now: Instant, acked: &Acked) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# The slow start and congestion avoidance algorithms MUST be used by a TCP sender to control the amount of outstanding data being injected into the network (5681:3.1-1).
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.10
        //# CUBIC MUST use slow start while cwnd is below ssthresh (9438:4.10-1).
        if self.bytes >= self.threshold {
            return true;
        }
        //= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
        //# HyStart++ MUST be used only where ssthresh has its first, arbitrarily high value (9406:4.2-10).
        let verdict = if self.threshold == u32::MAX {
            self.start.on_ack(now, acked, self.bytes / self.mss)
        } else {
            Verdict::Full
        };
        let divisor = match verdict {
            Verdict::Full => 1,
            Verdict::Part { divisor } => divisor,
            Verdict::Leave(left) => {
                (self.threshold, self.left) = (self.bytes, Some(left));
                return true;
            }
        };
        if acked.window_limited {
            //= https://www.rfc-editor.org/rfc/rfc3465#section-2.2
            //# TCP MUST use L=1*SMSS
            //= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
            //# Where pacing is off, an ACK MUST NOT add more than L segments to cwnd in slow start (9406:4.2-3).
            // What the link has merged counts as each would have.
            let most = if acked.after_timeout { 1 } else { self.step }.saturating_mul(acked.acks.max(1));
            let more = acked.bytes.min(self.mss.saturating_mul(most)) / divisor;
            // An ACK of many segments does not take it beyond where congestion avoidance begins.
            self.bytes = self.bytes.saturating_add(more).min(self.threshold).min(MOST.max(self.bytes));
        }
        false
    }

    /// How slow start goes, or ended.
    pub(super) fn figures(&self) -> Figures {
        Figures {
            conservative: self.threshold == u32::MAX && self.start.is_slow(),
            left: self.left,
            curve: None,
        }
    }

    /// `segments` more.
    pub(super) fn grow(&mut self, segments: u32) {
        let more = self.mss.saturating_mul(segments);
        self.bytes = self.bytes.saturating_add(more).min(MOST.max(self.bytes));
    }

    /// The threshold is `bytes` now, two segments at least.
    pub(super) fn reduce(&mut self, bytes: u32) {
        self.before = Some((self.bytes, self.threshold));
        //= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
        //# Loss MUST end slow start and Conservative Slow Start at once (9406:4.2-9).
        self.threshold = bytes.max(self.mss.saturating_mul(2));
    }

    /// The window is `bytes` now, a segment at least.
    pub(super) fn set(&mut self, bytes: u32) {
        self.bytes = bytes.max(self.mss);
    }

    /// The threshold is `bytes` now, a segment at least.
    pub(super) fn set_threshold(&mut self, bytes: u32) {
        self.threshold = bytes.max(self.mss);
    }

    /// A recovery is over.
    pub(super) fn recovered(&mut self) {
        if self.before.is_some() {
            //= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
            //# after all loss in the given window of segments has been successfully retransmitted, cwnd MUST be set to no more than ssthresh and congestion avoidance MUST be used to further increase cwnd (5681:4.3-3).
            self.set(self.threshold);
        }
    }

    /// The last reduction is taken back, if there is one that has not been.
    pub(super) fn undo(&mut self) -> bool {
        let Some((bytes, threshold)) = self.before.take() else { return false };
        self.bytes = self.bytes.max(bytes);
        self.threshold = self.threshold.max(threshold);
        true
    }

    /// Nothing was sent for `idle`.
    pub(super) fn restart(&mut self, idle: Duration, rto: Duration) {
        if self.restarts && idle > rto {
            //= https://www.rfc-editor.org/rfc/rfc5681#section-4.1
            //# we define RW = min(IW,cwnd) (5681:4.1-2).
            self.set(self.bytes.min(self.initial));
        }
    }

    /// Segments carry `mss` bytes from now on. As many of them as before, if they are smaller.
    pub(super) fn resize(&mut self, mss: u32) {
        let (mss, of) = (mss.max(1), self.mss);
        if mss < of {
            //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
            //# cwnd SHOULD be reduced by the ratio of the old segment size to the new segment size (5681:3.1-9).
            self.bytes = part(self.bytes, mss, of);
            self.initial = part(self.initial, mss, of).max(mss);
            self.before = self.before.map(|(bytes, threshold)| (part(bytes, mss, of).max(mss), threshold));
        }
        self.mss = mss;
        self.set(self.bytes);
    }
}

/// `bytes`, counted in units of `of`, as so many of `unit`.
pub(super) fn part(bytes: u32, unit: u32, of: u32) -> u32 {
    let bytes = u64::from(bytes) * u64::from(unit) / u64::from(of.max(1));
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

packed!(Window { mss, bytes, threshold, initial, step, restarts, start, left, before });
