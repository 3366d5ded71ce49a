//! The two ends behind a readiness descriptor, or loom's copy of them.
//!
//! ```text
//!            front, the program polls it              back, ours
//!  IN        a byte waits in its queue       <------  written here
//!  OUT off   a block of its own is unread    ------>  waits here
//!  RDHUP, HUP                                <------  shutdown(2) here
//!  ERR       it wrote what nobody read       ------>  closed with something unread
//! ```

#[cfg(loom)]
pub(super) use model::{Pair, try_out};
#[cfg(not(loom))]
pub(super) use real::{Pair, try_out};

#[cfg(not(loom))]
mod real {
    use crate::error::{Errno, Error, Result};
    use crate::sys::{self, PollFd};
    use crate::time::Duration;
    use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd};

    /// A connected pair of AF_UNIX stream sockets. The front one shows what is written to and done with the back one; each state takes
    /// one system call to change.
    #[derive(Debug)]
    pub(in crate::socket) struct Pair {
        front: OwnedFd,
        /// `None` once the front shows an error, which is for good.
        back: Option<OwnedFd>,
    }

    /// A block of the front that waits at the back keeps the front from being writable: it is charged with more than a quarter of the
    /// send buffer at its smallest.
    const BLOCK: [u8; 1024] = [0; 1024];
    /// Whatever is asked for, the kernel makes it this small at the least.
    const SMALLEST_BUFFER: i32 = 1;
    /// And with this one a block that waits does not.
    const ROOMY_BUFFER: i32 = 64 << 10;
    /// Pairs that are tried for the states that a fork at the wrong moment hides.
    const ATTEMPTS: usize = 8;
    /// Bytes that wait at the front are as many as edges were to be told while it was readable.
    const MARKS: usize = 64;

    impl Pair {
        /// A pair whose front shows OUT.
        pub(in crate::socket) fn new() -> Result<Self, Errno> {
            let (front, back) = sys::socketpair(libc::SOCK_STREAM | libc::SOCK_NONBLOCK)?;
            // Event loops that send files by the number of a socket then fall back to sending bytes by the socket.
            sys::refuse_splices(front.as_fd(), true)?;
            sys::set_socket_option(front.as_fd(), libc::SO_SNDBUF, SMALLEST_BUFFER)?;
            Ok(Self { front, back: Some(back) })
        }

        /// The number that the program polls.
        pub(in crate::socket) fn descriptor(&self) -> RawFd {
            self.front.as_raw_fd()
        }

        /// Shows IN; when it is shown already, anew to those who wait for edges.
        pub(in crate::socket) fn raise_in(&self) -> Result<(), Errno> {
            match sys::send(self.back()?.as_fd(), &[0], libc::MSG_DONTWAIT) {
                Ok(_) | Err(Errno::EAGAIN) => Ok(()),
                Err(errno) => Err(errno),
            }
        }

        /// Shows IN no more.
        pub(in crate::socket) fn lower_in(&self) -> Result<(), Errno> {
            while empty(&self.front, &mut [0; MARKS])? == MARKS {}
            Ok(())
        }

        /// Shows OUT.
        pub(in crate::socket) fn raise_out(&self) -> Result<(), Errno> {
            empty(self.back()?, &mut [0; BLOCK.len()]).map(|_| ())
        }

        /// Shows OUT no more.
        pub(in crate::socket) fn lower_out(&self) -> Result<(), Errno> {
            sys::send(self.front.as_fd(), &BLOCK, libc::MSG_DONTWAIT).map(|_| ())
        }

        /// Shows RDHUP, for good.
        pub(in crate::socket) fn end_reading(&self) -> Result<(), Errno> {
            sys::shutdown(self.back()?.as_fd(), libc::SHUT_WR)
        }

        /// Shows HUP, for good. A shutdown, since a forked child that has not called exec yet keeps the back from being closed.
        pub(in crate::socket) fn hang_up(&self) -> Result<(), Errno> {
            sys::shutdown(self.back()?.as_fd(), libc::SHUT_RDWR)
        }

        /// Shows ERR, and with it everything else. OUT must not be shown: what waits at the back is what makes it an error.
        ///
        /// While a forked child keeps the back open, everything else is what is shown, by the front itself and only then: an end that shows before
        /// its error would be taken for an end.
        pub(in crate::socket) fn fail(&mut self) {
            self.back = None;
            let _ = sys::shutdown(self.front.as_fd(), libc::SHUT_RDWR);
            let _ = sys::set_socket_option(self.front.as_fd(), libc::SO_SNDBUF, ROOMY_BUFFER);
        }

        /// Shows ERR no more.
        pub(in crate::socket) fn clear_error(&self) -> Result<(), Errno> {
            sys::socket_option(self.front.as_fd(), libc::SO_ERROR).map(|_| ())
        }

        /// Begins anew under the same number.
        pub(in crate::socket) fn renew(&mut self) -> Result<(), Errno> {
            let fresh = Self::new()?;
            sys::replace(self.front.as_fd(), fresh.front.as_fd())?;
            self.back = fresh.back;
            Ok(())
        }

        /// The two ends as a stream of bytes; nothing may be shown but IN and OUT, and neither or OUT alone.
        pub(in crate::socket) fn into_stream(self) -> Result<(OwnedFd, OwnedFd), Errno> {
            // The kernel doubles what it is told.
            let usual = sys::socket_option(self.back()?.as_fd(), libc::SO_SNDBUF)? / 2;
            sys::set_socket_option(self.front.as_fd(), libc::SO_SNDBUF, usual)?;
            sys::refuse_splices(self.front.as_fd(), false)?;
            Ok((self.front, self.back.ok_or(Errno::EPIPE)?))
        }

        /// A pair of what was to become a stream.
        pub(in crate::socket) fn from_stream(front: OwnedFd, back: OwnedFd) -> Self {
            // Without it OUT stays shown, and nothing worse comes of it.
            let _ = sys::set_socket_option(front.as_fd(), libc::SO_SNDBUF, SMALLEST_BUFFER);
            let _ = sys::refuse_splices(front.as_fd(), true);
            Self { front, back: Some(back) }
        }

        /// Leaves the front's number, open, to whoever has taken it for its own. It shows HUP.
        pub(in crate::socket) fn leave_front(self) {
            let _ = self.hang_up();
            let _ = self.front.into_raw_fd();
        }

        fn back(&self) -> Result<&OwnedFd, Errno> {
            self.back.as_ref().ok_or(Errno::EPIPE)
        }
    }

    /// A change of a pair, and what its front shows afterwards.
    type Step = (fn(&mut Pair) -> Result<(), Errno>, i16);

    /// Goes through the states once and asks the kernel whether it shows them. EOPNOTSUPP when it does not, EMFILE, ENFILE.
    pub(in crate::socket) fn try_out() -> Result<()> {
        const LEFT: i16 = libc::POLLIN | libc::POLLRDHUP;
        const OVER: i16 = LEFT | libc::POLLOUT | libc::POLLHUP;
        let ended: [Step; 8] = [
            (|_| Ok(()), libc::POLLOUT),
            (|pair| pair.raise_in(), libc::POLLIN | libc::POLLOUT),
            (|pair| pair.lower_out(), libc::POLLIN),
            (|pair| pair.lower_in(), 0),
            (|pair| pair.raise_out(), libc::POLLOUT),
            (|pair| pair.end_reading(), LEFT | libc::POLLOUT),
            (|pair| pair.lower_out(), LEFT),
            (|pair| pair.raise_out().and_then(|()| pair.hang_up()), OVER),
        ];
        let fail = |pair: &mut Pair| {
            pair.lower_out()?;
            pair.fail();
            Ok(())
        };
        let failed: [Step; 3] = [
            (fail, OVER | libc::POLLERR),
            (|pair| pair.clear_error(), OVER),
            (|pair| pair.renew(), libc::POLLOUT),
        ];
        try_steps(&ended)?;
        // A child that another thread forks in between keeps the back of the pair open: the next pair is none of its.
        (1..ATTEMPTS).fold(try_steps(&failed), |outcome, _| outcome.or_else(|_| try_steps(&failed)))
    }

    fn try_steps(steps: &[Step]) -> Result<()> {
        let mut pair = Pair::new()?;
        for (number, (change, expected)) in steps.iter().enumerate() {
            change(&mut pair)?;
            let events = libc::POLLIN | libc::POLLOUT | libc::POLLRDHUP;
            let mut entries = [PollFd { fd: pair.descriptor(), events, revents: 0 }];
            sys::poll(&mut entries, Some(Duration::ZERO))?;
            let [found] = entries.map(|entry| entry.revents);
            if found != *expected {
                let what = format!(
                    "this kernel's AF_UNIX sockets do not show readiness: {found:#x} and not {expected:#x} at step {number}"
                );
                return Err(Error::new(Errno::EOPNOTSUPP, what));
            }
        }
        Ok(())
    }

    /// Takes what waits at a socket; returns how much it was.
    fn empty(fd: &OwnedFd, room: &mut [u8]) -> Result<usize, Errno> {
        match sys::recv(fd.as_fd(), room, libc::MSG_DONTWAIT) {
            Err(Errno::EAGAIN) => Ok(0),
            answer => answer,
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn shown(pair: &Pair) -> i16 {
            let events = libc::POLLIN | libc::POLLOUT | libc::POLLRDHUP;
            let mut entries = [PollFd { fd: pair.descriptor(), events, revents: 0 }];
            sys::poll(&mut entries, Some(Duration::ZERO)).expect("poll");
            entries[0].revents
        }

        #[test]
        fn the_end_shows_while_a_forked_child_has_copies() {
            let over = libc::POLLIN | libc::POLLOUT | libc::POLLRDHUP | libc::POLLHUP;
            let mut pair = Pair::new().expect("a pair");
            let _copy = pair.back().expect("it is open").try_clone().expect("a copy");
            pair.lower_out().expect("not writable");
            pair.fail();
            assert_eq!(shown(&pair), over);
            let pair = Pair::new().expect("a pair");
            let _copy = pair.back().expect("it is open").try_clone().expect("a copy");
            pair.hang_up().expect("over");
            assert_eq!(shown(&pair), over);
        }
    }
}

