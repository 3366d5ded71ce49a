//! Scripts in files and folders, run one after the other.

use crate::parse::parse;
use crate::report::{Failure, Kind, Outcome};
use crate::run::{Choices, IpVersion, Ran, START, run};
use std::path::{Path, PathBuf};
use usertcp_core::trace::qlog::Writer;

/// What came of a script on one version of IP.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its path, and the version where more than one was asked for.
    pub name: String,
    /// What came of it.
    pub ran: Ran,
}

/// The scripts under `path`, in order; `path` itself if it is a file.
///
/// # Errors
///
/// The first file or folder that cannot be read.
pub fn collect(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    gather(path, &mut found)?;
    Ok(found)
}

fn gather(path: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        path.metadata()?;
        found.push(path.into());
        return Ok(());
    }
    let entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
    let mut entries: Vec<PathBuf> = entries.collect::<std::io::Result<_>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|end| end == "pkt") {
            gather(&entry, found)?;
        }
    }
    Ok(())
}

/// Runs a script on each of `versions` of IP, or on the one that it names, or on IPv4.
#[must_use]
pub fn run_text(name: &str, text: &str, versions: &[IpVersion], choices: &Choices) -> Vec<Report> {
    let script = match parse(text) {
        Ok(script) => script,
        Err(error) => {
            let got = error.to_string();
            let failure = Failure { line: error.line, kind: Kind::Script, got, differences: Vec::new() };
            return vec![Report { name: name.into(), ran: Outcome::Failed(failure).into() }];
        }
    };
    if script.events.is_empty() {
        let got = "it says nothing: was it cut?".to_owned();
        let failure = Failure { line: 1, kind: Kind::Script, got, differences: Vec::new() };
        return vec![Report { name: name.into(), ran: Outcome::Failed(failure).into() }];
    }
    let says = script.options.iter().any(|(option, _)| option == "ip_version");
    if says || versions.is_empty() {
        return vec![Report { name: name.into(), ran: run(&script, choices) }];
    }
    let on = |version: &IpVersion| {
        let choices = Choices { ip_version: Some(*version), ..*choices };
        Report { name: format!("{name} ({})", version.name()), ran: run(&script, &choices) }
    };
    versions.iter().map(on).collect()
}

/// What the stack told while a script ran, as a trace of its own whose title is the script's name. Times count from the script's beginning.
#[must_use]
pub fn trace(report: &Report) -> Vec<u8> {
    let mut lines = Vec::new();
    let writer = Writer::begin(&report.name, "script", START, 0, &mut lines);
    let mut told = report.ran.trace.clone();
    writer.write_all(&mut told, &mut lines);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_has_the_name_of_its_script_and_what_its_connections_did() {
        let script = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n\
             +0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n\
             +0 connect(3, ..., ...) = -1 EINPROGRESS (now)\n\
             +0 > S 0:0(0) <...>\n\
             +.1 < R. 0:0(0) ack 1 win 0\n";
        let choices = Choices { trace: true, ..Choices::default() };
        let reports = run_text("refused.pkt", script, &[], &choices);
        let lines = String::from_utf8(trace(&reports[0])).expect("UTF-8");
        let lines: Vec<&str> = lines.lines().collect();
        assert!(lines[0].contains(r#""title":"refused.pkt""#), "{}", lines[0]);
        assert!(lines[1].starts_with(r#"{"time":0.0,"name":"connectivity:connection_started","group_id":1"#));
        let closed = lines.iter().find(|line| line.contains("connectivity:connection_closed"));
        assert!(closed.is_some_and(|line| line.starts_with(r#"{"time":100.0,"#)), "{lines:?}");
        let quiet = run_text("refused.pkt", script, &[], &Choices::default());
        assert_eq!(trace(&quiet[0]).iter().filter(|byte| **byte == b'\n').count(), 1, "the header alone");
    }

    #[test]
    fn a_script_without_a_line_does_not_hold() {
        for text in ["", "// nothing\n", "--tolerance_usecs=1\n"] {
            let reports = run_text("x", text, &[IpVersion::V4, IpVersion::V6], &Choices::default());
            assert!(
                matches!(&reports[..], [one] if matches!(one.ran.outcome, Outcome::Failed(_))),
                "{text:?}"
            );
        }
    }
}
