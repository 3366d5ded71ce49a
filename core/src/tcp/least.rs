//! The least of what was measured lately.

use crate::pack::packed;
use crate::time::{Duration, Instant};

/// The least measurement of a window of time: the best, the best of what came behind that, and the best of what came behind that again, so that each
/// takes the place of the one before as that gets too old. (Kathleen Nichols' windowed minimum, which Linux has as well.)
#[derive(Clone, Copy, Debug)]
pub(super) struct Least {
    window: Duration,
    best: Option<[(Instant, Duration); 3]>,
}

impl Least {
    pub(super) const fn new(window: Duration) -> Self {
        Self { window, best: None }
    }

    /// The least, once something was measured.
    pub(super) fn get(&self) -> Option<Duration> {
        self.best.map(|[(_, least), ..]| least)
    }

    pub(super) fn put(&mut self, now: Instant, measured: Duration) {
        let new = (now, measured);
        let Some([first, second, third]) = self.best else {
            self.best = Some([new; 3]);
            return;
        };
        // Nothing is too old, and this is no better than any: as nearly always.
        let age = now.as_nanos().saturating_sub(first.0.as_nanos());
        if measured > third.1 && u128::from(age) * 4 <= self.window.as_nanos() {
            return;
        }
        let age = |one: (Instant, Duration)| now.since(one.0);
        let (second, third) = match measured {
            _ if measured <= first.1 || age(third) > self.window => {
                self.best = Some([new; 3]);
                return;
            }
            _ if measured <= second.1 => (new, new),
            _ if measured <= third.1 => (second, new),
            _ => (second, third),
        };
        let kept = if age(first) > self.window && age(second) > self.window {
            [third, new, new]
        } else if age(first) > self.window {
            [second, third, new]
        } else if second.0 == first.0 && age(first) > self.window / 4 {
            [first, new, new]
        } else if third.0 == second.0 && age(first) > self.window / 2 {
            [first, second, new]
        } else {
            [first, second, third]
        };
        self.best = Some(kept);
    }
}

packed!(Least { window, best });

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: Duration = Duration::from_secs(300);

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(1_000_000 + seconds * 1000)
    }

    //= https://www.rfc-editor.org/rfc/rfc8985#section-6.2
    //= type=test
    //# The sender SHOULD track a windowed min-filtered estimate of recent RTT measurements that can adapt when migrating to significantly longer paths rather than tracking a simple global minimum of all RTT measurements. (8985:6.2-1)
    #[test]
    fn a_path_that_has_become_longer_is_known_as_such_in_a_window_of_time() {
        let mut least = Least::new(WINDOW);
        least.put(at(0), Duration::from_millis(10));
        for second in 1..=300 {
            least.put(at(second), Duration::from_millis(200));
            assert_eq!(least.get(), Some(Duration::from_millis(10)), "{second} s");
        }
        least.put(at(301), Duration::from_millis(200));
        assert_eq!(least.get(), Some(Duration::from_millis(200)));
        least.put(at(302), Duration::from_millis(20));
        assert_eq!(least.get(), Some(Duration::from_millis(20)));
    }

    proptest! {
        /// What is told was measured within the window, and never above what was measured last; it is the least of the last quarter of a window at most.
        #[test]
        fn it_is_a_measurement_of_the_window(steps in prop::collection::vec((0u64..60, 1u64..1000), 1..200)) {
            let (mut least, mut now, mut all) = (Least::new(WINDOW), 0, Vec::new());
            for (pause, millis) in steps {
                now += pause;
                least.put(at(now), Duration::from_millis(millis));
                all.push((now, millis));
                let within = |time: u64| all.iter().filter(move |(when, _)| now - when <= time).map(|(_, m)| *m);
                let told = least.get().expect("measured").as_millis() as u64;
                prop_assert!(told >= within(300).min().unwrap() && told <= millis);
                prop_assert!(within(300).any(|m| m == told));
            }
        }
    }
}
