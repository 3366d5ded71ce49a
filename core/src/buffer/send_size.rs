//! How much a program may write ahead: what the congestion window lets fly, twice, and what a near peer takes while the writer sleeps. What is
//! written for all near peers together stays within what the caches hold.

use crate::pack::packed;
use crate::time::{Duration, Instant};

/// The size of a send buffer, measured at what is acknowledged.
#[derive(Debug, Default)]
pub struct SendSize {
    /// Stream position acknowledged when the present measurement began, and when that was.
    begun: Option<(u64, Instant)>,
    /// Bytes acknowledged in a `PERIOD` at best.
    pace: u32,
    /// The path was shorter than a `PERIOD`, and has not been `FAR` since.
    near: bool,
    /// The period of [`SendShare`] that the connection was counted in last.
    counted: u16,
}

/// How much the program may write ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that there should be room for.
    pub wanted: usize,
    /// Bytes that there should not be more room for than.
    pub most: usize,
}

/// How many connections of a stack send much to near peers, to share what is written ahead for those.
#[derive(Debug, Default)]
pub struct SendShare {
    /// The present period.
    period: u16,
    /// Connections counted in it so far, and in the one before.
    now: u32,
    before: u32,
}

/// Time that the data in a send buffer should last for, so that a writer need not be woken more often.
const PERIOD: Duration = Duration::from_millis(1);
/// The least round trip of late that tells of another path, where one of a `PERIOD` or more may be that of what the connection itself has waiting: all of that
/// passes in this time at 3.4 Gbit/s, and in the minutes that the least is of less has waited at times.
const FAR: Duration = Duration::from_millis(10);
/// Most bytes for that: half of one at 60 Gbit/s; more would only wait, beyond the caches and the pool of pages. On a path that is shorter, whatever its
/// congestion window: without losses that grows to what is written.
const PACE_MOST: usize = 4 << 20;
/// The same for all connections together, as long as each has `SHARE_LEAST`: what lies in the caches of the processor when it is sent, and in pages that the
/// pool keeps (docs/decisions/0008).
const SHARED: usize = 8 << 20;
const SHARE_LEAST: usize = 256 << 10;
/// Bytes under way beyond which a connection sends much.
const MUCH: usize = 64 << 10;
/// For how long a connection counts that has sent much: this and the next.
const SHARE_PERIOD: Duration = Duration::from_millis(100);

impl SendShare {
    /// The part of a connection, which sends much now or does not; `counted` is its own.
    fn part(&mut self, now: Instant, counted: &mut u16, much: bool) -> usize {
        let period = (now.as_micros() / SHARE_PERIOD.as_micros() as u64 + 1) as u16;
        if period != self.period {
            let before = if period == self.period.wrapping_add(1) { self.now } else { 0 };
            *self = Self { period, now: 0, before };
        }
        if much && std::mem::replace(counted, period) != period {
            self.now = self.now.saturating_add(1);
        }
        let connections = self.now.max(self.before).max(1) as usize;
        (SHARED / connections).clamp(SHARE_LEAST, PACE_MOST)
    }
}

impl SendSize {
    /// When `acked` bytes of the stream are acknowledged, `queued` are not, and `window` bytes may be in flight; in slow start the
    /// window doubles until what is written now is sent. Linux has the same factors in `tcp_sndbuf_expand` and counts no pace. `trip`: the least round trip
    /// of the last minutes.
    pub fn room(
        &mut self,
        now: Instant,
        share: &mut SendShare,
        (acked, queued): (u64, usize),
        (window, slow_start): (usize, bool),
        trip: Option<Duration>,
    ) -> Room {
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
        self.near = trip.is_some_and(|trip| trip < if self.near { FAR } else { PERIOD });
        let most = if self.near { share.part(now, &mut self.counted, queued > MUCH) } else { usize::MAX };
        let pace = (self.pace as usize).saturating_mul(2).min(PACE_MOST);
        Room { wanted: window.saturating_mul(flights).max(pace).min(most), most }
    }
}

