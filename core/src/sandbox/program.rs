//! Programs in a sandbox.

#![allow(unsafe_code)]

use super::child::{self, Cloned, ExitOnUnwind, Failure, Step, checked};
use super::namespace::Entrance;
use crate::error::{Errno, Error, Result};
use crate::sync::{Mutex, lock};
use crate::sys;
use core::time::Duration;
use std::ffi::{CString, c_char};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;

/// Where programs are looked for when the environment has no PATH.
const PATH_WITHOUT_ENVIRONMENT: &str = "/usr/local/bin:/usr/bin:/bin";

/// How often a blocking wait looks where the kernel has no pidfd (before Linux 5.3).
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A program running in a sandbox. Dropping it kills the program with SIGKILL and reaps it: a sandbox leaves no process behind.
///
/// For the rest of the process it is a child like any other: it raises SIGCHLD when it ends, and a `wait` for any child can take its
/// status away, in which case [`Child::wait`] gives ECHILD. It does not die with this process.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    /// The process that started it: a forked child of that one leaves it alone.
    home: Option<sys::Home>,
    handle: Option<OwnedFd>,
    status: Mutex<Option<i32>>,
}

impl Child {
    /// Process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal. ESRCH once it has been waited for.
    pub fn kill(&self, signal: i32) -> Result<()> {
        let status = lock(&self.status);
        if status.is_some() {
            return Err(Errno::ESRCH.into());
        }
        let sent = match &self.handle {
            Some(handle) => sys::pidfd_send_signal(handle.as_fd(), signal),
            None => sys::kill(self.pid, signal),
        };
        drop(status);
        Ok(sent?)
    }

    /// Waits for its end: exit status, or 128 + signal. `Ok(None)` when it still runs and `block` is false. EINTR when a signal handler ran.
    pub fn wait(&self, block: bool) -> Result<Option<i32>> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            if !block {
                return Ok(None);
            }
            let outcome = match &self.handle {
                Some(handle) => {
                    let entry = sys::PollFd { fd: handle.as_raw_fd(), events: libc::POLLIN, revents: 0 };
                    sys::poll(&mut [entry], None)
                }
                None => sys::poll(&mut [], Some(LOOK_EVERY)),
            };
            outcome?;
        }
    }

    fn ended(&self) -> Result<Option<i32>, Errno> {
        let mut status = lock(&self.status);
        if status.is_none() {
            *status = sys::wait_child(self.pid, false)?;
        }
        Ok(*status)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.home.as_ref().is_some_and(|home| !home.is_here()) || lock(&self.status).is_some() {
            return;
        }
        // It fails only when somebody else has reaped it, and then there is nothing to do.
        let _ = self.kill(libc::SIGKILL);
        while sys::wait_child(self.pid, true) == Err(Errno::EINTR) {}
    }
}

