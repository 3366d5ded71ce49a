//! Code and shell lines: what a script asks of the stack's figures and states.

use super::{Run, Stop, figures};
use crate::code::CodeError;
use crate::report::Kind;

impl Run<'_> {
    /// A shell line.
    pub(super) fn shell(&mut self, _line: &str) -> Result<(), Stop> {
        Ok(())
    }

    /// What is between `%{` and `}%`.
    pub(super) fn code(&mut self, code: &str) -> Result<(), Stop> {
        let now = self.world.now;
        let socket = self.files.under_test();
        let info = socket.and_then(|socket| self.world.stack.tcp_info(now, socket.id).ok());
        let lookup = |name: &str| info.as_ref().and_then(|info| figures::figure(info, name));
        match self.python.run(code, &lookup) {
            Ok(()) => Ok(()),
            Err(CodeError::Unknown(name)) if info.is_some() => Err(Stop::Skip(name)),
            Err(error) => Err(Stop::fail(Kind::Assertion, error.to_string(), vec![])),
        }
    }
}
