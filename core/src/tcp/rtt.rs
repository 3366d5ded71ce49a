//! Round-trip time and retransmission timeout (RFC 6298).

use super::least::Least;
use crate::config::TcpConfig;
use crate::pack::packed;
use crate::time::{Duration, Instant};

/// The estimator.
#[derive(Debug)]
pub(super) struct Rtt {
    smoothed: Option<Duration>,
    variation: Duration,
    least: Least,
    latest: Option<Duration>,
    /// What an ACK has told since the last measurement.
    recent: Duration,
    initial: Duration,
    floor: Duration,
    least_floor: Duration,
    ceiling: Duration,
    slop: Duration,
    backoff: u32,
    /// The handshake is over.
    open: bool,
}

/// RTO when the SYN had to be sent again and nothing has been measured (RFC 6298 5.7).
const AFTER_LOST_SYN: Duration = Duration::from_secs(3);

/// Round trips that the floor stands for at least, where it is below `rto_min`.
const SHORT_PATH: u32 = 200;

/// The shortest round trip there is. One within a turn takes no time by its clock, and 0 in `tcp_info` would say that nothing was measured.
const SHORTEST: Duration = Duration::from_micros(1);

impl Rtt {
    pub(super) fn new(config: &TcpConfig) -> Self {
        Self {
            smoothed: None,
            variation: Duration::ZERO,
            least: Least::new(config.min_rtt_window),
            latest: None,
            recent: Duration::ZERO,
            initial: config.rto_initial,
            floor: config.rto_min,
            least_floor: config.rto_min_short.min(config.rto_min),
            ceiling: config.rto_max,
            slop: config.rto_slop,
            backoff: 0,
            open: false,
        }
    }

    /// Takes a measurement and ends the backoff.
    pub(super) fn sample(&mut self, now: Instant, measured: Duration) {
        let measured = measured.max(SHORTEST);
        self.backoff = 0;
        self.latest = Some(measured);
        self.recent = Duration::ZERO;
        self.least.put(now, measured);
        let Some(smoothed) = self.smoothed else {
            self.smoothed = Some(measured);
            //= https://www.rfc-editor.org/rfc/rfc6298#section-2
            //# When the first RTT measurement R is made, the host MUST set SRTT <- R RTTVAR <- R/2 RTO <- SRTT + max (G, K*RTTVAR) where K = 4 (6298:2-2).
            self.variation = measured / 2;
            return;
        };
        //= https://www.rfc-editor.org/rfc/rfc6298#section-2
        //# When a subsequent RTT measurement R' is made, a host MUST set RTTVAR <- (1 - beta) * RTTVAR + beta * |SRTT - R'| SRTT <- (1 - alpha) * SRTT + alpha * R' (6298:2-3).
        //= https://www.rfc-editor.org/rfc/rfc6298#section-2
        //# updating RTTVAR and SRTT MUST be computed in the above order (6298:2-4).
        self.variation = self.variation * 3 / 4 + smoothed.abs_diff(measured) / 4;
        //= https://www.rfc-editor.org/rfc/rfc6298#section-2
        //# The above SHOULD be computed using alpha=1/8 and beta=1/4 (6298:2-5).
        self.smoothed = Some(smoothed * 7 / 8 + measured / 8);
    }

    /// Takes note of a round trip that is no measurement: it counts for the least one, and RTO is not below it.
    pub(super) fn observe(&mut self, now: Instant, measured: Duration) {
        let measured = measured.max(SHORTEST);
        self.recent = measured;
        self.least.put(now, measured);
    }

