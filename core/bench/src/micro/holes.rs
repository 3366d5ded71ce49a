//! What has arrived with holes in it: of what a peer sends, and of what it was sent.

use super::growth::Named;
use super::scene::Scene;
use super::world::{Link, Peer, SEGMENT, World};
use bytes::Bytes;
use std::net::SocketAddr;
use usertcp_core::link::{Frame, Transmit};
use usertcp_core::time::Duration;

/// Operations that a scene allows for: few against the holes that there may be.
const OPERATIONS: usize = 256;

/// Bytes of a piece that a peer sends, and of a hole in front of it.
const PIECE: u32 = 100;

/// Everything around so many holes.
pub(super) fn scenes(holes: usize) -> Vec<Named> {
    vec![
        ("piece in between, and its ACK with SACK", Box::new(Received::new(holes, Kind::Between))),
        ("first hole filled, and its ACK", Box::new(Received::new(holes, Kind::First))),
        ("piece in again, and its ACK with D-SACK", Box::new(Received::new(holes, Kind::Again))),
        ("SACK in of a segment in between", Box::new(Sent::new(holes, Told::Between))),
        ("ACK in of the first hole", Box::new(Sent::new(holes, Told::First))),
    ]
}

/// Where there are how many holes, in units of which every second one is there: half of the holes, a place for more, and the other half.
///
/// ```text
///   0 1 2 3 ...       middle                 end
///   . # . # . # . # . . . . . . . . . # . # . #
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    half: u32,
}

impl Layout {
    const fn of(holes: usize) -> Self {
        Self { half: holes as u32 / 2 }
    }

    /// The units that are there.
    fn pieces(self) -> impl Iterator<Item = u32> {
        let behind = self.middle() + 2 * OPERATIONS as u32 + 1;
        (0..self.half).map(|k| 2 * k + 1).chain((0..self.half).map(move |k| behind + 2 * k))
    }

    /// Where the place for more begins.
    const fn middle(self) -> u32 {
        2 * self.half
    }

    /// One of those in it.
    const fn between(self, operation: u32) -> u32 {
        self.middle() + 2 * operation + 1
    }

    /// Units in all.
    const fn end(self) -> u32 {
        4 * self.half + 2 * OPERATIONS as u32 + 2
    }

    /// The first units that are missing, of which `operation` have been filled.
    const fn first(self, operation: u32) -> u32 {
        if operation < self.half { 2 * operation } else { self.half + operation }
    }
}

/// What a peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What makes two holes of one in the middle.
    Between,
    /// What fills the first.
    First,
    /// What is there.
    Again,
}

/// Pieces that have come before their turn.
struct Received {
    world: World,
    peer: Peer,
    kind: Kind,
    layout: Layout,
    done: u32,
    frames: Vec<Frame>,
    sent: Vec<Transmit>,
    read: usize,
    count: usize,
}

impl Received {
    fn new(holes: usize, kind: Kind) -> Self {
        let mut world = World::new(Link::Plain, |config| {
            config.buffers.receive = 64 << 20;
            config.buffers.receive_initial = 64 << 20;
            config.tcp.reassembly_segments = 1 << 20;
        });
        let mut peer = world.open(0);
        // The first ACK tells of the whole window.
        for _ in 0..2 {
            let frame = peer.data(&world, &payload());
            world.receive(frame);
            world.turn(|transmit| peer.see(&transmit));
            world.read(&peer, usize::MAX);
        }
        let layout = Layout::of(holes);
        for unit in layout.pieces() {
            let frame = peer.data_at(&world, peer.next + unit * PIECE, &payload());
            world.receive(frame);
            world.turn(drop);
        }
        Self { world, peer, kind, layout, done: 0, frames: Vec::new(), sent: Vec::new(), read: 0, count: 0 }
    }

    fn unit(&self) -> u32 {
        match self.kind {
            Kind::Between => self.layout.between(self.done),
            Kind::First => self.layout.first(self.done),
            Kind::Again if self.layout.half > 0 => 2 * (self.layout.half / 2) + 1,
            // Nothing is there but what was read.
            Kind::Again => u32::MAX,
        }
    }
}

fn payload() -> Bytes {
    Bytes::from_static(&[0xa5; PIECE as usize])
}

impl Scene for Received {
    fn prepare(&mut self, count: usize) -> bool {
        if self.done as usize + count > OPERATIONS {
            return false;
        }
        for _ in 0..count {
            let at = self.peer.next.wrapping_add(self.unit().wrapping_mul(PIECE));
            self.frames.push(self.peer.data_at(&self.world, at, &payload()));
            self.done += 1;
        }
        self.frames.reverse();
        (self.read, self.count) = (0, count);
        true
    }

