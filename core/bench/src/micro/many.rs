//! One connection among many: finding it, its timers, and how others come and go beside it.

use super::growth::Named;
use super::scene::Scene;
use super::world::{Link, Peer, World};
use bytes::Bytes;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use usertcp_core::link::{Frame, Transmit};
use usertcp_core::stack::socket::{self, EpollControl, EpollEvents, PollSet};
use usertcp_core::time::Duration;
use usertcp_core::wire::tcp::Flags;

/// SOL_SOCKET and SO_KEEPALIVE of Linux.
const SOL_SOCKET: i32 = 1;
const SO_KEEPALIVE: i32 = 9;

/// Longer than an acknowledgement is delayed.
const WHILE: Duration = Duration::from_millis(50);

/// What becomes of connections whose turn it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Awake,
    /// They are packed at the end of the turn.
    Asleep,
}

/// Connections that do nothing unless it is their turn.
struct Many {
    world: World,
    peers: Vec<Peer>,
    at: usize,
    /// The number of the next peer that comes and goes.
    next: u32,
}

impl Many {
    /// So many, each with a timer that runs.
    fn new(size: usize, rest: Rest) -> Self {
        let mut world = World::new(Link::Plain, |config| {
            // Acknowledgements are delayed, as they are behind the first of a connection.
            config.tcp.quick_acks = 0;
            config.buffers.awake_connections = if rest == Rest::Awake { 1 << 22 } else { 0 };
        });
        let peers: Vec<Peer> = (0..size as u32).map(|number| world.open(number)).collect();
        for peer in &peers {
            let on = 1i32.to_ne_bytes();
            world.stack.set_option(world.now, peer.id, SOL_SOCKET, SO_KEEPALIVE, &on).expect("an option");
            world.turn(drop);
        }
        Self { world, peers, at: 0, next: size as u32 }
    }

    /// The next in no order that a cache could know.
    fn choose(&mut self) -> usize {
        self.at = (self.at + 7919) % self.peers.len();
        self.at
    }
}

/// Scenes among so many connections, which are the same ones for all of them.
pub(super) fn scenes(size: usize, rest: Rest) -> Vec<Named> {
    let many = Rc::new(RefCell::new(Many::new(size, rest)));
    let heard = Heard { many: Rc::clone(&many), frames: Vec::new() };
    let late = Late { many: Rc::clone(&many), chosen: Vec::new(), frames: Vec::new(), sent: Vec::new() };
    let reported = Reported::new(&many);
    vec![
        ("ACK in", Box::new(heard)),
        ("segment in, found by a poll set of all", Box::new(reported)),
        ("segment in, and its delayed ACK by a timer", Box::new(late)),
        ("opened by a peer and closed, both sides", Box::new(Passing { many, count: 0 })),
    ]
}

/// An ACK comes that tells nothing new: whom it is for is all there is to find out.
struct Heard {
    many: Rc<RefCell<Many>>,
    frames: Vec<Frame>,
}

impl Scene for Heard {
    fn prepare(&mut self, count: usize) -> bool {
        let many = &mut *self.many.borrow_mut();
        for _ in 0..count {
            let chosen = many.choose();
            self.frames.push(many.peers[chosen].ack(&many.world));
        }
        true
    }

    fn act(&mut self) {
        let world = &mut self.many.borrow_mut().world;
        while let Some(frame) = self.frames.pop() {
            world.receive(frame);
            world.turn(drop);
        }
    }
}

/// A little data comes, and its acknowledgement waits for a timer, which runs out before any other.
struct Late {
    many: Rc<RefCell<Many>>,
    chosen: Vec<usize>,
    frames: Vec<Frame>,
    sent: Vec<Transmit>,
}

impl Scene for Late {
    fn prepare(&mut self, count: usize) -> bool {
        let many = &mut *self.many.borrow_mut();
        (self.chosen, self.frames) = some_data(many, count);
        true
    }

    fn act(&mut self) {
        let many = &mut *self.many.borrow_mut();
        for chosen in &self.chosen {
            let Some(frame) = self.frames.pop() else { break };
            many.world.receive(frame);
            many.world.turn(|transmit| self.sent.push(transmit));
            many.world.read(&many.peers[*chosen], usize::MAX);
            many.world.pass(WHILE);
            let due = many.world.stack.poll_timeout();
            if due.is_some_and(|due| due <= many.world.now) {
                many.world.stack.handle_timeout(many.world.now);
                many.world.turn(|transmit| self.sent.push(transmit));
            }
        }
    }

    fn settle(&mut self) {
        let many = &mut *self.many.borrow_mut();
        assert_eq!(self.sent.len(), self.chosen.len(), "one ACK each");
        for (chosen, transmit) in self.chosen.drain(..).zip(self.sent.drain(..)) {
            many.peers[chosen].see(&transmit);
        }
    }
}

