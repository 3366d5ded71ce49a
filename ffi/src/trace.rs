//! Chapter: Event traces.
//!
//! What happens to connections, as lines of JSON in the structure of qlog: states, every segment with the reason
//! that it was sent for, every packet dropped with the name of its counter, congestion window, round-trip times
//! and timers whenever they change. usertcp-trace(7) describes every event. A connection that is not traced pays
//! one branch at each of these places.
//!
//! A trace is written to a descriptor by the stack's own thread: a file, or a pipe or socket. If it blocks, the
//! whole stack waits for whoever reads it. If it does not (O_NONBLOCK), up to 4 MiB wait, and then events are
//! dropped and counted in the trace.

use crate::args;
use crate::handle::table;
use crate::socket::{find, usertcp_socket_t};
use crate::stack::{duplicate, usertcp_stack_t};
use std::ffi::c_int;
use usertcp_core::api::{Error, Stack, TraceSink};

/// Writes what happens to every connection of a stack to `fd` from now on, those that live already included, and
/// what the stack drops; -1: no more. The stack works on a duplicate: close yours whenever you like. The
/// descriptor before is closed once everything is in it. usertcp_config_t.trace does the same from the beginning.
///
/// -EBADF: `fd` is not open, or `stack` names none.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_stack_trace(stack: usertcp_stack_t, fd: c_int) -> c_int {
    guard!({
        table()?.find::<Stack>(stack)?.trace(sink(fd)?)?;
        Ok(0)
    })
}

/// Writes what happens to one connection to `fd` from now on, instead of where its stack's trace goes; -1: no more.
/// Called before usertcp_connect(), it has all of the connection; called on a listening socket, the connections
/// that it accepts from then on. The library works on a duplicate of `fd`.
///
/// -EBADF: `fd` is not open, or `socket` names none. -EOPNOTSUPP: a datagram socket.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_trace(socket: usertcp_socket_t, fd: c_int) -> c_int {
    guard!({
        find(socket)?.socket.trace(sink(fd)?)?;
        Ok(0)
    })
}

fn sink(fd: c_int) -> Result<Option<TraceSink>, Error> {
    match fd {
        -1 => Ok(None),
        fd if fd < 0 => Err(args::invalid(format!("descriptor {fd} is neither one nor -1"))),
        fd => Ok(Some(TraceSink::Descriptor(duplicate(fd)?))),
    }
}
