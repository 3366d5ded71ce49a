//! A poll set, as epoll(7) has them: which of many sockets are ready, at the cost of those that are.
//!
//! A socket goes to the end of the ready list when something happens to it that the set asked for: data, a connection or an urgent byte has come, room
//! is there again where it was missed, a connection has begun or a stream ended. [`PollSet::wait`] takes sockets from its front, looks at each, and
//! returns what it is ready for; one that is not leaves the list. Level-triggered sockets go to the end once more, edge-triggered ones wait for the
//! next event. Nothing here sleeps: [`PollSet::sleep`] registers whoever does.

use super::Readiness;
use super::ready::of;
use crate::buffer::{Cell, Life, Notice, Notices, Wants};
use crate::error::Errno;
use crate::sync::Arc;
use std::collections::BTreeMap;
use std::ops::BitOr;
use std::task::Waker;

/// What a socket of a set is asked for, or ready for; the numbers are those of epoll(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EpollEvents(pub u32);

impl EpollEvents {
    /// EPOLLIN: data, the end of the stream, a connection to accept, or an error.
    pub const IN: Self = Self(0x001);
    /// EPOLLPRI: urgent data that the program has not read past.
    pub const PRI: Self = Self(0x002);
    /// EPOLLOUT: room to send, connected, or an error.
    pub const OUT: Self = Self(0x004);
    /// EPOLLERR: an error is pending; always asked for.
    pub const ERR: Self = Self(0x008);
    /// EPOLLHUP: both directions are over; always asked for.
    pub const HUP: Self = Self(0x010);
    /// EPOLLRDHUP: the peer has shut down its sending half.
    pub const RDHUP: Self = Self(0x2000);
    /// EPOLLONESHOT: once reported, nothing more until the next [`EpollControl::Mod`].
    pub const ONESHOT: Self = Self(1 << 30);
    /// EPOLLET: reported once for each event, not as long as it lasts.
    pub const ET: Self = Self(1 << 31);

    const ALWAYS: Self = Self(Self::ERR.0 | Self::HUP.0);
    const KNOWN: Self = Self(
        Self::ALWAYS.0
            | Self::IN.0
            | Self::PRI.0
            | Self::OUT.0
            | Self::RDHUP.0
            | Self::ONESHOT.0
            | Self::ET.0,
    );

    /// Whether any bit of `other` is set.
    #[must_use]
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// What of it a socket is ready for.
    fn met(self, ready: Readiness) -> Self {
        Self(u32::from(ready.0) & (self.0 | Self::ALWAYS.0))
    }

    fn wants(self) -> Wants {
        Wants { reads: self.any(Self::IN | Self::PRI), writes: self.any(Self::OUT) }
    }
}

impl BitOr for EpollEvents {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What is done to a set; the numbers are those of epoll_ctl(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum EpollControl {
    /// EPOLL_CTL_ADD.
    Add = 1,
    /// EPOLL_CTL_DEL.
    Del = 2,
    /// EPOLL_CTL_MOD: what is asked for, and the data.
    Mod = 3,
}

impl TryFrom<i32> for EpollControl {
    type Error = Errno;
    /// EINVAL for a number that is none.
    fn try_from(number: i32) -> Result<Self, Errno> {
        match number {
            1 => Ok(Self::Add),
            2 => Ok(Self::Del),
            3 => Ok(Self::Mod),
            _ => Err(Errno::EINVAL),
        }
    }
}

/// A socket that is ready: struct epoll_event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpollEvent {
    /// What it is ready for, of what was asked for; ERR and HUP in any case.
    pub events: EpollEvents,
    /// What the program gave with it.
    pub data: u64,
}

/// A poll set.
#[derive(Debug, Default)]
pub struct PollSet {
    items: BTreeMap<u64, Item>,
    notices: Notices,
}

#[derive(Debug)]
struct Item {
    cell: Arc<Cell>,
    notice: Notice,
    /// What is asked for; `None` once ONESHOT has been reported.
    events: Option<EpollEvents>,
    data: u64,
}

/// One look at a socket.
enum Look {
    /// It is closed.
    Closed,
    /// Nothing that was asked for.
    Nothing,
    /// It is ready.
    Ready(EpollEvents),
}

impl PollSet {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds, changes or removes the socket of `cell`, which the program calls `token`: a number that no other open socket has.
    ///
    /// EEXIST: it is there; ENOENT: it is not; EBADF: it is closed; EINVAL: `events` has bits that are not known here.
    pub fn control(
        &mut self,
        control: EpollControl,
        token: u64,
        cell: &Arc<Cell>,
        events: EpollEvents,
        data: u64,
    ) -> Result<(), Errno> {
        self.forget_closed(token);
        if is_over(cell) {
            return Err(Errno::EBADF);
        }
        if control != EpollControl::Del && events.0 & !EpollEvents::KNOWN.0 != 0 {
            return Err(Errno::EINVAL);
        }
        match control {
            EpollControl::Add if self.items.contains_key(&token) => return Err(Errno::EEXIST),
            EpollControl::Add => {
                let (cell, notice) = (Arc::clone(cell), self.notices.notice(token));
                self.items.insert(token, Item { cell, notice, events: Some(events), data });
            }
            EpollControl::Mod => {
                let item = self.known(token, cell)?;
                (item.events, item.data) = (Some(events), data);
            }
            EpollControl::Del => {
                self.known(token, cell)?;
                self.remove(token);
                return Ok(());
            }
        }
        // What is ready already is reported, be it by its edge.
        let item = self.known(token, cell)?;
        if item.follow() {
            let mut sleepers = Vec::new();
            item.notice.hand_in(&mut sleepers);
            sleepers.into_iter().for_each(Waker::wake);
        }
        Ok(())
    }

