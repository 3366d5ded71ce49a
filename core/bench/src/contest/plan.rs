//! The plan: which measures and contenders, how many rounds, and carrying it out.

use super::arena::{self, Pace, Sample};
use super::bars::is_in_a_bar;
use super::contender::{Programs, Who};
use super::distance::Distance;
use super::measure::{Cell, Measure, cells};
use super::placement::Processors;
use super::report::Results;
use crate::Result;
use crate::micro::{self, Extent};
use std::env;
use std::time::{Duration, Instant};

/// Cores that others may use while a sample is taken.
const LOAD_MAX: f64 = 0.3;

/// How often a sample is taken again because others were using the machine, or since the processors were far from each other; then it stands, and is counted.
const AGAIN_MAX: usize = 2;

/// Longest that a sample waits for the processors to be near each other.
const NEAR_WITHIN: Duration = Duration::from_secs(1);

/// For how long all in all one waits for the machine and takes samples that it then spoils, so that the whole ends within a quarter of an hour, or a minute if it is
/// to be quick. Each round may have used its share and what those before it have left.
const PATIENCE: Duration = Duration::from_secs(2 * 60);
const PATIENCE_QUICK: Duration = Duration::from_secs(15);

const PACE: Pace = Pace { warm: Duration::from_millis(200), window: Duration::from_millis(600) };
const PACE_QUICK: Pace = Pace { warm: Duration::from_millis(100), window: Duration::from_millis(200) };

/// What to ask for to have single operations measured alone.
const MICRO: &str = "micro";

/// What is to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) cells: Vec<Cell>,
    pub(crate) rounds: usize,
    pub(crate) pace: Pace,
    /// Cores that others may use while a sample is taken.
    pub(crate) load: f64,
    pub(crate) patience: Duration,
    pub(crate) programs: Programs,
    /// Whether single operations are measured too.
    pub(crate) micro: Option<Extent>,
}

impl Plan {
    /// By the environment: `QUICK=1` for what bars are about, but a million connections, and two rounds, `ROUNDS`, `ONLY` for measures that are called as one of its words, or else contain it (words are separated
    /// by semicolons), `WHO` for contenders (by commas), `LOAD` for the cores that others may use, `WINDOW` in milliseconds.
    pub(crate) fn from_environment(programs: impl Iterator<Item = String>) -> Result<Self> {
        let word = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let number = |name: &str, default: f64| match word(name) {
            Some(text) => text.parse().map_err(|_| format!("{name}={text}: not a number")),
            None => Ok(default),
        };
        let quick = word("QUICK").is_some_and(|value| value != "0");
        let only = word("ONLY");
        let all = only.is_some() || !quick;
        let programs = Programs::parse(programs)?;
        let there = |who: Who| who.is_there(&programs);
        let only = only.unwrap_or_default();
        let micro = (only.is_empty() || only.split(';').any(|word| word.trim() == MICRO))
            .then_some(if quick { Extent::Quick } else { Extent::Full });
        let cells = select(&only, &word("WHO").unwrap_or_default(), all, there);
        if cells.is_empty() && micro.is_none() {
            return Err("no measure and contender is called so".into());
        }
        let rounds = number("ROUNDS", if quick { 2.0 } else { 8.0 })?.max(1.0) as usize;
        let mut pace = if quick { PACE_QUICK } else { PACE };
        pace.window = Duration::from_millis(number("WINDOW", pace.window.as_millis() as f64)? as u64);
        let patience = if quick { PATIENCE_QUICK } else { PATIENCE };
        Ok(Self { cells, rounds, pace, load: number("LOAD", LOAD_MAX)?, patience, programs, micro })
    }
}

/// The cells that are asked for, with the contenders that are asked for and there.
fn select(only: &str, who: &str, all: bool, there: impl Fn(Who) -> bool) -> Vec<Cell> {
    let words = |text: &str, mark| -> Vec<String> {
        text.split(mark).map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
    };
    let (only, asked) = (words(only, ';'), words(who, ','));
    let mut selected = cells();
    let names: Vec<String> = selected.iter().map(|cell| cell.measure.to_string()).collect();
    let is_meant = |word: &String, name: &String| {
        if names.contains(word) { name == word } else { name.contains(word) }
    };
    selected.retain(|cell| {
        let name = cell.measure.to_string();
        only.is_empty() || only.iter().any(|word| is_meant(word, &name))
    });
    for cell in &mut selected {
        // A million connections alone take half a minute.
        let quick = cell.measure != Measure::MILLION;
        cell.who.retain(|who| all || quick && is_in_a_bar(*who, &cell.measure));
        cell.who.retain(|who| there(*who) && (asked.is_empty() || asked.contains(&who.to_string())));
    }
    selected.retain(|cell| !cell.who.is_empty());
    selected
}

/// Carries a plan out.
pub(crate) struct Runner {
    plan: Plan,
    processors: Processors,
    distance: Distance,
    /// What has been measured so far.
    pub(crate) results: Results,
    print: fn(&str),
    /// How much of the plan's patience is used up.
    lost: Duration,
}

impl Runner {
    /// `print` gets a line for every sample.
    pub(crate) fn new(plan: Plan, print: fn(&str)) -> Result<Self> {
        let processors = Processors::find()?;
        print(&processors.describe());
        let distance = Distance::find(processors)?;
        let results = Results::new(&plan.cells, processors.describe());
        Ok(Self { plan, processors, distance, results, print, lost: Duration::ZERO })
    }

