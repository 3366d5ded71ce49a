//! `netsim`: runs the grid of simulated paths, or one scenario, and writes pictures and numbers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use usertcp_bench::netsim::{Failure, grid, numbers, over_time};
use usertcp_core::sim::grid::{Cell, cells, table};
use usertcp_core::sim::scenario::{SETTINGS, Sampling, Scenario};

const USAGE: &str = "\
usage: netsim [--out FOLDER]                  runs the grid of core/tests/netsim/cells.txt: grid.txt and grid.svg
       netsim [--out FOLDER] NAME [SETTING].. runs that cell, settings changed: NAME.svg and NAME.csv
       netsim [--out FOLDER] SETTING..        runs a scenario: run.svg and run.csv
The folder is target/netsim. Settings, as they are unless given:
";

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("netsim: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut words: Vec<String>) -> Result<(), Failure> {
    if words.iter().any(|word| word == "-h" || word == "--help") {
        println!("{USAGE}{SETTINGS}");
        return Ok(());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut out = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    out.push("netsim");
    if words.first().is_some_and(|word| word == "--out") {
        out =
            words.drain(..2.min(words.len())).next_back().map(PathBuf::from).ok_or("--out needs a folder")?;
    }
    fs::create_dir_all(&out)?;
    let cells = cells(&fs::read_to_string(root.join("core/tests/netsim/cells.txt"))?)?;
    match words.split_first() {
        None => whole(cells, &out),
        Some((first, _)) if first.contains('=') => one("run", words.join(" ").parse()?, &out),
        Some((name, changes)) => {
            let cell = cells.iter().find(|cell| cell.name == *name);
            let cell = cell.ok_or_else(|| format!("no cell is called `{name}`; the grid has their names"))?;
            let settings = format!("{} {}", cell.scenario, changes.join(" "));
            one(name, settings.parse()?, &out)
        }
    }
}

/// Runs every cell, as many at once as there are processors.
fn whole(cells: Vec<Cell>, out: &Path) -> Result<(), Failure> {
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut results: Vec<_> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push((cell.name.as_str(), cell.scenario.run()));
            }
            done
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    let mut rows = Vec::new();
    for cell in &cells {
        let at = results.iter().position(|(name, _)| *name == cell.name).ok_or("a cell has panicked")?;
        rows.push((cell.clone(), results.swap_remove(at).1));
    }
    let text = table(rows.iter().map(|(cell, outcome)| (cell, outcome)));
    print!("{text}");
    write(&out.join("grid.txt"), &text)?;
    write(&out.join("grid.svg"), &grid::picture("The grid of simulated paths", &rows)?)
}

/// Runs one scenario and looks at it all the time.
fn one(name: &str, scenario: Scenario, out: &Path) -> Result<(), Failure> {
    let scenario = Scenario { sampling: Sampling::Changes, ..scenario };
    let cell = Cell { name: name.into(), scenario };
    let outcome = cell.scenario.run();
    print!("{}", table([(&cell, &outcome)]));
    let report = outcome?;
    for (index, flow) in report.flows.iter().enumerate() {
        println!("flow {index}: {} kbit/s, {flow:?}", flow.goodput() / 1000);
    }
    println!("data: {:?}\nacks: {:?}", report.data_way, report.ack_way);
    for (name, counters) in ["client", "server"].iter().zip(&report.counters) {
        let counted = counters.iter().filter(|(_, value, _)| *value > 0);
        let words: Vec<_> = counted.map(|(what, value, _)| format!("{what} {value}")).collect();
        println!("{name}: {}", words.join(", "));
    }
    let title = cell.scenario.to_string();
    write(&out.join(format!("{name}.svg")), &over_time::picture(&title, &report.samples, report.took)?)?;
    write(&out.join(format!("{name}.csv")), &numbers::table(&report.samples))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}
