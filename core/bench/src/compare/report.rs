//! What was measured: as a table for people and as JSON for programs.

use super::cells::Cell;
use super::run::Sample;
use super::{PAIRINGS, Pairing, Result};
use crate::statistics::{Estimate, geometric_mean, jain};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A goodput of nothing counts as this, bits a second: a ratio has to be above zero.
const LEAST: f64 = 1000.0;

/// What is kept of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Bits a second.
    pub goodput: f64,
    /// Of its flows.
    pub jain: f64,
    /// Segments that the sender sent again.
    pub retransmissions: u64,
    /// The sender's congestion control.
    pub controller: String,
}

impl From<&Sample> for Measurement {
    fn from(sample: &Sample) -> Self {
        Self {
            goodput: sample.goodput.max(LEAST),
            jain: jain(&sample.flows),
            retransmissions: sample.retransmissions,
            controller: sample.controller.clone(),
        }
    }
}

/// The measurements of a cell, by round; each round has one of every pairing.
type Rounds = BTreeMap<usize, [Option<Measurement>; 4]>;

/// Everything measured so far.
#[derive(Debug, Default)]
pub struct Results {
    cells: Vec<(Cell, Rounds)>,
    open: Vec<Open>,
    shared: [Vec<f64>; 4],
    complaints: Vec<String>,
    /// Samples thrown away since others were using the machine.
    pub spoilt: usize,
    /// Samples that stand although they were.
    pub disturbed: usize,
    /// Runs that came to nothing and were repeated.
    pub failed: usize,
}

/// The file.
#[derive(Debug, Serialize)]
struct File<'a> {
    cells: Vec<Row>,
    means: Vec<Mean>,
    unimpaired: &'a [Open],
    fairness: Vec<Fairness>,
    thrown_away: usize,
    disturbed: usize,
    failed: usize,
}

/// A cell and a pairing.
#[derive(Clone, Debug, Serialize)]
struct Row {
    name: String,
    pairing: String,
    /// To Linux-to-Linux of the same round, geometric mean over the rounds.
    ratio: f64,
    low: f64,
    high: f64,
    /// Mbit/s, geometric mean over the rounds.
    goodput: f64,
    rounds: usize,
    controller: String,
    /// A run.
    retransmissions: f64,
    /// Mean over the rounds.
    jain: f64,
    flows: usize,
    #[serde(skip)]
    estimate: Option<Estimate>,
}

/// A pairing over all cells.
#[derive(Debug, Serialize)]
struct Mean {
    pairing: String,
    ratio: f64,
    low: f64,
    high: f64,
}

/// A run without impairment.
#[derive(Debug, Serialize)]
struct Open {
    pairing: String,
    /// Mbit/s.
    goodput: f64,
    /// What it has to be for the wire not to be the bottleneck of any cell, Mbit/s.
    least: f64,
}

/// How sixteen flows shared a link.
#[derive(Debug, Serialize)]
struct Fairness {
    pairing: String,
    flows: usize,
    /// Jain's index, mean over the rounds.
    jain: f64,
    rounds: usize,
}

impl Results {
    /// For these cells.
    #[must_use]
    pub fn new(cells: &[Cell]) -> Self {
        Self { cells: cells.iter().map(|cell| (*cell, Rounds::new())).collect(), ..Self::default() }
    }

    /// Notes a sample of cell number `at`.
    pub fn add(&mut self, at: usize, pairing: Pairing, round: usize, measurement: Measurement) {
        if let Some((_, rounds)) = self.cells.get_mut(at) {
            rounds.entry(round).or_default()[index(pairing)] = Some(measurement);
        }
    }

    /// Notes a run without impairment, in bits a second.
    pub(super) fn open(&mut self, pairing: Pairing, goodput: f64, least: f64) {
        let (goodput, least) = (goodput / 1e6, least / 1e6);
        self.open.push(Open { pairing: pairing.to_string(), goodput, least });
    }

    /// Notes what each flow had of a shared link.
    pub(super) fn shared(&mut self, pairing: Pairing, flows: &[f64]) {
        self.shared[index(pairing)].push(jain(flows));
    }

    /// Notes what the machine did not allow, once.
    pub(super) fn complain(&mut self, complaints: &[String]) {
        for complaint in complaints {
            if !self.complaints.contains(complaint) {
                self.complaints.push(complaint.clone());
            }
        }
    }

    /// Numbers of the cells in which ours may be below `bar`, and is not surely so.
    #[must_use]
    pub fn doubtful(&self, bar: f64) -> Vec<usize> {
        let doubt = |row: &Row| row.low < bar && row.high >= bar && row.pairing != PAIRINGS[0].to_string();
        let at = |at: &usize| self.rows(*at).iter().any(doubt);
        (0..self.cells.len()).filter(at).collect()
    }

    fn rows(&self, at: usize) -> Vec<Row> {
        let Some((cell, rounds)) = self.cells.get(at) else { return Vec::new() };
        PAIRINGS.iter().filter_map(|pairing| row(cell, *pairing, rounds)).collect()
    }