    /// Up to `max` sockets that are ready, those first that have been for longest or were reported least recently. A socket that is closed is
    /// in the set no more.
    pub fn wait(&mut self, max: usize) -> Vec<EpollEvent> {
        let mut waiting = self.notices.take();
        let (mut events, mut again) = (Vec::new(), Vec::new());
        while events.len() < max {
            let Some(notice) = waiting.pop_front() else { break };
            notice.begin();
            let token = notice.token();
            let Some(item) = self.items.get_mut(&token).filter(|item| item.notice.is(&notice)) else {
                continue;
            };
            match item.look() {
                Look::Closed => self.remove(token),
                Look::Nothing => {}
                Look::Ready(ready) => {
                    events.push(EpollEvent { events: ready, data: item.data });
                    if item.events.is_some_and(|asked| !asked.any(EpollEvents::ET)) {
                        again.push(notice);
                    }
                }
            }
        }
        self.notices.put_back(waiting, again);
        events
    }

    /// Has `waker` woken, once, when a look at the set may find more than the last one; false if it may now. For whoever got nothing from
    /// [`PollSet::wait`], before anybody else has used the set.
    #[must_use]
    pub fn sleep(&self, waker: &Waker) -> bool {
        self.notices.sleep(waker)
    }

    /// Takes a waker back.
    pub fn forget(&self, waker: &Waker) {
        self.notices.forget(waker);
    }

    /// What it is told, for who watches over it.
    #[must_use]
    pub const fn notices(&self) -> &Notices {
        &self.notices
    }

    /// How many sockets are in it, those included that were closed and not looked at since.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The set is closed: it has no sockets any more, and sleepers wake. [`PollSet::wait`] finds nothing from now on.
    pub fn close(&mut self) {
        self.notices.end();
        for item in std::mem::take(&mut self.items).into_values() {
            item.cell.lock().unfollow(&item.notice);
        }
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.notices.is_over()
    }

    fn known(&mut self, token: u64, cell: &Arc<Cell>) -> Result<&mut Item, Errno> {
        self.items.get_mut(&token).filter(|item| Arc::ptr_eq(&item.cell, cell)).ok_or(Errno::ENOENT)
    }

    fn remove(&mut self, token: u64) {
        if let Some(item) = self.items.remove(&token) {
            item.cell.lock().unfollow(&item.notice);
        }
    }

    /// The name of a closed socket may be that of another now.
    fn forget_closed(&mut self, token: u64) {
        if self.items.get(&token).is_some_and(|item| is_over(&item.cell)) {
            self.remove(token);
        }
    }
}

/// Whether a socket is closed, or the program's no more.
fn is_over(cell: &Cell) -> bool {
    cell.lock().life == Life::Closed || cell.is_given()
}

impl Drop for PollSet {
    fn drop(&mut self) {
        self.close();
    }
}

impl Item {
    /// Has its cell tell of what is asked for; whether there is something to tell now, or it is closed.
    fn follow(&mut self) -> bool {
        let mut state = self.cell.lock();
        if state.life == Life::Closed || self.cell.is_given() {
            return true;
        }
        state.follow(self.notice.clone(), self.events.map(EpollEvents::wants));
        let ready = of(&state);
        if !ready.any(Readiness::OUT) {
            state.cramp();
        }
        self.events.is_some_and(|asked| asked.met(ready) != EpollEvents::default())
    }

    /// Looks; what is asked for once is asked for no more when it is found.
    fn look(&mut self) -> Look {
        let mut state = self.cell.lock();
        if state.life == Life::Closed || self.cell.is_given() {
            return Look::Closed;
        }
        let ready = of(&state);
        if !ready.any(Readiness::OUT) {
            state.cramp();
        }
        let Some(asked) = self.events else { return Look::Nothing };
        let met = asked.met(ready);
        if met == EpollEvents::default() {
            return Look::Nothing;
        }
        if asked.any(EpollEvents::ONESHOT) {
            self.events = None;
            state.follow(self.notice.clone(), None);
        }
        Look::Ready(met)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
