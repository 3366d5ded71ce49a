//! SYNs that wait for a program's decision: the queue in the cell of an interceptor, and what became of each.

use super::{Fate, SocketId};
use crate::time::Instant;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// A SYN that nothing has been answered to, as the program sees it.
#[derive(Clone, Debug)]
pub struct PausedSyn {
    /// The stack's name for the interceptor, in the worker that keeps the SYN.
    pub interceptor: SocketId,
    /// Tells it from earlier and later ones of the same addresses.
    pub serial: u64,
    /// The address and port that the peer wants.
    pub local: SocketAddr,
    /// The peer's.
    pub peer: SocketAddr,
    /// When it came first.
    pub since: Instant,
    /// The largest segment that the peer takes, bytes, if it said so (RFC 9293 3.7.1).
    pub mss: Option<u16>,
    /// The peer asks for ECN (RFC 3168).
    pub ecn: bool,
    /// What became of it.
    pub fate: Fate,
}

/// The SYNs of one interceptor, of all workers.
#[derive(Debug, Default)]
pub struct Syns {
    waiting: VecDeque<PausedSyn>,
    /// Those that nobody has decided about, whether or not the program has seen them.
    undecided: usize,
}

impl Syns {
    /// How many can be taken now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many nobody has decided about.
    #[must_use]
    pub const fn undecided(&self) -> usize {
        self.undecided
    }

    /// Adds one.
    pub fn push(&mut self, syn: PausedSyn) {
        self.waiting.push_back(syn);
        self.undecided = self.undecided.saturating_add(1);
    }

    /// Takes the oldest that can still be decided.
    pub fn pop(&mut self) -> Option<PausedSyn> {
        self.prune();
        let taken = self.waiting.pop_front();
        self.prune();
        taken
    }

    /// One was decided, or cannot be any more.
    pub fn settle(&mut self) {
        self.undecided = self.undecided.saturating_sub(1);
        self.prune();
    }

    /// Those in front expire first: with them gone, whatever is left is there to be taken.
    fn prune(&mut self) {
        while self.waiting.front().is_some_and(|syn| !syn.fate.is_open()) {
            self.waiting.pop_front();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::buffer::Verdict;
    use crate::error::Errno;

    fn syn(serial: u64) -> PausedSyn {
        let address: SocketAddr = ([192, 0, 2, 1], 80).into();
        let interceptor = SocketId { index: 0, generation: 0 };
        let (since, mss, ecn, fate) = (Instant::ZERO, None, false, Fate::default());
        PausedSyn { interceptor, serial, local: address, peer: address, since, mss, ecn, fate }
    }

    #[test]
    fn what_expires_makes_room_and_is_not_there_to_be_taken() {
        let mut syns = Syns::default();
        let all: Vec<_> = (0..4).map(syn).collect();
        all.iter().cloned().for_each(|syn| syns.push(syn));
        for expired in &all[..2] {
            expired.fate.set(Verdict::Expired);
            syns.settle();
        }
        assert_eq!(syns.undecided(), 2);
        assert_eq!(syns.pop().map(|syn| syn.serial), Some(2));
        assert_eq!((syns.undecided(), syns.is_empty()), (2, false), "taken is not decided");
        all[3].fate.set(Verdict::Closed);
        syns.settle();
        assert!(syns.is_empty() && syns.pop().is_none());
    }

    #[test]
    fn the_first_verdict_holds() {
        for (verdict, errno) in [
            (Verdict::Decided, Errno::EBADF),
            (Verdict::Expired, Errno::ETIMEDOUT),
            (Verdict::Closed, Errno::ECANCELED),
        ] {
            let fate = Fate::default();
            assert!(fate.is_open());
            fate.set(verdict);
            fate.set(Verdict::Decided);
            assert_eq!((fate.is_open(), fate.errno()), (false, errno));
        }
    }
}
