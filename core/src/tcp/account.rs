//! What a sender's time went into, and how fast it delivered: for `tcp_info`.

use crate::pack::packed;
use crate::time::{Duration, Instant};

/// What a sender is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Activity {
    /// It has nothing to send and waits for nothing.
    #[default]
    Idle,
    /// It sends, or waits for acknowledgements.
    Busy,
    /// The peer's window is what holds it back.
    Window,
    /// The send buffer is: everything in it is sent, and the program waits for room.
    Buffer,
}

/// How long it has been doing what.
#[derive(Debug)]
pub(super) struct Time {
    now: Activity,
    since: Instant,
    busy: Duration,
    window: Duration,
    buffer: Duration,
}

impl Time {
    pub(super) const fn new(now: Instant) -> Self {
        let zero = Duration::ZERO;
        Self { now: Activity::Idle, since: now, busy: zero, window: zero, buffer: zero }
    }

    /// From now on it does this.
    pub(super) fn turn(&mut self, now: Instant, to: Activity) {
        if self.now != to {
            [self.busy, self.window, self.buffer] = self.totals(now);
            (self.now, self.since) = (to, now);
        }
    }

    /// Time with something to send or to be acknowledged, and of that the time limited by the peer's window and by the send buffer.
    pub(super) fn totals(&self, now: Instant) -> [Duration; 3] {
        let more = now.since(self.since);
        let add = |total: Duration, counts: bool| if counts { total.saturating_add(more) } else { total };
        [
            add(self.busy, self.now != Activity::Idle),
            add(self.window, self.now == Activity::Window),
            add(self.buffer, self.now == Activity::Buffer),
        ]
    }
}

/// How fast data was delivered, measured over a round trip of the segment that is timed.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// Bytes delivered when the timed segment was sent, and whether the sender had no more to send then.
    begun: Option<(u64, bool)>,
    /// The last measurement, bytes a second, and whether the program was what limited it.
    last: Option<(u64, bool)>,
}

impl Rate {
    /// A segment to be timed is sent; `delivered` bytes were acknowledged before.
    pub(super) const fn begin(&mut self, delivered: u64, limited: bool) {
        self.begun = Some((delivered, limited));
    }

    /// It is acknowledged after `trip`, and `delivered` bytes are now. As in Linux, a measurement that the program limited counts only if it is
    /// the highest.
    pub(super) fn end(&mut self, delivered: u64, trip: Duration) {
        let Some((before, limited)) = self.begun.take() else { return };
        let micros = u64::try_from(trip.as_micros()).unwrap_or(u64::MAX).max(1);
        let bytes = delivered.saturating_sub(before);
        let rate = bytes.saturating_mul(1_000_000) / micros;
        if !limited || self.last.is_none_or(|(best, _)| rate >= best) {
            self.last = Some((rate, limited));
        }
    }

    /// Bytes a second, and whether the program was what limited it: so until there is a measurement, as in Linux.
    pub(super) fn value(&self) -> (u64, bool) {
        self.last.unwrap_or((0, true))
    }
}

/// Retransmission timeouts.
#[derive(Debug, Default)]
pub(super) struct Timeouts {
    count: u16,
    /// Times that it came to one, however many followed.
    episodes: u16,
    time: Duration,
    /// Since when it is repaired what one told of.
    since: Option<Instant>,
}

impl Timeouts {
    pub(super) fn expired(&mut self, now: Instant) {
        self.count = self.count.saturating_add(1);
        if self.since.is_none() {
            self.since = Some(now);
            self.episodes = self.episodes.saturating_add(1);
        }
    }

    /// The peer was heard again.
    pub(super) fn over(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.time = self.time.saturating_add(now.since(since));
        }
    }

    /// Timeouts, episodes, and their milliseconds; one that is not over counts up to now, as in Linux.
    pub(super) fn totals(&self, now: Instant) -> (u16, u16, u32) {
        let more = self.since.map_or(Duration::ZERO, |since| now.since(since));
        let time = self.time.saturating_add(more).as_millis();
        (self.count, self.episodes, u32::try_from(time).unwrap_or(u32::MAX))
    }
}

packed!(
    enum Activity {
        Idle,
        Busy,
        Window,
        Buffer,
    }
);
packed!(Time { now, since, busy, window, buffer });
packed!(Rate { begun, last });
packed!(Timeouts { count, episodes, time, since });
