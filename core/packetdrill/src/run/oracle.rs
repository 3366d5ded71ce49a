//! Code and shell lines: what a script sets under way, and what it asks of the stack's figures and states.

use super::{Run, Stop, figures};
use crate::code::CodeError;
use crate::report::{Difference, Kind};
use crate::settings::Step;
use crate::shell::{self, Command, Oracle};

/// States by FreeBSD's names, with Linux's numbers.
const STATES: [(&str, u8); 11] = [
    ("ESTABLISHED", 1),
    ("SYN_SENT", 2),
    ("SYN_RCVD", 3),
    ("FIN_WAIT_1", 4),
    ("FIN_WAIT_2", 5),
    ("TIME_WAIT", 6),
    ("CLOSED", 7),
    ("CLOSE_WAIT", 8),
    ("LAST_ACK", 9),
    ("LISTEN", 10),
    ("CLOSING", 11),
];

impl Run<'_> {
    /// A shell line, the event at `index`. What stands in front of everything else has been set before there was a stack.
    pub(super) fn shell(&mut self, index: usize, text: &str) -> Result<(), Stop> {
        let steps = if index < self.settings.leading {
            let asks = |command| match command {
                Command::Ask(oracle) => Some(Step::Ask(oracle)),
                _ => None,
            };
            shell::read(text).into_iter().filter_map(asks).collect()
        } else {
            self.settings.shell(self.line, text)
        };
        if let Some(reason) = self.settings.reason().filter(|_| index < self.settings.trailing) {
            return Err(Stop::Skip(reason.into()));
        }
        for step in steps {
            match step {
                Step::Changed => {
                    let changed = self.world.stack.reconfigure(&self.settings.config);
                    changed.map_err(|error| Stop::Skip(error.to_string()))?;
                }
                Step::Ask(oracle) => self.ask(&oracle)?,
                Step::Wait(time) => self.run_to(self.world.now + time)?,
            }
        }
        Ok(())
    }

    fn ask(&mut self, oracle: &Oracle) -> Result<(), Stop> {
        let (mut census, _) = self.world.stack.snapshots(self.world.now, 0, u32::MAX);
        census.retain(|socket| socket.stream);
        match oracle {
            Oracle::Count { state, family, port, owned, expected } => {
                let wanted = state_of(state)?;
                let six = family.map(|family| family == usertcp_core::config::Domain::V6);
                let found = census
                    .iter()
                    .filter(|socket| {
                        let ends = [socket.local, socket.remote];
                        let ends = || ends.into_iter().flatten();
                        socket.state == wanted
                            && six.is_none_or(|six| ends().all(|end| end.is_ipv6() == six))
                            && port.is_none_or(|port| ends().any(|end| end.port() == port))
                            && (!owned || socket.held)
                    })
                    .count();
                if found == *expected as usize {
                    return Ok(());
                }
                let difference = Difference::new(&format!("sockets in {state}"), expected, found);
                Err(Stop::fail(Kind::Assertion, String::new(), vec![difference]))
            }
            Oracle::Drop { state, ports } => {
                let wanted = state.as_deref().map(state_of).transpose()?;
                for socket in census {
                    let ends = (socket.local.map(|end| end.port()), socket.remote.map(|end| end.port()));
                    let hit = ports.is_none_or(|(ours, theirs)| ends == (Some(ours), Some(theirs)));
                    if hit && wanted.is_none_or(|wanted| wanted == socket.state) {
                        // What has no connection to abort is left alone.
                        let _ = self.world.stack.abort(self.world.now, socket.id);
                    }
                }
                Ok(())
            }
        }
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

fn state_of(name: &str) -> Result<u8, Stop> {
    let known = STATES.iter().find(|(known, _)| *known == name);
    known.map(|(_, number)| *number).ok_or_else(|| Stop::Skip(format!("state {name}")))
}
