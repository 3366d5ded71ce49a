//! The stack and Linux, side by side on the same wire: goodput through named cells, for every pairing of sender and receiver.
//!
//! `docs/compare.md` says what is measured, and how not to be fooled by it.

pub mod cells;
mod host;
pub mod plan;
pub mod report;
mod run;
mod wire;

pub use crate::Result;
pub use host::CONTROLLER;
pub use run::Until;

use std::fmt;

/// A TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// This machine's kernel.
    Linux,
    /// The stack.
    Ours,
}

/// Who sends and who receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairing {
    /// Who sends.
    pub sender: System,
    /// Who receives.
    pub receiver: System,
}

/// All of them; the first is what the others are compared with.
pub const PAIRINGS: [Pairing; 4] = {
    use System::{Linux, Ours};
    [
        Pairing { sender: Linux, receiver: Linux },
        Pairing { sender: Ours, receiver: Linux },
        Pairing { sender: Linux, receiver: Ours },
        Pairing { sender: Ours, receiver: Ours },
    ]
};

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Linux => "linux",
            Self::Ours => "ours",
        })
    }
}

impl fmt::Display for Pairing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.sender, self.receiver))
    }
}

#[cfg(test)]
mod tests;
