//! `make compare`: the stack and Linux side by side, as a table and a file of results.

use std::path::PathBuf;
use std::{env, fs};
use usertcp_bench::compare::plan::{Plan, Runner};
use usertcp_bench::compare::report::Results;
use usertcp_bench::{Result, priority};

fn main() -> Result<()> {
    let path =
        env::args_os().nth(1).map_or_else(|| PathBuf::from("target/compare/results.json"), PathBuf::from);
    let save = |results: &Results| -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(&path, results.json()?)?)
    };
    let plan = Plan::from_environment()?;
    // Before any thread is started, so that all of them have it.
    match priority::take() {
        Ok(()) => println!("with real-time priority; no thread is bound to a processor"),
        Err(error) => println!("without real-time priority ({error}): what other programs do shows more"),
    }
    let mut runner = Runner::new(plan, |line| println!("{line}"));
    runner.check_wire()?;
    runner.rounds(save)?;
    runner.fairness()?;
    save(&runner.results)?;
    println!("\n{}", runner.results.table());
    println!("written to {}", path.display());
    Ok(())
}