/// Starts `argv` behind `entrance`.
pub(super) fn spawn(
    entrance: Entrance,
    argv: &[&str],
    environment: Option<&[&str]>,
    streams: [BorrowedFd<'_>; 3],
) -> Result<Child> {
    let Some(program) = argv.first() else {
        return Err(Error::new(Errno::EINVAL, "no program to run: argv is empty"));
    };
    let plan = Plan::prepare(entrance, program, argv, environment, streams)?;
    let (reader, writer) = sys::pipe()?;
    let started = sys::with_signals_blocked(|| {
        // SAFETY: the child runs `Plan::carry_out`, which makes system calls only, on memory prepared before, and then exits.
        match unsafe { child::clone_process() }? {
            Cloned::Parent(pid) => Ok(pid),
            Cloned::Child => {
                let _guard = ExitOnUnwind;
                plan.carry_out(writer.as_raw_fd())
            }
        }
    });
    let pid = started.map_err(|errno: Errno| cannot_run(program, Failure { step: Step::Start, errno }))?;
    drop(writer);
    let child = Child {
        pid,
        home: sys::Home::new().ok(),
        handle: sys::pidfd_open(pid).ok(),
        status: Mutex::new(None),
    };
    match read_failure(&reader) {
        Some(failure) => Err(cannot_run(program, failure)),
        None => Ok(child),
    }
}

fn cannot_run(program: &str, failure: Failure) -> Error {
    let errno = failure.errno;
    let step = match failure.step {
        Step::Exec => String::new(),
        step => format!(" ({step:?})"),
    };
    Error::new(errno, format!("cannot run '{program}' in the sandbox: {errno}{step}"))
}

/// What the child wrote before it exited; the end of the pipe without anything means that exec has closed it.
fn read_failure(reader: &OwnedFd) -> Option<Failure> {
    let mut bytes = [0_u8; 8];
    loop {
        // SAFETY: eight writable bytes.
        match unsafe { libc::read(reader.as_raw_fd(), bytes.as_mut_ptr().cast(), 8) } {
            8 => return Failure::from_bytes(bytes),
            -1 if sys::last_errno() == Errno::EINTR => {}
            _ => return None,
        }
    }
}

/// Everything that the child needs, made before it exists. The pointers are into the strings.
struct Plan {
    entrance: Entrance,
    /// Paths to try in order.
    candidates: Vec<CString>,
    arguments: Vec<*const c_char>,
    variables: Vec<*const c_char>,
    streams: [RawFd; 3],
    _strings: Vec<CString>,
}

impl Plan {
    fn prepare(
        entrance: Entrance,
        program: &str,
        argv: &[&str],
        environment: Option<&[&str]>,
        streams: [BorrowedFd<'_>; 3],
    ) -> Result<Self> {
        let text = |bytes: Vec<u8>| {
            CString::new(bytes).map_err(|_| {
                Error::new(Errno::EINVAL, "a zero byte in an argument or an environment variable")
            })
        };
        let variables: Vec<Vec<u8>> = match environment {
            Some(variables) => variables.iter().map(|variable| variable.as_bytes().to_vec()).collect(),
            None => std::env::vars_os()
                .map(|(name, value)| [name.into_vec(), vec![b'='], value.into_vec()].concat())
                .collect(),
        };
        let path = variables.iter().find_map(|variable| variable.strip_prefix(b"PATH="));
        let path = path.unwrap_or(PATH_WITHOUT_ENVIRONMENT.as_bytes());
        let candidates = candidates(program, path).into_iter().map(text).collect::<Result<_>>()?;
        let mut strings: Vec<CString> = Vec::with_capacity(argv.len() + variables.len());
        for argument in argv {
            strings.push(text(argument.as_bytes().to_vec())?);
        }
        for variable in variables {
            strings.push(text(variable)?);
        }
        let pointers = |strings: &[CString]| {
            strings.iter().map(|text| text.as_ptr()).chain([core::ptr::null()]).collect::<Vec<_>>()
        };
        let (arguments, variables) = strings.split_at(argv.len());
        Ok(Self {
            entrance,
            candidates,
            arguments: pointers(arguments),
            variables: pointers(variables),
            streams: streams.map(|stream| stream.as_raw_fd()),
            _strings: strings,
        })
    }

    /// In the child: becomes the program, or reports why not and exits.
    fn carry_out(&self, report_to: RawFd) -> ! {
        // SAFETY: integers only. Above 2, so that the standard streams do not take the descriptor's place.
        let above = unsafe { libc::fcntl(report_to, libc::F_DUPFD_CLOEXEC, 3) };
        let failure = match self.enter().and_then(|()| self.place_streams()) {
            Ok(()) => self.execute(),
            Err(failure) => failure,
        };
        let bytes = failure.to_bytes();
        // SAFETY: the bytes outlive the call.
        unsafe { libc::write(above, bytes.as_ptr().cast(), bytes.len()) };
        child::exit(127)
    }

    fn enter(&self) -> Result<(), Failure> {
        self.entrance.enter()
    }

    fn place_streams(&self) -> Result<(), Failure> {
        let mut moved = [-1; 3];
        for (to, from) in moved.iter_mut().zip(self.streams) {
            // SAFETY: integers only. First out of the way, since a stream may be at another one's number.
            *to = checked(Step::Streams, unsafe { libc::fcntl(from, libc::F_DUPFD_CLOEXEC, 3) })?;
        }
        for (number, from) in (0..).zip(moved) {
            // SAFETY: integers only. dup2 clears close-on-exec.
            checked(Step::Streams, unsafe { libc::dup2(from, number) })?;
        }
        Ok(())
    }

    /// Tries each candidate as execvpe does: one that may not be executed is remembered, one that is not there is passed over.
    fn execute(&self) -> Failure {
        reset_signals();
        let mut failure = Failure { step: Step::Exec, errno: Errno::ENOENT };
        for candidate in &self.candidates {
            // SAFETY: terminated strings and null-terminated arrays of them, which live in `self`.
            unsafe {
                libc::execve(candidate.as_ptr(), self.arguments.as_ptr(), self.variables.as_ptr());
            }
            match sys::last_errno() {
                Errno::ENOENT | Errno::ENOTDIR => {}
                Errno::EACCES => failure.errno = Errno::EACCES,
                errno => return Failure { step: Step::Exec, errno },
            }
        }
        failure
    }
}

/// The paths to try for `program`: itself if it has a slash, else in each directory of `path`.
fn candidates(program: &str, path: &[u8]) -> Vec<Vec<u8>> {
    if program.contains('/') {
        return vec![program.as_bytes().to_vec()];
    }
    let in_directory = |directory: &[u8]| match directory {
        [] => program.as_bytes().to_vec(),
        directory => [directory, b"/", program.as_bytes()].concat(),
    };
    path.split(|byte| *byte == b':').map(in_directory).collect()
}

/// In the child: what a new program expects. Handlers go back to the default before anything is unblocked, so that none of the parent's
/// runs here; ignored signals stay ignored, as exec has it, but SIGPIPE, which Rust and Python ignore for themselves.
fn reset_signals() {
    // SAFETY: sigaction and the sets are plain data, for which all zeroes is valid: SIG_DFL, no flags, an empty set. Numbers that may
    // not be set give an error and change nothing.
    unsafe {
        let default: libc::sigaction = core::mem::zeroed();
        for signal in 1..=64 {
            let mut action: libc::sigaction = core::mem::zeroed();
            let known = libc::sigaction(signal, core::ptr::null(), &raw mut action) == 0;
            let ignored = action.sa_sigaction == libc::SIG_IGN && signal != libc::SIGPIPE;
            if known && !ignored {
                libc::sigaction(signal, &raw const default, core::ptr::null_mut());
            }
        }
        let mut none: libc::sigset_t = core::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, core::ptr::null_mut());
    }
}
