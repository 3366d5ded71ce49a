//! When the first slow start of a connection has gone far enough, before a loss says so.

use super::{Acked, Left};
use crate::config::{self, TcpConfig};
use crate::pack::{Pack, Packer, Unpacker, packed};
use crate::time::{Duration, Instant};

/// What an ACK in slow start is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What slow start gives.
    Full,
    /// One part in `divisor` of that.
    Part { divisor: u32 },
    /// Slow start is over, and the threshold is where the window is.
    Leave(Left),
}

/// The state of one way to tell.
#[derive(Debug)]
pub(super) enum SlowStart {
    Standard,
    Classic(HyStart),
    Conservative(HyStartPlusPlus),
}

impl SlowStart {
    pub(super) const fn new(config: &TcpConfig) -> Self {
        let delay = Rise {
            divisor: config.hystart_divisor as u32,
            least: config.hystart_rise_min,
            most: config.hystart_rise_max,
            samples: config.hystart_samples as u32,
        };
        match config.slow_start {
            config::SlowStart::Standard => Self::Standard,
            config::SlowStart::HyStart => Self::Classic(HyStart {
                rise: delay,
                low: config.hystart_window,
                gap: config.hystart_ack_gap,
                round: Round::new(),
                began: Instant::ZERO,
                last: Instant::ZERO,
            }),
            config::SlowStart::HyStartPlusPlus => Self::Conservative(HyStartPlusPlus {
                rise: delay,
                divisor: config.hystart_css_divisor as u32,
                most_rounds: config.hystart_css_rounds as u32,
                round: Round::new(),
                last: None,
                css: None,
            }),
        }
    }

    /// Whether it goes at the slower pace of Conservative Slow Start.
    pub(super) const fn is_slow(&self) -> bool {
        matches!(self, Self::Conservative(HyStartPlusPlus { css: Some(_), .. }))
    }

    /// An ACK while the window is `segments`.
    pub(super) fn on_ack(&mut self, now: Instant, acked: &Acked, segments: u32) -> Verdict {
        match self {
            Self::Standard => Verdict::Full,
            Self::Classic(classic) => classic.on_ack(now, acked, segments),
            Self::Conservative(conservative) => conservative.on_ack(acked),
        }
    }
}

/// How much longer a round trip tells of a queue.
#[derive(Clone, Copy, Debug)]
struct Rise {
    divisor: u32,
    least: Duration,
    most: Duration,
    /// Measurements that a round has to have for its least to count.
    samples: u32,
}

impl Rise {
    /// What is too long where `base` is not.
    fn above(&self, base: Duration) -> Duration {
        //= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
        //# RttThresh MUST be lastRoundMinRTT / MIN_RTT_DIVISOR between MIN_RTT_THRESH and MAX_RTT_THRESH (9406:4.2-4).
        base.saturating_add((base / self.divisor.max(1)).min(self.most).max(self.least))
    }
}

/// A round trip: from when something was next to be sent to when all before it is acknowledged.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// windowEnd: stream position.
    end: Option<u64>,
    least: Option<Duration>,
    samples: u32,
}

impl Round {
    const fn new() -> Self {
        Self { end: None, least: None, samples: 0 }
    }

    fn sample(&mut self, trip: Duration) {
        self.least = Some(self.least.map_or(trip, |least| least.min(trip)));
        self.samples = self.samples.saturating_add(1);
    }
}

/// HyStart (Ha and Rhee, 2008) as Linux has it.
#[derive(Debug)]
pub(super) struct HyStart {
    rise: Rise,
    /// Least window in segments that it leaves slow start at.
    low: u32,
    /// ACKs that follow each other by no more are of one train.
    gap: Duration,
    round: Round,
    /// When the round began.
    began: Instant,
    /// The last ACK of the train that began with it.
    last: Instant,
}

