//! Challenge ACKs (RFC 5961) and their rate: a bucket of their own, so that a flood never silences an ACK that is owed.

use crate::time::{Duration, Instant};

/// Tokens for answers to segments that deserve suspicion.
#[derive(Debug)]
pub(super) struct Challenge {
    window_start: Instant,
    sent: u32,
    due: bool,
}

const WINDOW: Duration = Duration::from_secs(1);

impl Challenge {
    pub(super) const fn new() -> Self {
        Self { window_start: Instant::ZERO, sent: 0, due: false }
    }

    /// Asks for a challenge ACK; granted at most `rate` times a second.
    pub(super) fn ask(&mut self, now: Instant, rate: u32) {
        if self.due {
            return;
        }
        if now.since(self.window_start) >= WINDOW {
            self.window_start = now;
            self.sent = 0;
        }
        if self.sent < rate {
            self.sent += 1;
            self.due = true;
        }
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
