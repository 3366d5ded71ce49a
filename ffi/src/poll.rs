//! Chapter: Waiting for many sockets.

use crate::args;
use crate::handle::table;
use crate::socket::{OpenSocket, usertcp_socket_t};
use std::ffi::c_int;
use std::mem::size_of;
use std::sync::Arc;
use usertcp_core::api::{Error, PollEntry, Readiness, Wait, poll};

/// Data, the end of the stream, a connection to accept, or an error. The numbers are those of poll(2).
pub const USERTCP_POLLIN: u32 = 0x0001;
/// Urgent data has been announced and not been read. With SO_OOBINLINE off: MSG_OOB can receive its last byte.
pub const USERTCP_POLLPRI: u32 = 0x0002;
/// Room to send, connected, or an error.
pub const USERTCP_POLLOUT: u32 = 0x0004;
/// An error is pending. Always waited for.
pub const USERTCP_POLLERR: u32 = 0x0008;
/// Both halves are over. Always waited for.
pub const USERTCP_POLLHUP: u32 = 0x0010;
/// The handle names no open socket. Always waited for.
pub const USERTCP_POLLNVAL: u32 = 0x0020;
/// The peer has shut down its sending half.
pub const USERTCP_POLLRDHUP: u32 = 0x2000;

/// A socket to wait for, and what for.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct usertcp_pollfd_t {
    /// The socket; an entry with 0 is skipped.
    pub socket: usertcp_socket_t,
    /// What to wait for: USERTCP_POLL bits.
    pub events: u32,
    /// What it is ready for; set by usertcp_poll().
    pub revents: u32,
}

/// Waits until a socket is ready or `timeout_ms` is over (0: does not wait, negative: for ever). The sockets
/// may be those of several stacks. Returns how many entries have `revents` set, 0 when the time is over. A
/// socket that is closed meanwhile shows as USERTCP_POLLNVAL. -EINTR: a signal handler ran. -ECANCELED:
/// usertcp_cancel() was called for one of the sockets. -EINVAL: `events` has other bits, or there are too many entries.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_poll(
    entries: *mut usertcp_pollfd_t,
    count: usize,
    timeout_ms: c_int,
) -> c_int {
    guard!({
        let table = table()?;
        if count > c_int::MAX as usize / size_of::<usertcp_pollfd_t>() {
            return Err(args::invalid(format!("{count} entries are too many")));
        }
        if entries.is_null() && count != 0 {
            return Err(args::null("the entries"));
        }
        let entries = match count {
            0 => &mut [],
            // SAFETY: the program promises `count` entries that are its own.
            _ => unsafe { std::slice::from_raw_parts_mut(entries, count) },
        };
        let known = USERTCP_POLLIN | USERTCP_POLLPRI | USERTCP_POLLOUT | USERTCP_POLLRDHUP;
        let always = USERTCP_POLLERR | USERTCP_POLLHUP | USERTCP_POLLNVAL;
        if let Some(entry) = entries.iter().find(|entry| entry.events & !(known | always) != 0) {
            return Err(args::invalid(format!("events {:#x} are none of USERTCP_POLL", entry.events)));
        }
        let found: Vec<_> = entries.iter().map(|entry| table.find::<OpenSocket>(entry.socket).ok()).collect();
        wait(entries, &found, args::wait(timeout_ms))
    })
}

fn wait(
    entries: &mut [usertcp_pollfd_t],
    found: &[Option<Arc<OpenSocket>>],
    wait: Wait,
) -> Result<c_int, Error> {
    let mut stale = 0;
    for (entry, found) in entries.iter_mut().zip(found) {
        entry.revents = if found.is_none() && entry.socket != 0 { USERTCP_POLLNVAL } else { 0 };
        stale += usize::from(entry.revents != 0);
    }
    let mut polled: Vec<_> = entries
        .iter()
        .zip(found)
        .map(|(entry, found)| PollEntry {
            socket: found.as_deref().map(|open| &open.socket),
            interest: Readiness(entry.events as u16),
            ready: Readiness::default(),
        })
        .collect();
    let ready = poll(&mut polled, if stale > 0 { Wait::Never } else { wait })?;
    for (entry, polled) in entries.iter_mut().zip(&polled) {
        entry.revents |= u32::from(polled.ready.0);
    }
    Ok(c_int::try_from(ready.saturating_add(stale)).unwrap_or(c_int::MAX))
}