#[cfg(loom)]
mod model {
    use crate::error::{Errno, Result};
    use crate::stack::socket::Readiness;
    use crate::sync::{Arc, Condvar, Mutex, lock};
    use crate::sys;
    use std::os::fd::OwnedFd;

    /// What the kernel would show, without the publisher's lock in the way.
    #[derive(Clone, Debug)]
    pub(in crate::socket) struct Pair {
        kernel: Arc<(Mutex<Readiness>, Condvar)>,
    }

    impl Pair {
        pub(in crate::socket) fn new() -> Result<Self, Errno> {
            Ok(Self { kernel: Arc::new((Mutex::new(Readiness::OUT), Condvar::new())) })
        }

        pub(in crate::socket) fn descriptor(&self) -> i32 {
            -1
        }

        pub(in crate::socket) fn raise_in(&self) -> Result<(), Errno> {
            self.change(|states| states | Readiness::IN)
        }

        pub(in crate::socket) fn lower_in(&self) -> Result<(), Errno> {
            self.change(|states| Readiness(states.0 & !Readiness::IN.0))
        }

        pub(in crate::socket) fn raise_out(&self) -> Result<(), Errno> {
            self.change(|states| states | Readiness::OUT)
        }

        pub(in crate::socket) fn lower_out(&self) -> Result<(), Errno> {
            self.change(|states| Readiness(states.0 & !Readiness::OUT.0))
        }

