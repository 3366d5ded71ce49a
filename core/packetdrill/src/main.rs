//! Runs scripts and tells what came of them.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use usertcp_core::config::Personality;
use usertcp_packetdrill::files::{self, collect, run_text};
use usertcp_packetdrill::report::{Outcome, Totals};
use usertcp_packetdrill::run::{Choices, IpVersion};

const USAGE: &str =
    "usage: usertcp-packetdrill [--verbose] [--packets] [--trace FILE] [--ip_versions=ipv4,ipv6,ipv4-mapped-ipv6]
                           [--personality=linux|freebsd] FILE|FOLDER ...

Runs packetdrill scripts, all *.pkt of folders, against the stack on a virtual clock.
  --verbose      tell of every script, not only of those that fail
  --packets      tell what happens in a script, packet by packet
  --trace        write what happens to its connections to FILE, as JSON lines in qlog's structure: states, windows, what is sent and why, what is
                 dropped and why; several scripts one after the other, each with a header of its own
  --ip_versions  run scripts that name no version of IP on each of these; ipv4 if it is not given
  --personality  whose habits the stack has; those of the system that a script is for if it is not given";

/// What the command line says.
#[derive(Default)]
struct Arguments {
    verbose: bool,
    packets: bool,
    trace: Option<PathBuf>,
    versions: Vec<IpVersion>,
    personality: Option<Personality>,
    paths: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let Some(arguments) = arguments(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut scripts = Vec::new();
    for path in &arguments.paths {
        match collect(path) {
            Ok(found) if found.is_empty() => {
                eprintln!(
                    "{}: no *.pkt is in it: name a file, or the folder that has the scripts",
                    path.display()
                );
                return ExitCode::from(2);
            }
            Ok(found) => scripts.extend(found),
            Err(error) => {
                eprintln!("{}: {error}: is the name right, and may it be read?", path.display());
                return ExitCode::from(2);
            }
        }
    }
    // A panic of the stack is a failure of its script, and told there.
    std::panic::set_hook(Box::new(|_| {}));
    let started = Instant::now();
    let mut totals = Totals::default();
    let mut trace = None;
    if let Some(path) = &arguments.trace {
        match File::create(path) {
            Ok(file) => trace = Some(file),
            Err(error) => return unwritable(path, &error),
        }
    }
    for file in &scripts {
        if let Err(error) = one(file, &arguments, trace.as_mut(), &mut totals) {
            return unwritable(arguments.trace.as_deref().unwrap_or(file), &error);
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    for (reason, count) in &totals.skipped {
        println!("skipped {count}: {reason}");
    }
    if !totals.slackest.is_empty() {
        println!("largest slack {:.6} s: {}", totals.slack.as_secs_f64(), totals.slackest);
    }
    let runs = totals.passed + totals.failed + totals.skips();
    println!("{runs} scripts in {seconds:.2} s, {:.0} a second", runs as f64 / seconds.max(1e-9));
    println!("{totals}");
    if totals.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn unwritable(path: &Path, error: &std::io::Error) -> ExitCode {
    eprintln!("{}: {error}: the trace cannot be written there", path.display());
    ExitCode::from(2)
}

fn arguments(mut words: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--verbose" => arguments.verbose = true,
            "--packets" => arguments.packets = true,
            "--trace" => arguments.trace = Some(trace_file(&words.next()?)?),
            word if word.starts_with("--trace=") => {
                arguments.trace = Some(trace_file(word.strip_prefix("--trace=")?)?);
            }
            word => match word.strip_prefix("--ip_versions=") {
                Some(names) => {
                    for name in names.split(',') {
                        arguments.versions.push(IpVersion::named(name)?);
                    }
                }
                None if word.starts_with("--personality=") => {
                    let (_, name) = word.split_once('=')?;
                    arguments.personality = Some(name.parse().ok()?);
                }
                None if word.starts_with("--") => return None,
                None => arguments.paths.push(word.into()),
            },
        }
    }
    (!arguments.paths.is_empty()).then_some(arguments)
}

/// Where a trace goes; never over a script, nor into a file that begins like an option.
fn trace_file(name: &str) -> Option<PathBuf> {
    (!name.is_empty() && !name.starts_with('-') && !name.ends_with(".pkt")).then(|| name.into())
}

fn one(
    file: &Path,
    arguments: &Arguments,
    trace: Option<&mut File>,
    totals: &mut Totals,
) -> std::io::Result<()> {
    let name = file.display().to_string();
    let text = match std::fs::read(file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            println!("{name}: {error}");
            totals.failed += 1;
            return Ok(());
        }
    };
    let choices = Choices {
        packets: arguments.packets,
        trace: trace.is_some(),
        personality: arguments.personality,
        ..Choices::default()
    };
    let reports = run_text(&name, &text, &arguments.versions, &choices);
    if let Some(file) = trace {
        reports.iter().try_for_each(|report| file.write_all(&files::trace(report)))?;
    }
    for report in reports {
        let name = &report.name;
        report.ran.packets.iter().for_each(|line| println!("{line}"));
        match &report.ran.outcome {
            Outcome::Passed(passed) => {
                if arguments.verbose {
                    println!("{name}: passed, slack {:.6} s", passed.slack.as_secs_f64());
                    for warning in &passed.warnings {
                        print!("borne: {}", warning.describe(name, &text));
                    }
                }
            }
            Outcome::Failed(failure) => print!("{}", failure.describe(name, &text)),
            Outcome::Skipped(reason) => {
                if arguments.verbose {
                    println!("{name}: skipped: {reason}");
                }
            }
        }
        totals.add(name, &report.ran.outcome);
    }
    Ok(())
}
