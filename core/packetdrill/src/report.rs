//! What came of a script, for people.

use std::fmt;
use std::time::Duration;

/// What came of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was as it says.
    Passed(Passed),
    /// Something was not.
    Failed(Failure),
    /// It needs something that there is not.
    Skipped(String),
}

/// A script that holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Most that the time of an event differed from the script's.
    pub slack: Duration,
    /// Failures that the script itself says are not to end it.
    pub warnings: Vec<Failure>,
}

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It happened at another time.
    Time,
    /// A packet has other fields.
    Packet,
    /// A packet was not sent.
    Missing,
    /// A packet was sent that no line expects.
    Extra,
    /// A packet follows the last line.
    After,
    /// A packet is not sound.
    Unsound,
    /// A call returned something else.
    Result,
    /// A call failed with another error.
    Error,
    /// A call would sleep and may not.
    Blocks,
    /// A call returned too early or too late.
    Return,
    /// Code or an oracle does not hold.
    Assertion,
    /// The stack panicked or goes on for ever.
    Stack,
    /// What the stack sent does not keep to the RFCs.
    Judged,
    /// The script is none.
    Script,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "wrong time",
            Self::Packet => "wrong packet",
            Self::Missing => "missing packet",
            Self::Extra => "unexpected packet",
            Self::After => "packet after the last line",
            Self::Unsound => "unsound packet",
            Self::Result => "wrong result",
            Self::Error => "wrong error",
            Self::Blocks => "call would block",
            Self::Return => "wrong time of return",
            Self::Assertion => "assertion",
            Self::Stack => "stack",
            Self::Judged => "not by the RFCs",
            Self::Script => "script",
        })
    }
}

/// One thing in which two differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Of what.
    pub field: String,
    /// What the script says.
    pub expected: String,
    /// What it was.
    pub got: String,
}

impl Difference {
    /// From anything that can be shown.
    pub(crate) fn new(field: &str, expected: impl ToString, got: impl ToString) -> Self {
        Self { field: field.into(), expected: expected.to_string(), got: got.to_string() }
    }
}

/// Why a script does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Line of the event, from 1.
    pub line: u32,
    /// Of which kind it is.
    pub kind: Kind,
    /// What happened instead, in words; a packet in the language of scripts.
    pub got: String,
    /// Field by field.
    pub differences: Vec<Difference>,
}

impl Failure {
    /// The failure in several lines: place, text of the event, what differs.
    #[must_use]
    pub fn describe(&self, name: &str, text: &str) -> String {
        use fmt::Write;
        let mut out = format!("{name}:{}: {}\n", self.line, self.kind);
        let line = (self.line as usize).checked_sub(1).and_then(|index| text.lines().nth(index));
        if let Some(line) = line {
            let _ = writeln!(out, "    script: {}", line.trim());
        }
        if !self.got.is_empty() {
            let _ = writeln!(out, "    got:    {}", self.got);
        }
        for Difference { field, expected, got } in &self.differences {
            let _ = writeln!(out, "    {field}: expected {expected}, got {got}");
        }
        out
    }
}

/// Sums over many scripts.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Scripts that hold.
    pub passed: usize,
    /// Scripts that do not.
    pub failed: usize,
    /// Reasons for which scripts were skipped, and how many for each.
    pub skipped: std::collections::BTreeMap<String, usize>,
    /// The largest slack and whose it is.
    pub slack: Duration,
    /// The script of the largest slack.
    pub slackest: String,
}

impl Totals {
    /// Counts one.
    pub fn add(&mut self, name: &str, outcome: &Outcome) {
        match outcome {
            Outcome::Passed(passed) => {
                self.passed += 1;
                if passed.slack > self.slack {
                    self.slack = passed.slack;
                    self.slackest = name.into();
                }
            }
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Skipped(reason) => *self.skipped.entry(reason.clone()).or_default() += 1,
        }
    }

    /// Scripts skipped, whatever the reason.
    #[must_use]
    pub fn skips(&self) -> usize {
        self.skipped.values().sum()
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skips())
    }
}
