//! The only place that asks the time.

use crate::sys;
use crate::time::Instant;

/// The time by CLOCK_MONOTONIC.
#[must_use]
pub fn now() -> Instant {
    Instant::from_nanos(sys::monotonic_nanos())
}

/// What has to be added to nanoseconds of this clock to make them nanoseconds since 1970.
#[must_use]
pub fn epoch() -> u64 {
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_nanos()).unwrap_or(0).saturating_sub(sys::monotonic_nanos())
}

#[cfg(test)]
mod tests {
    #[test]
    fn time_does_not_go_back() {
        let earlier = super::now();
        assert!(super::now() >= earlier && earlier > crate::time::Instant::ZERO);
    }
}
