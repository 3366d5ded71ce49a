//! What was measured: as a table for people and as JSON for programs.

use super::bars::{Bar, Bound, bars};
use super::contender::Who;
use super::measure::{Cell, Quantity};
use crate::statistics::Spread;
use crate::{Result, micro};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Who is compared with whom, in every measure of both.
const PAIRS: [(Who, Who); 13] = [
    (Who::Ours, Who::Null),
    (Who::Ours, Who::NullCopy),
    (Who::Ours, Who::NullSum),
    (Who::NullCopy, Who::Null),
    (Who::NullSum, Who::Null),
    (Who::OursOne, Who::Null),
    (Who::OursSpin, Who::NullSpin),
    (Who::Ours, Who::Smoltcp),
    (Who::OursPython, Who::Ours),
    (Who::OursBridge, Who::Ours),
    (Who::OursAsyncio, Who::KernelAsyncio),
    (Who::Ours, Who::Kernel),
    (Who::NullStretch, Who::Null),
];

/// Values by round.
type Rounds = BTreeMap<usize, f64>;

/// Everything measured so far.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// Names of rows in their order.
    order: Vec<(String, Quantity)>,
    values: BTreeMap<(String, Who), Rounds>,
    placement: String,
    complaints: Vec<String>,
    /// Samples thrown away since others were using the machine, or the processors were far from each other.
    pub(crate) spoilt: usize,
    /// Samples that stand although they were.
    pub(crate) disturbed: usize,
    /// Runs that came to nothing.
    pub(crate) failed: usize,
    /// What single operations cost.
    pub(crate) micro: Vec<micro::Row>,
}

/// The file.
#[derive(Debug, Serialize)]
struct File<'a> {
    rows: Vec<Row>,
    bars: Vec<Verdict>,
    placement: &'a str,
    thrown_away: usize,
    disturbed: usize,
    failed: usize,
}

/// A measure and a contender, or two of them by their ratios.
#[derive(Clone, Debug, Serialize)]
struct Row {
    measure: String,
    who: String,
    median: f64,
    low: f64,
    high: f64,
    unit: &'static str,
    rounds: usize,
}

/// Whether a bar is met.
#[derive(Clone, Debug, Serialize)]
struct Verdict {
    measure: String,
    who: String,
    bound: String,
    /// `None`: not measured.
    median: Option<f64>,
    met: Option<bool>,
}

impl Results {
    pub(crate) fn new(cells: &[Cell], placement: String) -> Self {
        let mut results = Self { placement, ..Self::default() };
        for cell in cells {
            let of = |quantity: &Quantity| (cell.measure.row(*quantity), *quantity);
            results.order.extend(cell.measure.kinds().iter().map(of));
        }
        results
    }

    /// Notes a value of a round.
    pub(crate) fn add(&mut self, row: String, who: Who, round: usize, value: f64) {
        self.values.entry((row, who)).or_default().insert(round, value);
    }

    /// Notes what the machine did not allow, once.
    pub(crate) fn complain(&mut self, complaints: &[String]) {
        for complaint in complaints {
            if !self.complaints.contains(complaint) {
                self.complaints.push(complaint.clone());
            }
        }
    }

    /// Of each round that has both, the ratio; without `to`, the value.
    fn compared(&self, row: &str, who: Who, to: Option<Who>) -> Vec<f64> {
        let rounds = |who| self.values.get(&(row.to_owned(), who));
        let (Some(own), base) = (rounds(who), to.map(rounds)) else { return Vec::new() };
        match base {
            None => own.values().copied().collect(),
            Some(None) => Vec::new(),
            Some(Some(base)) => {
                let ratio = |(round, value): (&usize, &f64)| {
                    base.get(round).filter(|base| **base > 0.0).map(|base| value / base)
                };
                own.iter().filter_map(ratio).collect()
            }
        }
    }