    fn act(&mut self) {
        while let Some(frame) = self.frames.pop() {
            self.world.receive(frame);
            self.world.turn(|transmit| self.sent.push(transmit));
            self.read += self.world.read(&self.peer, usize::MAX);
        }
    }

    fn settle(&mut self) {
        let (acks, read) = (self.sent.drain(..).count(), self.read / PIECE as usize);
        match self.kind {
            // What is in order may be acknowledged later.
            Kind::First => assert!(read >= self.count, "{read} read for {}", self.count),
            Kind::Between | Kind::Again => {
                assert!(acks >= self.count && read == 0, "{acks} ACKs, {read} read for {}", self.count);
            }
        }
    }
}

/// What a peer acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// By a block, a segment in the middle.
    Between,
    /// The first hole, and the segment behind it that it had told of.
    First,
}

/// Segments in flight of which every second is known to have arrived.
struct Sent {
    world: World,
    peer: Peer,
    told: Told,
    layout: Layout,
    /// The first byte.
    base: u32,
    done: u32,
    frames: Vec<Frame>,
}

/// A round trip.
const TRIP: Duration = Duration::from_millis(20);

impl Sent {
    fn new(holes: usize, told: Told) -> Self {
        let layout = Layout::of(holes);
        let bytes = layout.end() as usize * SEGMENT;
        let mut world = World::new(Link::Offload, |config| {
            config.tcp.initial_window = layout.end() + 10;
            config.buffers.send = bytes + (1 << 20);
            config.buffers.send_initial = bytes + (1 << 20);
        });
        let remote = SocketAddr::from(([10, 0, 0, 1], 40_000));
        let mut peer = world.open_from(remote, 0xffff << 10);
        let base = peer.seen;
        let slice = Bytes::from(vec![0xa5; SEGMENT * 44]);
        let mut left = bytes;
        while left > 0 {
            let count = left.min(slice.len());
            assert!(world.write(&peer, slice.slice(..count)), "{left} bytes find no room");
            left -= count;
        }
        world.turn(|transmit| peer.see(&transmit));
        assert_eq!(peer.seen.wrapping_sub(base) as usize, bytes, "all of it is in flight");
        world.pass(TRIP);
        let mut scene = Self { world, peer, told, layout, base, done: 0, frames: Vec::new() };
        let units: Vec<u32> = layout.pieces().collect();
        for units in units.chunks(3) {
            let blocks: Vec<_> = units.iter().rev().map(|unit| scene.block(*unit)).collect();
            let ack = scene.peer.ack_of(&scene.world, base, &blocks);
            scene.world.receive(ack);
            scene.world.turn(drop);
        }
        scene
    }

    fn block(&self, unit: u32) -> (u32, u32) {
        (self.at(unit), self.at(unit + 1))
    }

    const fn at(&self, unit: u32) -> u32 {
        self.base.wrapping_add(unit.wrapping_mul(SEGMENT as u32))
    }
}

impl Scene for Sent {
    fn prepare(&mut self, count: usize) -> bool {
        if self.done as usize + count > OPERATIONS {
            return false;
        }
        for _ in 0..count {
            let frame = match self.told {
                Told::Between => {
                    let block = self.block(self.layout.between(self.done));
                    self.peer.ack_of(&self.world, self.base, &[block])
                }
                Told::First => {
                    let upto = self.at(self.layout.first(self.done + 1));
                    self.peer.ack_of(&self.world, upto, &[])
                }
            };
            self.frames.push(frame);
            self.done += 1;
        }
        self.frames.reverse();
        true
    }

    fn act(&mut self) {
        while let Some(frame) = self.frames.pop() {
            self.world.receive(frame);
            self.world.turn(drop);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_has_its_holes_on_both_sides_of_a_place_for_more() {
        let layout = Layout::of(6);
        let pieces: Vec<u32> = layout.pieces().collect();
        assert_eq!((pieces.len(), &pieces[..3]), (6, &[1, 3, 5][..]));
        assert_eq!((layout.middle(), layout.between(0)), (6, 7));
        let last = layout.between(OPERATIONS as u32 - 1);
        assert!(pieces[3] == last + 2 && pieces[5] < layout.end(), "{pieces:?}, and {last}");
        let firsts: Vec<u32> = (0..5).map(|operation| layout.first(operation)).collect();
        assert_eq!(firsts, [0, 2, 4, 6, 7], "one behind the other where there is no hole");
    }
}
