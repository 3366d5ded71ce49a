//! The project's own scripts hold, on every version of IP; so do others, where the environment says that there are some.

use std::path::Path;
use usertcp_packetdrill::files::{collect, run_text};
use usertcp_packetdrill::report::{Outcome, Totals};
use usertcp_packetdrill::run::{Choices, IpVersion};

/// Folders of scripts that are not the project's own, a colon between them.
const OTHERS: &str = "USERTCP_PKT_DIRS";

/// What of them does not pass, and why.
const LISTS: &str = "../../docs/packetdrill.md";

/// Runs all scripts of a folder; what does not hold is told at once. `each` is told the name of every script and what came of it.
fn run_all(
    folder: &Path,
    versions: &[IpVersion],
    choices: &Choices,
    mut each: impl FnMut(&str, &Outcome),
) -> Totals {
    let mut totals = Totals::default();
    for file in collect(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let text = String::from_utf8_lossy(&bytes);
        let name = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
        for report in run_text(&name, &text, versions, choices) {
            if let Outcome::Failed(failure) = &report.ran.outcome {
                println!("{}", failure.describe(&report.name, &text));
            }
            each(&name, &report.ran.outcome);
            totals.add(&report.name, &report.ran.outcome);
        }
    }
    totals
}

#[test]
fn the_own_scripts_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/packetdrill");
    let choices = Choices { judged: true, ..Choices::default() };
    let totals = run_all(&folder, &[IpVersion::V4, IpVersion::V6, IpVersion::Mapped], &choices, |_, _| {});
    assert!(totals.passed > 0, "there are none");
    assert_eq!((totals.failed, totals.skips()), (0, 0), "{totals} {:?}", totals.skipped);
    assert!(totals.slack.is_zero(), "slack of {:?} in {}", totals.slack, totals.slackest);
}

#[test]
fn the_own_scripts_hold_where_connections_sleep_whenever_they_are_at_rest() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/packetdrill");
    let choices = Choices { drowsy: true, ..Choices::default() };
    let totals = run_all(&folder, &[IpVersion::V4], &choices, |_, _| {});
    assert_eq!((totals.failed, totals.skips()), (0, 0), "{totals} {:?}", totals.skipped);
}

/// The first cells of the tables of the lists.
fn listed() -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(LISTS)).unwrap_or_default();
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    cells.filter(|cell| cell.ends_with(".pkt")).map(str::to_owned).collect()
}

/// Whether `path` ends as `pattern` says, `*` standing for any letters but a slash.
fn matches(pattern: &str, path: &str) -> bool {
    let depth = pattern.split('/').count();
    let parts: Vec<&str> = path.split('/').collect();
    let Some(from) = parts.len().checked_sub(depth) else { return false };
    pattern.split('/').zip(&parts[from..]).all(|(pattern, part)| fits(pattern, part))
}

fn fits(pattern: &str, part: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == part };
    let Some(rest) = part.strip_prefix(before) else { return false };
    (0..=rest.len()).filter_map(|at| rest.get(at..)).any(|rest| fits(after, rest))
}

#[test]
fn lists_are_read() {
    assert!(listed().iter().any(|path| path.ends_with(".pkt")), "{:?}", listed());
    assert!(matches("sack/shift-*-nofack.pkt", "google/sack/shift-2-nofack.pkt"));
    assert!(!matches("sack/shift-*-nofack.pkt", "google/sack/shift-2-fack.pkt"));
    assert!(!matches("sack/shift-*.pkt", "shift-2.pkt"));
    assert!(!matches("a*.pkt", "ab/c.pkt"));
}

#[test]
fn of_the_others_exactly_those_fail_that_are_listed() {
    let listed = listed();
    let (mut unlisted, mut seen) = (Vec::new(), vec![(0, 0); listed.len()]);
    let folders = std::env::var(OTHERS).unwrap_or_default();
    for folder in folders.split(':').filter(|folder| !folder.is_empty()) {
        let totals = run_all(Path::new(folder), &[], &Choices::default(), |name, outcome| {
            let path = format!("{folder}/{name}");
            let lines = listed.iter().zip(&mut seen).filter(|(pattern, _)| matches(pattern, &path));
            let counts: Vec<_> = lines.map(|(_, counts)| counts).collect();
            match outcome {
                Outcome::Failed(_) if counts.is_empty() => unlisted.push(path),
                Outcome::Failed(_) => counts.into_iter().for_each(|count| count.0 += 1),
                Outcome::Passed(_) => counts.into_iter().for_each(|count| count.1 += 1),
                Outcome::Skipped(_) => {}
            }
        });
        println!("{folder}: {totals}, largest slack {:?}: {}", totals.slack, totals.slackest);
        assert!(totals.passed + totals.failed + totals.skips() > 0, "{folder} has none");
    }
    assert!(unlisted.is_empty(), "these fail and are not in docs/packetdrill.md: {unlisted:#?}");
    let passing = listed.iter().zip(&seen).filter(|(_, (_, passed))| *passed > 0);
    let passing: Vec<_> = passing.collect();
    assert!(passing.is_empty(), "docs/packetdrill.md lists what passes (failed, passed): {passing:?}");
}
