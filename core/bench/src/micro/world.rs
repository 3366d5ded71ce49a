//! A stack by itself, and peers that are nothing but numbers: whatever they send is made before anything is measured.

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};
use std::net::{Ipv4Addr, SocketAddr};
use std::task::Waker;
use usertcp_core::config::{Config, Prefix};
use usertcp_core::ip::{self, Envelope};
use usertcp_core::link::{Capabilities, Frame, Transmit};
use usertcp_core::stack::socket::{self, Kick, More, Take, Urgency};
use usertcp_core::stack::{Cell, Domain, SocketId, Stack};
use usertcp_core::sync::Arc;
use usertcp_core::time::{Duration, Instant};
use usertcp_core::trace::Log;
use usertcp_core::wire::tcp::{self, Flags, TcpHeader, TcpOptions};

/// Payload of a full segment: 1500 bytes less the headers of IPv4 and TCP and the timestamps.
pub(super) const SEGMENT: usize = 1448;

/// Segments of the largest super-frame.
pub(super) const SEGMENTS: usize = 45;

/// What the link does for the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// Nothing.
    Plain,
    /// It merges and cuts super-frames, and vouches for checksums.
    Offload,
}

/// A stack that listens, and the time.
pub(super) struct World {
    pub(super) stack: Stack,
    pub(super) now: Instant,
    local: SocketAddr,
    listener: (SocketId, Arc<Cell>),
    capabilities: Capabilities,
    wakers: Vec<Waker>,
}

/// A connection, from the side of the peer, and the socket at its other end.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) id: SocketId,
    pub(super) cell: Arc<Cell>,
    local: SocketAddr,
    remote: SocketAddr,
    /// What it sends next.
    pub(super) next: u32,
    /// What it waits for.
    pub(super) seen: u32,
    /// The window that it offers, bytes.
    window: u32,
    /// The last timestamp seen.
    echo: u32,
}

/// Scale of the windows that peers offer, and the largest.
const SCALE: u8 = 10;
const WINDOW: u32 = 0xffff << SCALE;

impl World {
    /// A stack on `link`, with settings of its own.
    pub(super) fn new(link: Link, tune: impl FnOnce(&mut Config)) -> Self {
        let local = SocketAddr::from(([192, 0, 2, 2], 80));
        let mut config = Config {
            addresses: vec![Prefix { address: local.ip(), length: 24 }],
            secret: [7; 16],
            max_sockets: 1 << 22,
            ..Config::default()
        };
        config.buffers.total = 8 << 30;
        tune(&mut config);
        let offload = link == Link::Offload;
        let capabilities =
            Capabilities { mtu: 1500, checksum: offload, tso4: offload, tso6: offload, queue: None };
        let now = Instant::from_millis(1_000_000);
        let mut stack = Stack::new(config, capabilities, Log::new(None)).expect("settings that can work");
        let listener = stack.socket(Domain::V4).expect("a socket");
        stack.bind(listener.0, local).expect("a free port");
        stack.listen(now, listener.0, 64).expect("a listener");
        Self { stack, now, local, listener, capabilities, wakers: Vec::new() }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// A frame arrives.
    pub(super) fn receive(&mut self, frame: Frame) {
        self.stack.handle_frame(self.now, frame);
    }

    /// The end of a turn, as the engine has it: everything goes out, then programs are shown what is new.
    pub(super) fn turn(&mut self, mut sent: impl FnMut(Transmit)) {
        while let Some(transmit) = self.stack.poll_transmit(self.now) {
            sent(transmit);
        }
        self.stack.publish(self.now, &mut self.wakers);
        self.wakers.drain(..).for_each(Waker::wake);
    }

    /// The program takes what there is for it, and copies nothing. How many bytes.
    pub(super) fn read(&mut self, peer: &Peer, most: usize) -> usize {
        match socket::recv(&peer.cell, most, Take::Consume, None) {
            Ok((slices, kick)) => {
                self.kick(peer.id, kick);
                slices.iter().map(Bytes::len).sum()
            }
            Err(_) => 0,
        }
    }

    /// The program writes slices that it has. Whether there was room for all of it.
    pub(super) fn write(&mut self, peer: &Peer, slice: Bytes) -> bool {
        let Ok(room) = socket::reserve(&peer.cell, slice.len(), None) else { return false };
        let whole = room == slice.len();
        let kick =
            socket::commit(&peer.cell, slice.slice(..room), More::No, Urgency::None).expect("it is open");
        self.kick(peer.id, kick);
        whole
    }

    fn kick(&mut self, id: SocketId, kick: Kick) {
        if kick == Kick::Yes {
            self.stack.handle_kick(self.now, id);
        }
    }

    /// Peer `number` connects, and its connection is accepted.
    pub(super) fn open(&mut self, number: u32) -> Peer {
        let remote = SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0001 + number), 40_000));
        self.open_from(remote, WINDOW)
    }

    /// A peer connects that offers so much, in steps of its scale.
    pub(super) fn open_from(&mut self, remote: SocketAddr, window: u32) -> Peer {
        let (id, cell) = self.listener.clone();
        let mut peer = Peer { id, cell, local: self.local, remote, next: 1000, seen: 0, window, echo: 0 };
        self.greet(&mut peer);
        let (accepted, kick) = socket::accept(&self.listener.1, None).expect("a connection");
        self.kick(self.listener.0, kick);
        (peer.id, peer.cell) = (accepted.socket, accepted.cell);
        peer
    }

    /// The handshake, from the peer's side.
    fn greet(&mut self, peer: &mut Peer) {
        let scale = if peer.window <= u32::from(u16::MAX) { 0 } else { SCALE };
        let options = TcpOptions {
            mss: Some(1460),
            window_scale: Some(scale),
            sack_permitted: true,
            timestamps: Some((stamp(self.now), 0)),
            ..TcpOptions::default()
        };
        let syn = peer.packet(self, Flags::SYN, peer.next, options, SmallVec::new(), 0);
        self.receive(syn);
        peer.next += 1;
        self.turn(|transmit| peer.see(&transmit));
        self.receive(peer.ack(self));
        self.turn(|_| {});
    }

    /// A connection from the stack to `remote`, whose peer accepts it.
    pub(super) fn connect(&mut self, remote: SocketAddr) -> Peer {
        let (id, cell) = self.stack.socket(Domain::V4).expect("a socket");
        self.stack.connect(self.now, id, remote).expect("a port");
        let local = self.stack.local_address(id).expect("an address");
        let mut peer = Peer { id, cell, local, remote, next: 1000, seen: 0, window: WINDOW, echo: 0 };
        self.turn(|transmit| peer.see(&transmit));
        let options = TcpOptions {
            mss: Some(1460),
            window_scale: Some(SCALE),
            sack_permitted: true,
            timestamps: Some((stamp(self.now), peer.echo)),
            ..TcpOptions::default()
        };
        let answer = Flags::SYN.with(Flags::ACK);
        self.receive(peer.packet(self, answer, peer.next, options, SmallVec::new(), 0));
        peer.next += 1;
        self.turn(|_| {});
        peer
    }
}