    /// All rounds; `save` is called after each.
    pub(crate) fn rounds(&mut self, mut save: impl FnMut(&Results) -> Result<()>) -> Result<()> {
        let cells = self.plan.cells.clone();
        for round in 0..self.plan.rounds {
            (self.print)(&format!("round {} of {}:", round + 1, self.plan.rounds));
            for cell in cells.iter().filter(|cell| round < cell.rounds) {
                for who in rotated(&cell.who, round) {
                    self.take(cell, who, round);
                }
            }
            save(&self.results)?;
        }
        Ok(())
    }

    /// What single operations cost, if that is asked for.
    pub(crate) fn micro(&mut self) {
        if let Some(extent) = self.plan.micro {
            (self.print)("single operations:");
            micro::run(extent, |row| self.results.micro.push(row));
        }
    }

    /// A sample; one that failed, or that the machine has spoilt, is thrown away and taken again.
    fn take(&mut self, cell: &Cell, who: Who, round: usize) {
        let patience = self.plan.patience.mul_f64((round + 1) as f64 / self.plan.rounds as f64);
        for attempt in 0..=AGAIN_MAX {
            let last = attempt == AGAIN_MAX || self.lost >= patience;
            let waiting = Instant::now();
            let near = self.distance.wait_until_near(if last { Duration::ZERO } else { NEAR_WITHIN });
            self.lost += waiting.elapsed();
            let begun = Instant::now();
            match near.and_then(|near| self.sample(cell, who, near)) {
                Ok((sample, None)) => return self.note(cell, who, round, &sample),
                Ok((sample, Some(_))) if last => {
                    self.results.disturbed += 1;
                    return self.note(cell, who, round, &sample);
                }
                Ok((_, Some(why))) => {
                    self.results.spoilt += 1;
                    self.lost += begun.elapsed();
                    (self.print)(&format!("    {why}: once more"));
                }
                Err(error) => {
                    self.results.failed += 1;
                    (self.print)(&format!("  {:<28} {who:<12} {error}", cell.measure.to_string()));
                    if last {
                        return;
                    }
                }
            }
        }
    }

    /// A sample, and what has spoilt it; `near`: how it begins.
    fn sample(&mut self, cell: &Cell, who: Who, near: bool) -> Result<(Sample, Option<String>)> {
        let sample = arena::sample(who, &cell.measure, self.plan.pace, &self.plan.programs, self.processors)?;
        let near = near && self.distance.is_near()?;
        let why = if sample.others > self.plan.load {
            Some(format!("others used {:.2} cores", sample.others))
        } else {
            (!near).then(|| "the processors were far from each other".to_owned())
        };
        Ok((sample, why))
    }

    fn note(&mut self, cell: &Cell, who: Who, round: usize, sample: &Sample) {
        let mut line = format!("  {:<28} {who:<12}", cell.measure.to_string());
        for (quantity, value) in &sample.values {
            line += &format!(" {value:>9.3} {}", quantity.unit());
            self.results.add(cell.measure.row(*quantity), who, round, *value);
        }
        (self.print)(&format!("{line}  others {:.2}", sample.others));
        self.results.complain(&sample.complaints);
    }
}

/// In an order that changes with every round, so that none always follows the same.
fn rotated(who: &[Who], by: usize) -> impl Iterator<Item = Who> {
    (0..who.len()).map(move |at| who[(at + by) % who.len()])
}

#[cfg(test)]
mod tests {
    use super::super::bars::bars;
    use super::*;

    #[test]
    fn measures_and_contenders_are_chosen_by_name() {
        let all = |_| true;
        assert_eq!(select("", "", true, all).len(), cells().len());
        let quick = select("", "", false, all);
        assert!(!quick.is_empty() && quick.len() < cells().len());
        for bar in bars().iter().filter(|bar| bar.measure != Measure::MILLION) {
            let cell = quick.iter().find(|cell| cell.measure == bar.measure).expect("a measure");
            assert!(cell.who.contains(&bar.who) && bar.to.is_none_or(|to| cell.who.contains(&to)), "{bar:?}");
        }
        let some = select("receive, plain; connect", "ours,null", true, all);
        let names: Vec<String> = some.iter().map(|cell| cell.measure.to_string()).collect();
        assert_eq!(
            names,
            [
                "receive, plain, 1",
                "receive, plain, 16",
                "receive, plain, 256",
                "receive, plain, 16, both CPUs",
                "connect and close"
            ]
        );
        assert!(some.iter().all(|cell| cell.who.iter().all(|who| [Who::Null, Who::Ours].contains(who))));
        let one = select("receive, vnet, 1", "", true, all);
        assert_eq!((one.len(), one[0].measure.connections), (1, 1));
        assert!(select("nothing", "", true, all).is_empty());
        assert!(select("connect", "null", true, all).is_empty());
    }

    #[test]
    fn who_is_not_there_is_left_out() {
        let cells = select("", "", true, |who| ![Who::Ours, Who::Smoltcp].contains(&who));
        assert!(cells.iter().all(|cell| !cell.who.contains(&Who::Ours)));
        assert!(cells.iter().all(|cell| !cell.measure.to_string().contains("idle")));
    }

    #[test]
    fn every_contender_is_first_at_times() {
        let who = [Who::Null, Who::Ours, Who::Kernel];
        let firsts: Vec<Who> = (0..3).filter_map(|by| rotated(&who, by).next()).collect();
        assert_eq!(firsts, who);
        assert_eq!(rotated(&who, 7).count(), 3);
    }
}
