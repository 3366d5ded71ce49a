//! What a socket is ready for, as poll(2) of Linux has it.

use super::urgent;
use crate::buffer::{Cell, CellState, Interest, Life};
use std::ops::BitOr;
use std::task::Waker;

/// What a socket is ready for; the numbers are those of poll(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Readiness(pub u16);

impl Readiness {
    /// Data, the end of the stream, a connection to accept, or an error.
    pub const IN: Self = Self(0x001);
    /// Urgent data has been announced that the program has not read past; with SO_OOBINLINE off, its last byte can be taken with MSG_OOB.
    pub const PRI: Self = Self(0x002);
    /// Room to send, connected, or an error.
    pub const OUT: Self = Self(0x004);
    /// An error is pending.
    pub const ERR: Self = Self(0x008);
    /// Both directions are over.
    pub const HUP: Self = Self(0x010);
    /// The handle is not open.
    pub const NVAL: Self = Self(0x020);
    /// The peer has shut down its sending half.
    pub const RDHUP: Self = Self(0x2000);

    /// Whether any bit of `other` is set.
    #[must_use]
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Readiness {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What the socket is ready for now; registers `waker` for any change if `interest` is not met. ERR, HUP and NVAL always meet it, as in poll(2).
pub fn readiness(cell: &Cell, interest: Readiness, waker: Option<&Waker>) -> Readiness {
    let mut state = cell.lock();
    let ready = of(&state);
    let always = Readiness::ERR | Readiness::HUP | Readiness::NVAL;
    if let Some(waker) = waker.filter(|_| !ready.any(interest | always)) {
        let writes = interest.any(Readiness::OUT);
        if writes {
            state.register(Interest::Write, waker);
        }
        if !writes || interest.any(Readiness::IN | Readiness::PRI | Readiness::RDHUP) {
            state.register(Interest::Read, waker);
        }
    }
    ready
}

/// What a descriptor that stands for the socket has to show, and what it missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What the socket is ready for now.
    pub ready: Readiness,
    /// IN and OUT, if there was none of it for a while since the last observation: who waits for a change is owed one.
    pub dipped: Readiness,
}

/// What the socket is ready for now, and what it was not for a while since this was last asked.
pub fn observe(cell: &Cell) -> Observed {
    let mut state = cell.lock();
    let (drained, filled) = state.take_dips();
    let none = Readiness::default();
    let dipped = if drained { Readiness::IN } else { none } | if filled { Readiness::OUT } else { none };
    Observed { ready: of(&state), dipped }
}

/// The table: state of the cell to readiness.
pub(super) fn of(state: &CellState) -> Readiness {
    let error = if state.error.is_some() { Readiness::ERR } else { Readiness::default() };
    let end = Readiness::IN | Readiness::RDHUP;
    match state.life {
        Life::Closed => Readiness::NVAL,
        Life::Idle if state.datagrams.is_some() => error | datagrams(state, end),
        Life::Idle => error | Readiness::OUT | Readiness::HUP,
        Life::Connecting => error,
        Life::Listening
            if state.accept.is_empty() && state.syns.as_ref().is_none_or(|syns| syns.is_empty()) =>
        {
            error
        }
        Life::Listening => error | Readiness::IN,
        Life::Ended => error | end | urgent::pending(state) | Readiness::OUT | Readiness::HUP,
        Life::Connected => error | streams(state, end),
    }
}

/// Readiness of a datagram socket, which is never connected as a stream is.
fn datagrams(state: &CellState, end: Readiness) -> Readiness {
    let mut ready = Readiness::default();
    if state.datagrams.as_ref().is_some_and(|datagrams| !datagrams.inbox.is_empty()) {
        ready = ready | Readiness::IN;
    }
    if state.recv_shut {
        ready = ready | end;
    }
    if state.send_shut || state.has_room() {
        ready = ready | Readiness::OUT;
    }
    if state.recv_shut && state.send_shut {
        ready = ready | Readiness::HUP;
    }
    ready
}

/// Readiness of the two streams of a connection.
fn streams(state: &CellState, end: Readiness) -> Readiness {
    let over = state.recv_end || state.recv_shut;
    let mut ready = urgent::pending(state);
    if urgent::worth_reading(state) {
        ready = ready | Readiness::IN;
    }
    if over {
        ready = ready | end;
    }
    if state.send_shut || state.has_room() {
        ready = ready | Readiness::OUT;
    }
    if over && state.send_shut {
        ready = ready | Readiness::HUP;
    }
    ready
}
