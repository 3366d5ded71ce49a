//! How many messages of a kind a second the stack sends of its own accord: a token bucket.

use crate::time::Instant;

/// Most messages of `rate` a second, in bursts of at most a second's worth.
#[derive(Debug)]
pub(super) struct Budget {
    rate: u32,
    /// Left, in billionths of a message.
    tokens: u64,
    filled: Instant,
}

const UNIT: u64 = 1_000_000_000;

impl Budget {
    pub(super) fn new(rate: u32) -> Self {
        Self { rate, tokens: u64::from(rate) * UNIT, filled: Instant::ZERO }
    }

    /// Whether one more may be sent.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let nanos = u64::try_from(now.since(self.filled).as_nanos()).unwrap_or(u64::MAX);
        let full = u64::from(self.rate) * UNIT;
        self.tokens = self.tokens.saturating_add(nanos.saturating_mul(u64::from(self.rate))).min(full);
        self.filled = now;
        if self.tokens < UNIT {
            return false;
        }
        self.tokens -= UNIT;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_brings_its_rate_and_no_more() {
        let mut budget = Budget::new(3);
        let allowed =
            |budget: &mut Budget, at| (0..10).filter(|_| budget.take(Instant::from_millis(at))).count();
        assert_eq!(allowed(&mut budget, 0), 3);
        assert_eq!(allowed(&mut budget, 500), 1);
        assert_eq!(allowed(&mut budget, 60_000), 3);
        assert!(!Budget::new(0).take(Instant::from_millis(9000)));
    }
}
