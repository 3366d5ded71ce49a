//! `_usertcp.Socket`: one socket, with the time-out of Python's sockets.

use crate::address;
use crate::cancel::Calls;
use crate::end::EndReason;
use crate::failure::{Failure, os_error};
use crate::foreign::{Source, Target};
use crate::info::TcpInfo;
use crate::intercept::Syn;
use crate::limit::Limit;
use crate::memory::{BIG, copy, fitting, room};
use crate::message;
use crate::stack::trace_sink;
use crate::wait::{Patience, Sleep, duration, released, until_done};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::time::Duration;
use usertcp_core::api::{
    self, Bytes, Domain, Errno, MessageFlags, PollEntry, Readiness, Received, Shutdown, SocketKind, Wait,
};

pub(crate) const SOCK_STREAM: i32 = 1;
pub(crate) const SOCK_DGRAM: i32 = 2;
pub(crate) const IPPROTO_TCP: i32 = 6;
pub(crate) const IPPROTO_UDP: i32 = 17;
const SOL_SOCKET: i32 = 1;
const SO_RCVTIMEO: i32 = 20;
const SO_SNDTIMEO: i32 = 21;

/// A socket of a stack. Use `usertcp.Socket`.
#[pyclass(frozen, module = "usertcp._usertcp")]
pub(crate) struct Socket {
    /// Shared with its twins.
    pub(crate) socket: Arc<api::Socket>,
    pub(crate) domain: Domain,
    /// Who waits now, and is called off together.
    pub(crate) calls: Arc<Calls>,
    /// What settimeout says.
    timeout: Limit,
    /// What SO_RCVTIMEO and SO_SNDTIMEO say; they count while there is no time-out.
    receive_limit: Limit,
    send_limit: Limit,
}

impl Socket {
    pub(crate) fn new(socket: api::Socket, domain: Domain) -> Self {
        Self::of(Arc::new(socket), domain, Arc::default())
    }

    const fn of(socket: Arc<api::Socket>, domain: Domain, calls: Arc<Calls>) -> Self {
        let (receive_limit, send_limit) = (Limit::new(), Limit::new());
        Self { socket, domain, calls, timeout: Limit::new(), receive_limit, send_limit }
    }

    fn patience(&self, option: &Limit, expired: Errno) -> Patience {
        match (self.timeout.load(), option.load()) {
            (Some(Duration::ZERO), _) => Patience::Never,
            (Some(limit), _) => Patience::at_most(self.socket.time(), limit, None),
            (None, Some(limit)) => Patience::at_most(self.socket.time(), limit, Some(expired)),
            (None, None) => Patience::Forever,
        }
    }

    fn patience_for(&self, option: &Limit, flags: MessageFlags) -> Patience {
        // Nothing comes into the queue of errors: waiting for it would have no end.
        if flags.0 & (MessageFlags::DONTWAIT.0 | MessageFlags::ERRQUEUE.0) != 0 {
            return Patience::Never;
        }
        self.patience(option, Errno::EAGAIN)
    }

    pub(crate) fn patience_to_send(&self, flags: MessageFlags) -> Patience {
        self.patience_for(&self.send_limit, flags)
    }

    pub(crate) fn patience_to_receive(&self, flags: MessageFlags) -> Patience {
        self.patience_for(&self.receive_limit, flags)
    }

    fn receive(&self, py: Python<'_>, most: usize, flags: i32) -> Result<Vec<Bytes>, Failure> {
        if self.socket.kind() == SocketKind::Datagram {
            let datagram = self.receive_datagram(py, flags)?;
            return Ok(datagram.iter().map(|datagram| fitting(&datagram.bytes, most)).collect());
        }
        let flags = MessageFlags(flags);
        let patience = self.patience_to_receive(flags);
        // Who waits for several bytes is not to have what there is at the end of a slice.
        let several = flags.0 & MessageFlags::WAITALL.0 != 0 || self.socket.receive_low().min(most) > 1;
        let sleep = if several { Sleep::Whole } else { Sleep::Sliced };
        let call = |wait| self.socket.recv_slices(most, flags, wait).map(|slices| slices.into_vec());
        until_done(py, self.socket.time(), patience, sleep, self.calls.begun(call))
    }

