//! The cell: what a calling thread and the holder of the Turn share about one socket, under one leaf lock.
//!
//! Data calls work here and nowhere else. The rules: no syscall and no copy above [`super::SMALL`] bytes under the lock; whoever would
//! sleep registers a waker in the very section in which it saw "would block"; whoever changes the cell takes the wakers in the section in
//! which it changes it, and wakes them after letting go of leaf and Turn.

use super::followers::{Followers, Standing};
use super::notices::Notice;
use super::{AcceptQueue, Datagrams, Pressure, Syns, Wants};
use crate::error::{EndReason, Errno};
use crate::sync::{Arc, AtomicU32, Mutex, MutexGuard, Ordering, lock};
use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::task::Waker;

/// The shared half of a socket.
#[derive(Debug)]
pub struct Cell {
    leaf: Mutex<CellState>,
    /// How often those who sleep on it were called off, in steps of two; odd: the socket has been given away.
    calls: AtomicU32,
}

/// How much room a stack has left, for the cells of its sockets to see.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicU32>);

impl Gauge {
    /// What it shows.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        match self.0.load(Ordering::Relaxed) {
            0 => Pressure::None,
            1 => Pressure::High,
            _ => Pressure::Full,
        }
    }

    /// Has it show something else.
    pub fn set(&self, pressure: Pressure) {
        self.0.store(pressure as u32, Ordering::Relaxed);
    }
}

/// What became of a SYN; all copies tell the same.
#[derive(Clone, Debug, Default)]
pub struct Fate(Arc<AtomicU32>);

/// Why nothing can be decided any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Verdict {
    /// It has been decided.
    Decided = 1,
    /// Nobody decided in time.
    Expired = 2,
    /// The interceptor was closed.
    Closed = 3,
}

impl Fate {
    /// Sets what became of it, once.
    pub fn set(&self, verdict: Verdict) {
        let _ = self.0.compare_exchange(0, verdict as u32, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether it can still be decided.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    /// What a decision is told that comes too late: EBADF after another, ETIMEDOUT, ECANCELED (the interceptor was closed).
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self.0.load(Ordering::Acquire) {
            expired if expired == Verdict::Expired as u32 => Errno::ETIMEDOUT,
            closed if closed == Verdict::Closed as u32 => Errno::ECANCELED,
            _ => Errno::EBADF,
        }
    }
}

/// Most bytes that a program may have written and the peer not acknowledged, while the stack holds all that it may. Not none: where nothing is in flight,
/// nobody would tell that there is room again.
const SEND_WHEN_FULL: usize = 16 << 10;

/// Where a socket is in its life, as data calls need to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Life {
    /// Neither connected nor listening.
    #[default]
    Idle,
    /// connect() is under way.
    Connecting,
    /// Listening.
    Listening,
    /// Connected, in whatever of its closing states.
    Connected,
    /// Over: the connection ended, or never came to be. `error` or the ends of the streams say how.
    Ended,
    /// close() was called: every call on the handle is EBADF, those asleep on it wake with ECANCELED.
    Closed,
}

/// What a waker waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Data, a connection to accept, the end of the stream.
    Read,
    /// Room to send, the outcome of connect.
    Write,
}

/// A stack's name for one of its sockets; a stale one names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId {
    /// The worker of the stack, and the slot in its table.
    pub index: u32,
    /// How often the slot had been used before.
    pub generation: u32,
}

/// Bits of [`SocketId::index`] that number the slot in the table of one worker; those above them are the worker's number.
pub const SLOT_BITS: u32 = 26;
/// Most workers of a stack.
pub const WORKERS_MAX: usize = 1 << (u32::BITS - SLOT_BITS);

impl SocketId {
    /// The number of the worker that has the socket.
    #[must_use]
    pub const fn worker(self) -> usize {
        (self.index >> SLOT_BITS) as usize
    }
}

/// The marks that options set on the way in and out of a socket, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// SO_SNDBUF: `outbox_len + unacked` stays at or below it.
    pub send: usize,
    /// SO_RCVLOWAT: from here on there is something to read.
    pub receive_low: usize,
    /// TCP_NOTSENT_LOWAT: from here on nothing is written; `usize::MAX`: no such mark.
    pub unsent: usize,
}