/// A little data comes, and a poll set that all of them are in tells where.
struct Reported {
    many: Rc<RefCell<Many>>,
    set: PollSet,
    chosen: Vec<usize>,
    frames: Vec<Frame>,
    right: usize,
}

impl Reported {
    fn new(many: &Rc<RefCell<Many>>) -> Self {
        let mut set = PollSet::new();
        for (index, peer) in many.borrow().peers.iter().enumerate() {
            let token = index as u64;
            set.control(EpollControl::Add, token, &peer.cell, EpollEvents::IN, token)
                .expect("a place in the set");
        }
        Self { many: Rc::clone(many), set, chosen: Vec::new(), frames: Vec::new(), right: 0 }
    }
}

impl Scene for Reported {
    fn prepare(&mut self, count: usize) -> bool {
        let many = &mut *self.many.borrow_mut();
        (self.chosen, self.frames) = some_data(many, count);
        self.right = 0;
        true
    }

    fn act(&mut self) {
        let many = &mut *self.many.borrow_mut();
        for chosen in &self.chosen {
            let Some(frame) = self.frames.pop() else { break };
            many.world.receive(frame);
            many.world.turn(drop);
            for event in self.set.wait(8) {
                self.right += usize::from(event.data == *chosen as u64);
                many.world.read(&many.peers[*chosen], usize::MAX);
            }
        }
    }

    fn settle(&mut self) {
        let many = &mut *self.many.borrow_mut();
        assert_eq!(self.right, self.chosen.len(), "each is found, and found first");
        // The acknowledgements that are owed go before anything else is measured.
        many.world.pass(WHILE);
        many.world.stack.handle_timeout(many.world.now);
        many.world.turn(drop);
    }
}

/// A little data for the next ones, the last frame to be taken first from the end.
fn some_data(many: &mut Many, count: usize) -> (Vec<usize>, Vec<Frame>) {
    let chosen: Vec<usize> = (0..count).map(|_| many.choose()).collect();
    let Many { world, peers, .. } = many;
    let data = Bytes::from_static(&[0xa5; 100]);
    let mut frames: Vec<Frame> = chosen.iter().map(|at| peers[*at].data(world, &data)).collect();
    frames.reverse();
    (chosen, frames)
}

/// A peer connects, is accepted, closes, and is closed.
struct Passing {
    many: Rc<RefCell<Many>>,
    count: usize,
}

impl Scene for Passing {
    fn prepare(&mut self, count: usize) -> bool {
        self.count = count;
        true
    }

    fn act(&mut self) {
        let many = &mut *self.many.borrow_mut();
        for _ in 0..self.count {
            let mut peer = many.world.open(many.next);
            many.next += 1;
            let end = peer.control(&many.world, Flags::FIN.with(Flags::ACK));
            many.world.receive(end);
            many.world.turn(drop);
            close(&mut many.world, &peer);
            many.world.turn(|transmit| peer.see(&transmit));
            let last = peer.ack(&many.world);
            many.world.receive(last);
            many.world.turn(drop);
        }
    }

    fn settle(&mut self) {
        let many = self.many.borrow();
        assert_eq!(many.world.stack.sockets(), many.peers.len() + 1, "and the listener");
    }
}

fn close(world: &mut World, peer: &Peer) {
    let mut wakers = Vec::new();
    if socket::close(&peer.cell, &mut wakers) {
        world.stack.close(world.now, peer.id);
    }
}

/// Scenes among so many connections from this side to one server.
pub(super) fn outgoing(size: usize) -> Vec<Named> {
    let server = SocketAddr::from(([10, 255, 0, 1], 443));
    let mut world = World::new(Link::Plain, |_| {});
    let peers = (0..size).map(|_| world.connect(server)).collect();
    let many = Many { world, peers, at: 0, next: 0 };
    vec![("connected and reset, both sides", Box::new(Connecting { many, server, count: 0 }))]
}

/// A connection to a server that has many already, which takes it and resets it.
struct Connecting {
    many: Many,
    server: SocketAddr,
    count: usize,
}

impl Scene for Connecting {
    fn prepare(&mut self, count: usize) -> bool {
        self.count = count;
        true
    }

    fn act(&mut self) {
        let world = &mut self.many.world;
        for _ in 0..self.count {
            let mut peer = world.connect(self.server);
            let reset = peer.control(world, Flags::RST);
            world.receive(reset);
            world.turn(drop);
            close(world, &peer);
            world.turn(drop);
        }
    }

    fn settle(&mut self) {
        assert_eq!(self.many.world.stack.sockets(), self.many.peers.len() + 1, "and the listener");
    }
}
