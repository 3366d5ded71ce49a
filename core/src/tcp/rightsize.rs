//! How much a receiver should be able to hold: what its program reads in a round trip, and room for its peer to double that.

use super::connection::{Connection, Phase};
use crate::pack::packed;
use crate::time::{Duration, Instant};

/// Dynamic right-sizing, as `tcp_rcv_space_adjust` of Linux does it: the program's reading is what is measured, so that a buffer nobody empties
/// stays as it is.
///
/// ```text
///   read in this round trip > read in the best one so far:   wanted = 2 x read, and 4 x read x growth of it
/// ```
///
/// A round trip counts as at least [`NEAR`]: what is seen of a shorter one changes with who runs when, and a rate in the least of them is no rate.
#[derive(Debug)]
pub(super) struct RightSize {
    /// The round trip as the receiver sees it.
    trip: Option<Duration>,
    /// The shortest one seen.
    least: Option<Duration>,
    /// The stream position behind which what comes was sent after an ACK of ours, and when that ACK was owed.
    window: Option<(u64, Instant)>,
    /// Most bytes read in a round trip.
    space: u64,
    /// Stream position up to which the program had read when the present round trip began, and when that was.
    begun: Option<(u64, Instant)>,
    /// The echo that was measured last: more segments with it tell the same later.
    echo: Option<u32>,
}

/// Round trips below this are those of one machine or one switch.
pub(super) const NEAR: Duration = Duration::from_millis(1);
/// Most that a buffer grows to for them, bytes: half as much again as a Linux peer has in its send buffer (`tcp_wmem`). It is the buffer that holds it back then
/// and no window, which would have our kernel send in the very call that writes the acknowledgement. More would only wait here.
pub(super) const NEAR_MOST: usize = 6 << 20;
/// Segments of the first flight (RFC 6928), which are no growth.
const FIRST_FLIGHT: u64 = 10;

impl RightSize {
    /// For a peer that sends segments of `mss` bytes, and a buffer of `limit` bytes to begin with.
    pub(super) fn new(mss: u32, limit: usize) -> Self {
        let space = (u64::from(mss) * FIRST_FLIGHT).min(limit as u64).max(1);
        Self { trip: None, least: None, window: None, space, begun: None, echo: None }
    }

    /// The round trip as the receiver sees it.
    pub(super) const fn trip(&self) -> Option<Duration> {
        self.trip
    }

    /// The shortest one.
    pub(super) const fn least(&self) -> Option<Duration> {
        self.least
    }

    /// Most bytes that the program has read in one.
    pub(super) const fn space(&self) -> u64 {
        self.space
    }

    /// Whether the peer is so near that a buffer larger than `NEAR_MOST` only waits.
    pub(super) fn is_near(&self) -> bool {
        self.least.is_some_and(|least| least < NEAR)
    }

    /// Whether an echoed timestamp is another than the one measured last.
    pub(super) fn is_new_echo(&mut self, tsecr: u32) -> bool {
        self.echo.replace(tsecr) != Some(tsecr)
    }

    /// Data came in reply to what we sent so long ago.
    pub(super) fn on_echo(&mut self, trip: Duration) {
        let trip = trip.max(TICK);
        self.trip = Some(match self.trip {
            None => trip,
            Some(known) if trip > known => known + (trip - known) / 8,
            Some(known) => known - (known - trip) / 8,
        });
        self.observe(trip);
    }

    /// A round trip that counts for the least one only, of which a full queue makes no more.
    pub(super) fn observe(&mut self, trip: Duration) {
        self.least = Some(self.least.map_or(trip, |least| least.min(trip)));
    }

    /// In order data has come up to stream position `position`, and `window` bytes more may; what comes beyond those was sent after our next ACK. A sender whose rate the window does not limit takes longer
    /// for a window's worth than a round trip: only the least tells something.
    pub(super) fn on_data(&mut self, now: Instant, position: u64, window: u32) {
        match self.window {
            Some((end, _)) if position <= end => return,
            Some((_, since)) => {
                let trip = now.since(since).max(TICK);
                if self.trip.is_none_or(|known| trip < known) {
                    self.trip = Some(trip);
                }
                self.observe(trip);
            }
            None => {}
        }
        self.window = Some((position + u64::from(window.max(1)), now));
    }

    /// The program has read up to stream position `read`, and `unread` bytes that it could read wait. Returns the bytes that there should be room
    /// for, when a round trip is over that was better than the best so far; `ahead` bytes beyond that lie behind what is missing.
    pub(super) fn on_read(&mut self, now: Instant, read: u64, unread: u64, ahead: u64) -> Option<u64> {
        let Some((before, since)) = self.begun else {
            self.begun = Some((read, now));
            return None;
        };
        if now.since(since) < self.trip?.max(NEAR) {
            return None;
        }
        self.begun = Some((read, now));
        let copied = read.saturating_sub(before).saturating_sub(unread);
        let best = self.space;
        if copied <= best {
            return None;
        }
        self.space = copied;
        Some(wanted(best, copied).saturating_add(ahead))
    }
}