    /// The oldest datagram; `None` is the end that a shutdown made.
    fn receive_datagram(&self, py: Python<'_>, flags: i32) -> Result<Option<Received>, Failure> {
        let flags = MessageFlags(flags);
        let patience = self.patience_to_receive(flags);
        let call = |wait| self.socket.recv_datagram(flags, wait);
        until_done(py, self.socket.time(), patience, Sleep::Sliced, self.calls.begun(call))
    }

    fn send_datagram(
        &self,
        py: Python<'_>,
        bytes: &[u8],
        flags: MessageFlags,
        destination: Option<SocketAddr>,
    ) -> Result<usize, Failure> {
        let patience = self.patience_to_send(flags);
        let call = |wait| self.socket.send_to(bytes, destination, flags, wait);
        until_done(py, self.socket.time(), patience, Sleep::Sliced, self.calls.begun(call))
    }

    /// An address as `recvfrom` returns it.
    pub(crate) fn sender<'py>(
        &self,
        py: Python<'py>,
        from: Option<SocketAddr>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match from {
            Some(from) => Ok(address::to_python(py, self.domain, from)?.into_any()),
            None => Ok(py.None().into_bound(py)),
        }
    }

    /// Queues all of `bytes`, for as long as `patience` lasts; what was queued stays queued on failure, and is added to `queued`.
    fn send_whole(
        &self,
        py: Python<'_>,
        bytes: &[u8],
        flags: MessageFlags,
        patience: Patience,
        queued: &mut usize,
    ) -> Result<(), Failure> {
        let began = self.calls.count();
        while *queued < bytes.len() {
            py.check_signals()?;
            let rest = bytes.get(*queued..).unwrap_or_default();
            let call = |wait| self.socket.send(rest, flags, wait);
            *queued +=
                until_done(py, self.socket.time(), patience, Sleep::Sliced, self.calls.since(began, call))?;
        }
        Ok(())
    }

    /// Sleeps until the connection is up or has failed.
    fn connected(&self, py: Python<'_>, patience: Patience) -> Result<(), Failure> {
        let call = |wait| ready_for(&self.socket, Readiness::OUT, wait);
        let ready = until_done(py, self.socket.time(), patience, Sleep::Sliced, self.calls.begun(call))?;
        if ready.any(Readiness::NVAL) {
            return Err(Errno::ECANCELED.into());
        }
        match released(py, || self.socket.take_error())? {
            Some(errno) => Err(self.socket.explain("connect", errno).into()),
            None => Ok(()),
        }
    }

    fn connect_to(&self, address: &Bound<'_, PyAny>) -> Result<(), Failure> {
        let py = address.py();
        let peer = address::from_python(self.domain, address)?;
        let patience = self.patience(&self.send_limit, Errno::EINPROGRESS);
        match released(py, || self.socket.connect(peer, Wait::Never)) {
            Err(error) if error.errno() == Errno::EINPROGRESS && !matches!(patience, Patience::Never) => {
                self.connected(py, patience)
            }
            answer => Ok(answer?),
        }
    }
}

#[pymethods]
impl Socket {
    /// Address family.
    #[getter]
    fn family(&self) -> i32 {
        address::family(self.domain)
    }

