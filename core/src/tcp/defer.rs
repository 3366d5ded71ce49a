//! TCP_DEFER_ACCEPT: a handshake that ends only with data. Its patience is counted in retransmissions of the SYN/ACK, as in Linux.

use crate::time::Duration;

/// How many timeouts of a SYN/ACK, the first after `first` and none above `most`, it takes until `patience` is over.
#[must_use]
pub fn retransmissions(patience: Duration, first: Duration, most: Duration) -> u8 {
    if patience.is_zero() {
        return 0;
    }
    let mut left = patience;
    let enough = timeouts(first, most).zip(1..=u8::MAX).find(|(timeout, _)| {
        left = left.saturating_sub(*timeout);
        left.is_zero()
    });
    enough.map_or(u8::MAX, |(_, count)| count)
}

/// How long `count` timeouts of a SYN/ACK take.
#[must_use]
pub fn patience(count: u8, first: Duration, most: Duration) -> Duration {
    timeouts(first, most).take(count.into()).fold(Duration::ZERO, Duration::saturating_add)
}

/// The timeouts of a SYN/ACK, in order.
fn timeouts(first: Duration, most: Duration) -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(first), move |timeout| Some(timeout.saturating_mul(2).min(most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_retransmissions_and_are_read_back_as_linux_has_them() {
        // What getsockopt says on Linux after setting the first number.
        let table =
            [(0, 0), (1, 1), (2, 3), (3, 3), (4, 7), (7, 7), (8, 15), (60, 63), (100, 127), (200, 247)];
        let (first, most) = (Duration::from_secs(1), Duration::from_secs(120));
        for (set, read) in table {
            let count = retransmissions(Duration::from_secs(set), first, most);
            assert_eq!(patience(count, first, most).as_secs(), read, "{set} s");
        }
        assert_eq!(retransmissions(Duration::from_secs(1 << 30), first, most), 255);
        assert_eq!(retransmissions(Duration::from_secs(9), Duration::ZERO, Duration::ZERO), 255);
    }
}
