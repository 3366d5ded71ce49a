//! How much a program may write ahead: what the congestion window lets fly, twice, and what a near peer takes while the writer sleeps.

use crate::pack::packed;
use crate::time::{Duration, Instant};

/// The size of a send buffer, measured at what is acknowledged.
#[derive(Debug, Default)]
pub struct SendSize {
    /// Stream position acknowledged when the present measurement began, and when that was.
    begun: Option<(u64, Instant)>,
    /// Bytes acknowledged in a `PERIOD` at best.
    pace: u32,
    /// The path was seen to be shorter than a `PERIOD`.
    near: bool,
}

/// Time that the data in a send buffer should last for, so that a writer need not be woken more often.
const PERIOD: Duration = Duration::from_millis(1);
/// Most bytes for that: half of one at 60 Gbit/s; more would only wait, beyond the caches and the pool of pages. On a path that is shorter, whatever its
/// congestion window: without losses that grows to what is written.
const PACE_MOST: usize = 4 << 20;

impl SendSize {
    /// Bytes that there should be room for, when `acked` bytes of the stream are acknowledged and `window` bytes may be in flight; in slow start the
    /// window doubles until what is written now is sent. Linux has the same factors in `tcp_sndbuf_expand` and counts no pace. `trip`: the least round trip.
    pub fn wanted(
        &mut self,
        now: Instant,
        acked: u64,
        (window, slow_start): (usize, bool),
        trip: Option<Duration>,
    ) -> usize {
        match self.begun {
            None => self.begun = Some((acked, now)),
            Some((before, since)) if now.since(since) >= PERIOD => {
                let bytes = u128::from(acked.saturating_sub(before)) * PERIOD.as_micros();
                let pace = u32::try_from(bytes / now.since(since).as_micros().max(1)).unwrap_or(u32::MAX);
                self.pace = self.pace.max(pace);
                self.begun = Some((acked, now));
            }
            Some(_) => {}
        }
        let flights = if slow_start { 4 } else { 2 };
        // Once for all: what waits in a long queue makes any path look far.
        self.near |= trip.is_some_and(|trip| trip < PERIOD);
        let most = if self.near { PACE_MOST } else { usize::MAX };
        let pace = self.pace as usize;
        window.saturating_mul(flights).min(most).max(pace.saturating_mul(2).min(PACE_MOST))
    }
}

packed!(SendSize { begun, pace, near });

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_millis(1000) + Duration::from_micros(micros)
    }

    const FAR: Option<Duration> = Some(Duration::from_millis(20));

    #[test]
    fn follows_the_window() {
        let mut size = SendSize::default();
        assert_eq!(size.wanted(at(0), 0, (14_600, true), None), 58_400);
        assert_eq!(size.wanted(at(0), 0, (14_600, false), FAR), 29_200);
        assert_eq!(size.wanted(at(1), 0, (usize::MAX, true), FAR), usize::MAX);
    }

    #[test]
    fn lasts_for_a_millisecond_of_a_near_peer_and_no_longer() {
        let mut size = SendSize::default();
        size.wanted(at(0), 0, (1000, false), FAR);
        assert_eq!(size.wanted(at(999), 1_000_000, (1000, false), FAR), 2000);
        assert_eq!(size.wanted(at(2000), 1_000_000, (1000, false), FAR), 1_000_000);
        assert_eq!(size.wanted(at(4000), 1_000_000_000, (1000, false), FAR), PACE_MOST);
    }

    #[test]
    fn a_near_path_takes_no_window_that_only_waits() {
        let mut size = SendSize::default();
        let near = Some(Duration::from_micros(80));
        assert_eq!(size.wanted(at(0), 0, (1 << 20, false), near), 2 << 20);
        assert_eq!(size.wanted(at(1), 0, (50 << 20, false), near), PACE_MOST);
        assert_eq!(
            size.wanted(at(2), 0, (50 << 20, false), FAR),
            PACE_MOST,
            "its own queue makes it look far"
        );
    }
}