impl Default for Marks {
    fn default() -> Self {
        Self { send: 0, receive_low: 1, unsent: usize::MAX }
    }
}

/// Urgent data that the program has not read past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Urgent {
    /// Stream position of its last byte: the mark is before it.
    pub position: u64,
    /// That byte.
    pub byte: OutOfBand,
}

/// The last byte of urgent data, for MSG_OOB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfBand {
    /// It has been announced and has not come.
    Coming,
    /// It has come.
    Here(u8),
    /// The program has taken it.
    Taken,
}

/// What the leaf lock protects. `stack::socket` has the rules; this is the data.
#[derive(Debug, Default)]
pub struct CellState {
    /// Where the socket is in its life.
    pub life: Life,
    /// Pending error, taken by SO_ERROR or by the next call that reports it.
    pub error: Option<Errno>,
    /// What the network says of data in flight; SO_ERROR tells it if there is no error, and no other call does.
    pub soft_error: Option<Errno>,
    /// Why the connection is over, once it is; it stays.
    pub end: Option<EndReason>,

    /// Bytes to read, in order.
    pub inbox: VecDeque<Bytes>,
    /// Bytes in `inbox`.
    pub inbox_len: usize,
    /// Stream position of the front of `inbox`.
    pub position: u64,
    /// Where urgent data ends.
    pub urgent: Option<Urgent>,
    /// SO_OOBINLINE is off: the byte at the mark is for MSG_OOB, not for ordinary reads.
    pub out_of_band: bool,
    /// Bytes read since the holder last synchronised; it widens the window by them.
    pub consumed: usize,
    /// `consumed` at which a reader has to kick the holder: the window could reopen by a worthwhile amount.
    pub consumed_edge: usize,
    /// The peer has sent FIN and everything before it is in `inbox`.
    pub recv_end: bool,
    /// shutdown(SHUT_RD): recv returns 0.
    pub recv_shut: bool,

    /// Bytes written and not yet taken by the holder; small writes are gathered in `outbox_tail`.
    pub outbox: VecDeque<Bytes>,
    /// Small writes, behind everything in `outbox`.
    pub outbox_tail: BytesMut,
    /// Bytes in `outbox` and `outbox_tail`, and those promised to writers that are still copying.
    pub outbox_len: usize,
    /// Bytes ever written: the stream position behind the last.
    pub written: u64,
    /// Stream position behind urgent bytes that the holder does not know of.
    pub urging: Option<u64>,
    /// Bytes that the holder has taken and the peer has not acknowledged, as last published.
    pub unacked: usize,
    /// Of those, bytes never sent, as last published.
    pub unsent: usize,
    /// Bytes that a write adds below TCP_NOTSENT_LOWAT, as last published.
    pub write_step: usize,
    /// A FIN is queued or sent, and not acknowledged, as last published.
    pub fin_unacked: bool,
    /// The FIN was never sent, as last published.
    pub fin_unsent: bool,
    /// Where reading and writing begin and end.
    pub marks: Marks,
    /// How much room the stack has left.
    pub gauge: Option<Gauge>,
    /// The last write said that more would follow (MSG_MORE).
    pub more: bool,
    /// shutdown(SHUT_WR), or the connection can take no more: send is EPIPE.
    pub send_shut: bool,

    /// Established connections, oldest first, of a listener.
    pub accept: AcceptQueue,
    /// What an interceptor has for its program; it has no connections.
    pub syns: Option<Box<Syns>>,

    /// The queues of a datagram socket; what is said of bytes and connections above does not concern it, but for `marks.send`.
    pub datagrams: Option<Box<Datagrams>>,

    /// A kick is on its way to the holder; cleared by it before it looks.
    pub kicked: bool,

    /// A reader has seen the queue empty, a writer has been refused or cut short, since somebody last asked for both by
    /// [`CellState::take_dips`]: whoever is told of changes only has to be told when there is data or room again.
    drained: bool,
    filled: bool,

    readers: SmallVec<[Waker; 1]>,
    writers: SmallVec<[Waker; 1]>,
    /// Woken at every change, as long as the socket is open.
    watcher: Option<Waker>,
    /// The poll sets that the socket is in.
    followers: Option<Box<Followers>>,
    /// A writer has been refused or cut short, or a follower has seen no room, since followers were last told of some: SOCK_NOSPACE of Linux.
    cramped: bool,
}