packed!(SendSize { begun, pace, near, counted });

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_millis(1000) + Duration::from_micros(micros)
    }

    const FAR: Option<Duration> = Some(super::FAR);

    fn wanted(
        size: &mut SendSize,
        now: Instant,
        acked: u64,
        window: (usize, bool),
        trip: Option<Duration>,
    ) -> usize {
        size.room(now, &mut SendShare::default(), (acked, 0), window, trip).wanted
    }

    #[test]
    fn follows_the_window() {
        let mut size = SendSize::default();
        assert_eq!(wanted(&mut size, at(0), 0, (14_600, true), None), 58_400);
        assert_eq!(wanted(&mut size, at(0), 0, (14_600, false), FAR), 29_200);
        assert_eq!(wanted(&mut size, at(1), 0, (usize::MAX, true), FAR), usize::MAX);
    }

    #[test]
    fn lasts_for_a_millisecond_of_a_near_peer_and_no_longer() {
        let mut size = SendSize::default();
        let mut at = |micros, acked| wanted(&mut size, at(micros), acked, (1000, false), FAR);
        assert_eq!(at(0, 0), 2000);
        assert_eq!(at(999, 1_000_000), 2000);
        assert_eq!(at(2000, 1_000_000), 1_000_000);
        assert_eq!(at(4000, 1_000_000_000), PACE_MOST);
    }

    #[test]
    fn a_near_path_takes_no_window_that_only_waits() {
        let mut size = SendSize::default();
        let near = Some(Duration::from_micros(80));
        assert_eq!(wanted(&mut size, at(0), 0, (1 << 20, false), near), 2 << 20);
        assert_eq!(wanted(&mut size, at(1), 0, (50 << 20, false), near), PACE_MOST);
        let queued = Some(Duration::from_millis(9));
        assert_eq!(wanted(&mut size, at(2), 0, (50 << 20, false), queued), PACE_MOST, "by its own queue");
        assert_eq!(wanted(&mut size, at(3), 0, (50 << 20, false), FAR), 100 << 20, "it leads elsewhere now");
        assert_eq!(wanted(&mut size, at(4), 0, (50 << 20, false), queued), 100 << 20);
        assert_eq!(wanted(&mut size, at(5), 0, (50 << 20, false), near), PACE_MOST);
    }

    /// What each of `count` connections may write ahead after all have sent, `micros` into the test.
    fn parts(share: &mut SendShare, sizes: &mut [SendSize], micros: u64, trip: Duration) -> Vec<usize> {
        let mut part = |size: &mut SendSize| {
            size.room(at(micros), share, (0, 1 << 20), (50 << 20, false), Some(trip)).most
        };
        sizes.iter_mut().for_each(|size| {
            part(size);
        });
        sizes.iter_mut().map(part).collect()
    }

    #[test]
    fn near_connections_that_send_at_the_same_time_share_what_waits() {
        let near = Duration::from_micros(80);
        let (mut share, mut sizes) = (SendShare::default(), Vec::new());
        sizes.resize_with(300, SendSize::default);
        assert_eq!(parts(&mut share, &mut sizes[..1], 0, near), [PACE_MOST], "one alone has all");
        assert_eq!(parts(&mut share, &mut sizes[..16], 1, near), [SHARED / 16; 16]);
        assert_eq!(parts(&mut share, &mut sizes, 2, near), [SHARE_LEAST; 300]);
        assert_eq!(parts(&mut share, &mut sizes[..2], 100_000, near), [SHARE_LEAST; 2], "a moment ago");
        assert_eq!(parts(&mut share, &mut sizes[..2], 200_000, near), [PACE_MOST; 2], "and no more");
        parts(&mut share, &mut sizes[..16], 200_000, near);
        let room = sizes[0].room(at(200_001), &mut share, (0, 0), (50 << 20, false), Some(near));
        assert_eq!(room.wanted, SHARED / 16, "nor does it grow whenever all has gone");
        let room = sizes[16].room(at(200_001), &mut share, (0, MUCH), (1000, false), Some(near));
        assert_eq!((room.most, share.now), (SHARED / 16, 16), "a request counts for nothing");
    }

    #[test]
    fn a_far_connection_has_what_its_window_takes() {
        let (mut share, mut sizes) = (SendShare::default(), [SendSize::default(), SendSize::default()]);
        assert_eq!(parts(&mut share, &mut sizes, 0, Duration::from_millis(20)), [usize::MAX; 2]);
        assert_eq!(share.now, 0);
    }
}
