//! Challenge ACKs (RFC 5961) and their rates: of each connection, and of the stack. Their accounts are their own, so that a flood never silences an ACK
//! that is owed.

use crate::pack::packed;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// Answers of one connection to segments that deserve suspicion.
#[derive(Debug)]
pub(super) struct Challenge {
    window_start: Option<Instant>,
    sent: u32,
    due: bool,
}

/// Challenge ACKs of all connections of a stack.
///
/// How many an interval may bring is drawn anew each time, from a half to one and a half of the rate: if it were the same for ever, whoever provokes
/// them on a connection of his own could tell from the rest that was left to him whether he had guessed the numbers of another (CVE-2016-5696).
#[derive(Debug)]
pub struct Challenges {
    rng: Rng,
    window_start: Option<Instant>,
    left: u32,
}

/// How many challenge ACKs may be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    /// Time that the numbers are for.
    pub(super) interval: Duration,
    /// Of a connection.
    pub(super) own: u32,
    /// Of all connections of the stack, on average.
    pub(super) stack: u32,
}

impl Challenge {
    pub(super) const fn new() -> Self {
        Self { window_start: None, sent: 0, due: false }
    }

    /// Asks for a challenge ACK; granted at the connection's rate, if the stack grants it too. Returns whether one will be sent.
    //= https://www.rfc-editor.org/rfc/rfc5961#section-7
    //# An implementation SHOULD include an ACK throttling mechanism to be conservative (5961:7-3).
    pub(super) fn ask(&mut self, now: Instant, rates: Rates, stack: &mut Challenges) -> bool {
        if self.due {
            return true;
        }
        if self.window_start.is_none_or(|start| now.since(start) >= rates.interval) {
            self.window_start = Some(now);
            self.sent = 0;
        }
        //= https://www.rfc-editor.org/rfc/rfc5961#section-7
        //# The system administrator can configure the number of challenge ACKs that can be sent out in a given interval (5961:7-1).
        if self.sent < rates.own && stack.take(now, rates) {
            self.sent += 1;
            self.due = true;
        }
        self.due
    }

    /// Whether one is to be sent.
    pub(super) const fn due(&self) -> bool {
        self.due
    }

    /// An ACK has been sent, whatever for: it serves as the challenge.
    pub(super) const fn sent(&mut self) {
        self.due = false;
    }
}

impl Challenges {
    /// `rng` is theirs alone.
    #[must_use]
    pub const fn new(rng: Rng) -> Self {
        Self { rng, window_start: None, left: 0 }
    }

    /// Whether one more may be sent.
    fn take(&mut self, now: Instant, rates: Rates) -> bool {
        if self.window_start.is_none_or(|start| now.since(start) >= rates.interval) {
            self.window_start = Some(now);
            self.left = rates.stack.div_ceil(2).saturating_add(self.rng.below(rates.stack));
        }
        let granted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        granted
    }
}

packed!(Challenge { window_start, sent, due });
