//! Challenge ACKs (RFC 5961) and their rates: of each connection, and of the stack. Their accounts are their own, so that a flood never silences an ACK
//! that is owed.

use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// Answers of one connection to segments that deserve suspicion.
#[derive(Debug)]
pub(super) struct Challenge {
    window_start: Instant,
    sent: u32,
    due: bool,
}

/// Challenge ACKs of all connections of a stack.
///
/// How many a second may bring is drawn anew each second, from a half to one and a half of the rate: if it were the same for ever, whoever provokes
/// them on a connection of his own could tell from the rest that was left to him whether he had guessed the numbers of another (CVE-2016-5696).
#[derive(Debug)]
pub struct Challenges {
    rng: Rng,
    window_start: Option<Instant>,
    left: u32,
}

const WINDOW: Duration = Duration::from_secs(1);

impl Challenge {
    pub(super) const fn new() -> Self {
        Self { window_start: Instant::ZERO, sent: 0, due: false }
    }

    /// Asks for a challenge ACK; granted at most `rate` times a second, if the stack grants it too. Returns whether one will be sent.
    ///
    //= https://www.rfc-editor.org/rfc/rfc5961#section-7
    //# an implementation SHOULD include an ACK throttling mechanism to be conservative.
    pub(super) fn ask(&mut self, now: Instant, rate: u32, stack: (&mut Challenges, u32)) -> bool {
        if self.due {
            return true;
        }
        if now.since(self.window_start) >= WINDOW {
            self.window_start = now;
            self.sent = 0;
        }
        let (challenges, stack_rate) = stack;
        if self.sent < rate && challenges.take(now, stack_rate) {
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

    /// Whether one more may be sent, of `rate` a second on average.
    fn take(&mut self, now: Instant, rate: u32) -> bool {
        if self.window_start.is_none_or(|start| now.since(start) >= WINDOW) {
            self.window_start = Some(now);
            self.left = rate.div_ceil(2).saturating_add(self.rng.below(rate));
        }
        let granted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        granted
    }
}
