//! Interceptors and sockets at addresses that are none of the stack's, among everything else.

use super::{PROGRAMS, Program, World, nth};
use crate::packet;
use std::net::SocketAddr;
use usertcp_core::buffer::PausedSyn;
use usertcp_core::config::Prefix;
use usertcp_core::stack::socket;
use usertcp_core::stack::socket::ip::{IPPROTO_IP, IPPROTO_IPV6, v4::IP_TRANSPARENT, v6::IPV6_TRANSPARENT};
use usertcp_core::stack::{Cell, Domain, Intercept, SocketId};
use usertcp_core::sync::Arc;

/// The port of the stack's side that nobody of the stack's own addresses has.
pub(super) const AWAY: u16 = 82;
/// The peer's port for what the stack begins from there.
pub(super) const AWAY_PEER: u16 = 10;

/// Most undecided SYNs of an interceptor, and most that the program holds.
const QUEUE: u32 = 4;
const HELD: usize = 16;

/// A SYN that the program has taken.
#[derive(Debug)]
pub(super) struct Held {
    syn: PausedSyn,
    decided: bool,
}

impl World {
    pub(super) fn intercepted(&mut self, what: u8, choice: usize) {
        let v6 = choice & 1 != 0;
        match what % 8 {
            0 => self.intercept(v6, choice & 2 != 0),
            1 => self.next_syn(choice),
            2..=4 => self.decide(what % 8, choice),
            5 => self.connect_away(v6),
            6 => self.listen_away(v6),
            _ => self.datagram_away(v6),
        }
    }

    fn intercept(&mut self, v6: bool, everything: bool) {
        let length = if v6 { 64 } else { 24 };
        let prefix =
            Prefix { address: packet::local_address(v6, true), length: if everything { 0 } else { length } };
        let what = Intercept { prefix, ports: 1..=u16::MAX, queue: Some(QUEUE), timeout: None };
        if self.programs.len() < PROGRAMS
            && let Ok(made) = self.stack.intercept(self.now, &what)
        {
            self.add(made);
        }
    }

    fn next_syn(&mut self, choice: usize) {
        let Some(program) = nth(&mut self.programs, choice) else { return };
        if self.held.len() < HELD
            && let Ok(syn) = socket::next_syn(&program.cell, None)
        {
            self.held.push(Held { syn, decided: false });
        }
    }

    /// A SYN is decided about once; what was closed, or nobody decided about in time, never.
    fn decide(&mut self, how: u8, choice: usize) {
        let Some(place) = choice.checked_rem(self.held.len()) else { return };
        let (syn, before) = (self.held[place].syn.clone(), self.held[place].decided);
        let done = match how {
            2 if self.programs.len() >= PROGRAMS => return,
            2 => self.stack.accept_syn(self.now, &syn).map(|made| self.add(made)),
            3 => self.stack.refuse_syn(self.now, &syn),
            _ => self.stack.ignore_syn(self.now, &syn),
        };
        assert!(!before || done.is_err(), "a SYN is decided about twice");
        self.held[place].decided |= done.is_ok();
        if choice & 0x80 != 0 {
            self.held.swap_remove(place);
        }
    }

    fn connect_away(&mut self, v6: bool) {
        let Some((id, _)) = self.standing_away(v6, 0, false) else { return };
        let flow = self.flows.iter_mut().find(|flow| flow.away && flow.v6 == v6 && flow.peer == AWAY_PEER);
        if self.stack.connect(self.now, id, SocketAddr::new(packet::peer_address(v6), AWAY_PEER)).is_ok()
            && let Some(flow) = flow
        {
            flow.stack = 0;
        }
    }

    fn listen_away(&mut self, v6: bool) {
        if let Some((id, _)) = self.standing_away(v6, AWAY, false) {
            let _ = self.stack.listen(self.now, id, 2);
        }
    }

    fn datagram_away(&mut self, v6: bool) {
        let Some((id, _)) = self.standing_away(v6, 53, true) else { return };
        let peer = SocketAddr::new(packet::peer_address(v6), 53);
        let _ = self.stack.send_datagram(self.now, id, &b"away".as_slice().into(), Some(peer), None);
    }

    /// A transparent socket that is bound there, if it can be.
    fn standing_away(&mut self, v6: bool, port: u16, datagrams: bool) -> Option<(SocketId, Arc<Cell>)> {
        if self.programs.len() >= PROGRAMS {
            return None;
        }
        let domain = if v6 { Domain::V6 } else { Domain::V4 };
        let made = if datagrams { self.stack.datagram_socket(domain) } else { self.stack.socket(domain) };
        let (id, cell) = made.ok()?;
        self.add((id, cell.clone()));
        let away = SocketAddr::new(packet::local_address(v6, true), port);
        assert!(self.stack.bind(id, away).is_err(), "bound to another host's address");
        let (level, name) = if v6 { (IPPROTO_IPV6, IPV6_TRANSPARENT) } else { (IPPROTO_IP, IP_TRANSPARENT) };
        self.stack.set_option(self.now, id, level, name, &1i32.to_ne_bytes()).ok()?;
        self.stack.bind(id, away).ok().map(|()| (id, cell))
    }

    fn add(&mut self, (id, cell): (SocketId, Arc<Cell>)) {
        self.programs.push(Program { id, cell, written: 0, read: 0, starts: None });
    }

    /// What an interceptor keeps is bounded.
    pub(super) fn check_syns(cell: &Cell) {
        if let Some(syns) = &cell.lock().syns {
            assert!(syns.undecided() <= QUEUE as usize, "{} SYNs wait", syns.undecided());
        }
    }
}