    fn file(&self) -> File<'_> {
        let cells: Vec<Row> = (0..self.cells.len()).flat_map(|at| self.rows(at)).collect();
        let mean = |pairing: &Pairing| {
            let name = pairing.to_string();
            let estimates: Vec<Estimate> =
                cells.iter().filter(|row| row.pairing == name).filter_map(|row| row.estimate).collect();
            let Estimate { ratio, low, high, .. } = Estimate::mean(&estimates);
            Mean { pairing: name, ratio, low, high }
        };
        let means = PAIRINGS[1..].iter().map(mean).collect();
        let fairness = PAIRINGS.iter().zip(&self.shared).filter(|(_, all)| !all.is_empty());
        let fairness = fairness.map(|(pairing, all)| Fairness {
            pairing: pairing.to_string(),
            flows: super::cells::SHARED.flows,
            jain: all.iter().sum::<f64>() / all.len() as f64,
            rounds: all.len(),
        });
        File {
            means,
            unimpaired: &self.open,
            fairness: fairness.collect(),
            thrown_away: self.spoilt,
            disturbed: self.disturbed,
            failed: self.failed,
            cells,
        }
    }

    /// `{"cells":[{"name":..., "pairing":..., "ratio":..., "low":..., "high":..., ...}], ...}`
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(&self.file())? + "\n")
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> String {
        let file = self.file();
        let mut text = format!(
            "{:<28} {:<12} {:<9} {:>9} {:>7} {:>15} {:>7} {:>6} {:>6}\n",
            "cell", "pairing", "sender's", "Mbit/s", "ratio", "95 %", "again", "Jain", "rounds"
        );
        for row in &file.cells {
            let interval = format!("{:.2} .. {:.2}", row.low, row.high);
            let fairness = if row.flows > 1 { format!("{:.3}", row.jain) } else { String::new() };
            let Row { name, pairing, controller, goodput, ratio, retransmissions, rounds, .. } = row;
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{name:<28} {pairing:<12} {controller:<9} {goodput:>9.2} {ratio:>7.3} {interval:>15} {retransmissions:>7.0} {fairness:>6} {rounds:>6}"
            );
        }
        for Mean { pairing, ratio, low, high } in &file.means {
            let _ = writeln!(text, "geometric mean of {pairing}: {ratio:.3} ({low:.3} .. {high:.3})");
        }
        for Open { pairing, goodput, least } in file.unimpaired {
            let enough = if goodput >= least { "the wire is not the bottleneck" } else { "TOO LITTLE" };
            let _ = writeln!(
                text,
                "without impairment {pairing}: {goodput:.0} Mbit/s (at least {least:.0}: {enough})"
            );
        }
        for Fairness { pairing, flows, jain, rounds } in &file.fairness {
            let _ = writeln!(text, "{flows} flows {pairing}: Jain's index {jain:.4} over {rounds} rounds");
        }
        let Self { spoilt, disturbed, failed, .. } = self;
        let _ = writeln!(
            text,
            "samples thrown away since others used the machine: {spoilt}; left although they did: {disturbed}; \
             runs that failed and were repeated: {failed}"
        );
        for complaint in &self.complaints {
            let _ = writeln!(text, "not allowed here, so figures of Linux may be too low: {complaint}");
        }
        text
    }
}

fn index(pairing: Pairing) -> usize {
    PAIRINGS.iter().position(|known| *known == pairing).unwrap_or(0)
}

/// `None` without a round that has both. Of Linux-to-Linux the interval is what its own rounds scatter by: the noise of the cell.
fn row(cell: &Cell, pairing: Pairing, rounds: &Rounds) -> Option<Row> {
    let pairs =
        rounds.values().filter_map(|round| Some((round[0].as_ref()?, round[index(pairing)].as_ref()?)));
    let (base, own): (Vec<&Measurement>, Vec<&Measurement>) = pairs.unzip();
    let last = own.last()?;
    let goodputs: Vec<f64> = own.iter().map(|own| own.goodput).collect();
    let goodput = geometric_mean(&goodputs);
    let ratios: Vec<f64> = if index(pairing) == 0 {
        goodputs.iter().map(|own| own / goodput).collect()
    } else {
        own.iter().zip(&base).map(|(own, base)| own.goodput / base.goodput).collect()
    };
    let estimate = Estimate::of(&ratios);
    let count = own.len() as f64;
    Some(Row {
        name: cell.to_string(),
        pairing: pairing.to_string(),
        ratio: estimate.ratio,
        low: estimate.low,
        high: estimate.high,
        goodput: goodput / 1e6,
        rounds: own.len(),
        controller: last.controller.clone(),
        retransmissions: own.iter().map(|own| own.retransmissions as f64).sum::<f64>() / count,
        jain: own.iter().map(|own| own.jain).sum::<f64>() / count,
        flows: cell.flows,
        estimate: Some(estimate),
    })
}

#[cfg(test)]
mod tests;