    /// Kind of socket.
    #[getter]
    fn r#type(&self) -> i32 {
        match self.socket.kind() {
            SocketKind::Stream => SOCK_STREAM,
            SocketKind::Datagram => SOCK_DGRAM,
        }
    }

    /// Protocol.
    #[getter]
    fn proto(&self) -> i32 {
        match self.socket.kind() {
            SocketKind::Stream => IPPROTO_TCP,
            SocketKind::Datagram => IPPROTO_UDP,
        }
    }

    /// Gives the socket its own address.
    fn bind(&self, py: Python<'_>, address: &Bound<'_, PyAny>) -> PyResult<()> {
        let own = address::from_python(self.domain, address)?;
        control(py, || self.socket.bind(own))
    }

    /// Listens.
    fn listen(&self, py: Python<'_>, backlog: i32) -> PyResult<()> {
        let backlog = backlog.max(0).cast_unsigned();
        control(py, || self.socket.listen(backlog))
    }

    /// The oldest waiting connection and its peer's address.
    fn accept<'py>(&self, py: Python<'py>) -> PyResult<(Self, Bound<'py, PyTuple>)> {
        let patience = self.patience(&self.receive_limit, Errno::EAGAIN);
        let call = self.calls.begun(|wait| self.socket.accept(wait));
        let (socket, peer) = until_done(py, self.socket.time(), patience, Sleep::Sliced, call)?;
        Ok((Self::new(socket, self.domain), address::to_python(py, self.domain, peer)?))
    }

    /// The oldest connection request of an interceptor.
    fn next_syn(&self, py: Python<'_>) -> PyResult<Syn> {
        let patience = self.patience(&self.receive_limit, Errno::EAGAIN);
        let call = self.calls.begun(|wait| self.socket.next_syn(wait));
        Ok(Syn::new(until_done(py, self.socket.time(), patience, Sleep::Sliced, call)?))
    }

    /// Connects.
    fn connect(&self, address: &Bound<'_, PyAny>) -> PyResult<()> {
        Ok(self.connect_to(address)?)
    }

    /// Connects; returns an error number instead of raising it, 0 for success.
    fn connect_ex(&self, address: &Bound<'_, PyAny>) -> PyResult<i32> {
        match self.connect_to(address) {
            Ok(()) => Ok(0),
            Err(Failure::System(error)) => Ok(error.errno().0),
            Err(Failure::TimedOut) => Ok(Errno::EAGAIN.0),
            Err(failure @ Failure::Deadlock(_)) => Err(failure.into()),
            Err(Failure::Python(error)) => Err(error),
        }
    }

    /// Sends; returns how many bytes were queued: all of them without a time-out, as many as there is room for with one.
    #[pyo3(signature = (data, flags = 0, /))]
    pub(crate) fn send(&self, py: Python<'_>, data: &Bound<'_, PyAny>, flags: i32) -> PyResult<usize> {
        let source = Source::new(data)?;
        let (bytes, flags) = (source.bytes(), MessageFlags(flags));
        if self.socket.kind() == SocketKind::Datagram {
            return Ok(self.send_datagram(py, bytes, flags, None)?);
        }
        let patience = self.patience_to_send(flags);
        if matches!(patience, Patience::Forever | Patience::Until(_, Some(_))) {
            let mut queued = 0;
            return match self.send_whole(py, bytes, flags, patience, &mut queued) {
                Err(Failure::System(_)) if queued > 0 => Ok(queued),
                answer => Ok(answer.map(|()| queued)?),
            };
        }
        let call = |wait| match wait {
            Wait::Never => self.socket.send(bytes, flags, wait),
            wait => {
                ready_for(&self.socket, Readiness::OUT, wait)?;
                self.socket.send(bytes, flags, Wait::Never)
            }
        };
        Ok(until_done(py, self.socket.time(), patience, Sleep::Sliced, self.calls.begun(call))?)
    }

    /// Sends all of it, or raises; the time-out is for the whole.
    #[pyo3(signature = (data, flags = 0, /))]
    fn sendall(&self, py: Python<'_>, data: &Bound<'_, PyAny>, flags: i32) -> PyResult<()> {
        let source = Source::new(data)?;
        let flags = MessageFlags(flags);
        if self.socket.kind() == SocketKind::Datagram {
            return Ok(self.send_datagram(py, source.bytes(), flags, None).map(|_| ())?);
        }
        let patience = self.patience_to_send(flags);
        Ok(self.send_whole(py, source.bytes(), flags, patience, &mut 0)?)
    }

    /// Receives up to `bufsize` bytes; none is the end of the stream.
    #[pyo3(signature = (bufsize, flags = 0, /))]
    pub(crate) fn recv<'py>(
        &self,
        py: Python<'py>,
        bufsize: isize,
        flags: i32,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let most =
            usize::try_from(bufsize).map_err(|_| PyValueError::new_err("negative buffersize in recv"))?;
        let slices = self.receive(py, most, flags)?;
        if let [only] = slices.as_slice()
            && only.len() < BIG
        {
            return Ok(PyBytes::new(py, only));
        }
        let total = slices.iter().map(Bytes::len).sum();
        PyBytes::new_with(py, total, |memory| {
            copy(py, &slices, memory);
            Ok(())
        })
    }

    /// Receives into `buffer`, up to `nbytes` or its size; returns how many bytes came.
    #[pyo3(signature = (buffer, nbytes = 0, flags = 0))]
    fn recv_into(
        &self,
        py: Python<'_>,
        buffer: &Bound<'_, PyAny>,
        nbytes: isize,
        flags: i32,
    ) -> PyResult<usize> {
        if self.socket.kind() == SocketKind::Datagram {
            return Ok(self.recvfrom_into(py, buffer, nbytes, flags)?.0);
        }
        let mut target = Target::new(buffer)?;
        let most = room(&target, nbytes)?;
        let slices = self.receive(py, most, flags)?;
        if flags & MessageFlags::TRUNC.0 != 0 {
            return Ok(slices.iter().map(Bytes::len).sum());
        }
        Ok(copy(py, &slices, target.memory()))
    }

    /// Sends a datagram to `address`; a stream sends to its peer.
    #[pyo3(signature = (data, flags, address, /))]
    fn sendto(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        flags: i32,
        address: &Bound<'_, PyAny>,
    ) -> PyResult<usize> {
        let destination = address::from_python(self.domain, address)?;
        if self.socket.kind() == SocketKind::Stream {
            return self.send(py, data, flags);
        }
        let source = Source::new(data)?;
        Ok(self.send_datagram(py, source.bytes(), MessageFlags(flags), Some(destination))?)
    }

    /// Receives up to `bufsize` bytes, and the address of who sent the datagram; None for a stream.
    #[pyo3(signature = (bufsize, flags = 0, /))]
    fn recvfrom<'py>(
        &self,
        py: Python<'py>,
        bufsize: isize,
        flags: i32,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyAny>)> {
        if self.socket.kind() == SocketKind::Stream {
            return Ok((self.recv(py, bufsize, flags)?, self.sender(py, None)?));
        }
        let most =
            usize::try_from(bufsize).map_err(|_| PyValueError::new_err("negative buffersize in recvfrom"))?;
        let datagram = self.receive_datagram(py, flags)?;
        let bytes = datagram.as_ref().map_or(Bytes::new(), |datagram| fitting(&datagram.bytes, most));
        let from = self.sender(py, datagram.map(|datagram| datagram.from))?;
        Ok((PyBytes::new(py, &bytes), from))
    }

    /// The same into `buffer`; the number of bytes is the datagram's length with MSG_TRUNC.
    #[pyo3(signature = (buffer, nbytes = 0, flags = 0))]
    fn recvfrom_into<'py>(
        &self,
        py: Python<'py>,
        buffer: &Bound<'py, PyAny>,
        nbytes: isize,
        flags: i32,
    ) -> PyResult<(usize, Bound<'py, PyAny>)> {
        if self.socket.kind() == SocketKind::Stream {
            return Ok((self.recv_into(py, buffer, nbytes, flags)?, self.sender(py, None)?));
        }
        let mut target = Target::new(buffer)?;
        let most = room(&target, nbytes)?;
        let Some(datagram) = self.receive_datagram(py, flags)? else {
            return Ok((0, self.sender(py, None)?));
        };
        let count = copy(py, &[fitting(&datagram.bytes, most)], target.memory());
        let whole = MessageFlags(flags).contains(MessageFlags::TRUNC);
        let count = if whole { datagram.bytes.len() } else { count };
        Ok((count, self.sender(py, Some(datagram.from))?))
    }

    /// Sends a message with control data, an iterable of (level, type, bytes), to `address` or the peer.
    #[pyo3(signature = (data, control, flags, address, /))]
    fn sendmsg(
        &self,
        data: &Bound<'_, PyAny>,
        control: &Bound<'_, PyAny>,
        flags: i32,
        address: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        message::send(self, data, control, flags, address)
    }

    /// Receives a message with up to `room` bytes of control data: bytes, how many there were, control data, flags, sender.
    #[pyo3(signature = (bufsize, room, flags, /))]
    fn recvmsg<'py>(
        &self,
        py: Python<'py>,
        bufsize: isize,
        room: usize,
        flags: i32,
    ) -> PyResult<message::Told<'py>> {
        message::receive(self, py, bufsize, room, flags)
    }

    /// Shuts down one or both halves.
    fn shutdown(&self, py: Python<'_>, how: i32) -> PyResult<()> {
        let how = match how {
            0 => Shutdown::Read,
            1 => Shutdown::Write,
            2 => Shutdown::Both,
            _ => return Err(os_error(&Errno::EINVAL.into())),
        };
        control(py, || self.socket.shutdown(how))
    }

    /// Another object for the same socket, with a time-out of its own.
    fn twin(&self) -> PyResult<Self> {
        if self.socket.readiness().any(Readiness::NVAL) {
            return Err(os_error(&Errno::EBADF.into()));
        }
        let twin = Self::of(self.socket.clone(), self.domain, self.calls.clone());
        for (limit, own) in [
            (&twin.timeout, &self.timeout),
            (&twin.receive_limit, &self.receive_limit),
            (&twin.send_limit, &self.send_limit),
        ] {
            limit.store(own.load());
        }
        Ok(twin)
    }

    /// Calls off whoever waits now: ECANCELED.
    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        self.calls.call_off();
        control(py, || self.socket.cancel())
    }

    /// Closes; closing twice is no error.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        closed(released(py, || self.socket.close()))
    }

    /// Resets the connection and closes.
    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        closed(released(py, || self.socket.abort()))
    }

    /// Own address.
    fn getsockname<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let own = control(py, || self.socket.local_address())?;
        address::to_python(py, self.domain, own)
    }

    /// The peer's address.
    fn getpeername<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let peer = control(py, || self.socket.peer_address())?;
        address::to_python(py, self.domain, peer)
    }

    /// Sets an option to a number, to bytes, or with `None` to `optlen` zero bytes.
    #[pyo3(signature = (level, optname, value, optlen = None, /))]
    fn setsockopt(
        &self,
        py: Python<'_>,
        level: i32,
        optname: i32,
        value: &Bound<'_, PyAny>,
        optlen: Option<usize>,
    ) -> PyResult<()> {
        let bytes = match (value.is_none(), optlen) {
            (true, Some(length)) => vec![0; length.min(1024)],
            (true, None) => return Err(PyTypeError::new_err("setsockopt() with None needs optlen")),
            (false, Some(_)) => return Err(PyTypeError::new_err("optlen goes with a value of None")),
            (false, None) => match value.extract::<i32>() {
                Ok(number) => number.to_ne_bytes().to_vec(),
                Err(error) if error.is_instance_of::<PyTypeError>(py) => Source::new(value)?.bytes().to_vec(),
                Err(error) => return Err(error),
            },
        };
        control(py, || self.socket.set_option(level, optname, &bytes))?;
        if level == SOL_SOCKET && (optname == SO_RCVTIMEO || optname == SO_SNDTIMEO) {
            let (receive, send) = control(py, || self.socket.timeouts())?;
            self.receive_limit.store(receive);
            self.send_limit.store(send);
        }
        Ok(())
    }

    /// Reads an option: a number, or `buflen` bytes at most.
    #[pyo3(signature = (level, optname, buflen = 0, /))]
    fn getsockopt<'py>(
        &self,
        py: Python<'py>,
        level: i32,
        optname: i32,
        buflen: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bytes = control(py, || self.socket.option(level, optname))?;
        if buflen == 0 {
            let mut number = [0; 4];
            for (digit, byte) in number.iter_mut().zip(bytes) {
                *digit = byte;
            }
            return Ok(i32::from_ne_bytes(number).into_pyobject(py)?.into_any());
        }
        let some = bytes.get(..buflen).unwrap_or(&bytes);
        Ok(PyBytes::new(py, some).into_any())
    }

    /// Sets the time-out in seconds: None for none, 0 for non-blocking.
    fn settimeout(&self, value: Option<f64>) -> PyResult<()> {
        self.timeout.store(duration(value)?);
        Ok(())
    }

    /// The time-out in seconds.
    fn gettimeout(&self) -> Option<f64> {
        self.timeout.load().map(|limit| limit.as_secs_f64())
    }

    /// What the socket is ready for, in the numbers of `select.poll`.
    fn readiness(&self, py: Python<'_>) -> u16 {
        released(py, || self.socket.readiness().0)
    }

    /// A descriptor that shows readiness to select, poll, epoll and event loops; it is the socket's own and closed with it.
    fn fd(&self, py: Python<'_>) -> PyResult<i32> {
        control(py, || self.socket.readiness_fd())
    }

    /// Turns the connection into a byte stream of the system and closes this socket; the descriptor, the number of fd() if that was called, is
    /// the caller's to close.
    ///
    /// When it fails, the number of fd() is the caller's all the same: `ssl` takes that number first and asks afterwards, and closes it.
    fn export_fd(&self, py: Python<'_>) -> PyResult<i32> {
        control(py, || {
            let exported = self.socket.export_fd();
            if exported.is_err() {
                self.socket.leave_readiness_fd()?;
            }
            exported
        })
        .map(IntoRawFd::into_raw_fd)
    }

    /// The answer to an ioctl request.
    #[pyo3(signature = (request, /))]
    fn ioctl(&self, py: Python<'_>, request: u64) -> PyResult<i32> {
        control(py, || self.socket.ioctl(request))
    }

    /// Why the connection is over; None while it is not.
    #[getter]
    fn end_reason(&self, py: Python<'_>) -> Option<EndReason> {
        released(py, || self.socket.end_reason()).map(Into::into)
    }

    /// Traces the connection to a duplicate of the descriptor, or no more.
    fn trace(&self, py: Python<'_>, fd: Option<i32>) -> PyResult<()> {
        let sink = fd.map(trace_sink).transpose()?;
        control(py, || self.socket.trace(sink))
    }

    /// The connection in figures.
    fn tcp_info(&self, py: Python<'_>) -> PyResult<TcpInfo> {
        Ok(control(py, || self.socket.tcp_info())?.into())
    }
}

/// Runs a call that never waits for the network.
pub(crate) fn control<T: Send>(py: Python<'_>, call: impl FnOnce() -> api::Result<T> + Send) -> PyResult<T> {
    released(py, call).map_err(|error| os_error(&error))
}

/// Sleeps until `socket` is ready for `interest`; EAGAIN when `wait` is over before.
pub(crate) fn ready_for(socket: &api::Socket, interest: Readiness, wait: Wait) -> api::Result<Readiness> {
    let mut entries = [PollEntry { socket: Some(socket), interest, ready: Readiness::default() }];
    let count = api::poll(&mut entries, wait)?;
    let [PollEntry { ready, .. }] = entries;
    if count == 0 { Err(Errno::EAGAIN.into()) } else { Ok(ready) }
}

/// Closing is done in any case: what is closed already, or belongs to a stack that has failed or to the parent process, needs no error.
fn closed(answer: api::Result<()>) -> PyResult<()> {
    match answer {
        Err(error) if !matches!(error.errno(), Errno::EBADF | Errno::ECHILD | Errno::ENOTRECOVERABLE) => {
            Err(os_error(&error))
        }
        _ => Ok(()),
    }
}
