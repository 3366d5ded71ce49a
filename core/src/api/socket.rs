//! A socket of a running stack.

use super::gather::{Gather, Scatter};
use super::settings::Settings;
use super::{MessageFlags, TraceSink, Wait};
use crate::buffer::{Cell, Life, Slices, SocketId};
use crate::engine::{Clock, Command, Engine, Patience, Place, Running, Turn, block, unless_called_off};
use crate::error::{EndReason, Errno, Error, Result};
use crate::socket::Descriptor;
use crate::stack::socket::{self, Readiness};
use crate::stack::{Shutdown, TcpInfo};
use crate::sync::{Arc, OnceLock, TaskArc};
use crate::time::{Duration, Instant};
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::task::Waker;

/// What a socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketKind {
    /// SOCK_STREAM: TCP.
    Stream,
    /// SOCK_DGRAM: UDP. It has peers without listening or accepting, and its data keep their boundaries.
    Datagram,
}

/// A socket: any thread, any time, closed by `close` or by dropping it.
#[derive(Debug)]
pub struct Socket {
    pub(super) running: Arc<Running>,
    pub(super) id: SocketId,
    pub(super) cell: Arc<Cell>,
    pub(super) settings: Settings,
    kind: SocketKind,
    /// Shows readiness, if the program asked for a descriptor.
    pub(super) descriptor: OnceLock<TaskArc<Descriptor>>,
}

impl Socket {
    pub(super) fn new(running: Arc<Running>, id: SocketId, cell: Arc<Cell>, settings: Settings) -> Self {
        let datagrams = cell.lock().datagrams.is_some();
        let kind = if datagrams { SocketKind::Datagram } else { SocketKind::Stream };
        Self { running, id, cell, settings, kind, descriptor: OnceLock::new() }
    }

    /// The worker that has it.
    pub(super) fn engine(&self) -> &Engine {
        self.running.engine_of(self.id)
    }

    /// What its time-outs go by.
    pub(super) fn clock(&self) -> &Clock {
        self.engine().clock()
    }

    /// What it carries.
    #[must_use]
    pub const fn kind(&self) -> SocketKind {
        self.kind
    }

    /// Gives the socket its own address; port 0 picks one.
    pub fn bind(&self, address: SocketAddr) -> Result<()> {
        self.control_ports(|turn, _| turn.stack.bind(self.id, address))
    }

    /// Listens; `backlog` connections may wait to be accepted.
    pub fn listen(&self, backlog: u32) -> Result<()> {
        self.control_ports(|turn, now| turn.stack.listen(now, self.id, backlog))
    }

    /// The oldest waiting connection and its peer's address. It inherits the listener's time-outs and SO_LINGER, and blocks.
    pub fn accept(&self, wait: Wait) -> Result<(Self, SocketAddr)> {
        let patience = self.settings.receive_patience(self.clock(), wait);
        let accepted = self.block("accept", Place::Device, patience, |waker| {
            let (accepted, kick) = socket::accept(&self.cell, waker)?;
            self.engine().kick(self.id, kick);
            Ok(accepted)
        })?;
        let settings = self.settings.inherited();
        let running = self.running.clone();
        Ok((Self::new(running, accepted.socket, accepted.cell, settings), accepted.peer))
    }

    /// Connects; a datagram socket at once, whether or not it was connected before. EINPROGRESS when it may not sleep, or no longer: the outcome shows
    /// as OUT readiness and in SO_ERROR.
    pub fn connect(&self, peer: SocketAddr, wait: Wait) -> Result<()> {
        let patience = self.settings.send_patience(self.clock(), wait);
        let started = self.control_ports(|turn, now| turn.stack.connect(now, self.id, peer));
        let waiting = match started {
            Ok(()) => Errno::EINPROGRESS,
            Err(error) if error.errno() == Errno::EALREADY => Errno::EALREADY,
            Err(error) => return Err(error),
        };
        if self.kind == SocketKind::Datagram {
            return Ok(());
        }
        let connected = |waker: Option<&Waker>| socket::connected(&self.cell, waker);
        // Whoever does not wait is not told at once, however near the peer is.
        let place = if patience == Patience::Never { Place::Cell } else { Place::Device };
        let outcome = self.block("connect", place, patience, connected);
        outcome.map_err(|error| if error.errno() == Errno::EAGAIN { waiting.into() } else { error })
    }