    /// Of a row, all contenders and then all pairs.
    fn rows(&self, row: &str, quantity: Quantity) -> Vec<Row> {
        let make = |who: String, unit, values: Vec<f64>| {
            let Spread { median, low, high } = Spread::of(&values)?;
            Some(Row { measure: row.to_owned(), who, median, low, high, unit, rounds: values.len() })
        };
        let singles = Who::ALL
            .into_iter()
            .filter_map(|who| make(who.to_string(), quantity.unit(), self.compared(row, who, None)));
        let pairs = PAIRS.iter().filter_map(|(who, to)| {
            make(format!("{who} / {to}"), "ratio", self.compared(row, *who, Some(*to)))
        });
        singles.chain(pairs).collect()
    }

    fn all_rows(&self) -> Vec<Row> {
        let measured = self.order.iter().flat_map(|(row, quantity)| self.rows(row, *quantity));
        let single = self.micro.iter().cloned().map(|row| {
            let micro::Row { measure, who, median, low, high, unit, rounds } = row;
            Row { measure, who, median, low, high, unit, rounds }
        });
        measured.chain(single).collect()
    }

    fn verdict(&self, bar: &Bar) -> Verdict {
        let measure = bar.measure.row(bar.quantity);
        let spread = Spread::of(&self.compared(&measure, bar.who, bar.to));
        let median = spread.map(|spread| spread.median);
        let who = bar.to.map_or_else(|| bar.who.to_string(), |to| format!("{} / {to}", bar.who));
        let bound = match bar.bound {
            Bound::AtLeast(least) => format!("at least {least}"),
            Bound::AtMost(most) => format!("at most {most}"),
        };
        Verdict { measure, who, bound, median, met: median.map(|median| bar.bound.is_met(median)) }
    }

    fn verdicts(&self) -> Vec<Verdict> {
        bars().iter().map(|bar| self.verdict(bar)).collect()
    }

    /// `{"rows":[{"measure":..., "who":..., "median":..., "low":..., "high":..., "unit":...}], ...}`
    pub(crate) fn json(&self) -> Result<String> {
        let Self { placement, spoilt, disturbed, failed, .. } = self;
        let file = File {
            rows: self.all_rows(),
            bars: self.verdicts(),
            placement,
            thrown_away: *spoilt,
            disturbed: *disturbed,
            failed: *failed,
        };
        Ok(serde_json::to_string_pretty(&file)? + "\n")
    }

    /// The table, in the form of Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let title = ("measure", "who", "median", "low .. high", "unit");
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {:<40} | {:<22} | {:>9} | {:>21} | {:<9} |",
            title.0, title.1, title.2, title.3, title.4
        );
        let _ = writeln!(
            text,
            "|{}|{}|{}:|{}:|{}|",
            "-".repeat(38),
            "-".repeat(24),
            "-".repeat(10),
            "-".repeat(22),
            "-".repeat(11)
        );
        for Row { measure, who, median, low, high, unit, .. } in self.all_rows() {
            let spread = format!("{} .. {}", figure(low), figure(high));
            let median = figure(median);
            let _ = writeln!(text, "| {measure:<40} | {who:<22} | {median:>9} | {spread:>21} | {unit:<9} |");
        }
        let _ = writeln!(text, "\nBars, medians of the ratios of each round:");
        for Verdict { measure, who, bound, median, met } in self.verdicts() {
            let value = median.map_or_else(|| "-".to_owned(), figure);
            let outcome = match met {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "not measured",
            };
            let _ = writeln!(text, "  {measure:<40} {who:<22} {value:>9}  {bound:<14} {outcome}");
        }
        let Self { placement, spoilt, disturbed, failed, .. } = self;
        let _ = writeln!(
            text,
            "\n{placement}\nsamples thrown away since others used the machine or the processors were far apart: {spoilt}; left although it was so: {disturbed}; runs that came to nothing: {failed}"
        );
        for complaint in &self.complaints {
            let _ = writeln!(text, "not allowed here, so figures may be too low: {complaint}");
        }
        text
    }
}

/// With three digits that matter.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests;
