//! The stack, a bare loop, and others on TUNs of the same kind, measured in one run in alternating rounds.
//!
//! `docs/PERFORMANCE.md` says what is measured, what a contender has to do, and how not to be fooled.

mod arena;
mod bars;
mod contender;
mod distance;
mod kernel;
mod measure;
mod null;
mod order;
mod peer;
mod placement;
mod plan;
mod process;
mod report;
mod smoltcp;
mod tally;

use crate::idle::{self, Opener};
use crate::{Result, priority};
use order::Order;
use plan::{Plan, Runner};
use report::Results;
use std::path::PathBuf;
use std::time::Instant;
use std::{env, fs};
use tally::say;

/// What Linux is set to: the default may be another.
const CONTROLLER: &str = "cubic";

/// The whole of `make bench`. This program is also the peer and some of the contenders, by its first argument; else the arguments are where results go, and
/// the programs of other contenders as `name=path`.
pub fn run() -> Result<()> {
    let mut arguments = env::args().skip(1);
    match arguments.next().as_deref() {
        Some("contender") => contender::run(&Order::parse(arguments)?),
        Some("peer") => peer::run(&Order::parse(arguments)?),
        Some("crowd") => crowd(arguments.next().unwrap_or_default().parse()?),
        path => measure(PathBuf::from(path.unwrap_or("target/bench/results.json")), arguments),
    }
}

/// Keeps so many connections, and says how much memory the process took at most.
fn crowd(connections: usize) -> Result<()> {
    let idle = idle::idle(connections, Opener::Own, None)?;
    say(&format!("end {} {}", idle.close.as_nanos(), idle.resident))
}

fn measure(path: PathBuf, programs: impl Iterator<Item = String>) -> Result<()> {
    let begun = Instant::now();
    let save = |results: &Results| -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(&path, results.json()?)?)
    };
    let plan = Plan::from_environment(programs)?;
    if let Err(error) = priority::ahead() {
        println!("at ordinary priority ({error}): what other programs do shows more");
    }
    let mut runner = Runner::new(plan, |line| println!("{line}"))?;
    runner.rounds(save)?;
    runner.micro();
    save(&runner.results)?;
    println!("\n{}", runner.results.table());
    println!("written to {} after {} s", path.display(), begun.elapsed().as_secs());
    Ok(())
}
