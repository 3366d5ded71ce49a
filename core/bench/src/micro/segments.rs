//! A connection at its steady state: segments come in order, acknowledgements release segments.

use super::scene::{Effort, Scene, Take};
use super::world::{Link, Peer, SEGMENT, SEGMENTS, World};
use bytes::Bytes;
use std::net::SocketAddr;
use usertcp_core::config::Config;
use usertcp_core::link::{Frame, Transmit};
use usertcp_core::time::Duration;

/// A super-frame's payload.
const SUPER_FRAME: usize = SEGMENT * SEGMENTS;

/// From turn to turn.
const TURN: Duration = Duration::from_micros(10);

pub(super) fn run(effort: Effort, take: Take<'_>) {
    let cases = [
        ("segment in, 1448 B, one a turn", Link::Plain, SEGMENT, 1, 64),
        ("segment in, 1448 B, 64 a turn", Link::Plain, SEGMENT, 64, 64),
        ("segment in, 1448 B, checksum known, 64 a turn", Link::Offload, SEGMENT, 64, 64),
        ("super-frame in, 64 KiB, one a turn", Link::Offload, SUPER_FRAME, 1, 8),
        ("super-frame in, 64 KiB, eight a turn", Link::Offload, SUPER_FRAME, 8, 8),
    ];
    for (name, link, bytes, a_turn, batch) in cases {
        let mut scene = InOrder::new(link, bytes, a_turn, 4 << 20, 0);
        take(name, "ours", effort.measure(batch, &mut scene));
    }
    let cases = [
        ("ACK in and segment out, 1448 B", Link::Plain, SEGMENT, 64),
        ("ACK in and segment out, 1448 B, checksum left", Link::Offload, SEGMENT, 64),
        ("ACK in and super-frame out, 64 KiB", Link::Offload, SUPER_FRAME, 8),
    ];
    for (name, link, bytes, batch) in cases {
        let mut scene = Acknowledged::new(link, bytes, 1 << 20);
        take(name, "ours", effort.measure(batch, &mut scene));
    }
}

/// Data arrives in order, is acknowledged, and read.
pub(super) struct InOrder {
    world: World,
    peer: Peer,
    payload: Bytes,
    a_turn: usize,
    frames: Vec<Frame>,
    /// What the frames are in, so that no page is given back while it is measured.
    pages: Vec<Bytes>,
    sent: Vec<Transmit>,
    expected: usize,
    read: usize,
}

impl InOrder {
    /// Frames of `bytes`, so many a turn, into a buffer of `window` bytes, of which `unread` are always full.
    pub(super) fn new(link: Link, bytes: usize, a_turn: usize, window: usize, unread: usize) -> Self {
        let mut world = World::new(link, |config: &mut Config| {
            config.buffers.receive = window;
            config.buffers.receive_initial = window;
        });
        let peer = world.open(0);
        let payload = Bytes::from(vec![0xa5; bytes]);
        let (frames, pages, sent) = (Vec::new(), Vec::new(), Vec::new());
        let mut scene = Self { world, peer, payload, a_turn, frames, pages, sent, expected: 0, read: 0 };
        // The first ACK tells of the whole window.
        let first = Bytes::from_static(&[0xa5; 100]);
        let frame = scene.peer.data(&scene.world, &first);
        scene.world.receive(frame);
        scene.turn();
        scene.world.read(&scene.peer, usize::MAX);
        for _ in 0..unread / bytes {
            let frame = scene.peer.data(&scene.world, &scene.payload);
            scene.world.receive(frame);
            scene.turn();
        }
        scene
    }

    fn turn(&mut self) {
        self.world.turn(|transmit| self.sent.push(transmit));
        self.world.pass(TURN);
    }
}

impl Scene for InOrder {
    fn prepare(&mut self, count: usize) -> bool {
        self.sent.drain(..).for_each(|transmit| self.peer.see(&transmit));
        for _ in 0..count {
            let frame = self.peer.data(&self.world, &self.payload);
            self.pages.push(frame.bytes.clone());
            self.frames.push(frame);
        }
        self.frames.reverse();
        (self.expected, self.read) = (count * self.payload.len(), 0);
        true
    }

    fn act(&mut self) {
        while !self.frames.is_empty() {
            for _ in 0..self.a_turn {
                let Some(frame) = self.frames.pop() else { break };
                self.world.receive(frame);
            }
            self.turn();
            self.read += self.world.read(&self.peer, self.payload.len() * self.a_turn);
        }
    }

    fn settle(&mut self) {
        self.pages.clear();
        assert_eq!(self.read, self.expected, "bytes read");
    }
}

/// Acknowledgements arrive, and as much is sent as they have made room for.
pub(super) struct Acknowledged {
    world: World,
    peer: Peer,
    /// What the program writes.
    slice: Bytes,
    /// The first byte that is not acknowledged.
    una: u32,
    step: usize,
    acks: Vec<Frame>,
    sent: Vec<Transmit>,
    expected: usize,
}

impl Acknowledged {
    /// ACKs of `step` bytes each by a peer that always offers `window` bytes, all of them in flight.
    pub(super) fn new(link: Link, step: usize, window: usize) -> Self {
        let mut world = World::new(link, |config| {
            config.tcp.initial_window = (window / SEGMENT + 100) as u32;
            config.buffers.send = 4 * window + (1 << 20);
            config.buffers.send_initial = config.buffers.send;
        });
        let remote = SocketAddr::from(([10, 0, 0, 1], 40_000));
        let peer = world.open_from(remote, window as u32);
        let una = peer.seen;
        // Small enough for many to be queued, large enough not to be gathered.
        let slice = Bytes::from(vec![0xa5; 2048]);
        let (acks, sent) = (Vec::new(), Vec::new());
        let mut scene = Self { world, peer, slice, una, step, acks, sent, expected: 0 };
        scene.fill();
        scene.world.turn(|transmit| scene.sent.push(transmit));
        scene.note();
        scene
    }

    /// The program writes all that it may.
    fn fill(&mut self) {
        while self.world.write(&self.peer, self.slice.clone()) {}
    }

    fn note(&mut self) -> usize {
        let before = self.peer.seen;
        self.sent.drain(..).for_each(|transmit| self.peer.see(&transmit));
        self.peer.seen.wrapping_sub(before) as usize
    }
}

impl Scene for Acknowledged {
    fn prepare(&mut self, count: usize) -> bool {
        self.fill();
        for _ in 0..count {
            self.una = self.una.wrapping_add(self.step as u32);
            self.acks.push(self.peer.ack_of(&self.world, self.una, &[]));
        }
        self.acks.reverse();
        self.expected = count * self.step;
        true
    }

    fn act(&mut self) {
        while let Some(ack) = self.acks.pop() {
            self.world.receive(ack);
            self.world.turn(|transmit| self.sent.push(transmit));
            self.world.pass(TURN);
        }
    }

    fn settle(&mut self) {
        let sent = self.note();
        assert!(sent.abs_diff(self.expected) <= self.step, "{sent} bytes for {}", self.expected);
    }
}
