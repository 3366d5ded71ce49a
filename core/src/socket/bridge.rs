//! A connection as a byte stream of the system: one end of a pair of sockets is the program's, and what passes the other is pumped.
//!
//! ```text
//!  program <--front==back-- Bridge <--inbox-- cell <--- peer
//!  program ---front==back-> Bridge ---outbox-> cell ---> peer
//! ```
//! Nothing is kept in between: bytes are taken from one side when the other has room for them.

use crate::buffer::{Cell, Interest, Life, PagePool, SMALL};
use crate::error::Errno;
use crate::stack::socket::{self, Kick, More, Take, Urgency};
use crate::sync::Arc;
use crate::sys::{self, PollFd};
use crate::time::Duration;
use bytes::Bytes;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::task::Waker;

/// The pump of one connection. It sleeps never: `called` says that the system's side has news, the waker that the cell has.
#[derive(Debug)]
pub struct Bridge {
    cell: Arc<Cell>,
    back: OwnedFd,
    /// The program may have written, may have room: until a call has said otherwise.
    readable: bool,
    writable: bool,
    /// From the program to the peer, and back.
    outgoing: Way,
    incoming: Way,
    /// The program has closed its end and left bytes in it.
    left: bool,
    /// The stack is being closed.
    winding_up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    Over,
}

/// What the holder of the Turn has to do for a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Look at the cell.
    Kick,
    /// The program will write no more.
    ShutWrite,
    /// The program will read no more.
    ShutRead,
    /// The bridge is over: close the socket as close(2) does.
    Close,
    /// The same where the program left bytes unread, which it can do in its end as well as in the cell.
    CloseUnread,
    /// The system does not serve the bridge any more: reset. Closing comes next.
    Abort,
}

/// What one turn of the pump came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pumped {
    /// Both sides are to be waited for.
    Waits,
    /// It has used up its share: call again.
    More,
    /// The bridge is over, and closing was asked for.
    Done,
}

/// Most bytes that one turn of the pump moves each way, and most that one call moves.
const SHARE: usize = 256 << 10;
const PIECE: usize = 64 << 10;
/// Most slices of one write.
const SLICES: usize = 64;

impl Bridge {
    /// A bridge between `back`, which does not block, and a cell that is nobody else's.
    #[must_use]
    pub const fn new(cell: Arc<Cell>, back: OwnedFd) -> Self {
        let (outgoing, incoming) = (Way::Open, Way::Open);
        Self {
            cell,
            back,
            readable: true,
            writable: true,
            outgoing,
            incoming,
            left: false,
            winding_up: false,
        }
    }

