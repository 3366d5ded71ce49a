//! Faults put between a stack and its link, from a seed.

use crate::time::Duration;

/// What happens to packets, each direction by itself with the same settings.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Impairment {
    /// Bits a second; 0: no limit.
    pub rate: u64,
    /// One-way delay.
    pub delay: Duration,
    /// Added to the delay, uniformly random from zero to this; order is kept.
    pub jitter: Duration,
    /// Probability that a packet is lost, 0.0 to 1.0.
    pub loss: f64,
    /// Probability that a packet comes twice.
    pub duplicate: f64,
    /// Probability that a packet is held back by `reorder_delay`, and so overtaken.
    pub reorder: f64,
    /// How long an overtaken packet is held back.
    pub reorder_delay: Duration,
    /// Probability that one bit of a packet is flipped.
    pub corrupt: f64,
    /// Packets that may wait in the queue; 0: 1000.
    pub queue: usize,
}
