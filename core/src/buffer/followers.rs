//! The poll sets that are told of what happens to a socket, and what each wants to hear.

use super::{Interest, Life};
use std::task::Waker;

/// What a follower of a cell wants to be told, beside the beginnings and ends that everybody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// What arrives.
    pub reads: bool,
    /// Room to send where there was too little.
    pub writes: bool,
}

/// The followers of one cell.
#[derive(Debug)]
pub(super) struct Followers {
    list: Vec<Follower>,
    told: Standing,
}

#[derive(Debug)]
struct Follower {
    waker: Waker,
    /// `None`: nothing but that the socket is closed, until it says otherwise.
    wants: Option<Wants>,
}

/// What everybody is told when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) life: Life,
    pub(super) failed: bool,
    pub(super) recv_over: bool,
    pub(super) send_shut: bool,
}

impl Followers {
    pub(super) const fn new(told: Standing) -> Self {
        Self { list: Vec::new(), told }
    }

    /// Adds a follower, or changes what it wants.
    pub(super) fn follow(&mut self, waker: Waker, wants: Option<Wants>) {
        match self.list.iter_mut().find(|known| known.waker.will_wake(&waker)) {
            Some(known) => known.wants = wants,
            None => self.list.push(Follower { waker, wants }),
        }
    }

    /// Removes a follower; whether any is left.
    pub(super) fn unfollow(&mut self, waker: &Waker) -> bool {
        self.list.retain(|known| !known.waker.will_wake(waker));
        !self.list.is_empty()
    }

    /// The wakers of all, of whom none follows any more.
    pub(super) fn dismiss(self) -> impl Iterator<Item = Waker> {
        self.list.into_iter().map(|follower| follower.waker)
    }

    /// Takes the wakers of those who are to be told; `room`: there is some where there was too little.
    pub(super) fn tell(&mut self, standing: Standing, interest: Interest, room: bool, out: &mut Vec<Waker>) {
        // An error that is still there when something else happens may be another one than was told of.
        let turned = std::mem::replace(&mut self.told, standing) != standing || standing.failed;
        let hears = |wants: Wants| match interest {
            _ if turned => true,
            Interest::Read => wants.reads,
            Interest::Write => room && wants.writes,
        };
        // Whoever has asked for nothing more holds the socket all the same, and lets go of it when it is told of the end.
        let closed = standing.life == Life::Closed;
        let told = self.list.iter().filter(|follower| closed || follower.wants.is_some_and(hears));
        out.extend(told.map(|follower| follower.waker.clone()));
    }
}
