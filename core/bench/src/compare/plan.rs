//! The plan of a comparison: which cells, how many rounds, what is repeated, and carrying it out.

use super::cells::{CELLS, Cell, OPEN, SHARED};
use super::report::{Measurement, Results};
use super::run::{self, Sample, Until};
use super::{PAIRINGS, Pairing, Result};
use std::env;
use std::path::PathBuf;
use std::time::Duration;
use usertcp_core::rng::Rng;

/// Cores that others may use while a sample is taken.
const LOAD_MAX: f64 = 0.3;

/// How often a sample is taken again because others were using the machine; then it stands, and is marked.
const AGAIN_MAX: usize = 3;

/// A cell is doubtful while its interval reaches below this.
pub const BAR: f64 = 0.85;

/// Times that the rounds of doubtful cells are repeated where all cells are measured.
const REPETITIONS: f64 = 2.0;

/// What the wire has to carry, both ways alike: half more than the fastest link of a cell.
const OPEN_LEAST: f64 = 1.5e9;

/// Rounds of the measurement of fairness.
const SHARED_ROUNDS: usize = 3;

/// How long flows share a link there.
const SHARED_FOR: Duration = Duration::from_secs(10);

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The cells.
    pub cells: Vec<Cell>,
    /// Rounds of each.
    pub rounds: usize,
    /// How often the rounds of doubtful cells are repeated.
    pub repetitions: usize,
    /// Whether fairness is measured.
    pub fairness: bool,
    /// Cores that others may use while a sample is taken.
    pub load: f64,
    /// Whether each sample is followed by what its sender tells.
    pub told: bool,
    /// Folder for what stacks of ours see, in pcapng format.
    pub captures: Option<PathBuf>,
}

impl Plan {
    /// By the environment: `QUICK=1` for six cells and two rounds, `CELLS` for those whose names contain one of its words (separated by commas), `ROUNDS`,
    /// `REPEAT` for how often the rounds of doubtful cells come again,
    /// `LOAD` for the cores that others may use, `TELL=1` for counters behind each sample, `PCAP` for a folder of captures.
    pub fn from_environment() -> Result<Self> {
        let quick = env::var("QUICK").is_ok_and(|value| !value.is_empty() && value != "0");
        let words = env::var("CELLS").unwrap_or_default();
        let number = |name: &str, default: f64| match env::var(name) {
            Ok(text) if !text.is_empty() => text.parse().map_err(|_| format!("{name}={text}: not a number")),
            _ => Ok(default),
        };
        let cells = select(&words, quick);
        if cells.is_empty() {
            return Err(format!("no cell is called like '{words}': {}", names(&CELLS)).into());
        }
        let rounds = number("ROUNDS", if quick { 2.0 } else { 8.0 })? as usize;
        if rounds < 2 {
            return Err("ROUNDS must be 2 or more: one round has no interval".into());
        }
        let fairness = !quick && words.is_empty();
        let repetitions = number("REPEAT", if fairness { REPETITIONS } else { 0.0 })? as usize;
        let told = env::var("TELL").is_ok_and(|value| !value.is_empty() && value != "0");
        let captures = env::var_os("PCAP").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let load = number("LOAD", LOAD_MAX)?;
        Ok(Self { cells, rounds, repetitions, fairness, load, told, captures })
    }
}

fn select(words: &str, quick: bool) -> Vec<Cell> {
    let words: Vec<&str> = words.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let all: Vec<Cell> = CELLS.into_iter().filter(|cell| cell.quick || !quick).collect();
    let exact = all.iter().filter(|cell| words.contains(&cell.to_string().as_str()));
    let exact: Vec<Cell> = exact.copied().collect();
    if exact.len() == words.len() && !words.is_empty() {
        return exact;
    }
    let named = |cell: &Cell| words.is_empty() || words.iter().any(|word| cell.to_string().contains(word));
    all.into_iter().filter(named).collect()
}

fn names(cells: &[Cell]) -> String {
    let names: Vec<String> = cells.iter().map(Cell::to_string).collect();
    names.join(" ")
}

/// Carries a plan out.
pub struct Runner {
    plan: Plan,
    /// What has been measured so far.
    pub results: Results,
    print: fn(&str),
}

impl Runner {
    /// `print` gets a line for every sample.
    #[must_use]
    pub fn new(plan: Plan, print: fn(&str)) -> Self {
        let results = Results::new(&plan.cells);
        Self { plan, results, print }
    }

    /// Shows that the wire is no bottleneck: nothing but the machine limits these runs.
    pub fn check_wire(&mut self) -> Result<()> {
        (self.print)("without impairment:");
        for pairing in PAIRINGS {
            let sample = self.sample(&OPEN, pairing, 0, Until::Time(OPEN.duration()))?;
            self.results.open(pairing, sample.goodput, OPEN_LEAST);
        }
        Ok(())
    }

