//! `micro`: what single operations cost, as a table; with `steps AXIS SIZE` it does each operation between two signals, for who counts instructions.

use rustix::process::{Signal, getpid, kill_process};
use std::env;
use std::io::{self, BufRead};
use usertcp_bench::Result;
use usertcp_bench::micro::{AXES, COUNTED, Extent, run};

const USAGE: &str = "usage: micro [quick]";

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [] => table(Extent::Full),
        ["quick"] => table(Extent::Quick),
        ["steps", axis, size] => return steps(axis, size.parse()?),
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

/// Each row as it comes.
fn table(extent: Extent) {
    println!("{:<64} {:>8} {:>10} {:>10} {:>10}", "ns an operation", "who", "median", "least", "most");
    run(extent, |row| {
        println!(
            "{:<64} {:>8} {:>10.1} {:>10.1} {:>10.1}",
            row.measure, row.who, row.median, row.low, row.high
        );
    });
}

/// Waits for a line, then does each scene's operation [`COUNTED`] times with SIGUSR1 before it and behind it, and says its name. Before that it is done
/// once, when queues and tables get their room.
fn steps(axis: &str, size: usize) -> Result<()> {
    io::stdin().lock().read_line(&mut String::new())?;
    let axis = AXES.into_iter().find(|known| known.name() == axis).ok_or("no such axis")?;
    for (name, mut scene) in axis.scenes(size) {
        for counted in (0..=COUNTED).map(|time| time > 0) {
            if !scene.prepare(1) {
                return Err(format!("{name} does not go on").into());
            }
            if counted {
                kill_process(getpid(), Signal::USR1)?;
            }
            scene.act();
            if counted {
                kill_process(getpid(), Signal::USR1)?;
            }
            scene.settle();
        }
        println!("{name}");
    }
    Ok(())
}