    /// The system's side.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.back.as_fd()
    }

    /// The system's side has news.
    pub fn called(&mut self) {
        self.readable = true;
        self.writable = true;
    }

    /// The stack is being closed: the program may write no more, and what it wrote before is still sent.
    pub fn wind_up(&mut self) {
        self.refuse_writing();
        self.readable = true;
        self.winding_up = true;
    }

    /// Moves what can be moved, and appends what is to be done for it in order. `waker` is left in the cell where it is waited for.
    pub fn pump(&mut self, pages: &PagePool, waker: &Waker, requests: &mut Vec<Request>) -> Pumped {
        // The peer's bytes first: what the program still reads is not to be lost to an error that sending meets.
        let brought = self.pump_in(waker, requests);
        let took = self.pump_out(pages, waker, requests);
        let one_way = |bridge: &Self| bridge.incoming == Way::Over || bridge.winding_up || bridge.hung_up();
        if self.outgoing == Way::Over && one_way(self) {
            let reset =
                || sys::socket_option(self.back.as_fd(), libc::SO_ERROR).is_ok_and(|error| error != 0);
            requests.push(if self.left || reset() { Request::CloseUnread } else { Request::Close });
            return Pumped::Done;
        }
        if brought == Pumped::More || took == Pumped::More { Pumped::More } else { Pumped::Waits }
    }

    /// From the peer to the program: peeked at, written, and taken only then, so that the peer's window knows of nothing but the cell.
    fn pump_in(&mut self, waker: &Waker, requests: &mut Vec<Request>) -> Pumped {
        let mut moved = 0;
        while self.incoming == Way::Open && self.writable {
            if moved >= SHARE {
                return Pumped::More;
            }
            let slices = match socket::recv(&self.cell, PIECE, Take::Peek, Some(waker)) {
                Ok((slices, _)) if slices.is_empty() => {
                    self.incoming = Way::Over;
                    // Otherwise the bridge is over: closing tells the end, and an error if there was one.
                    if self.outgoing == Way::Open {
                        let _ = sys::shutdown(self.back.as_fd(), libc::SHUT_WR);
                    }
                    break;
                }
                Ok((slices, _)) => slices,
                Err(Errno::EAGAIN) => break,
                Err(_) => {
                    self.meet_error();
                    continue;
                }
            };
            let vectors: Vec<_> = slices.iter().take(SLICES).map(|slice| IoSlice::new(slice)).collect();
            match sys::message_send(self.back.as_fd(), &vectors) {
                Ok(count) => {
                    moved += count;
                    let taken = socket::recv(&self.cell, count, Take::Consume, None);
                    if let Ok((_, Kick::Yes)) = taken {
                        requests.push(Request::Kick);
                    }
                }
                Err(Errno::EPIPE) => {
                    self.incoming = Way::Over;
                    if !self.hung_up() {
                        requests.push(Request::ShutRead);
                    }
                }
                Err(Errno::EAGAIN) => self.writable = false,
                // What the program has written before it closed its end is still there.
                Err(Errno::ECONNRESET) => (self.incoming, self.left) = (Way::Over, true),
                Err(_) => self.break_off(requests),
            }
        }
        if self.incoming == Way::Over && self.outgoing == Way::Open && self.is_cut(waker) {
            self.meet_error();
        }
        Pumped::Waits
    }

    /// Whether the connection is over though the program may still write: `waker` is left for that in the cell if it is not.
    fn is_cut(&self, waker: &Waker) -> bool {
        let mut state = self.cell.lock();
        let over = matches!(state.life, Life::Ended | Life::Closed);
        if !over {
            state.register(Interest::Read, waker);
        }
        over
    }

    /// From the program to the peer, as far as there is room.
    fn pump_out(&mut self, pages: &PagePool, waker: &Waker, requests: &mut Vec<Request>) -> Pumped {
        let mut moved = 0;
        while self.outgoing == Way::Open && self.readable {
            if moved >= SHARE {
                return Pumped::More;
            }
            let room = match socket::reserve(&self.cell, PIECE, Some(waker)) {
                Ok(room) => room,
                Err(Errno::EAGAIN) => break,
                Err(Errno::EPIPE) => {
                    self.refuse_writing();
                    self.outgoing = Way::Over;
                    break;
                }
                Err(_) => {
                    self.meet_error();
                    continue;
                }
            };
            match self.take_written(pages, room) {
                Ok((0, _)) => {
                    self.outgoing = Way::Over;
                    if !self.left {
                        requests.push(Request::ShutWrite);
                    }
                }
                Ok((count, kick)) => {
                    moved += count;
                    if kick == Kick::Yes {
                        requests.push(Request::Kick);
                    }
                }
                Err(Errno::EAGAIN) => self.readable = false,
                Err(Errno::ECONNRESET) => {
                    (self.incoming, self.outgoing, self.left) = (Way::Over, Way::Over, true);
                }
                Err(_) => self.break_off(requests),
            }
        }
        Pumped::Waits
    }

    /// Reads up to `room` bytes, which were promised, and queues them; 0 is the end of the stream.
    fn take_written(&self, pages: &PagePool, room: usize) -> Result<(usize, Kick), Errno> {
        let mut page = pages.take_room(room);
        let read = sys::receive_some(self.back.as_fd(), &mut page, room);
        let count = read.unwrap_or(0);
        // It wakes whoever waits for room, and that is nobody but this bridge.
        socket::cancel(&self.cell, room - count, &mut Vec::new());
        // What nobody sends any more is lost with what is in flight.
        let commit = |bytes| socket::commit(&self.cell, bytes, More::No, Urgency::None).unwrap_or(Kick::No);
        let kick = match count {
            0 => Kick::No,
            // A few bytes are not to keep a page.
            _ if count < SMALL => commit(Bytes::copy_from_slice(&page)),
            _ => commit(page.split().freeze()),
        };
        pages.give(page);
        read.map(|count| (count, kick))
    }

    /// An error of the connection, taken from the cell. One that ended it leaves its bytes to be read, and then the end of the stream; the
    /// program is told that it was an error if it has written what was not taken, since that is how AF_UNIX tells of one.
    fn meet_error(&mut self) {
        match self.cell.lock().life {
            Life::Connected => return,
            Life::Closed => self.incoming = Way::Over,
            _ => {}
        }
        self.refuse_writing();
        self.outgoing = Way::Over;
    }

    /// The system cannot serve the program's end any more.
    fn break_off(&mut self, requests: &mut Vec<Request>) {
        self.outgoing = Way::Over;
        self.incoming = Way::Over;
        requests.push(Request::Abort);
    }

    /// Has the program's writing fail with EPIPE from now on. What it has written may still be taken.
    fn refuse_writing(&self) {
        let _ = sys::shutdown(self.back.as_fd(), libc::SHUT_RD);
    }

    /// Whether the program has closed its end, or shut down both halves.
    fn hung_up(&self) -> bool {
        let mut entries = [PollFd { fd: self.back.as_raw_fd(), events: 0, revents: 0 }];
        sys::poll(&mut entries, Some(Duration::ZERO)).is_ok() && entries[0].revents & libc::POLLHUP != 0
    }
}

