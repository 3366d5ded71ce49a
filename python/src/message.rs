//! sendmsg and recvmsg: a message with its control data, which Python writes as (level, type, bytes).

use crate::address;
use crate::failure::os_error;
use crate::foreign::Source;
use crate::socket::Socket;
use crate::wait::{Sleep, until_done};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use std::io::{IoSlice, IoSliceMut};
use usertcp_core::api::{Errno, Handling, Message, MessageFlags, SocketKind};

const MSG_CTRUNC: i32 = 0x8;
/// Bytes of a cmsghdr, and what items are aligned to.
const HEADER: usize = 16;
const ALIGNMENT: usize = 8;
/// More than a datagram can carry.
const LONGEST: usize = 1 << 16;

/// Bytes, how many the call tells, control data, flags, sender.
pub(crate) type Told<'py> = (Bound<'py, PyBytes>, usize, Bound<'py, PyList>, i32, Bound<'py, PyAny>);

/// Sends `data` as one message, to `destination` or the peer; a stream sends to its peer.
pub(crate) fn send(
    socket: &Socket,
    data: &Bound<'_, PyAny>,
    control: &Bound<'_, PyAny>,
    flags: i32,
    destination: Option<&Bound<'_, PyAny>>,
) -> PyResult<usize> {
    let py = data.py();
    let destination = destination.map(|address| address::from_python(socket.domain, address)).transpose()?;
    let handling = asked(control)?;
    if socket.socket.kind() == SocketKind::Stream {
        if handling != Handling::default() {
            return Err(os_error(&Errno::EINVAL.into()));
        }
        return socket.send(py, data, flags);
    }
    let (source, flags) = (Source::new(data)?, MessageFlags(flags));
    let pieces = [IoSlice::new(source.bytes())];
    let patience = socket.patience_to_send(flags);
    let call = |wait| socket.socket.send_message(&pieces, destination, handling, flags, wait);
    Ok(until_done(py, socket.socket.time(), patience, Sleep::Sliced, socket.calls.begun(call))?)
}

/// Receives a message of up to `bufsize` bytes, and `room` bytes of control data.
pub(crate) fn receive<'py>(
    socket: &Socket,
    py: Python<'py>,
    bufsize: isize,
    room: usize,
    flags: i32,
) -> PyResult<Told<'py>> {
    let most =
        usize::try_from(bufsize).map_err(|_| PyValueError::new_err("negative buffer size in recvmsg()"))?;
    if socket.socket.kind() == SocketKind::Stream {
        let bytes = socket.recv(py, bufsize, flags)?;
        let told = bytes.as_bytes().len();
        let urgent = flags & MessageFlags::OOB.0;
        return Ok((bytes, told, PyList::empty(py), urgent, py.None().into_bound(py)));
    }
    let mut memory = vec![0; most.min(LONGEST)];
    let flags = MessageFlags(flags);
    let call = |wait| socket.socket.recv_message(&mut [IoSliceMut::new(&mut memory)], flags, wait);
    let patience = socket.patience_to_receive(flags);
    let message = until_done(py, socket.socket.time(), patience, Sleep::Sliced, socket.calls.begun(call))?;
    let bytes = PyBytes::new(py, memory.get(..message.told).unwrap_or(&memory));
    let mut told = if message.truncated { MessageFlags::TRUNC.0 } else { 0 };
    let control = PyList::empty(py);
    if !told_of(&message, room, &control)? {
        told |= MSG_CTRUNC;
    }
    Ok((bytes, message.told, control, told, socket.sender(py, message.from)?))
}

/// What control data asks for. Whatever is wrong with its form is said first.
fn asked(control: &Bound<'_, PyAny>) -> PyResult<Handling> {
    let items: Vec<_> = control.try_iter()?.map(|item| parts(&item?)).collect::<PyResult<_>>()?;
    let mut handling = Handling::default();
    for (level, kind, value) in items {
        handling.ask(level, kind, value.bytes()).map_err(|error| os_error(&error))?;
    }
    Ok(handling)
}

fn parts<'py>(item: &Bound<'py, PyAny>) -> PyResult<(i32, i32, Source<'py>)> {
    let parts = item.cast::<PyTuple>().ok().filter(|parts| parts.len() == 3).ok_or_else(|| {
        PyTypeError::new_err("an item of ancillary data must be a tuple of level, type and bytes")
    })?;
    let value = Source::new(&parts.get_item(2)?)?;
    Ok((parts.get_item(0)?.extract()?, parts.get_item(1)?.extract()?, value))
}

/// Adds what there is room for, counted as recvmsg(2) does; whether that was all.
fn told_of(message: &Message, room: usize, control: &Bound<'_, PyList>) -> PyResult<bool> {
    let mut room = room;
    for item in message.ancillary() {
        let length = HEADER + item.value().len();
        if length > room {
            return Ok(false);
        }
        room = room.saturating_sub(length.next_multiple_of(ALIGNMENT));
        control.append((item.level, item.kind, PyBytes::new(control.py(), item.value())))?;
    }
    Ok(true)
}