    /// RTO with its backoff; `several` segments are in flight, or one only, whose ACK the peer may delay. The floor is under the variation, as in Linux, so that RTO is always above SRTT by that much.
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.1
    //# The RTO MUST be computed according to the algorithm in [10], including Karn's algorithm for taking RTT samples (MUST-18).
    pub(super) fn rto(&self, several: bool) -> Duration {
        let first = !self.open && self.backoff == 0;
        let slop = if first { Duration::ZERO } else { self.slop };
        //= https://www.rfc-editor.org/rfc/rfc6298#section-5
        //# Start the retransmission timer, such that it expires after RTO seconds (for the value of RTO after the doubling operation outlined in 5.5) (6298:5-7).
        self.with_floor(if several { self.low_floor() } else { self.floor })
            .saturating_mul(1 << self.backoff.min(16))
            .saturating_add(slop)
            .min(self.ceiling)
    }

    /// The floor where no ACK is delayed: so many round trips of patience are enough on a short path.
    fn low_floor(&self) -> Duration {
        self.smoothed.map_or(self.floor, |smoothed| {
            smoothed.saturating_mul(SHORT_PATH).clamp(self.least_floor, self.floor)
        })
    }

    /// RTO without backoff.
    pub(super) fn base(&self) -> Duration {
        self.with_floor(self.floor)
    }

    /// SRTT follows by an eighth of a measurement each round trip, while slow start fills a queue in one: then what the last ACK told takes its place,
    /// which is more conservative and so allowed (RFC 6298 section 1). The SRTT of Linux is as near, since every ACK counts for it. Twice SRTT at most:
    /// where ACKs are lost, what one tells may be the age of a hole.
    fn with_floor(&self, floor: Duration) -> Duration {
        let base = match self.smoothed {
            //= https://www.rfc-editor.org/rfc/rfc6298#section-2
            //# After the computation, a host MUST update RTO <- SRTT + max (G, K*RTTVAR) (6298:2-6).
            //= https://www.rfc-editor.org/rfc/rfc6298#section-4
            //# if the K*RTTVAR term in the RTO calculation equals zero, the variance term MUST be rounded to G seconds (6298:4-1).
            Some(smoothed) => {
                smoothed.max(self.recent.min(smoothed * 2)).saturating_add((self.variation * 4).max(floor))
            }
            None => self.initial,
        };
        base.min(self.ceiling)
    }

    /// The retransmission timer has expired (RFC 6298 5.5).
    pub(super) const fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// The handshake is over: its backoff ends, and what a lost SYN teaches is kept.
    pub(super) fn handshake_done(&mut self, syn_lost: bool) {
        (self.backoff, self.open) = (0, true);
        if syn_lost {
            //= https://www.rfc-editor.org/rfc/rfc6298#section-5
            //# If the timer expires awaiting the ACK of a SYN segment and the TCP implementation is using an RTO less than 3 seconds, the RTO MUST be re-initialized to 3 seconds when data transmission begins (i.e., after the three-way handshake completes) (6298:5-8).
            self.initial = self.initial.max(AFTER_LOST_SYN);
        }
    }

    /// Number of doublings in force.
    pub(super) const fn backoff(&self) -> u32 {
        self.backoff
    }

    /// SRTT, once measured.
    pub(super) const fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// RTTVAR.
    pub(super) const fn variation(&self) -> Duration {
        self.variation
    }

    /// The least measurement of late.
    //= https://www.rfc-editor.org/rfc/rfc8985#section-6.2
    //# The sender SHOULD track a windowed min-filtered estimate of recent RTT measurements that can adapt when migrating to significantly longer paths rather than tracking a simple global minimum of all RTT measurements. (8985:6.2-1)
    pub(super) fn least(&self) -> Option<Duration> {
        self.least.get()
    }

    /// The last measurement.
    pub(super) const fn latest(&self) -> Option<Duration> {
        self.latest
    }

    /// The largest RTO.
    pub(super) const fn ceiling(&self) -> Duration {
        self.ceiling
    }

    /// The least RTO, which also paces the override of silly window avoidance (RFC 9293 3.8.6.2.1: 0.1 to 1 s).
    pub(super) const fn floor(&self) -> Duration {
        self.floor
    }
}

packed!(Rtt {
    smoothed,
    variation,
    least,
    latest,
    recent,
    initial,
    floor,
    least_floor,
    ceiling,
    slop,
    backoff,
    open
});