impl Drop for Bridge {
    /// Has the program read the end of the stream even if a forked child has a copy of what is closed. Not if it has written what was not
    /// taken: then it is to be closing that it sees, as an error.
    fn drop(&mut self) {
        let waits = sys::recv(self.back.as_fd(), &mut [0], libc::MSG_PEEK | libc::MSG_DONTWAIT);
        if waits != Ok(1) {
            let _ = sys::shutdown(self.back.as_fd(), libc::SHUT_RDWR);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::buffer::Marks;

    #[test]
    fn the_end_is_read_while_a_forked_child_has_copies() {
        let (front, back) = sys::socketpair(libc::SOCK_STREAM | libc::SOCK_NONBLOCK).expect("a socket pair");
        let _copy = back.try_clone().expect("a copy");
        let cell = Cell::new(Marks { send: 4096, ..Marks::default() });
        cell.lock().life = Life::Connected;
        let mut bridge = Bridge::new(cell.clone(), back);
        let (pages, mut requests) = (PagePool::new(4096, 1), Vec::new());
        sys::shutdown(front.as_fd(), libc::SHUT_WR).expect("shutdown");
        assert_eq!(bridge.pump(&pages, Waker::noop(), &mut requests), Pumped::Waits);
        cell.lock().recv_end = true;
        assert_eq!(bridge.pump(&pages, Waker::noop(), &mut requests), Pumped::Done);
        drop(bridge);
        assert_eq!(requests, [Request::ShutWrite, Request::Close]);
        assert_eq!(sys::recv(front.as_fd(), &mut [0], 0), Ok(0));
    }

    #[test]
    fn what_was_written_goes_before_the_reset_for_what_was_left() {
        for again in [false, true] {
            let (front, back) =
                sys::socketpair(libc::SOCK_STREAM | libc::SOCK_NONBLOCK).expect("a socket pair");
            let cell = Cell::new(Marks { send: 4096, ..Marks::default() });
            let bring = |text: &'static [u8]| {
                let mut state = cell.lock();
                state.life = Life::Connected;
                state.inbox.push_back(Bytes::from_static(text));
                state.inbox_len += text.len();
            };
            bring(b"request");
            let mut bridge = Bridge::new(cell.clone(), back);
            let (pages, mut requests) = (PagePool::new(4096, 1), Vec::new());
            assert_eq!(bridge.pump(&pages, Waker::noop(), &mut requests), Pumped::Waits);
            requests.clear();
            cell.lock().kicked = false;
            sys::send(front.as_fd(), b"response", 0).expect("send");
            drop(front);
            if again {
                // Bringing more meets the end first.
                bring(b"more");
            }
            bridge.called();
            assert_eq!(bridge.pump(&pages, Waker::noop(), &mut requests), Pumped::Done);
            assert_eq!(requests, [Request::Kick, Request::CloseUnread]);
            let state = cell.lock();
            assert_eq!(state.outbox.iter().flatten().copied().collect::<Vec<u8>>(), b"response");
        }
    }

    #[test]
    fn what_was_read_is_sent_whatever_happens_meanwhile() {
        let (front, back) = sys::socketpair(libc::SOCK_STREAM | libc::SOCK_NONBLOCK).expect("a socket pair");
        let cell = Cell::new(Marks { send: 4096, ..Marks::default() });
        cell.lock().life = Life::Connected;
        let bridge = Bridge::new(cell.clone(), back);
        for count in [3, SMALL] {
            let room = socket::reserve(&cell, PIECE, None).expect("room");
            sys::send(front.as_fd(), &[7; SMALL][..count], 0).expect("send");
            // The link goes down for a while: an error that ends nothing.
            cell.lock().error = Some(Errno::ENETDOWN);
            let (read, _) = bridge.take_written(&PagePool::new(4096, 1), room).expect("read");
            let mut state = cell.lock();
            assert_eq!((read, state.outbox_len), (count, count));
            assert_eq!(state.outbox.drain(..).map(|slice| slice.len()).sum::<usize>(), count);
            assert_eq!(state.error.take(), Some(Errno::ENETDOWN));
            state.outbox_len = 0;
        }
    }
}
