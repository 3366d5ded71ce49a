//! Something to be done again and again: prepared, then measured.

use super::Extent;
use std::fs;
use std::time::Instant;

/// Operations of one kind on a state that stays as it is, or nearly.
pub trait Scene {
    /// Makes what the next `count` operations need, which is not measured. False when the state allows for no more.
    fn prepare(&mut self, count: usize) -> bool;

    /// Does them.
    fn act(&mut self);

    /// Takes note of what they brought, which is not measured either, and checks it.
    fn settle(&mut self) {}
}

/// A closure of operations that need no preparation, `count` at a time.
pub(super) struct Again<F> {
    count: usize,
    operation: F,
}

impl<F: FnMut()> Again<F> {
    pub(super) const fn new(operation: F) -> Self {
        Self { count: 0, operation }
    }
}

impl<F: FnMut()> Scene for Again<F> {
    fn prepare(&mut self, count: usize) -> bool {
        self.count = count;
        true
    }

    fn act(&mut self) {
        for _ in 0..self.count {
            (self.operation)();
        }
    }
}

/// How often things are done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Rounds.
    rounds: usize,
    /// The most of anything.
    pub(super) most: usize,
}

/// Nanoseconds an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figures {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) rounds: usize,
}

/// Where a row goes: what, whose, and the figures if there are any.
pub(super) type Take<'a> = &'a mut dyn FnMut(&str, &str, Option<Figures>);

impl Effort {
    pub(super) fn of(extent: Extent) -> Self {
        match extent {
            Extent::Quick => Self { rounds: 24, most: 10_000 },
            Extent::Full => {
                Self { rounds: 200, most: largest(&fs::read_to_string(MEMORY).unwrap_or_default()) }
            }
        }
    }

    /// Rounds of `batch` operations each, the first of them thrown away; `None` if there was not a single one after it.
    pub(super) fn measure(self, batch: usize, scene: &mut dyn Scene) -> Option<Figures> {
        let mut rounds = Vec::with_capacity(self.rounds);
        for _ in 0..=self.rounds {
            if !scene.prepare(batch) {
                break;
            }
            let begun = Instant::now();
            scene.act();
            rounds.push(begun.elapsed().as_nanos() as f64 / batch as f64);
            scene.settle();
        }
        figures(rounds.get(1..)?)
    }
}

/// Where Linux tells of its memory.
const MEMORY: &str = "/proc/meminfo";

/// Kilobytes that have to be free for a million connections.
const ROOM: u64 = 6 << 20;

/// The most of anything that such a memory has room for.
fn largest(memory: &str) -> usize {
    let line = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let free = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    if free.is_some_and(|free| free >= ROOM) { 1_000_000 } else { 100_000 }
}

/// Median, least and most.
fn figures(rounds: &[f64]) -> Option<Figures> {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (*sorted.first()?, *sorted.last()?);
    Some(Figures { median: sorted[sorted.len() / 2], low, high, rounds: sorted.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_needs_memory() {
        let memory = |free| largest(&format!("MemTotal:  9 kB\nMemAvailable: {free} kB\nCached: 1 kB\n"));
        assert_eq!((memory(8 << 20), memory(5 << 20), largest("")), (1_000_000, 100_000, 100_000));
    }

    #[test]
    fn figures_of_rounds() {
        assert_eq!(figures(&[]), None);
        assert_eq!(figures(&[3.0, 1.0, 9.0]), Some(Figures { median: 3.0, low: 1.0, high: 9.0, rounds: 3 }));
    }

    #[test]
    fn a_scene_that_is_over_is_measured_as_far_as_it_went() {
        struct Few(usize, usize);
        impl Scene for Few {
            fn prepare(&mut self, count: usize) -> bool {
                self.0 = self.0.saturating_sub(1);
                count == 4 && self.0 > 0
            }
            fn act(&mut self) {
                self.1 += 1;
            }
        }
        let mut few = Few(4, 0);
        assert!(Effort::of(Extent::Quick).measure(4, &mut few).is_some());
        assert_eq!(few.1, 3);
        assert_eq!(Effort::of(Extent::Quick).measure(4, &mut Few(0, 0)), None);
    }

    #[test]
    fn every_round_does_its_operations() {
        let mut done = 0;
        Effort::of(Extent::Quick).measure(7, &mut Again::new(|| done += 1));
        assert_eq!(done, 7 * 25);
    }
}