impl CellState {
    /// Registers `waker` to be woken once, when what it waits for changes. Registering the same waker twice keeps one.
    pub fn register(&mut self, interest: Interest, waker: &Waker) {
        let list = match interest {
            Interest::Read => &mut self.readers,
            Interest::Write => &mut self.writers,
        };
        if !list.iter().any(|known| known.will_wake(waker)) {
            list.push(waker.clone());
        }
    }

    /// Has `watcher` woken at every change until the socket is closed; false if it is.
    pub fn watch(&mut self, watcher: Waker) -> bool {
        let open = self.life != Life::Closed;
        if open {
            self.watcher = Some(watcher);
        }
        open
    }

    /// Takes the watcher back; whether there was one.
    pub fn unwatch(&mut self) -> bool {
        self.watcher.take().is_some()
    }

    /// Moves everything but the sleepers to another cell: this one is closed, and `wakers` tell those asleep on it. Room that was
    /// promised to writers is not moved: what they commit is refused here.
    pub fn move_out(&mut self, wakers: &mut Vec<Waker>) -> Self {
        let followers = self.followers.take();
        let mut moved = std::mem::take(self);
        self.life = Life::Closed;
        self.followers = followers;
        self.tell_followers(Interest::Read, wakers);
        moved.watcher = None;
        moved.take_wakers(Interest::Read, wakers);
        moved.take_wakers(Interest::Write, wakers);
        moved.outbox_len = moved.outbox.iter().map(Bytes::len).sum::<usize>() + moved.outbox_tail.len();
        moved
    }

    /// Notes that a caller has found nothing more to read, or no more room.
    pub fn dip(&mut self, interest: Interest) {
        match interest {
            Interest::Read => self.drained = true,
            Interest::Write => (self.filled, self.cramped) = (true, true),
        }
    }

    /// Whether callers have found nothing more to read, and no more room, since this was last asked.
    pub fn take_dips(&mut self) -> (bool, bool) {
        (std::mem::take(&mut self.drained), std::mem::take(&mut self.filled))
    }

    /// Whether anybody sleeps for `interest`.
    #[must_use]
    pub fn waits(&self, interest: Interest) -> bool {
        match interest {
            Interest::Read => !self.readers.is_empty(),
            Interest::Write => !self.writers.is_empty(),
        }
    }

    /// Whether anybody hears of what happens: a sleeper, the watcher, a poll set that has asked for something.
    #[must_use]
    pub fn is_heard_of(&self) -> bool {
        let sleepers = self.waits(Interest::Read) || self.waits(Interest::Write);
        sleepers || self.watcher.is_some() || self.followers.as_ref().is_some_and(|followers| followers.ask())
    }

    /// Takes `waker` back, for a sleeper that woke for another reason.
    pub fn unregister(&mut self, waker: &Waker) {
        self.readers.retain(|known| !known.will_wake(waker));
        self.writers.retain(|known| !known.will_wake(waker));
    }

    fn take_sleepers(&mut self, out: &mut Vec<Waker>) {
        out.extend(self.readers.drain(..));
        out.extend(self.writers.drain(..));
    }

    /// Moves the wakers of `interest` to `out`; the caller wakes them after unlocking.
    pub fn take_wakers(&mut self, interest: Interest, out: &mut Vec<Waker>) {
        let list = match interest {
            Interest::Read => &mut self.readers,
            Interest::Write => &mut self.writers,
        };
        out.extend(list.drain(..));
        out.extend(self.watcher.clone());
        if self.followers.is_some() {
            self.tell_followers(interest, out);
        }
    }

    /// Has `follower` handed in whenever what it wants happens, until it unfollows or the socket is closed; `None`: only when it is closed.
    pub fn follow(&mut self, follower: Notice, wants: Option<Wants>) {
        let standing = self.standing();
        self.followers.get_or_insert_with(|| Box::new(Followers::new(standing))).follow(follower, wants);
    }

    /// Tells `follower` no more.
    pub fn unfollow(&mut self, follower: &Notice) {
        if self.followers.as_mut().is_some_and(|followers| !followers.unfollow(follower)) {
            self.followers = None;
        }
    }

    /// Notes that a follower has seen no room: it is told when there is some.
    pub const fn cramp(&mut self) {
        self.cramped = true;
    }

