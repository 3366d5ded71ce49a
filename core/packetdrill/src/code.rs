//! Code between `%{` and `}%`: the part of Python that scripts use to look at `tcp_info`.
//!
//! Statements `assert`, `print`, `pass`, `if`, `for` and assignments; expressions with Python's precedence over numbers, strings and lists.

mod expression;
mod syntax;
#[cfg(test)]
mod tests;
mod token;
mod value;

use std::collections::HashMap;
use std::fmt;
use syntax::{Expr, Statement, StatementKind};
use value::{Scope, Value};

/// Steps of one piece of code; loops end with them.
const STEPS_MAX: u32 = 100_000;

/// Names that every piece of code knows. States are Linux' numbers, whichever name they go by.
const CONSTANTS: &[(&str, i128)] = &[
    ("TCP_CA_Open", 0),
    ("TCP_CA_Disorder", 1),
    ("TCP_CA_CWR", 2),
    ("TCP_CA_Recovery", 3),
    ("TCP_CA_Loss", 4),
    ("TCPI_OPT_TIMESTAMPS", 1),
    ("TCPI_OPT_SACK", 2),
    ("TCPI_OPT_WSCALE", 4),
    ("TCPI_OPT_ECN", 8),
    ("TCPI_OPT_ECN_SEEN", 16),
    ("TCPI_OPT_SYN_DATA", 32),
    ("TCP_INFINITE_SSTHRESH", 0x7fff_ffff),
    ("TCP_ESTABLISHED", 1),
    ("TCP_SYN_SENT", 2),
    ("TCP_SYN_RECV", 3),
    ("TCP_FIN_WAIT1", 4),
    ("TCP_FIN_WAIT2", 5),
    ("TCP_TIME_WAIT", 6),
    ("TCP_CLOSE", 7),
    ("TCP_CLOSE_WAIT", 8),
    ("TCP_LAST_ACK", 9),
    ("TCP_LISTEN", 10),
    ("TCP_CLOSING", 11),
    ("TCPI_ESTABLISHED", 1),
    ("TCPI_SYN_SENT", 2),
    ("TCPI_SYN_RECEIVED", 3),
    ("TCPI_FIN_WAIT_1", 4),
    ("TCPI_FIN_WAIT_2", 5),
    ("TCPI_TIME_WAIT", 6),
    ("TCPI_CLOSED", 7),
    ("TCPI_CLOSE_WAIT", 8),
    ("TCPI_LAST_ACK", 9),
    ("TCPI_LISTEN", 10),
    ("TCPI_CLOSING", 11),
];

/// Why code did not run to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeError {
    /// An `assert` did not hold.
    Failed {
        /// Its line in the code, from 1.
        line: u32,
        /// Its condition, as written.
        condition: String,
        /// The names in the condition and what they were.
        values: Vec<(String, String)>,
        /// What it says behind the comma.
        message: Option<String>,
    },
    /// A name that nobody gives a value.
    Unknown(String),
    /// Something of Python that is not among what scripts use, or that Python would refuse.
    Unsupported {
        /// Its line in the code, from 1.
        line: u32,
        /// What.
        what: String,
    },
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { line, condition, values, message } => {
                write!(f, "line {line} of the code: assert {condition}")?;
                for (index, (name, value)) in values.iter().enumerate() {
                    write!(f, "{} {name} is {value}", if index == 0 { ", but" } else { "," })?;
                }
                message.as_ref().map_or(Ok(()), |message| write!(f, ": {message}"))
            }
            Self::Unknown(name) => write!(f, "'{name}' has no value"),
            Self::Unsupported { line, what } => write!(f, "line {line} of the code: {what}"),
        }
    }
}

impl std::error::Error for CodeError {}

/// The code of one script: what one piece assigns, the later ones know.
#[derive(Clone, Debug, Default)]
pub struct Code {
    assigned: HashMap<String, Value>,
}

impl Code {
    /// Runs a piece of code; `lookup` gives the values of names that neither code nor language know, as `tcpi_snd_cwnd`.
    ///
    /// `tcpi_state` has to be one of Linux' numbers.
    ///
    /// # Errors
    ///
    /// The first assertion that does not hold, or what cannot be run.
    pub fn run(&mut self, text: &str, lookup: &dyn Fn(&str) -> Option<i128>) -> Result<(), CodeError> {
        let statements = syntax::parse(text)?;
        let mut run = Run { scope: Scope { assigned: &mut self.assigned, lookup }, steps: 0 };
        run.block(&statements)
    }
}

/// Runs a piece of code that stands alone.
///
/// # Errors
///
/// As [`Code::run`].
pub fn run(text: &str, lookup: &dyn Fn(&str) -> Option<i128>) -> Result<(), CodeError> {
    Code::default().run(text, lookup)
}

/// A piece of code that runs.
struct Run<'a> {
    scope: Scope<'a>,
    steps: u32,
}

impl Run<'_> {
    fn block(&mut self, statements: &[Statement]) -> Result<(), CodeError> {
        statements.iter().try_for_each(|statement| {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err(CodeError::Unsupported {
                    line: statement.line,
                    what: "a loop without end".into(),
                });
            }
            self.statement(statement)
        })
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), CodeError> {
        let line = statement.line;
        match &statement.kind {
            StatementKind::Assert { condition, text, message } => {
                if self.scope.value(condition, line)?.is_true() {
                    return Ok(());
                }
                let values = self.values(condition);
                // What the message lacks is no reason to hide what failed.
                let message = message.as_ref().and_then(|message| self.scope.value(message, line).ok());
                let message = message.map(|value| value.to_string());
                Err(CodeError::Failed { line, condition: text.clone(), values, message })
            }
            StatementKind::Assign(name, value) => {
                let value = self.scope.value(value, line)?;
                self.scope.assigned.insert(name.clone(), value);
                Ok(())
            }
            // Its values have to be there; nobody reads what it prints.
            StatementKind::Print(values) => {
                values.iter().try_for_each(|value| self.scope.value(value, line).map(|_| ()))
            }
            StatementKind::Pass => Ok(()),
            StatementKind::If(branches, otherwise) => {
                for (condition, block) in branches {
                    if self.scope.value(condition, line)?.is_true() {
                        return self.block(block);
                    }
                }
                self.block(otherwise)
            }
            StatementKind::For(name, list, block) => {
                let Value::List(list) = self.scope.value(list, line)? else {
                    return Err(CodeError::Unsupported { line, what: "a loop over what is no list".into() });
                };
                for value in list {
                    self.scope.assigned.insert(name.clone(), value);
                    self.block(block)?;
                }
                Ok(())
            }
        }
    }

    /// The names of a condition, each once, and what they are.
    fn values(&self, condition: &Expr) -> Vec<(String, String)> {
        let mut names = Vec::new();
        condition.names(&mut names);
        let mut values: Vec<(String, String)> = Vec::new();
        for name in names {
            let constant = CONSTANTS.iter().any(|(known, _)| *known == name);
            if !constant
                && !values.iter().any(|(seen, _)| *seen == name)
                && let Ok(value) = self.scope.name(&name)
            {
                values.push((name, value.to_string()));
            }
        }
        values
    }
}
