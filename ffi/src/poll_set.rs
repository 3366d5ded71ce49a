//! Chapter: Poll sets.
//!
//! A poll set is epoll(7) for sockets of this library: any number of them, of any stacks, and waiting costs what is
//! ready, not what is there. Each socket is in a set with the events that are asked for and a number of the
//! program's that comes back with them. Any thread may use any set at any time; of several threads that wait in one,
//! each event that is asked for by its edge is told to one.
//!
//! A socket that is closed, also by the end of its stack, is in no set any more; so is one that usertcp_export_fd()
//! has turned into a descriptor. A set does not keep sockets open.

use crate::args;
use crate::handle::table;
use crate::poll::{
    USERTCP_POLLERR, USERTCP_POLLHUP, USERTCP_POLLIN, USERTCP_POLLOUT, USERTCP_POLLPRI, USERTCP_POLLRDHUP,
};
use crate::socket::{find, usertcp_socket_t};
use std::ffi::c_int;
use std::sync::Arc;
use usertcp_core::api::{EpollControl, EpollEvents, Error, PollSet};

/// Names an open poll set; 0 names none.
pub type usertcp_pollset_t = u64;

/// usertcp_pollset_add(), _modify(): tell it once, and nothing more of this socket until usertcp_pollset_modify().
pub const USERTCP_POLLONESHOT: u32 = 0x4000_0000;
/// usertcp_pollset_add(), _modify(): tell it once for each event (data came, room came after a call had found too little,
/// a stream or connection began or ended), not as long as it lasts. Whoever asks so reads and writes until -EAGAIN.
pub const USERTCP_POLLET: u32 = 0x8000_0000;

/// A socket that is ready.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct usertcp_event_t {
    /// What it is ready for, of what was asked for: USERTCP_POLL bits.
    pub events: u32,
    /// 0.
    pub reserved: u32,
    /// What the program gave with it.
    pub data: u64,
}

struct OpenSet(PollSet);

fn find_set(set: usertcp_pollset_t) -> Result<Arc<OpenSet>, Error> {
    table()?.find(set)
}

/// Makes an empty poll set and stores its handle in `*set`. `flags` must be 0. -EINVAL: they are not; -EFAULT, -EMFILE,
/// -ENOMEM, -ECHILD.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_pollset_open(flags: c_int, set: *mut usertcp_pollset_t) -> c_int {
    guard!({
        let table = table()?;
        crate::socket::check_flags(flags, 0)?;
        args::place(set, "the handle to store")?;
        let opened = OpenSet(PollSet::new()?);
        crate::fork::arm();
        let handle = table.insert(Arc::new(opened))?;
        // SAFETY: the program promises that it may be written.
        unsafe { args::write(set, handle, "the handle to store") }?;
        Ok(0)
    })
}

/// Puts a socket into a set. `events` are USERTCP_POLLIN, _POLLPRI, _POLLOUT and _POLLRDHUP, of which any may be
/// missing, with USERTCP_POLLET and USERTCP_POLLONESHOT; USERTCP_POLLERR and _POLLHUP are told in any case. What it is
/// ready for already is told. `data` comes back with its events.
///
/// -EEXIST: it is in the set. -EINVAL: other bits in `events`. -EBADF: one of the handles is not open. -ECHILD.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_pollset_add(
    set: usertcp_pollset_t,
    socket: usertcp_socket_t,
    events: u32,
    data: u64,
) -> c_int {
    guard!({ control(set, EpollControl::Add, socket, events, data) })
}

/// Changes what a set asks a socket for, and `data`; makes one live again that USERTCP_POLLONESHOT has silenced. What it
/// is ready for already is told.
///
/// -ENOENT: it is not in the set. -EINVAL, -EBADF, -ECHILD.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_pollset_modify(
    set: usertcp_pollset_t,
    socket: usertcp_socket_t,
    events: u32,
    data: u64,
) -> c_int {
    guard!({ control(set, EpollControl::Mod, socket, events, data) })
}

