//! How many messages of a kind a second the stack sends of its own accord: token buckets.

use super::demux::KeyedState;
use crate::rng::Rng;
use crate::time::Instant;
use std::hash::BuildHasher;
use std::net::IpAddr;

/// Most messages of `rate` a second, in bursts of at most `burst`.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    rate: u32,
    burst: u32,
    /// Left, in billionths of a message.
    tokens: u64,
    filled: Instant,
}

const UNIT: u64 = 1_000_000_000;

impl Budget {
    pub(super) fn new(rate: u32, burst: u32) -> Self {
        Self { rate, burst, tokens: u64::from(burst) * UNIT, filled: Instant::ZERO }
    }

    /// Whether one more may be sent.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let nanos = u64::try_from(now.since(self.filled).as_nanos()).unwrap_or(u64::MAX);
        let full = u64::from(self.burst) * UNIT;
        self.tokens = self.tokens.saturating_add(nanos.saturating_mul(u64::from(self.rate))).min(full);
        self.filled = now;
        if self.tokens < UNIT {
            return false;
        }
        self.tokens -= UNIT;
        true
    }
}

/// Budgets of a number of destinations: those whose hashes fall together share one.
const SHARES: usize = 256;

/// A budget for each destination.
#[derive(Debug)]
pub(super) struct Shares {
    keyed: KeyedState,
    share: Budget,
    shares: Vec<Budget>,
}

impl Shares {
    /// Each destination has `share`; `rng` keys who falls together.
    pub(super) fn new(share: Budget, rng: &Rng) -> Self {
        Self { keyed: KeyedState::new(&mut rng.fork("shares")), share, shares: Vec::new() }
    }

    /// Whether one more may be sent to `destination`.
    pub(super) fn take(&mut self, now: Instant, destination: IpAddr) -> bool {
        let index = self.keyed.hash_one(destination) as usize % SHARES;
        self.shares.resize(SHARES, self.share.clone());
        self.shares.get_mut(index).is_some_and(|share| share.take(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_brings_its_rate_and_no_more() {
        let mut budget = Budget::new(3, 3);
        let allowed =
            |budget: &mut Budget, at| (0..10).filter(|_| budget.take(Instant::from_millis(at))).count();
        assert_eq!(allowed(&mut budget, 0), 3);
        assert_eq!(allowed(&mut budget, 500), 1);
        assert_eq!(allowed(&mut budget, 60_000), 3);
        assert!(!Budget::new(0, 0).take(Instant::from_millis(9000)));
    }

    #[test]
    fn a_destination_cannot_use_up_what_others_have() {
        let mut shares = Shares::new(Budget::new(1, 6), &Rng::from_seed(1));
        let ip = |host: u8| IpAddr::from([192, 0, 2, host]);
        let mut sent = |host, at| (0..20).filter(|_| shares.take(Instant::from_millis(at), ip(host))).count();
        assert_eq!((sent(1, 1000), sent(1, 1500), sent(1, 2000), sent(1, 60_000)), (6, 0, 1, 6));
        assert_eq!((2..=9).map(|host| sent(host, 1000)).sum::<usize>(), 48);
    }
}
