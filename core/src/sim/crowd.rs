//! A stack with very many connections, all to a peer without memory.

use super::responder;
use crate::buffer::{Cell, SocketId};
use crate::config::{Config, Domain, Prefix};
use crate::error::{Errno, Error};
use crate::link::Capabilities;
use crate::stack::Stack;
use crate::stack::socket::{self, Kick, More, Urgency};
use crate::sync::Arc;
use crate::time::{Duration, Instant};
use crate::trace::Log;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The stack and its sockets. Its own address is 10.0.0.1; every address of 10.0.0.0/8 is a peer.
#[derive(Debug)]
pub struct Crowd {
    /// The stack.
    pub stack: Stack,
    /// The clock.
    pub now: Instant,
    /// What its programs hold.
    pub sockets: Vec<(SocketId, Arc<Cell>)>,
}

/// Calls or packets in a turn.
const TURN: usize = 64;
/// Connections of one peer's address.
const PORTS: usize = 20_000;
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SERVICE: u16 = 80;

impl Crowd {
    /// A stack for `most` connections. `change` sees its configuration.
    pub fn new(most: usize, change: impl FnOnce(&mut Config)) -> Result<Self, Error> {
        let own = Prefix { address: OWN.into(), length: 8 };
        let mut config = Config { addresses: vec![own], max_sockets: most + 1, ..Config::default() };
        change(&mut config);
        let stack = Stack::new(config, Capabilities::plain(1500), Log::new(None))?;
        Ok(Self { stack, now: Instant::from_millis(1_000_000), sockets: Vec::new() })
    }

    /// Opens `count` connections.
    pub fn connect(&mut self, count: usize) -> Result<(), Errno> {
        for number in 0..count {
            let (id, cell) = self.stack.socket(Domain::V4)?;
            self.stack.connect(self.now, id, SocketAddr::new(peer(number), SERVICE))?;
            self.sockets.push((id, cell));
            if number % TURN == TURN - 1 {
                self.turn();
            }
        }
        self.turn();
        Ok(())
    }

    /// Is connected to by `count` peers, and accepts them.
    pub fn accept(&mut self, count: usize) -> Result<(), Errno> {
        let (listener, queue) = self.stack.socket(Domain::V4)?;
        self.stack.bind(listener, SocketAddr::new(OWN.into(), SERVICE))?;
        self.stack.listen(self.now, listener, TURN as u32)?;
        for number in 0..count {
            let port = u16::try_from(1 + number % PORTS).unwrap_or(1);
            let from = SocketAddr::new(peer(number), port);
            self.stack.handle_frame(self.now, responder::syn(from, SocketAddr::new(OWN.into(), SERVICE)));
            if number % TURN == TURN - 1 || number + 1 == count {
                self.turn();
                while let Ok((accepted, _)) = socket::accept(&queue, None) {
                    self.sockets.push((accepted.socket, accepted.cell));
                }
                self.stack.handle_kick(self.now, listener);
            }
        }
        if self.sockets.len() < count {
            return Err(Errno::ETIMEDOUT);
        }
        self.sockets.push((listener, queue));
        Ok(())
    }

    /// Has every connection send `request`, which is acknowledged.
    pub fn talk(&mut self, request: &[u8]) {
        for at in 0..self.sockets.len() {
            let Some((id, cell)) = self.sockets.get(at) else { break };
            let sent = socket::send_small(cell, request, More::No, Urgency::None, None);
            if let Ok((_, Kick::Yes)) = sent {
                self.stack.handle_kick(self.now, *id);
            }
            if at % TURN == TURN - 1 {
                self.turn();
            }
        }
        self.turn();
    }

    /// Closes everything; TIME-WAIT begins for whatever was connected.
    pub fn close(&mut self) {
        for (number, (id, _)) in std::mem::take(&mut self.sockets).into_iter().enumerate() {
            self.stack.close(self.now, id);
            if number % TURN == TURN - 1 {
                self.turn();
            }
        }
        self.turn();
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.stack.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.stack.handle_timeout(self.now);
            self.turn();
        }
        self.now = until;
    }

    /// Everything that is to be sent is sent and answered, and shown.
    pub fn turn(&mut self) {
        self.now += Duration::from_micros(10);
        while let Some(transmit) = self.stack.poll_transmit(self.now) {
            if let Some(frame) = responder::answer(&transmit) {
                self.stack.handle_frame(self.now, frame);
            }
        }
        let mut wakers = Vec::new();
        self.stack.publish(self.now, &mut wakers);
    }
}

fn peer(number: usize) -> IpAddr {
    let host = u32::try_from(number / PORTS).unwrap_or(u32::MAX);
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 1, 0, 1)).saturating_add(host)).into()
}