/// Takes a socket out of a set; nothing is told of it from then on, but by a usertcp_pollset_wait() of another thread that
/// has found something already. -ENOENT: it is not in it. -EBADF, -ECHILD.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_pollset_remove(set: usertcp_pollset_t, socket: usertcp_socket_t) -> c_int {
    guard!({ control(set, EpollControl::Del, socket, 0, 0) })
}

/// Waits until a socket of the set is ready, usertcp_pollset_wake() is called, or `timeout_ms` is over (0: does not
/// wait, negative: for ever). Stores at most `count` ready sockets in `events`, those first that have waited for
/// longest, so that none is passed over for ever. Returns how many; 0: the time is over, or somebody called
/// usertcp_pollset_wake().
///
/// -EINVAL: `count` is 0. -EFAULT: `events` is NULL. -EINTR: a signal handler ran. -ECANCELED: the set was closed
/// meanwhile. -EBADF: it is not open. -EDEADLK: from a log callback, which must not wait. -ECHILD.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_pollset_wait(
    set: usertcp_pollset_t,
    events: *mut usertcp_event_t,
    count: usize,
    timeout_ms: c_int,
) -> c_int {
    guard!({
        let found = find_set(set)?;
        args::place(events, "the events")?;
        let count = count.min(c_int::MAX as usize / size_of::<usertcp_event_t>());
        let ready = found.0.wait(count, args::wait(timeout_ms))?;
        for (at, event) in ready.iter().enumerate() {
            let told = usertcp_event_t { events: event.events.0, reserved: 0, data: event.data };
            // SAFETY: the program promises `count` of them, and `at` is less.
            unsafe { events.add(at).write_unaligned(told) };
        }
        Ok(c_int::try_from(ready.len()).unwrap_or(c_int::MAX))
    })
}

/// Ends one usertcp_pollset_wait() before its time: one that waits, or else the next one. Called again before that wait it
/// does nothing more. It is how other threads have an event loop look at something. -EBADF, -ECHILD.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_pollset_wake(set: usertcp_pollset_t) -> c_int {
    guard!({
        find_set(set)?.0.wake()?;
        Ok(0)
    })
}

/// A descriptor of the system that shows POLLIN while usertcp_pollset_wait() may find something, so that a set can be
/// waited for by poll(2), epoll(7) and other event loops beside whatever else they wait for: when it does, call
/// usertcp_pollset_wait() with a timeout of 0, until it returns 0 if the loop waits for edges. It may show although
/// nothing is found then; the call itself turns it off. Returns the descriptor, always the same one for a set.
///
/// Poll it; never read, write or close it. It is made by the first call, is close-on-exec, and is closed with the
/// set: take it out of an event loop before. -EBADF, -EMFILE, -ENFILE, -ECHILD.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_pollset_fd(set: usertcp_pollset_t) -> c_int {
    guard!({ find_set(set)?.0.descriptor() })
}

/// Closes a set; its sockets stay as they are. Whoever waits in it returns -ECANCELED. -EBADF: it is not open. -ECHILD.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_pollset_close(set: usertcp_pollset_t) -> c_int {
    guard!({
        let taken = table()?.remove::<OpenSet>(set)?;
        taken.0.close()?;
        Ok(0)
    })
}

fn control(
    set: usertcp_pollset_t,
    control: EpollControl,
    socket: usertcp_socket_t,
    events: u32,
    data: u64,
) -> Result<c_int, Error> {
    let known = USERTCP_POLLIN
        | USERTCP_POLLPRI
        | USERTCP_POLLOUT
        | USERTCP_POLLRDHUP
        | USERTCP_POLLERR
        | USERTCP_POLLHUP
        | USERTCP_POLLET
        | USERTCP_POLLONESHOT;
    let (set, socket) = (find_set(set)?, find(socket)?);
    if events & !known != 0 {
        return Err(args::invalid(format!("events {events:#x} are none of USERTCP_POLL")));
    }
    set.0.control(control, &socket.socket, EpollEvents(events), data)?;
    Ok(0)
}
