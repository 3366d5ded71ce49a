//! Where congestion control and the repair of losses are, and what led there: for the trace.

use super::congestion::{Figures, Left};
use super::connection::Open;
use super::recovery::Repair;

/// Where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    SlowStart,
    /// Slow start at a slower pace, to find out whether round trips have become longer for good (RFC 9406).
    Conservative,
    Avoidance,
    /// Something came before its turn at the peer.
    Disorder,
    /// A mark of congestion leads the window down.
    Reduction,
    Recovery,
    /// After a retransmission timeout.
    Loss,
}

impl Phase {
    /// That of a connection whose controller has these figures.
    pub(super) fn of(open: &Open, figures: &Figures) -> Self {
        let below = open.congestion.window() < open.congestion.threshold();
        match open.recovery.repair {
            Repair::Fast => Self::Recovery,
            Repair::Timeout => Self::Loss,
            Repair::None if open.ecn.leading().is_some() => Self::Reduction,
            Repair::None if open.recovery.duplicates > 0 => Self::Disorder,
            Repair::None if below && figures.conservative => Self::Conservative,
            Repair::None if below => Self::SlowStart,
            Repair::None => Self::Avoidance,
        }
    }

    /// Its name in a trace.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::SlowStart => "slow_start",
            Self::Conservative => "conservative_slow_start",
            Self::Avoidance => "congestion_avoidance",
            Self::Disorder => "disorder",
            Self::Reduction => "cwr",
            Self::Recovery => "recovery",
            Self::Loss => "loss",
        }
    }

    /// What led here from `old`. `left`: what ended slow start, if it was not the threshold; `undone`: a reduction has just been taken back.
    pub(super) const fn trigger(self, old: Self, left: Option<Left>, undone: bool) -> &'static str {
        match (old, self) {
            (_, Self::Recovery) => "packet_loss",
            (_, Self::Loss) => "retransmission_timeout",
            (_, Self::Reduction) => "ECN",
            _ if undone => "undone",
            (_, Self::Disorder) => "duplicate_ack",
            (Self::Recovery | Self::Loss, _) => "repaired",
            (Self::Reduction, _) => "ssthresh",
            (Self::Disorder, _) => "acknowledged",
            (_, Self::Conservative) => "rtt_increase",
            (Self::Conservative, Self::SlowStart) => "rtt_decrease",
            (_, Self::SlowStart) => "window_reduced",
            (_, Self::Avoidance) => match left {
                Some(left) => left.name(),
                None => "ssthresh",
            },
        }
    }
}