impl Connection {
    /// Whether every round trip so far, as seen by what was sent and by what came, says that the path takes a window itself.
    #[must_use]
    pub fn is_far(&self) -> bool {
        let Phase::Open(open) = &self.phase else { return false };
        let least = open.rtt.least().into_iter().chain(open.rcv.size.least()).min();
        least.is_some_and(|least| least >= NEAR)
    }

    /// What is left of the window that the peer has been offered, bytes.
    #[must_use]
    pub fn receive_window(&self) -> u32 {
        match &self.phase {
            Phase::Open(open) => open.rcv.window(),
            Phase::Opening(_) | Phase::Closed(_) => 0,
        }
    }
}

/// Round trips are at least this long, so that rates can be told.
const TICK: Duration = Duration::from_micros(1);

/// Room for `copied` bytes a round trip after `best`: twice as much, since what is measured is a round trip old, and again as much as it grew by, since
/// in slow start it grows on.
fn wanted(best: u64, copied: u64) -> u64 {
    let twice = copied.saturating_mul(2);
    let growth = u128::from(twice) * u128::from(copied.saturating_sub(best)) / u128::from(best.max(1));
    twice.saturating_add(u64::try_from(growth.saturating_mul(2)).unwrap_or(u64::MAX))
}

packed!(RightSize { trip, least, window, space, begun, echo });

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RTT: Duration = Duration::from_millis(100);

    fn at(micros: u64) -> Instant {
        Instant::from_millis(1000) + Duration::from_micros(micros)
    }

    #[test]
    fn a_rate_that_doubles_always_finds_room() {
        let mut size = RightSize::new(1460, 65_536);
        size.on_echo(RTT);
        let (mut read, mut room) = (0, 65_536);
        assert_eq!(size.on_read(at(0), read, 0, 0), None);
        for round in 1..12 {
            let flight = 14_600 << (round - 1);
            assert!(flight <= room, "{flight} bytes in round trip {round}, and room for {room}");
            read += flight;
            room = room.max(size.on_read(at(round * 100_000), read, 0, 0).unwrap_or(0));
        }
    }

    #[test]
    fn a_near_peer_is_offered_what_is_read_in_a_millisecond() {
        let mut size = RightSize::new(1460, 131_072);
        size.on_echo(Duration::from_micros(20));
        assert_eq!(size.on_read(at(0), 0, 0, 0), None);
        assert_eq!(size.on_read(at(500), 600_000, 0, 0), None, "twenty-five round trips, and no measure");
        let room = size.on_read(at(1000), 1_200_000, 0, 0).expect("room");
        assert!(room >= 2_400_000, "{room}");
    }

    #[test]
    fn what_nobody_reads_earns_nothing() {
        let mut size = RightSize::new(1460, 65_536);
        size.on_echo(RTT);
        for round in 0..100 {
            assert_eq!(size.on_read(at(round * 100_000), round * 100, 60_000, 0), None);
        }
        assert_eq!(size.space(), 14_600);
    }

    #[test]
    fn a_window_full_tells_no_more_than_the_least_time_for_it() {
        let mut size = RightSize::new(1460, 65_536);
        size.on_data(at(0), 0, 1000);
        size.on_data(at(500), 1000, 1000);
        assert_eq!(size.trip(), None, "one flight");
        size.on_data(at(5000), 1001, 1000);
        assert_eq!(size.trip(), Some(Duration::from_millis(5)));
        size.on_data(at(50_000), 2002, 1000);
        assert_eq!(size.trip(), Some(Duration::from_millis(5)), "the program was slow, not the path");
        size.on_data(at(50_400), 3003, 1000);
        assert!(size.is_near());
    }

    #[test]
    fn the_formula_is_that_of_linux() {
        assert_eq!(wanted(10, 20), 40 + 2 * 40);
        assert_eq!(wanted(1000, 1000), 2000);
        assert_eq!(wanted(0, u64::MAX), u64::MAX);
    }

    proptest! {
        #[test]
        fn space_is_what_was_read_at_best_and_room_is_twice_that(
            steps in prop::collection::vec((1u64..200_000, 0u64..1_000_000, 0u64..100_000, 0u64..100_000), 1..60)
        ) {
            let mut size = RightSize::new(1460, 65_536);
            let (mut now, mut read, mut most) = (0, 0u64, size.space());
            for (pause, bytes, unread, ahead) in steps {
                now += pause;
                read += bytes;
                size.on_echo(Duration::from_micros(pause));
                let before = size.space();
                let wanted = size.on_read(at(now), read, unread, ahead);
                prop_assert!(size.space() >= before && size.space() <= read.max(most));
                most = most.max(size.space());
                match wanted {
                    Some(room) => prop_assert!(room >= 2 * size.space() + ahead && size.space() > before),
                    None => prop_assert_eq!(size.space(), before),
                }
                let (trip, least) = (size.trip().unwrap(), size.least.unwrap());
                prop_assert!(trip >= least && trip <= Duration::from_micros(200_000));
            }
        }
    }
}