    fn tell_followers(&mut self, interest: Interest, out: &mut Vec<Waker>) {
        let room = interest == Interest::Write && self.cramped && self.has_room();
        self.cramped &= !room;
        let standing = self.standing();
        if let Some(followers) = &mut self.followers {
            followers.tell(standing, interest, room, out);
        }
        if self.life == Life::Closed {
            self.followers = None;
        }
    }

    /// Gives back what empty queues keep: the connection is at rest.
    pub fn shrink(&mut self) {
        for queue in [&mut self.inbox, &mut self.outbox] {
            if queue.is_empty() {
                *queue = VecDeque::new();
            }
        }
        if self.outbox_tail.is_empty() {
            self.outbox_tail = BytesMut::new();
        }
    }

    const fn standing(&self) -> Standing {
        Standing {
            life: self.life,
            failed: self.error.is_some(),
            recv_over: self.recv_end || self.recv_shut,
            send_shut: self.send_shut,
        }
    }

    /// Whether there is room to send that is worth waking a writer for: half of the buffer of a datagram socket; of a stream a third, and less than
    /// TCP_NOTSENT_LOWAT waits to be sent for the first time.
    #[must_use]
    pub fn has_room(&self) -> bool {
        if let Some(datagrams) = &self.datagrams {
            return datagrams.outbox.charge().saturating_mul(2) < self.marks.send;
        }
        let used = self.outbox_len.saturating_add(self.unacked);
        self.send_limit().saturating_sub(used) >= (used / 2).max(1) && self.below_unsent_mark()
    }

    /// How much room the stack has left.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        self.gauge.as_ref().map_or(Pressure::None, Gauge::pressure)
    }

    /// SO_SNDBUF, or what is left of it while the stack holds all that it may.
    #[must_use]
    pub fn send_limit(&self) -> usize {
        if self.pressure() == Pressure::Full { self.marks.send.min(SEND_WHEN_FULL) } else { self.marks.send }
    }

    /// Whether less waits to be sent for the first time than TCP_NOTSENT_LOWAT allows.
    #[must_use]
    pub const fn below_unsent_mark(&self) -> bool {
        self.outbox_len.saturating_add(self.unsent) < self.marks.unsent
    }
}

impl Cell {
    /// A cell of an idle socket.
    #[must_use]
    pub fn new(marks: Marks) -> Arc<Self> {
        Self::of_state(CellState { marks, ..CellState::default() })
    }

    /// A cell of a datagram socket: the same, and `datagrams`.
    #[must_use]
    pub fn of_datagrams(marks: Marks, datagrams: Datagrams) -> Arc<Self> {
        let datagrams = Some(Box::new(datagrams));
        Self::of_state(CellState { marks, datagrams, ..CellState::default() })
    }

    fn of_state(state: CellState) -> Arc<Self> {
        Arc::new(Self { leaf: Mutex::new(state), calls: AtomicU32::new(0) })
    }

    /// A number that changes whenever those who sleep on the socket are called off. Whoever has registered a waker and still finds the number that it
    /// began with will be woken when it changes.
    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::Acquire)
    }

    /// Calls off those who sleep on the socket, which goes on; the caller wakes them after unlocking.
    pub fn call_off(&self, wakers: &mut Vec<Waker>) {
        let mut state = self.lock();
        // Under the lock: who registers after this sees it.
        self.calls.fetch_add(2, Ordering::AcqRel);
        state.take_sleepers(wakers);
    }

    /// Whether the socket has been given away: its program has no part in it any more, and the stack does not know.
    pub fn is_given(&self) -> bool {
        self.calls() & 1 == 1
    }

    /// Gives the socket away; whoever sleeps on it or follows it is to be woken. False if it was before, or is closed.
    pub fn give(&self, wakers: &mut Vec<Waker>) -> bool {
        let mut state = self.lock();
        if state.life == Life::Closed || self.calls.fetch_or(1, Ordering::AcqRel) & 1 == 1 {
            return false;
        }
        state.watcher = None;
        state.take_sleepers(wakers);
        if let Some(followers) = state.followers.take() {
            followers.dismiss(wakers);
        }
        true
    }

    /// The leaf lock.
    pub fn lock(&self) -> MutexGuard<'_, CellState> {
        lock(&self.leaf)
    }
}
