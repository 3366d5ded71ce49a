//! Runs scripts and tells what came of them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use usertcp_packetdrill::parse::parse;
use usertcp_packetdrill::report::{Failure, Kind, Outcome, Totals};
use usertcp_packetdrill::run::{Choices, IpVersion, run};

const USAGE: &str = "usage: usertcp-packetdrill [--verbose] [--trace] [--ip_versions=ipv4,ipv6,ipv4-mapped-ipv6] FILE|FOLDER ...";

/// What the command line says.
#[derive(Default)]
struct Arguments {
    verbose: bool,
    trace: bool,
    versions: Vec<IpVersion>,
    paths: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let Some(arguments) = arguments(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut files = Vec::new();
    for path in &arguments.paths {
        if let Err(error) = collect(path, &mut files) {
            eprintln!("{}: {error}", path.display());
            return ExitCode::from(2);
        }
    }
    // A panic of the stack is a failure of its script, and told there.
    std::panic::set_hook(Box::new(|_| {}));
    let started = Instant::now();
    let mut totals = Totals::default();
    for file in &files {
        one(file, &arguments, &mut totals);
    }
    let seconds = started.elapsed().as_secs_f64();
    for (reason, count) in &totals.skipped {
        println!("skipped {count}: {reason}");
    }
    if totals.passed > 0 {
        println!("largest slack {:.6} s: {}", totals.slack.as_secs_f64(), totals.slackest);
    }
    let runs = totals.passed + totals.failed + totals.skips();
    println!("{runs} scripts in {seconds:.2} s, {:.0} a second", runs as f64 / seconds.max(1e-9));
    println!("{totals}");
    if totals.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn arguments(words: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut arguments = Arguments::default();
    for word in words {
        match word.as_str() {
            "--verbose" => arguments.verbose = true,
            "--trace" => arguments.trace = true,
            word => match word.strip_prefix("--ip_versions=") {
                Some(names) => {
                    for name in names.split(',') {
                        arguments.versions.push(IpVersion::named(name)?);
                    }
                }
                None if word.starts_with("--") => return None,
                None => arguments.paths.push(word.into()),
            },
        }
    }
    (!arguments.paths.is_empty()).then_some(arguments)
}

/// The scripts under `path`, in order.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        path.metadata()?;
        files.push(path.into());
        return Ok(());
    }
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|end| end == "pkt") {
            collect(&entry, files)?;
        }
    }
    Ok(())
}

fn one(file: &Path, arguments: &Arguments, totals: &mut Totals) {
    let name = file.display().to_string();
    let text = match std::fs::read(file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            println!("{name}: {error}");
            totals.failed += 1;
            return;
        }
    };
    let script = match parse(&text) {
        Ok(script) => script,
        Err(error) => {
            let got = error.to_string();
            let failure = Failure { line: error.line, kind: Kind::Script, got, differences: Vec::new() };
            print!("{}", failure.describe(&name, &text));
            totals.add(&name, &Outcome::Failed(failure));
            return;
        }
    };
    let says = script.options.iter().any(|(option, _)| option == "ip_version");
    let versions: Vec<Option<IpVersion>> = match &arguments.versions[..] {
        versions if !says && !versions.is_empty() => versions.iter().copied().map(Some).collect(),
        _ => vec![None],
    };
    for version in versions {
        let name = version.map_or(name.clone(), |version| format!("{name} ({})", version.name()));
        let choices = Choices { ip_version: version, trace: arguments.trace, spoil: None };
        let ran = run(&script, &choices);
        ran.trace.iter().for_each(|line| println!("{line}"));
        match &ran.outcome {
            Outcome::Passed(passed) => {
                if arguments.verbose {
                    println!("{name}: passed, slack {:.6} s", passed.slack.as_secs_f64());
                    passed
                        .warnings
                        .iter()
                        .for_each(|warning| print!("warning: {}", warning.describe(&name, &text)));
                }
            }
            Outcome::Failed(failure) => print!("{}", failure.describe(&name, &text)),
            Outcome::Skipped(reason) => {
                if arguments.verbose {
                    println!("{name}: skipped: {reason}");
                }
            }
        }
        totals.add(&name, &ran.outcome);
    }
}