    /// Sends; sleeps until everything is queued, unless it may not. Returns what was queued if that is anything. A datagram is queued whole or not at all.
    pub fn send(&self, bytes: &[u8], flags: MessageFlags, wait: Wait) -> Result<usize> {
        self.send_vectored(&[IoSlice::new(bytes)], flags, wait)
    }

    /// [`Socket::send`] of bytes in several pieces, which are not joined before.
    pub fn send_vectored(&self, pieces: &[IoSlice<'_>], flags: MessageFlags, wait: Wait) -> Result<usize> {
        if self.kind == SocketKind::Datagram {
            return self.send_to_vectored(pieces, None, flags, wait);
        }
        let wait = flags.for_send()?.limit(wait);
        let patience = self.settings.send_patience(self.clock(), wait);
        self.send_all(Gather::new(pieces), (flags.more(), flags.urgency()), patience)
    }

    /// Receives up to `bytes.len()` bytes; 0 is the end of the stream. With MSG_TRUNC they are counted and thrown away. Of a datagram what does not fit
    /// is lost; see [`Socket::recv_from`].
    pub fn recv(&self, bytes: &mut [u8], flags: MessageFlags, wait: Wait) -> Result<usize> {
        self.recv_vectored(&mut [IoSliceMut::new(bytes)], flags, wait)
    }

    /// [`Socket::recv`] into several pieces, filled one after the other.
    pub fn recv_vectored(
        &self,
        pieces: &mut [IoSliceMut<'_>],
        flags: MessageFlags,
        wait: Wait,
    ) -> Result<usize> {
        if self.kind == SocketKind::Datagram {
            return Ok(self.recv_message(pieces, flags, wait)?.told);
        }
        let mut scatter = Scatter::new(pieces);
        let discard = flags.contains(MessageFlags::TRUNC);
        self.receive(scatter.len(), flags, wait, |slices| {
            if !discard {
                scatter.put_all(&slices);
            }
        })
    }

    /// Receives up to `most` bytes of a stream as shared slices, to be copied by the caller; an empty chain is its end. EOPNOTSUPP for a datagram socket.
    pub fn recv_slices(&self, most: usize, flags: MessageFlags, wait: Wait) -> Result<Slices> {
        if self.kind == SocketKind::Datagram {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let mut chain = Slices::new();
        self.receive(most, flags, wait, |slices| chain.extend(slices))?;
        Ok(chain)
    }

    /// Throws away up to `most` bytes of a stream, of which it waits for the first; how many. EOPNOTSUPP for a datagram socket.
    pub fn discard(&self, most: usize, flags: MessageFlags, wait: Wait) -> Result<usize> {
        if self.kind == SocketKind::Datagram {
            return Err(Errno::EOPNOTSUPP.into());
        }
        self.receive(most, flags, wait, drop)
    }

    /// How many bytes [`Socket::recv`] waits for at least (SO_RCVLOWAT).
    pub fn receive_low(&self) -> usize {
        socket::receive_low(&self.cell)
    }

    /// Calls off whoever sleeps on the socket now, be it in [`poll`](super::poll()): they return ECANCELED, or what they have done of their work already. The
    /// socket goes on as if nothing had happened, an attempt to connect too, and calls that begin later sleep again. Who waits by a [`PollSet`](super::PollSet)
    /// or a descriptor is not concerned.
    pub fn cancel(&self) -> Result<()> {
        self.open()?;
        let mut wakers = Vec::new();
        self.cell.call_off(&mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Whether the next byte to read is the last urgent one, before which a read stops (SIOCATMARK, sockatmark(3)).
    pub fn at_mark(&self) -> Result<bool> {
        self.engine().check()?;
        Ok(socket::at_mark(&self.cell)?)
    }

    /// Shuts down one or both halves.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        self.control(|turn, now| turn.stack.shutdown(now, self.id, how))
    }

    /// Closes: every later call is EBADF, those asleep wake with ECANCELED. Sleeps only with SO_LINGER above 0.
    pub fn close(&self) -> Result<()> {
        self.check_closing()?;
        let linger = self.settings.linger();
        if !self.let_go() {
            return Err(Errno::EBADF.into());
        }
        if let Some(linger) = linger {
            self.linger(self.clock().now() + linger);
        }
        Ok(())
    }

    /// Ends the connection with RST and closes.
    pub fn abort(&self) -> Result<()> {
        self.check_closing()?;
        let engine = self.engine();
        // Closed first: who sleeps on the socket is to be told of that, not of the reset.
        if !self.mark_closed() {
            return Err(Errno::EBADF.into());
        }
        let aborted = engine.control(|turn, now| turn.stack.abort(now, self.id));
        engine.post(Command::Close(self.id));
        match aborted {
            Ok(()) | Err(Errno::ENOTCONN) => Ok(()),
            // Gone already: the stack hears of the close also from a datagram that comes for it.
            Err(Errno::EBADF) if self.kind() == SocketKind::Datagram => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Own address.
    pub fn local_address(&self) -> Result<SocketAddr> {
        self.control(|turn, _| turn.stack.local_address(self.id))
    }

    /// The peer's address.
    pub fn peer_address(&self) -> Result<SocketAddr> {
        self.control(|turn, _| turn.stack.peer_address(self.id))
    }

    /// Sets an option by the kernel's numbers and byte form.
    pub fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        if self.settings.set(level, name, value)? {
            return self.open();
        }
        if let Some(six) = self.is_six()
            && self.settings.set_told(six, level, name, value)?
        {
            return self.open();
        }
        self.control(|turn, now| turn.stack.set_option(now, self.id, level, name, value))?;
        self.settings.observe(level, name, value);
        Ok(())
    }

    /// Reads an option in the kernel's byte form.
    pub fn option(&self, level: i32, name: i32) -> Result<Vec<u8>> {
        if (level, name) == (libc::SOL_SOCKET, libc::SO_ERROR) {
            let errno = self.take_error()?.map_or(0, |errno| errno.0);
            return Ok(errno.to_ne_bytes().to_vec());
        }
        if (level, name) == (libc::IPPROTO_TCP, libc::TCP_INFO) {
            return Ok(socket::figures::bytes(&self.tcp_info()?));
        }
        let told = || self.settings.read_told(self.is_six()?, level, name);
        if let Some(value) = self.settings.read(level, name).or_else(told) {
            return self.open().map(|()| value);
        }
        self.control(|turn, _| turn.stack.option(self.id, level, name))
    }

    /// Whether a datagram socket is of IPv6; `None` for a stream.
    fn is_six(&self) -> Option<bool> {
        self.cell.lock().datagrams.as_ref().map(|datagrams| datagrams.six)
    }

    /// Time-outs of receiving calls (recv, accept) and of sending ones (send, connect); `None`: none.
    pub fn set_timeouts(&self, receive: Option<Duration>, send: Option<Duration>) -> Result<()> {
        self.open()?;
        self.settings.set_timeouts(receive, send);
        Ok(())
    }

    /// The time-outs: receiving, sending.
    pub fn timeouts(&self) -> Result<(Option<Duration>, Option<Duration>)> {
        self.open()?;
        Ok(self.settings.timeouts())
    }

    /// Whether calls with `Wait::AsSet` never sleep.
    pub fn set_nonblocking(&self, on: bool) -> Result<()> {
        self.open()?;
        self.settings.set_nonblocking(on);
        Ok(())
    }

    /// Whether calls with `Wait::AsSet` never sleep.
    pub fn nonblocking(&self) -> Result<bool> {
        self.open()?;
        Ok(self.settings.nonblocking())
    }

    /// Why the connection is over; `None` while it is not. Still known after the socket or its stack is closed, whatever became of the error.
    #[must_use]
    pub fn end_reason(&self) -> Option<EndReason> {
        self.cell.lock().end
    }

    /// A counter by the kernel's ioctl number, see [`socket::ioctl`]: SIOCINQ, SIOCOUTQ, SIOCOUTQNSD.
    pub fn ioctl(&self, request: u64) -> Result<i32> {
        self.open()?;
        Ok(socket::ioctl(&self.cell, request)?)
    }

    /// Takes the pending error.
    pub fn take_error(&self) -> Result<Option<Errno>> {
        self.open()?;
        let error = socket::take_error(&self.cell);
        self.show();
        Ok(error)
    }

    /// What the socket is ready for; NVAL once it is closed.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.look(Readiness::default(), None)
    }

    /// A descriptor of the system that shows [`Socket::readiness`] to poll(2), epoll(7) and the event loops on top of them: IN, OUT, RDHUP,
    /// HUP and ERR, level-triggered and with an edge for every change from off to on.
    ///
    /// It is made by the first call, is the socket's, closed with it, and close-on-exec. It is to be polled, never read, written, shut down or
    /// closed; the pending error is told by [`Socket::take_error`]. A duplicate that the program made of it shows HUP once the socket is
    /// closed. As HUP and ERR are for good on a descriptor, it shows neither before there was a connection, and an error that ends nothing shows
    /// as IN and OUT.
    ///
    /// EBADF, EMFILE, ENFILE, EOPNOTSUPP when the kernel cannot show the states.
    pub fn readiness_fd(&self) -> Result<RawFd> {
        self.open()?;
        let made = match self.descriptor.get() {
            Some(known) => known.clone(),
            None => {
                let made = self.engine().descriptor(self.id, &self.cell)?;
                // Kept first: a data call that the look below does not see looks itself.
                self.descriptor.get_or_init(|| made.clone());
                made.publish();
                made
            }
        };
        Ok(made.number().ok_or(Errno::EBADF)?)
    }

    /// The connection in figures.
    pub fn tcp_info(&self) -> Result<TcpInfo> {
        self.control(|turn, now| turn.stack.tcp_info(now, self.id))
    }

    /// Writes what happens to this connection to `sink` from now on, or to those that this listener accepts from now on, instead of where
    /// [`Stack::trace`](super::Stack::trace) does; `None`: no more. Asked for before `connect`, it has all of the connection. EOPNOTSUPP for a
    /// datagram socket.
    pub fn trace(&self, sink: Option<TraceSink>) -> Result<()> {
        let file = sink.map(TraceSink::open).transpose()?;
        self.control(|turn, now| turn.trace_socket(now, self.id, file))
    }

    /// [`Socket::readiness`]; registers `waker` when `interest` is not met.
    pub(super) fn look(&self, interest: Readiness, waker: Option<&Waker>) -> Readiness {
        match self.engine().check() {
            Err(Errno::ENOTRECOVERABLE) => Readiness::ERR | Readiness::HUP | Readiness::IN | Readiness::OUT,
            Err(Errno::EBADF | Errno::ECHILD) => Readiness::NVAL,
            _ if self.cell.is_given() => Readiness::NVAL,
            _ => socket::readiness(&self.cell, interest, waker),
        }
    }

    /// Takes a waker back.
    pub(super) fn forget(&self, waker: &Waker) {
        self.cell.lock().unregister(waker);
    }

    /// EBADF once the socket or its stack is closed.
    pub(super) fn open(&self) -> Result<()> {
        self.engine().check()?;
        let closed = self.cell.lock().life == Life::Closed || self.cell.is_given();
        if closed { Err(Errno::EBADF.into()) } else { Ok(()) }
    }

    /// An error that `call` met, with why the connection is over in words if that is the reason: for those who take the error themselves.
    #[must_use]
    pub fn explain(&self, call: &str, errno: Errno) -> Error {
        match self.end_reason().filter(|reason| reason.errno() == Some(errno)) {
            Some(reason) => Error::new(errno, format!("{call}: {reason}")),
            None => errno.into(),
        }
    }

    /// Repeats a data call until it can be answered.
    pub(super) fn block<T>(
        &self,
        call: &str,
        place: Place,
        patience: Patience,
        attempt: impl FnMut(Option<&Waker>) -> Result<T, Errno>,
    ) -> Result<T> {
        self.block_since(self.cell.calls(), call, place, patience, attempt)
    }

    /// The same for a piece of a call that began when [`Cell::calls`] was `began`.
    pub(super) fn block_since<T>(
        &self,
        began: u32,
        call: &str,
        place: Place,
        patience: Patience,
        attempt: impl FnMut(Option<&Waker>) -> Result<T, Errno>,
    ) -> Result<T> {
        let engine = self.engine();
        engine.check()?;
        let attempt = unless_called_off(&self.cell, began, attempt);
        let answer = block(engine, place, patience, attempt, |waker| self.forget(waker));
        self.show();
        answer.map_err(|errno| if errno == Errno::EAGAIN { errno.into() } else { self.explain(call, errno) })
    }

    /// Shows in the descriptor, if there is one, what a call changed.
    pub(super) fn show(&self) {
        if let Some(descriptor) = self.descriptor.get() {
            descriptor.publish();
        }
    }

    pub(super) fn control<T>(&self, call: impl FnOnce(&mut Turn, Instant) -> Result<T, Errno>) -> Result<T> {
        self.open()?;
        let answer = self.engine().control(call);
        self.show();
        Ok(answer?)
    }

    /// The same for calls that may find a port taken: by a socket of another worker, which has been closed and has not done so yet.
    fn control_ports(&self, call: impl Fn(&mut Turn, Instant) -> Result<(), Errno>) -> Result<()> {
        let answer = self.control(&call);
        let taken = |error: &Error| matches!(error.errno(), Errno::EADDRINUSE | Errno::EADDRNOTAVAIL);
        if answer.as_ref().is_err_and(taken) && self.running.settle() { self.control(&call) } else { answer }
    }

    /// Marks the cell closed, wakes its sleepers and tells the holder; false if it was closed before.
    fn let_go(&self) -> bool {
        let closed = self.mark_closed();
        if closed {
            self.engine().close(self.id);
        }
        closed
    }

    /// Whether the stack still takes part in closing the socket. One that has come to an end leaves it to the socket to let go of its descriptor.
    fn check_closing(&self) -> Result<()> {
        let answer = self.engine().check();
        if let Err(Errno::EBADF | Errno::ENOTRECOVERABLE) = answer {
            self.mark_closed();
        }
        Ok(answer?)
    }

    /// Marks the cell closed, wakes its sleepers and closes the descriptor; false if it was closed before, be it by the stack's end.
    fn mark_closed(&self) -> bool {
        if self.cell.is_given() {
            return false;
        }
        let mut wakers = Vec::new();
        let closed = socket::close(&self.cell, &mut wakers);
        for waker in wakers {
            waker.wake();
        }
        if self.cell.lock().unwatch() {
            self.close_descriptor();
        }
        closed
    }

    /// Closes the readiness descriptor of a socket that is closed.
    pub(super) fn close_descriptor(&self) {
        if let Some(descriptor) = self.engine().take_descriptor(self.id) {
            descriptor.close();
        }
    }

    /// Sleeps until everything sent is acknowledged, the FIN included, or `until`.
    fn linger(&self, until: Instant) {
        let lingering = |turn: &mut Turn, now| {
            let info = turn.stack.tcp_info(now, self.id);
            let sending = matches!(info.map_or(0, |info| info.state), 1 | 4 | 8 | 9 | 11);
            (!sending).then_some(())
        };
        self.engine().watch(Some(until), lingering);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if !self.running.is_forked() {
            self.let_go();
        }
    }
}
