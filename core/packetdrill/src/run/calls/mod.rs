//! The calls of the script's program: each is one attempt, which is answered at once.

mod address;
mod data;
mod epoll;
mod files;
mod message;
mod naming;
mod options;
mod pipes;
mod ready;

pub(super) use address::Addresses;
pub use address::IpVersion;
pub(super) use data::pattern;
pub(super) use files::{Descriptor, Files, Socket};

use super::Run;
use super::values::{self, NoNumber};
use crate::script::{Call, Expression};
use usertcp_core::error::Errno;
use usertcp_core::time::Instant;

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It returned.
    Returned(i64),
    /// It returned -1 and this error.
    Failed(Errno),
    /// It would sleep.
    Blocks,
    /// What it wrote into the program's memory is not what the script says.
    Differs {
        /// Which part of it.
        what: String,
        expected: String,
        got: String,
    },
    /// It needs something that there is not: its name.
    Lacks(String),
    /// The script's call cannot be understood.
    Unreadable(String),
}

/// What an attempt that would sleep leaves for the next one.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// The call has been begun.
    pub(super) begun: bool,
    /// Bytes done.
    pub(super) done: usize,
    /// When its own patience ends.
    pub(super) until: Option<Instant>,
}

/// Errors and other ends of an attempt, for `?`.
pub(super) type Step<T> = Result<T, Answer>;

impl From<Errno> for Answer {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

impl From<NoNumber> for Answer {
    fn from(error: NoNumber) -> Self {
        match error {
            NoNumber::Name(name) => Self::Lacks(name),
            NoNumber::Shape => Self::Unreadable("a number is needed".into()),
        }
    }
}

/// The value of an argument.
pub(super) fn number(call: &Call, index: usize) -> Step<i128> {
    Ok(values::number(argument(call, index)?)?)
}

/// The value of an argument, 0 where it is not written.
fn optional_number(call: &Call, index: usize) -> Step<i128> {
    call.arguments.get(index).map_or(Ok(0), |argument| Ok(values::number(argument)?))
}

/// An argument.
pub(super) fn argument(call: &Call, index: usize) -> Step<&Expression> {
    call.arguments.get(index).ok_or_else(|| Answer::Unreadable(format!("argument {} is missing", index + 1)))
}

fn size(number: i128) -> Step<usize> {
    usize::try_from(number).map_err(|_| Answer::Unreadable(format!("a size of {number}")))
}

impl Run<'_> {
    /// One attempt of `call`. `may_sleep`: it blocks where it would on a blocking descriptor.
    pub(super) fn attempt(&mut self, call: &Call, progress: &mut Progress) -> Answer {
        self.dispatch(call, progress).unwrap_or_else(|answer| answer)
    }

    fn dispatch(&mut self, call: &Call, progress: &mut Progress) -> Step<Answer> {
        let count = match call.name.as_str() {
            "socket" => self.socket(call)?,
            "bind" => self.bind(call)?,
            "listen" => self.listen(call)?,
            "accept" | "accept4" => self.accept(call)?,
            "connect" => self.connect(call, progress)?,
            "close" => self.close(call, progress)?,
            "shutdown" => self.shutdown(call)?,
            "getsockname" | "getpeername" => self.name_of(call)?,
            "fcntl" => self.fcntl(call)?,
            "ioctl" => self.ioctl(call)?,
            "getsockopt" => self.getsockopt(call)?,
            "setsockopt" => self.setsockopt(call)?,
            "read" | "recv" | "recvfrom" | "readv" => self.receive(call, progress)?,
            "recvmsg" => self.recvmsg(call, progress)?,
            "write" | "send" | "sendto" | "writev" | "sendfile" => self.transmit(call, progress)?,
            "sendmsg" => self.sendmsg(call, progress)?,
            "open" => self.files.add(naming::wanted(call), Descriptor::File)?.into(),
            "pipe" | "pipe2" => self.pipe(call)?,
            "splice" => self.splice(call, progress)?,
            "epoll_create" | "epoll_create1" => self.epoll_create(call)?,
            "epoll_ctl" => self.epoll_ctl(call)?,
            "epoll_wait" | "epoll_pwait" => self.epoll_wait(call, progress)?,
            "poll" => self.poll(call, progress)?,
            name => return Err(Answer::Lacks(format!("{name}()"))),
        };
        Ok(Answer::Returned(count))
    }
}
