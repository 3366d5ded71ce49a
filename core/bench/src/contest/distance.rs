//! How far the two processors are from each other, which in a virtual machine changes while it runs.

use super::placement::{Processors, bound};
use crate::Result;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Round trips of a batch, and batches: the least of them is the distance, since whatever else runs only adds.
const TRIPS: u32 = 500;
const BATCHES: usize = 8;

/// Longest that a batch may take; the other processor may be away.
const BATCH_WITHIN: Duration = Duration::from_millis(50);

/// By how much the distance may exceed the least. Two that share a cache are 70 to 150 ns apart, two that do not 450 to 600 ns.
const FAR: f64 = 3.0;

/// For how long the least distance is looked for to begin with, and the pauses between looks.
const SEARCH: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);

/// The distance of two processors, now and at least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Distance {
    processors: Processors,
    least: Duration,
}

impl Distance {
    /// Looks for the least.
    pub(crate) fn find(processors: Processors) -> Result<Self> {
        let mut distance = Self { processors, least: Duration::MAX };
        let until = Instant::now() + SEARCH;
        while Instant::now() < until {
            distance.is_near()?;
            thread::sleep(LOOK);
        }
        Ok(distance)
    }

    /// Whether they are as near to each other as they have ever been, or nearly so.
    pub(crate) fn is_near(&mut self) -> Result<bool> {
        let now = round_trip(self.processors)?;
        self.least = self.least.min(now);
        Ok(now <= self.least.mul_f64(FAR))
    }

    /// Waits until they are, but not for longer than this; whether they are.
    pub(crate) fn wait_until_near(&mut self, at_most: Duration) -> Result<bool> {
        let until = Instant::now() + at_most;
        loop {
            let near = self.is_near()?;
            if near || Instant::now() >= until {
                return Ok(near);
            }
            thread::sleep(LOOK);
        }
    }
}

/// How long a cache line takes to the other processor and back.
fn round_trip(processors: Processors) -> Result<Duration> {
    let line = &Line::default();
    thread::scope(|scope| {
        let answer = || {
            line.answer();
            Ok(())
        };
        let there = scope.spawn(move || bound(&[processors.contender], answer));
        let here = bound(&[processors.peer], || Ok(line.ask()));
        there.join().map_err(|_| "the thread on the other processor has panicked")??;
        here
    })
}

/// A cache line of its own, with a number that two threads count up in turn.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU32);

/// The number with which it ends.
const OVER: u32 = u32::MAX;

impl Line {
    /// Counts to each odd number, and gives the time of a round trip.
    fn ask(&self) -> Duration {
        let mut least = BATCH_WITHIN;
        let mut count = 0;
        for _ in 0..BATCHES {
            let begun = Instant::now();
            for _ in 0..TRIPS {
                self.0.store(count + 1, Ordering::Release);
                while self.0.load(Ordering::Acquire) != count + 2 && begun.elapsed() < BATCH_WITHIN {
                    spin_loop();
                }
                count += 2;
            }
            least = least.min(begun.elapsed());
        }
        self.0.store(OVER, Ordering::Release);
        least / TRIPS
    }

    /// Counts to each even number.
    fn answer(&self) {
        loop {
            match self.0.load(Ordering::Acquire) {
                OVER => return,
                count if count % 2 == 1 => {
                    // Who asks may have gone on meanwhile.
                    let _ = self.0.compare_exchange(count, count + 1, Ordering::AcqRel, Ordering::Relaxed);
                }
                _ => spin_loop(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_there_and_back() {
        let line = Line::default();
        let least = thread::scope(|scope| {
            scope.spawn(|| line.answer());
            line.ask()
        });
        assert!(Duration::ZERO < least && least <= BATCH_WITHIN, "{least:?}");
        assert_eq!(line.0.load(Ordering::Relaxed), OVER);
    }

    #[test]
    fn what_is_the_least_so_far_is_near() {
        let Ok(processors) = Processors::find() else { return };
        let mut distance = Distance { processors, least: Duration::MAX };
        assert!(distance.is_near().expect("two processors"));
        assert!(distance.least < Duration::MAX);
    }
}
