//! The project's own scripts hold, on every version of IP; so do others, where the environment says that there are some.

use std::path::Path;
use usertcp_packetdrill::files::{collect, run_text};
use usertcp_packetdrill::report::{Outcome, Totals};
use usertcp_packetdrill::run::{Choices, IpVersion};

/// Folders of scripts that are not the project's own, a colon between them.
const OTHERS: &str = "USERTCP_PKT_DIRS";

/// Runs all scripts of a folder; what does not hold is told at once.
fn run_all(folder: &Path, versions: &[IpVersion], choices: &Choices) -> Totals {
    let mut totals = Totals::default();
    for file in collect(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let text = String::from_utf8_lossy(&bytes);
        let name = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
        for report in run_text(&name, &text, versions, choices) {
            if let Outcome::Failed(failure) = &report.ran.outcome {
                println!("{}", failure.describe(&report.name, &text));
            }
            totals.add(&report.name, &report.ran.outcome);
        }
    }
    totals
}

#[test]
fn the_own_scripts_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/packetdrill");
    let choices = Choices { judged: true, ..Choices::default() };
    let totals = run_all(&folder, &[IpVersion::V4, IpVersion::V6, IpVersion::Mapped], &choices);
    assert!(totals.passed > 0, "there are none");
    assert_eq!((totals.failed, totals.skips()), (0, 0), "{totals} {:?}", totals.skipped);
    assert!(totals.slack.is_zero(), "slack of {:?} in {}", totals.slack, totals.slackest);
}

#[test]
fn the_others_are_told_of() {
    let folders = std::env::var(OTHERS).unwrap_or_default();
    for folder in folders.split(':').filter(|folder| !folder.is_empty()) {
        let totals = run_all(Path::new(folder), &[], &Choices::default());
        println!("{folder}: {totals}, largest slack {:?}: {}", totals.slack, totals.slackest);
        assert!(totals.passed + totals.failed + totals.skips() > 0, "{folder} has none");
    }
}