impl Peer {
    /// Takes note of what the stack has sent to it.
    pub(super) fn see(&mut self, transmit: &Transmit) {
        let Ok(packet) = ip::ingress(&ip::to_frame(transmit)) else { return };
        let Ok((header, start)) = tcp::parse(packet.source, packet.destination, &packet.payload, false)
        else {
            return;
        };
        if (packet.destination, header.destination) != (self.remote.ip(), self.remote.port()) {
            return;
        }
        let flags = header.flags;
        let controls = u32::from(flags.has(Flags::SYN)) + u32::from(flags.has(Flags::FIN));
        let end = header.seq.wrapping_add((packet.payload.len() - start) as u32 + controls);
        if flags.has(Flags::SYN) || end.wrapping_sub(self.seen) as i32 > 0 {
            self.seen = end;
        }
        if let Some((tsval, _)) = header.options.timestamps {
            self.echo = tsval;
        }
    }

    /// The acknowledgement of everything seen.
    pub(super) fn ack(&self, world: &World) -> Frame {
        self.packet(world, Flags::ACK, self.next, self.stamped(world, &[]), SmallVec::new(), 0)
    }

    /// One of everything before `upto`, with blocks.
    pub(super) fn ack_of(&self, world: &World, upto: u32, blocks: &[(u32, u32)]) -> Frame {
        let options = self.stamped(world, blocks);
        Self { seen: upto, ..self.clone() }.packet(world, Flags::ACK, self.next, options, SmallVec::new(), 0)
    }

    /// The next bytes of the stream.
    pub(super) fn data(&mut self, world: &World, payload: &Bytes) -> Frame {
        let at = self.next;
        self.next = at.wrapping_add(payload.len() as u32);
        self.data_at(world, at, payload)
    }

    /// Bytes anywhere in the stream; more than a segment of them have been merged.
    pub(super) fn data_at(&self, world: &World, at: u32, payload: &Bytes) -> Frame {
        let gso_size = if payload.len() > SEGMENT { SEGMENT as u16 } else { 0 };
        let flags = Flags::ACK.with(Flags::PSH);
        self.packet(world, flags, at, self.stamped(world, &[]), smallvec![payload.clone()], gso_size)
    }

    /// A segment with these flags and no data; FIN takes up a number.
    pub(super) fn control(&mut self, world: &World, flags: Flags) -> Frame {
        let at = self.next;
        self.next = at.wrapping_add(u32::from(flags.has(Flags::FIN)));
        self.packet(world, flags, at, self.stamped(world, &[]), SmallVec::new(), 0)
    }

    fn stamped(&self, world: &World, blocks: &[(u32, u32)]) -> TcpOptions {
        TcpOptions {
            timestamps: Some((stamp(world.now), self.echo)),
            sack: blocks.iter().copied().collect(),
            ..TcpOptions::default()
        }
    }

    fn packet(
        &self,
        world: &World,
        flags: Flags,
        seq: u32,
        options: TcpOptions,
        payload: ip::Payload,
        gso_size: u16,
    ) -> Frame {
        let scale = if self.window <= u32::from(u16::MAX) || flags.has(Flags::SYN) { 0 } else { SCALE };
        let header = TcpHeader {
            source: self.remote.port(),
            destination: self.local.port(),
            seq,
            ack: self.seen,
            flags,
            window: u16::try_from(self.window >> scale).unwrap_or(u16::MAX),
            urgent: 0,
            options,
        };
        let envelope = Envelope::new(self.remote.ip(), self.local.ip());
        ip::to_frame(&ip::tcp_transmit(&envelope, &header, payload, gso_size, &world.capabilities))
    }
}

/// What a peer's clock of timestamps shows.
fn stamp(now: Instant) -> u32 {
    now.as_millis() as u32
}
