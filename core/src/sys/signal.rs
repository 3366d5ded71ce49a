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

impl Signals {
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

/// Whether system calls that a signal handler interrupted in this thread are to go on: all handlers of signals that it does not block were installed
/// with SA_RESTART. What a thread does to itself, such as SIGSEGV, interrupts none.
#[must_use]
pub fn handlers_restart() -> bool {
    let mut blocked = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: without a new set the old one is only read, into memory for it; with valid arguments it cannot fail.
    let blocked = unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, core::ptr::null(), blocked.as_mut_ptr());
        blocked.assume_init()
    };
    let own = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];
    (1..=libc::SIGRTMAX()).filter(|signal| !own.contains(signal)).all(|signal| {
        let mut action = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: without a new action the old one is only read; it is looked at only if the call has filled it. The set is initialised.
        unsafe {
            if libc::sigismember(&raw const blocked, signal) == 1
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