        pub(in crate::socket) fn end_reading(&self) -> Result<(), Errno> {
            self.change(|states| states | Readiness::IN | Readiness::RDHUP)
        }

        pub(in crate::socket) fn hang_up(&self) -> Result<(), Errno> {
            self.change(|states| states | Readiness::IN | Readiness::RDHUP | Readiness::HUP)
        }

        pub(in crate::socket) fn fail(&mut self) {
            let _ = self.hang_up();
            let _ = self.change(|states| states | Readiness::OUT | Readiness::ERR);
        }

        pub(in crate::socket) fn clear_error(&self) -> Result<(), Errno> {
            self.change(|states| Readiness(states.0 & !Readiness::ERR.0))
        }

        pub(in crate::socket) fn renew(&mut self) -> Result<(), Errno> {
            self.change(|_| Readiness::OUT)
        }

        pub(in crate::socket) fn into_stream(self) -> Result<(OwnedFd, OwnedFd), Errno> {
            sys::socketpair(libc::SOCK_STREAM)
        }

        pub(in crate::socket) fn leave_front(self) {
            let _ = self.hang_up();
        }

        pub(in crate::socket) fn from_stream(_: OwnedFd, _: OwnedFd) -> Self {
            Self { kernel: Arc::new((Mutex::new(Readiness::OUT), Condvar::new())) }
        }

        /// What poll(2) does: sleeps until one of `interest` is shown.
        #[cfg(test)]
        pub(in crate::socket) fn poll(&self, interest: Readiness) -> Readiness {
            let mut states = lock(&self.kernel.0);
            while !states.any(interest) {
                states = self.kernel.1.wait(states).expect("no thread of a model panics");
            }
            *states
        }

        /// What is shown now.
        #[cfg(test)]
        pub(in crate::socket) fn states(&self) -> Readiness {
            *lock(&self.kernel.0)
        }

        fn change(&self, change: impl FnOnce(Readiness) -> Readiness) -> Result<(), Errno> {
            let mut states = lock(&self.kernel.0);
            *states = change(*states);
            self.kernel.1.notify_all();
            Ok(())
        }
    }
    pub(in crate::socket) fn try_out() -> Result<()> {
        Ok(())
    }
}
