//! A connection as a descriptor of the system's own, for whatever insists on read(2) and write(2).

use super::Socket;
use crate::buffer::Life;
use crate::error::{Errno, Error, Result};
use crate::socket::{self, Descriptor, Door, Stream, christen};
use crate::sync::TaskArc;
use crate::sys;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::task::Waker;

impl Socket {
    /// Turns the connection into a byte stream of the system, an AF_UNIX socket that is the caller's, and closes this handle: every later call
    /// is EBADF, those asleep wake with ECANCELED. The stack's I/O thread pumps between the two.
    ///
    /// It may be read, written, polled, shut down by halves, duplicated, passed to other programs and handed to libraries. What was received
    /// and not read comes first. A peer that does not read stops the program's writing, a program that does not read closes the window towards
    /// the peer; beside the socket's own buffers only those of the descriptor hold bytes. The end of the peer's stream is read as such. After an
    /// error of the connection, a reset for one, what was received can be read; then reading fails with ECONNRESET if the program had written what
    /// was not sent yet, and otherwise returns the end of the stream; writing fails with EPIPE. When its last duplicate is closed the connection is
    /// closed as by [`Socket::close`]: FIN, or RST if bytes were left unread. SO_LINGER above 0 does not make that sleep.
    ///
    /// The connection keeps the stack open. `Stack::close` sends what was written before it, within its time-out, then FIN.
    ///
    /// The descriptor is close-on-exec, non-blocking if the socket was, and the one of [`Socket::readiness_fd`] if the program had asked for it:
    /// the same open file, as long as it did not show RDHUP yet, and the same number in any case.
    ///
    /// A listener becomes a listening socket of AF_UNIX: each connection that is accepted there is such a stream, and its addresses can be asked for
    /// ([`exported_addresses`]). A backlog of as many as the listener's waits there, and as many more behind it. When its last
    /// duplicate is closed the listener is closed, a quarter of a second later at most; `Stack::close` shuts it down. It has the number of
    /// [`Socket::readiness_fd`] too, and is another open file.
    ///
    /// EOPNOTSUPP for a simulated stack; ENOTCONN when there is no connection, or the error that it ended with and nobody was told; EBADF, EMFILE, ENFILE, ENOMEM,
    /// ENOSPC (fs.epoll.max_user_watches). For a listener, what the system says where a folder cannot be made for it among the temporary files, or without /proc.
    pub fn export_fd(&self) -> Result<OwnedFd> {
        let nonblocking = self.nonblocking()?;
        if self.clock().conductor().is_some() {
            let text = "a simulated connection cannot become a descriptor: nothing pumps it while its program waits for the system";
            return Err(Error::new(Errno::EOPNOTSUPP, text));
        }
        if self.cell.lock().life == Life::Listening {
            return self.export_listener(nonblocking);
        }
        let engine = self.engine();
        let descriptor = engine.take_descriptor(self.id);
        let outcome = self.export(descriptor.as_ref(), nonblocking);
        if let (Err(_), Some(descriptor)) = (&outcome, descriptor) {
            engine.return_descriptor(self.id, descriptor);
        }
        if self.cell.lock().life == Life::Closed {
            // Left by somebody who asked for one, or closed the socket, meanwhile.
            self.close_descriptor();
        }
        outcome
    }

    /// Leaves the number of [`Socket::readiness_fd`] to somebody who has taken it for a stream of its own and will close it, as Python's `ssl`
    /// does before it asks for one: if [`Socket::export_fd`] then fails, closing the number twice would close whatever has it by then. The next
    /// [`Socket::readiness_fd`] is another number. EMFILE, ENFILE.
    pub fn leave_readiness_fd(&self) -> Result<()> {
        match self.descriptor.get() {
            Some(descriptor) => Ok(descriptor.leave_number()?),
            None => Ok(()),
        }
    }

