//! Log records, in words: how the stack and its connections live.

use crate::time::Instant;
use std::collections::VecDeque;

/// How much a log record matters; the numbers are those of the C interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Level {
    /// Something the program should mend.
    Error = 1,
    /// Something unexpected that the stack coped with.
    Warn = 2,
    /// Life of the stack: opened, link up and down, closed.
    Info = 3,
    /// Life of each connection.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

/// One log record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When, on the stack's clock.
    pub at: Instant,
    /// How much it matters.
    pub level: Level,
    /// What happened.
    pub text: String,
}

/// A bounded queue of log records; when it is full the newest are dropped and counted.
#[derive(Debug)]
pub struct Log {
    level: Option<Level>,
    records: VecDeque<Record>,
    lost: u64,
}

/// Records kept until somebody drains them.
const CAPACITY: usize = 1024;

impl Log {
    /// A log of records up to and including `level`; `None` records nothing.
    #[must_use]
    pub const fn new(level: Option<Level>) -> Self {
        Self { level, records: VecDeque::new(), lost: 0 }
    }

    /// Whether a record of `level` would be kept: one branch, so that text is made only when wanted.
    #[must_use]
    pub fn wants(&self, level: Level) -> bool {
        self.level.is_some_and(|most| level <= most)
    }

    /// Queues a record whose text `text` makes, if `level` is wanted.
    pub fn record(&mut self, at: Instant, level: Level, text: impl FnOnce() -> String) {
        if !self.wants(level) {
            return;
        }
        if self.records.len() >= CAPACITY {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        self.records.push_back(Record { at, level, text: text() });
    }

    /// Whether nothing waits to be drained.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.lost == 0
    }

    /// Takes what is queued, oldest first, and the number of records lost since the last call.
    pub fn drain(&mut self) -> (VecDeque<Record>, u64) {
        (std::mem::take(&mut self.records), std::mem::take(&mut self.lost))
    }
}
