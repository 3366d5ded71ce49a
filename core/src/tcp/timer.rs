//! The deadlines of one connection that are set and cleared; those that follow from other state are computed in `close` and `connection`.

use crate::pack::packed;
use crate::time::Instant;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Retransmission of what is in flight (RFC 6298).
    Retransmit,
    /// Probe of a closed window, or override of silly window avoidance (RFC 9293 3.8.6.1, 3.8.6.2.1).
    Persist,
    /// Delayed acknowledgement (RFC 9293 3.8.6.3).
    DelayedAck,
    /// A tail loss probe (RFC 8985 section 7).
    Tail,
    /// What is given time to arrive late may be lost (RFC 8985 section 6).
    Reorder,
    /// Data that TCP_CORK or MSG_MORE holds back goes.
    Cork,
}

impl Timer {
    /// Every kind, in the order of its number.
    pub(super) const ALL: [Self; 6] =
        [Self::Retransmit, Self::Persist, Self::DelayedAck, Self::Tail, Self::Reorder, Self::Cork];

    /// Its name in a trace.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Retransmit => "retransmission",
            Self::Persist => "persist",
            Self::DelayedAck => "delayed_ack",
            Self::Tail => "tail_loss_probe",
            Self::Reorder => "reordering",
            Self::Cork => "cork",
        }
    }
}

const COUNT: usize = Timer::ALL.len();

/// At most one deadline of each kind.
#[derive(Debug, Default)]
pub(super) struct Timers {
    at: [Option<Instant>; COUNT],
}

impl Timers {
    /// Sets a deadline, replacing an earlier setting.
    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        self.at[timer as usize] = Some(at);
    }

    /// Clears a deadline.
    pub(super) fn clear(&mut self, timer: Timer) {
        self.at[timer as usize] = None;
    }

    /// Whether a deadline is set.
    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.at[timer as usize].is_some()
    }

    /// When a deadline is, if it is set.
    pub(super) const fn at(&self, timer: Timer) -> Option<Instant> {
        self.at[timer as usize]
    }

    /// Clears the deadline and returns true if it has come.
    pub(super) fn expired(&mut self, timer: Timer, now: Instant) -> bool {
        let due = self.at[timer as usize].is_some_and(|at| at <= now);
        if due {
            self.clear(timer);
        }
        due
    }

    /// Every deadline, by the number of its kind.
    pub(super) const fn all(&self) -> [Option<Instant>; COUNT] {
        self.at
    }

    /// The earliest deadline.
    pub(super) fn earliest(&self) -> Option<Instant> {
        let at = self.at.map(|at| at.unwrap_or(Instant::MAX));
        let earliest = at.into_iter().fold(Instant::MAX, Instant::min);
        (earliest < Instant::MAX).then_some(earliest)
    }
}

packed!(Timers { at });