    fn export(&self, descriptor: Option<&TaskArc<Descriptor>>, nonblocking: bool) -> Result<OwnedFd> {
        let engine = self.engine();
        let (front, back) = match descriptor {
            Some(descriptor) => descriptor.take_stream()?,
            None => sys::socketpair(libc::SOCK_STREAM | libc::SOCK_NONBLOCK)?,
        };
        let refuse = |stream: Stream| {
            if let Some(descriptor) = descriptor {
                descriptor.give_back(stream);
            }
        };
        if let Err(errno) = christen(&back, self.local_address().ok(), self.peer_address().ok()) {
            refuse((front, back));
            return Err(errno.into());
        }
        let announced = match engine.announce(self.id, back) {
            Ok(announced) => announced,
            Err((errno, back)) => {
                refuse((front, back));
                return Err(errno.into());
            }
        };
        match engine.control(|turn, _| turn.stack.hand_over(self.id)) {
            Ok(cell) => {
                sys::set_nonblocking(front.as_fd(), nonblocking)?;
                engine.adopt(announced, cell, Box::new(self.running.clone()));
                Ok(front)
            }
            Err(errno) => {
                refuse((front, engine.renounce(announced)));
                Err(errno.into())
            }
        }
    }
}

impl Socket {
    fn export_listener(&self, nonblocking: bool) -> Result<OwnedFd> {
        let engine = self.engine();
        let own = self.local_address()?;
        let backlog = self.control(|turn, _| turn.stack.backlog(self.id))?;
        let (front, door) = Door::open(own, i32::try_from(backlog).unwrap_or(i32::MAX))?;
        sys::set_nonblocking(front.as_fd(), nonblocking)?;
        let announced = engine.announce(self.id, sys::timer()?).map_err(|(errno, _)| errno)?;
        let mut wakers = Vec::new();
        if !self.cell.give(&mut wakers) {
            engine.renounce(announced);
            return Err(Errno::EBADF.into());
        }
        wakers.into_iter().for_each(Waker::wake);
        let number = engine.take_descriptor(self.id).and_then(|descriptor| descriptor.give_number());
        engine.adopt_listener(announced, self.cell.clone(), door, &self.running);
        match number {
            Some(number) => {
                sys::replace(number.as_fd(), front.as_fd())?;
                Ok(number)
            }
            None => Ok(front),
        }
    }
}

/// Own address and the peer's, as far as they are known, of the connection or listener that a descriptor of [`Socket::export_fd`], or one accepted there, stands
/// for; in whatever process it is. EBADF, ENOTSOCK; EINVAL: it stands for none.
pub fn exported_addresses(fd: RawFd) -> Result<(Option<SocketAddr>, Option<SocketAddr>)> {
    Ok(socket::exported_addresses(fd)?)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::api::{DeviceOptions, Domain, Stack, StackOptions};
    use crate::sys::PollFd;
    use crate::time::Duration;
    use std::os::fd::AsRawFd;

    fn open() -> (Stack, Socket, OwnedFd) {
        let (near, far) = sys::socketpair(libc::SOCK_SEQPACKET).expect("a socket pair");
        let device = DeviceOptions::Descriptor(near);
        let stack = Stack::open(StackOptions { device, ..StackOptions::default() }).expect("a stack");
        let socket = stack.socket(Domain::V4).expect("a socket");
        (stack, socket, far)
    }

    fn shown(fd: i32) -> i16 {
        let mut entries = [PollFd { fd, events: 0, revents: 0 }];
        sys::poll(&mut entries, Some(Duration::ZERO)).expect("poll");
        entries[0].revents
    }

    #[test]
    fn a_stream_that_comes_too_late_is_over() {
        let (stack, socket, _far) = open();
        let engine = socket.engine();
        let (front, back) = sys::socketpair(libc::SOCK_STREAM).expect("a socket pair");
        let announced = engine.announce(socket.id, back).expect("nothing can fail any more");
        stack.close(Some(Duration::ZERO)).expect("nothing is left to wait for");
        engine.adopt(announced, socket.cell.clone(), Box::new(socket.running.clone()));
        assert_eq!(shown(front.as_raw_fd()), libc::POLLHUP);
    }

    #[test]
    fn a_descriptor_that_is_returned_late_shows_the_end_of_the_stack() {
        let (stack, socket, _far) = open();
        let engine = socket.engine();
        let fd = socket.readiness_fd().expect("a descriptor");
        let descriptor = engine.take_descriptor(socket.id).expect("it is known");
        assert!(socket.cell.lock().unwatch(), "what becomes of the socket is not to show it");
        stack.close(Some(Duration::ZERO)).expect("nothing is left to wait for");
        assert_eq!(shown(fd), 0, "nobody knows of it");
        engine.return_descriptor(socket.id, descriptor);
        assert_eq!(shown(fd), libc::POLLHUP | libc::POLLERR);
    }
}
