//! Round-trip time and retransmission timeout (RFC 6298).

use crate::config::TcpConfig;
use crate::time::Duration;

/// The estimator.
#[derive(Debug)]
pub(super) struct Rtt {
    smoothed: Option<Duration>,
    variation: Duration,
    least: Option<Duration>,
    initial: Duration,
    floor: Duration,
    ceiling: Duration,
    backoff: u32,
}

/// RTO when the SYN had to be sent again and nothing has been measured (RFC 6298 5.7).
const AFTER_LOST_SYN: Duration = Duration::from_secs(3);

/// The shortest round trip there is. One within a turn takes no time by its clock, and 0 in `tcp_info` would say that nothing was measured.
const SHORTEST: Duration = Duration::from_micros(1);

impl Rtt {
    pub(super) const fn new(config: &TcpConfig) -> Self {
        Self {
            smoothed: None,
            variation: Duration::ZERO,
            least: None,
            initial: config.rto_initial,
            floor: config.rto_min,
            ceiling: config.rto_max,
            backoff: 0,
        }
    }

    /// Takes a measurement and ends the backoff.
    ///
    //= https://www.rfc-editor.org/rfc/rfc6298#section-2
    //# (2.3) When a subsequent RTT measurement R' is made, a host MUST set
    pub(super) fn sample(&mut self, measured: Duration) {
        let measured = measured.max(SHORTEST);
        self.backoff = 0;
        self.least = Some(self.least.map_or(measured, |least| least.min(measured)));
        let Some(smoothed) = self.smoothed else {
            self.smoothed = Some(measured);
            self.variation = measured / 2;
            return;
        };
        self.variation = self.variation * 3 / 4 + smoothed.abs_diff(measured) / 4;
        self.smoothed = Some(smoothed * 7 / 8 + measured / 8);
    }

    /// RTO with its backoff. The floor is under the variation, as in Linux, so that RTO is always above SRTT by that much.
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.1
    //# The RTO MUST be computed according to the algorithm in [10], including Karn's algorithm for taking RTT samples (MUST-18).
    pub(super) fn rto(&self) -> Duration {
        let base = self.base();
        base.saturating_mul(1 << self.backoff.min(16)).min(self.ceiling)
    }

    /// RTO without backoff.
    pub(super) fn base(&self) -> Duration {
        let base = match self.smoothed {
            Some(smoothed) => smoothed.saturating_add((self.variation * 4).max(self.floor)),
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
        self.backoff = 0;
        if syn_lost {
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

    /// The least measurement.
    pub(super) const fn least(&self) -> Option<Duration> {
        self.least
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
