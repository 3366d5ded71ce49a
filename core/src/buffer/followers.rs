//! The poll sets that are told of what happens to a socket, and what each wants to hear.

use super::{Interest, Life, Notice};
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
    notice: Notice,
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
    pub(super) fn follow(&mut self, notice: Notice, wants: Option<Wants>) {
        match self.list.iter_mut().find(|known| known.notice.is(&notice)) {
            Some(known) => known.wants = wants,
            None => self.list.push(Follower { notice, wants }),
        }
    }

    /// Removes a follower; whether any is left.
    pub(super) fn unfollow(&mut self, notice: &Notice) -> bool {
        self.list.retain(|known| !known.notice.is(notice));
        !self.list.is_empty()
    }

    /// Whether any of them wants to hear anything.
    pub(super) fn ask(&self) -> bool {
        self.list.iter().any(|follower| follower.wants.is_some())
    }

    /// Tells all, of whom none follows any more; takes the wakers of those who sleep until then.
    pub(super) fn dismiss(self, out: &mut Vec<Waker>) {
        self.list.iter().for_each(|follower| follower.notice.hand_in(out));
    }

    /// Tells those who want to hear of it, and takes the wakers of those who sleep until then; `room`: there is some where there was too little.
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
        told.for_each(|follower| follower.notice.hand_in(out));
    }
}
