//! RACK: what was sent well before something that has arrived is lost (RFC 8985 sections 6 and 3).

use super::flight::{Mark, News};
use crate::pack::packed;
use crate::time::{Duration, Instant};

/// The detector.
#[derive(Debug)]
pub(super) struct Rack {
    /// RACK.xmit_ts and RACK.end_seq: the latest sent of what has arrived.
    latest: Option<Mark>,
    /// RACK.rtt: how long that took.
    trip: Duration,
    /// Something arrived since it was looked for losses.
    advanced: bool,
    /// RACK.reordering_seen, counted.
    reorderings: u32,
    /// What it was when the last recovery ended.
    reorderings_before: u32,
    /// Segments by which the path has overtaken at most; DupThresh at least.
    degree: u32,
    /// RACK.reo_wnd_mult.
    steps: u32,
    /// RACK.reo_wnd_persist.
    persist: u32,
    /// RACK.dsack_round: behind it, the next D-SACK tells of another round.
    round: Option<u64>,
    /// The step of the clock that times are read from.
    granularity: Duration,
}

/// Recoveries for which a widened window is kept.
const PERSIST: u32 = 16;

/// Most steps of a quarter of the least round trip.
const STEPS_MAX: u32 = 255;

/// Segments above that tell a loss without reordering.
//= https://www.rfc-editor.org/rfc/rfc6675#section-2
//# Per [RFC5681], this threshold is defined to be 3 duplicate acknowledgments (6675:2-2).
pub(super) const DUP_THRESH: u32 = 3;

/// Most of what tcpi_reordering shows, as in Linux.
const DEGREE_MAX: u32 = 300;

/// What the reordering window depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    /// The least round trip of late.
    pub(super) least: Duration,
    /// SRTT.
    pub(super) smoothed: Duration,
    /// A repair is under way, or DupThresh segments have arrived above.
    pub(super) eager: bool,
}

impl Rack {
    pub(super) const fn new(granularity: Duration) -> Self {
        Self {
            latest: None,
            trip: Duration::ZERO,
            advanced: false,
            reorderings: 0,
            reorderings_before: 0,
            degree: DUP_THRESH,
            steps: 1,
            persist: PERSIST,
            round: None,
            granularity,
        }
    }

    /// Steps 2 and 3: something has arrived.
    pub(super) fn on_news(&mut self, now: Instant, news: &News, mss: u32) {
        if let Some(mark) = news.latest {
            self.advanced = true;
            //= https://www.rfc-editor.org/rfc/rfc8985#section-6.2
            //# record the most recent Segment.xmit_ts in RACK.xmit_ts if it is ahead of RACK.xmit_ts (8985:6.2-5).
            self.latest = self.latest.max(Some(mark));
        }
        // Also of what was sent before the latest: on a path that reorders, what comes late says how late things come.
        if let Some(sent_at) = news.rear {
            self.trip = now.since(sent_at);
        }
        //= https://www.rfc-editor.org/rfc/rfc8985#section-6.2
        //# If a never-retransmitted segment that's below RACK.fack is (selectively or cumulatively) acknowledged, it has been delivered out of order. The sender sets RACK.reordering_seen to TRUE if such a segment is identified (8985:6.2-7).
        if let Some(bytes) = news.overtaken {
            self.on_overtaken(bytes, mss);
        }
    }

    /// Something sent once was overtaken by `bytes`; or more than once, but for nothing.
    pub(super) fn on_overtaken(&mut self, bytes: u32, mss: u32) {
        self.reorderings = self.reorderings.saturating_add(1);
        self.degree = self.degree.max(bytes.div_ceil(mss.max(1)).min(DEGREE_MAX));
    }

    /// The peer has received something twice: a copy was needless. Counts once a round trip; `una` and `nxt` are positions.
    pub(super) fn on_duplicate(&mut self, una: u64, nxt: u64) {
        if self.round.is_none_or(|round| una >= round) {
            self.round = Some(nxt);
            //= https://www.rfc-editor.org/rfc/rfc8985#section-6.2
            //# The RACK.reo_wnd increases linearly for every round trip in which the sender receives some DSACK option so that after N round trips in which a DSACK is received, the RACK.reo_wnd becomes (N+1) * min_RTT / 4, with an upper-bound of SRTT (8985:6.2-9).
            self.steps = (self.steps + 1).min(STEPS_MAX);
            self.persist = PERSIST;
        }
    }

    /// A recovery is over. Only those without reordering tell that the patience is not needed any more.
    pub(super) const fn on_recovered(&mut self) {
        if self.reorderings != self.reorderings_before {
            self.reorderings_before = self.reorderings;
            return;
        }
        self.persist = self.persist.saturating_sub(1);
        //= https://www.rfc-editor.org/rfc/rfc8985#section-6.2
        //# RACK persists using the inflated RACK.reo_wnd for up to 16 loss recoveries, after which it resets RACK.reo_wnd to its starting value, min_RTT / 4 (8985:6.2-10).
        if self.persist == 0 {
            self.steps = 1;
        }
    }

    /// Losses are to be looked for again, whatever has arrived.
    pub(super) const fn look_again(&mut self) {
        self.advanced = self.latest.is_some();
    }

    /// Step 4: by how much something may be overtaken on the way without being lost.
    pub(super) fn window(&self, path: Path) -> Duration {
        //= https://www.rfc-editor.org/rfc/rfc8985#section-6.2
        //# if some reordering has been observed, then RACK does not trigger fast recovery based on DupThresh (8985:6.2-11).
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# If DupAcks >= DupThresh, go to step (4) (6675:5-4).
        if self.reorderings == 0 && path.eager {
            return Duration::ZERO;
        }
        // Times read from a clock that ticks are that much too early or late: what is late by a quarter of a round trip, as it was measured, is not later
        // than that for sure.
        //= https://www.rfc-editor.org/rfc/rfc8985#section-3.3.2
        //# Otherwise, the reordering window SHOULD start from a small fraction of the round-trip time or zero if no round-trip time estimate is available (8985:3.3.2-2).
        //= https://www.rfc-editor.org/rfc/rfc8985#section-3.3.2
        //# The RACK reordering window MUST be bounded, and this bound SHOULD be SRTT (8985:3.3.2-4).
        (path.least / 4).saturating_mul(self.steps).min(path.smoothed).saturating_add(self.granularity)
    }

    /// What to look for: everything sent before the mark and at least that long ago. Once for each arrival.
    pub(super) fn look(&mut self, path: Path) -> Option<(Mark, Duration)> {
        std::mem::take(&mut self.advanced).then(|| self.reach(path))?
    }

    /// The same, when the timer says so.
    pub(super) fn reach(&self, path: Path) -> Option<(Mark, Duration)> {
        Some((self.latest?, self.trip.saturating_add(self.window(path))))
    }

    /// How often the path was seen to reorder.
    pub(super) const fn reorderings(&self) -> u32 {
        self.reorderings
    }

    /// Segments by which it has overtaken at most.
    pub(super) const fn degree(&self) -> u32 {
        self.degree
    }
}

packed!(Rack {
    latest,
    trip,
    advanced,
    reorderings,
    reorderings_before,
    degree,
    steps,
    persist,
    round,
    granularity
});
