//! Raw system calls in safe wrappers: each returns a value or the [`Errno`].

#![allow(unsafe_code)]

mod epoll;
mod fork;
mod io;
mod net;
mod signal;
mod unix;
mod wait;

pub use epoll::Epoll;
pub use fork::Home;
pub use io::{
    FileKind, file_kind, open_read_write, owned_interface, pipe, read_into_spare, refuse_splices, replace,
    set_nonblocking, set_nonblocking_and_cloexec, write, writev,
};
pub use net::{
    TunInterface, bind_netlink, message_send, namespace_owner, receive_into_spare, receive_some, recv, send,
    set_socket_option, shutdown, socket, socket_option, socketpair, tun_attach, tun_interface, tun_namespace,
    tun_set_header_length, tun_set_offload,
};
pub use signal::{
    Signals, block_signals, handlers_restart, hold_signals, kill, pidfd_open, pidfd_send_signal, wait_child,
    with_signals_blocked,
};
#[cfg(test)]
pub use signal::{handle_signal, raise};
pub use unix::{
    End, duplicate, listen, set_timer, socket_cookie, timer, unix_bind, unix_connect, unix_listen, unix_name,
};
pub use wait::{
    PollFd, Woken, eventfd, eventfd_clear, eventfd_ring, futex_wait, futex_wake, poll, poll_under,
};

use crate::error::Errno;

/// The calling thread's `errno`.
#[must_use]
pub fn last_errno() -> Errno {
    // SAFETY: __errno_location returns a valid pointer to the thread's own errno.
    Errno(unsafe { *libc::__errno_location() })
}

/// The number in an error of the standard library; EIO where it has none.
#[must_use]
pub fn errno_of(error: &std::io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(Errno::EIO.0))
}

/// A system call's result: negative is an error.
fn checked(result: i32) -> Result<i32, Errno> {
    if result < 0 { Err(last_errno()) } else { Ok(result) }
}

/// The same for a length.
fn checked_length(result: isize) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| last_errno())
}

/// Nanoseconds of CLOCK_MONOTONIC.
#[must_use]
pub fn monotonic_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to; CLOCK_MONOTONIC always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests;
