//! What single operations cost, and how that grows with connections, windows and holes: pure code, no device and no second thread.

mod growth;
mod handles;
mod holes;
mod many;
mod scene;
mod segments;
mod windows;
mod wire;
mod world;

pub use growth::{AXES, Axis, Named};
pub use scene::Scene;

use scene::{Effort, Figures};
use serde::Serialize;

/// One line of the table: what was measured, of whom, and how it came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What.
    pub measure: String,
    /// Whose figure it is.
    pub who: String,
    /// Median of the rounds.
    pub median: f64,
    /// The least of the rounds: what it costs where nothing else runs.
    pub low: f64,
    /// The most of them.
    pub high: f64,
    /// Of what.
    pub unit: &'static str,
    /// How many there were.
    pub rounds: usize,
}

/// How often an operation is done for who counts its instructions, beside the first time; odd, for the median.
pub const COUNTED: usize = 3;

/// How much time to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A second or two: few rounds, no more than 10,000 of anything.
    Quick,
    /// Up to 1,000,000 connections where there is memory for them.
    Full,
}

/// Measures everything, and hands each row out as soon as it is there.
pub fn run(extent: Extent, mut row: impl FnMut(Row)) {
    let effort = Effort::of(extent);
    let mut take = |measure: &str, who: &str, figures: Option<Figures>| {
        let Some(Figures { median, low, high, rounds }) = figures else { return };
        let (measure, who) = (format!("micro, {measure}"), who.to_owned());
        row(Row { measure, who, median, low, high, unit: "ns", rounds });
    };
    wire::run(effort, &mut take);
    segments::run(effort, &mut take);
    handles::run(effort, &mut take);
    growth::run(effort, &mut take);
}

#[cfg(test)]
mod tests;
