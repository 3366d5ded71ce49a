//! Signals, and the children that the sandbox makes.

use super::{checked, last_errno};
use crate::error::Errno;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A signal mask to go back to.
#[derive(Clone, Copy)]
pub struct Signals(libc::sigset_t);

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signals")
    }
}

/// Blocks every signal in this thread and in threads that it starts; returns the mask before.
#[must_use]
pub fn block_signals() -> Signals {
    let mut all = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: sigfillset initialises `all`, pthread_sigmask initialises `before`; with valid arguments neither can fail.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        Signals(before.assume_init())
    }
}

/// Blocks every signal in this thread but those that it does to itself, such as SIGSEGV; returns the mask before.
#[must_use]
pub fn hold_signals() -> Signals {
    let mut held = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: sigfillset initialises `held`, pthread_sigmask initialises `before`; with valid arguments none can fail.
    unsafe {
        libc::sigfillset(held.as_mut_ptr());
        for signal in OWN {
            libc::sigdelset(held.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, held.as_ptr(), before.as_mut_ptr());
        Signals(before.assume_init())
    }
}

impl Signals {
    /// The mask of this thread.
    #[must_use]
    pub fn now() -> Self {
        let mut blocked = MaybeUninit::uninit();
        // SAFETY: without a new set the old one is only read, into memory for it; with valid arguments it cannot fail.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, core::ptr::null(), blocked.as_mut_ptr());
            Self(blocked.assume_init())
        }
    }

    /// The set, for a system call.
    pub(super) const fn as_ptr(&self) -> *const libc::sigset_t {
        &raw const self.0
    }

    /// Goes back to this mask.
    pub fn restore(&self) {
        // SAFETY: the set was filled by pthread_sigmask.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, core::ptr::null_mut()) };
    }
}

/// Runs `f` with every signal blocked in this thread. A thread that `f` starts has them blocked for good.
pub fn with_signals_blocked<T>(f: impl FnOnce() -> T) -> T {
    struct Restore(Signals);
    impl Drop for Restore {
        fn drop(&mut self) {
            self.0.restore();
        }
    }
    let _restore = Restore(block_signals());
    f()
}

/// What a thread does to itself.
const OWN: [i32; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];

/// Whether system calls that a signal handler interrupted under this mask are to go on: all handlers of signals that it does not block were installed
/// with SA_RESTART. What a thread does to itself interrupts none.
#[must_use]
pub fn handlers_restart(mask: &Signals) -> bool {
    (1..=libc::SIGRTMAX()).filter(|signal| !OWN.contains(signal)).all(|signal| {
        let mut action = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: without a new action the old one is only read; it is looked at only if the call has filled it. The set is initialised.
        unsafe {
            if libc::sigismember(mask.as_ptr(), signal) == 1
                || libc::sigaction(signal, core::ptr::null(), action.as_mut_ptr()) != 0
            {
                return true;
            }
            let action = action.assume_init();
            let handled = action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN;
            !handled || action.sa_flags & libc::SA_RESTART != 0
        }
    })
}

/// A descriptor for a child process that has not been waited for.
pub fn pidfd_open(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: integers only; the result is a new close-on-exec descriptor that is ours alone.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
        Ok(OwnedFd::from_raw_fd(checked(fd)?))
    }
}

/// Sends a signal to the process of a pidfd.
pub fn pidfd_send_signal(fd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    let none = core::ptr::null::<libc::siginfo_t>();
    // SAFETY: no siginfo is given.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, none, 0) };
    if result < 0 { Err(last_errno()) } else { Ok(()) }
}

/// Sends a signal to a process.
pub fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: integers only.
    checked(unsafe { libc::kill(pid, signal) }).map(|_| ())
}

/// Waits for child `pid`, whatever its exit signal: exit status or 128 + signal; `None` when it still runs and `block` is false.
/// EINTR when a signal handler ran, ECHILD when it has been waited for.
pub fn wait_child(pid: i32, block: bool) -> Result<Option<i32>, Errno> {
    let mut status = 0;
    let options = libc::__WALL | if block { 0 } else { libc::WNOHANG };
    // SAFETY: `status` is an integer to write to.
    let reaped = checked(unsafe { libc::waitpid(pid, &raw mut status, options) })?;
    if reaped == 0 {
        return Ok(None);
    }
    let signalled = libc::WIFSIGNALED(status);
    Ok(Some(if signalled { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }))
}

/// For tests: has a handler that does nothing run at `signal`, installed with `flags`.
#[cfg(test)]
pub fn handle_signal(signal: i32, flags: i32) {
    extern "C" fn handler(_: i32) {}
    // SAFETY: a zeroed action is a valid one, with an empty mask; its handler may run at any time, since it does nothing.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = handler as extern "C" fn(i32) as usize;
        action.sa_flags = flags;
        libc::sigaction(signal, &raw const action, core::ptr::null_mut());
    }
}

/// For tests: sends `signal` to this thread.
#[cfg(test)]
pub fn raise(signal: i32) {
    // SAFETY: an integer only.
    unsafe { libc::raise(signal) };
}