    /// All rounds of all cells; `save` is called after each round.
    pub fn rounds(&mut self, mut save: impl FnMut(&Results) -> Result<()>) -> Result<()> {
        let every: Vec<usize> = (0..self.plan.cells.len()).collect();
        for round in 0..self.plan.rounds {
            (self.print)(&format!("round {} of {}:", round + 1, self.plan.rounds));
            self.round(round, &every)?;
            save(&self.results)?;
        }
        for repetition in 1..=self.plan.repetitions {
            let doubtful = self.results.doubtful(BAR);
            if doubtful.is_empty() {
                break;
            }
            let cells: Vec<Cell> = doubtful.iter().map(|at| self.plan.cells[*at]).collect();
            (self.print)(&format!("doubtful, repeated: {}", names(&cells)));
            for round in 0..self.plan.rounds {
                self.round(repetition * self.plan.rounds + round, &doubtful)?;
            }
            save(&self.results)?;
        }
        Ok(())
    }

    /// How evenly sixteen flows share a link.
    pub fn fairness(&mut self) -> Result<()> {
        if !self.plan.fairness {
            return Ok(());
        }
        (self.print)("sixteen flows:");
        for round in 0..SHARED_ROUNDS {
            for pairing in rotated(round) {
                let sample = self.sample(&SHARED, pairing, round, Until::Time(SHARED_FOR))?;
                self.results.shared(pairing, &sample.flows);
            }
        }
        Ok(())
    }

    /// One round: of each cell the four pairings, one right after the other.
    fn round(&mut self, round: usize, cells: &[usize]) -> Result<()> {
        for at in cells {
            let cell = self.plan.cells[*at];
            for pairing in rotated(round + at) {
                let sample = self.sample(&cell, pairing, round, Until::Time(cell.duration()))?;
                self.results.add(*at, pairing, round, Measurement::from(&sample));
            }
        }
        Ok(())
    }

    /// A sample; one that failed, or that others have spoilt, is thrown away and taken again.
    fn sample(&mut self, cell: &Cell, pairing: Pairing, round: usize, until: Until) -> Result<Sample> {
        let seed = seed(cell, round);
        for _ in 0..AGAIN_MAX {
            match self.attempt(cell, pairing, seed, until) {
                Ok(sample) if sample.cores.others <= self.plan.load => return Ok(sample),
                Ok(_) => {
                    self.results.spoilt += 1;
                    (self.print)("    others were using the machine: once more");
                }
                Err(error) => {
                    self.results.failed += 1;
                    (self.print)(&format!("    {error}: once more"));
                }
            }
        }
        self.results.disturbed += 1;
        self.attempt(cell, pairing, seed, until)
    }

    fn attempt(&mut self, cell: &Cell, pairing: Pairing, seed: u64, until: Until) -> Result<Sample> {
        let sample = run::run(cell, pairing, seed, until, self.plan.captures.as_deref())
            .map_err(|error| format!("{cell}, {pairing}, seed {seed}: {error}"))?;
        (self.print)(&line(cell, pairing, &sample));
        if self.plan.told {
            (self.print)(&sample.told);
        }
        self.results.complain(&sample.complaints);
        Ok(sample)
    }
}

/// The pairings in an order that changes with every round, so that none always follows the same.
fn rotated(by: usize) -> impl Iterator<Item = Pairing> {
    (0..PAIRINGS.len()).map(move |at| PAIRINGS[(at + by) % PAIRINGS.len()])
}

/// The same for all pairings of a round.
fn seed(cell: &Cell, round: usize) -> u64 {
    Rng::from_seed(round as u64).fork(&cell.to_string()).next_u64()
}

fn line(cell: &Cell, pairing: Pairing, sample: &Sample) -> String {
    let wire = &sample.wire;
    let dropped = wire.there.dropped + wire.there.overflowed + wire.refused;
    format!(
        "  {:<28} {pairing:<12} {:>8.1} Mbit/s  {:>6} again  {:>6} lost {:>6} dropped  cpu {:.2} wire {:.2} others {:.2}  late {} us",
        cell.to_string(),
        sample.goodput / 1e6,
        sample.retransmissions,
        wire.there.lost,
        dropped,
        sample.cores.own,
        wire.cpu.as_secs_f64() / sample.took.as_secs_f64(),
        sample.cores.others,
        wire.lateness(0.99),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_chosen_by_their_names() {
        assert_eq!(select("", false).len(), 24);
        assert_eq!(select("", true).len(), 6);
        assert_eq!(names(&select("100M-20ms-1%-1bdp-1", false)), "100M-20ms-1%-1bdp-1");
        let late = select("late5%, 1G-1ms", false);
        assert!(late.iter().all(|cell| cell.late == 5 || cell.rate == 1000) && late.len() == 4);
        assert!(select("nothing", false).is_empty());
    }

    #[test]
    fn every_pairing_is_first_at_times() {
        let firsts: Vec<String> = (0..4).filter_map(|by| Some(rotated(by).next()?.to_string())).collect();
        assert_eq!(firsts, ["linux-linux", "ours-linux", "linux-ours", "ours-ours"]);
        assert_eq!(rotated(7).count(), 4);
    }

    #[test]
    fn seeds_are_of_cell_and_round() {
        assert_eq!(seed(&CELLS[1], 0), seed(&CELLS[1], 0));
        assert_ne!(seed(&CELLS[1], 0), seed(&CELLS[1], 1));
        assert_ne!(seed(&CELLS[1], 0), seed(&CELLS[2], 0));
    }
}
