//! The only place that asks the time.

use crate::sys;
use crate::time::Instant;

/// The time by CLOCK_MONOTONIC.
#[must_use]
pub fn now() -> Instant {
    Instant::from_nanos(sys::monotonic_nanos())
}

#[cfg(test)]
mod tests {
    #[test]
    fn time_does_not_go_back() {
        let earlier = super::now();
        assert!(super::now() >= earlier && earlier > crate::time::Instant::ZERO);
    }
}