impl HyStart {
    fn on_ack(&mut self, now: Instant, acked: &Acked, segments: u32) -> Verdict {
        let (Some(trip), Some(least)) = (acked.rtt, acked.least_rtt) else { return Verdict::Full };
        if segments < self.low {
            return Verdict::Full;
        }
        if self.round.end.is_none_or(|end| acked.una > end) {
            self.round = Round { end: Some(acked.nxt), ..Round::new() };
            (self.began, self.last) = (now, now);
        }
        if now.since(self.last) <= self.gap {
            self.last = now;
            // What was sent in one go has come back over more than the time one way.
            if now.since(self.began) > least / 2 {
                return Verdict::Leave(Left::Train);
            }
        }
        let full = self.round.samples >= self.rise.samples;
        self.round.sample(trip);
        let longer = self.round.least.is_some_and(|round| round > self.rise.above(least));
        if full && longer { Verdict::Leave(Left::Delay) } else { Verdict::Full }
    }
}

/// HyStart++ (RFC 9406): slow start, then Conservative Slow Start for a few rounds, for the case that the longer round trips were a whim.
#[derive(Debug)]
pub(super) struct HyStartPlusPlus {
    rise: Rise,
    /// CSS_GROWTH_DIVISOR.
    divisor: u32,
    /// CSS_ROUNDS.
    most_rounds: u32,
    round: Round,
    /// lastRoundMinRTT.
    last: Option<Duration>,
    css: Option<Css>,
}

/// Conservative Slow Start.
#[derive(Clone, Copy, Debug)]
struct Css {
    /// cssBaselineMinRtt.
    baseline: Duration,
    /// Rounds of it, that in which it began counted.
    rounds: u32,
}

impl HyStartPlusPlus {
    fn on_ack(&mut self, acked: &Acked) -> Verdict {
        //= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
        //# A round MUST end when the ACK reaches windowEnd, the number that was next to be sent when the round began (9406:4.2-1).
        let over = self.round.end.is_some_and(|end| acked.una >= end);
        if let Some(trip) = acked.rtt {
            self.round.sample(trip);
            self.judge();
        }
        if over || self.round.end.is_none() {
            //= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
            //# The minimum of the round-trip times of each round MUST be kept, with that of the round before (9406:4.2-2).
            self.last = self.round.least.filter(|_| over);
            self.round = Round { end: Some(acked.nxt), ..Round::new() };
            if let Some(css) = self.css.as_mut().filter(|_| over) {
                css.rounds += 1;
                //= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
                //# After CSS_ROUNDS rounds of Conservative Slow Start ssthresh MUST be cwnd (9406:4.2-8).
                if css.rounds >= self.most_rounds {
                    return Verdict::Leave(Left::Rounds);
                }
            }
        }
        //= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
        //# In Conservative Slow Start cwnd MUST grow by 1 / CSS_GROWTH_DIVISOR of what slow start gives (9406:4.2-6).
        self.css.map_or(Verdict::Full, |_| Verdict::Part { divisor: self.divisor.max(1) })
    }

    /// What the round's measurements say by now.
    fn judge(&mut self) {
        let Some(least) = self.round.least.filter(|_| self.round.samples >= self.rise.samples) else {
            return;
        };
        match self.css {
            //= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
            //# Slow start MUST be resumed where the minimum of a later round falls below that at which Conservative Slow Start began (9406:4.2-7).
            Some(css) if least < css.baseline => self.css = None,
            Some(_) => {}
            //= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
            //# With N_RTT_SAMPLE samples in a round and its minimum RttThresh or more above that of the round before, the sender MUST enter Conservative Slow Start (9406:4.2-5).
            None if self.last.is_some_and(|last| least >= self.rise.above(last)) => {
                self.css = Some(Css { baseline: least, rounds: 0 });
            }
            None => {}
        }
    }
}

packed!(Rise { divisor, least, most, samples });
packed!(Round { end, least, samples });
packed!(HyStart { rise, low, gap, round, began, last });
packed!(Css { baseline, rounds });
packed!(HyStartPlusPlus { rise, divisor, most_rounds, round, last, css });

impl Pack for SlowStart {
    fn pack(&self, to: &mut Packer) {
        match self {
            Self::Standard => to.byte(0),
            Self::Classic(classic) => {
                to.byte(1);
                classic.pack(to);
            }
            Self::Conservative(conservative) => {
                to.byte(2);
                conservative.pack(to);
            }
        }
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        match from.byte() {
            0 => Self::Standard,
            1 => Self::Classic(Pack::unpack(from)),
            _ => Self::Conservative(Pack::unpack(from)),
        }
    }
}
