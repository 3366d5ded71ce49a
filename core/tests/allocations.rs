//! What a running transfer allocates: nothing, neither for what is sent nor for what is received. Pages, queues and records are used again.

use allocation_counter::measure;
use bytes::BytesMut;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::Waker;
use usertcp_core::buffer::{Cell, PagePool, SocketId};
use usertcp_core::config::{Config, Prefix};
use usertcp_core::error::Errno;
use usertcp_core::link::coalesce::Coalescer;
use usertcp_core::link::{Capabilities, Frame, FrameMeta, ReceivedChecksum, SentChecksum, Transmit};
use usertcp_core::stack::socket::{self, Kick, More, Take, Urgency};
use usertcp_core::stack::{Domain, Stack};
use usertcp_core::sync::Arc;
use usertcp_core::time::{Duration, Instant};
use usertcp_core::trace::Log;

const PAGE: usize = 256 << 10;
/// Bytes that the program writes, and reads, at a time.
const PIECE: usize = 128 << 10;
/// Least room in a page for another packet.
const ROOM: usize = 1 << 16;

/// A stack, and what an engine has beside it.
struct Side {
    stack: Stack,
    /// What its packets are read into.
    page: BytesMut,
    pages: PagePool,
    /// What its program writes into.
    written: PagePool,
    coalescer: Option<Coalescer>,
    wakers: Vec<Waker>,
}

impl Side {
    fn new(number: u8, link: &Capabilities, merges: bool) -> Self {
        let prefix: Prefix = format!("192.0.2.{number}/24").parse().expect("a prefix");
        let config = Config { addresses: vec![prefix], secret: [number; 16], ..Config::default() };
        Self {
            stack: Stack::new(config, *link, Log::new(None)).expect("a stack"),
            page: BytesMut::new(),
            pages: PagePool::new(PAGE, 64),
            written: PagePool::new(PAGE, 64),
            coalescer: merges.then(Coalescer::default),
            wakers: Vec::new(),
        }
    }

    /// What is known of `transmit` when it has been read.
    const fn meta(transmit: &Transmit) -> FrameMeta {
        let checksum = match transmit.checksum {
            SentChecksum::Complete => ReceivedChecksum::Unverified,
            SentChecksum::Partial { .. } => ReceivedChecksum::Valid,
        };
        FrameMeta { checksum, gso_size: transmit.gso_size }
    }

    /// Reads `transmit` into `page`, as a device does.
    fn append(page: &mut BytesMut, transmit: &Transmit) {
        page.extend_from_slice(&transmit.head);
        transmit.payload.iter().for_each(|slice| page.extend_from_slice(slice));
    }

    /// What a device would read of `transmit`.
    fn read(&mut self, transmit: &Transmit) -> Frame {
        if self.page.capacity() - self.page.len() < ROOM {
            let page = self.pages.take();
            self.pages.give(std::mem::replace(&mut self.page, page));
        }
        Self::append(&mut self.page, transmit);
        Frame { bytes: self.page.split().freeze(), meta: Self::meta(transmit) }
    }

    fn receive(&mut self, now: Instant, transmit: &Transmit) {
        let Some(coalescer) = &mut self.coalescer else {
            let frame = self.read(transmit);
            return self.stack.handle_frame(now, frame);
        };
        if coalescer.wants_page(ROOM) {
            let (page, frame) = coalescer.replace_page(self.pages.take());
            self.pages.give(page);
            frame.into_iter().for_each(|frame| self.stack.handle_frame(now, frame));
        }
        let received = coalescer.receive(|page| {
            Self::append(page, transmit);
            Ok::<_, Infallible>(Some(Self::meta(transmit)))
        });
        assert!(received.is_ok_and(|length| length.is_some()));
        while let Some(frame) = coalescer.ready() {
            self.stack.handle_frame(now, frame);
        }
    }

    fn publish(&mut self, now: Instant) {
        self.stack.publish(now, &mut self.wakers);
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

/// Two stacks and a connection between them.
struct Pair {
    sides: [Side; 2],
    now: Instant,
    /// Packets that have passed.
    packets: usize,
}

impl Pair {
    fn new(link: &Capabilities, merges: bool) -> Self {
        let sides = [1, 2].map(|number| Side::new(number, link, merges));
        Self { sides, now: Instant::from_millis(1_000_000), packets: 0 }
    }

    /// One turn of each side: everything that wants to be sent goes, up to `most` packets of each.
    fn turn(&mut self, most: usize) {
        for (from, to) in [(0, 1), (1, 0)] {
            let [left, right] = &mut self.sides;
            let (from, to) = if from < to { (left, right) } else { (right, left) };
            from.stack.handle_timeout(self.now);
            for _ in 0..most {
                let Some(transmit) = from.stack.poll_transmit(self.now) else { break };
                to.receive(self.now, &transmit);
                self.packets += 1;
            }
            if let Some(frame) = to.coalescer.as_mut().and_then(Coalescer::take) {
                to.stack.handle_frame(self.now, frame);
            }
            to.publish(self.now);
            from.publish(self.now);
        }
        self.now += Duration::from_micros(20);
    }

    fn connect(&mut self) -> [(SocketId, Arc<Cell>); 2] {
        let address: SocketAddr = "192.0.2.2:80".parse().expect("an address");
        let (listener, listening) = self.sides[1].stack.socket(Domain::V4).expect("a socket");
        self.sides[1].stack.bind(listener, address).expect("bind");
        self.sides[1].stack.listen(self.now, listener, 1).expect("listen");
        let client = self.sides[0].stack.socket(Domain::V4).expect("a socket");
        self.sides[0].stack.connect(self.now, client.0, address).expect("connect");
        (0..4).for_each(|_| self.turn(64));
        let (accepted, _) = socket::accept(&listening, None).expect("an accepted connection");
        [client, (accepted.socket, accepted.cell)]
    }

    fn kick(&mut self, side: usize, id: SocketId, kick: Kick) {
        if kick == Kick::Yes {
            self.sides[side].stack.handle_kick(self.now, id);
        }
    }

    /// The program writes as much as there is room for, from pages as `Socket::send` does.
    fn write(&mut self, (id, cell): &(SocketId, Arc<Cell>), bytes: &[u8]) {
        loop {
            match socket::reserve(cell, bytes.len(), None) {
                Ok(room) => {
                    let pool = &self.sides[0].written;
                    let mut page = pool.take_room(room);
                    page.extend_from_slice(&bytes[..room]);
                    let slice = page.split().freeze();
                    pool.give(page);
                    let kick = socket::commit(cell, slice, More::No, Urgency::None).expect("it is open");
                    self.kick(0, *id, kick);
                }
                Err(errno) => return assert_eq!(errno, Errno::EAGAIN),
            }
        }
    }

    /// The program reads everything.
    fn read(&mut self, (id, cell): &(SocketId, Arc<Cell>)) -> usize {
        let mut all = 0;
        loop {
            match socket::recv(cell, PIECE, Take::Consume, None) {
                Ok((slices, kick)) => {
                    all += slices.iter().map(bytes::Bytes::len).sum::<usize>();
                    drop(slices);
                    self.kick(1, *id, kick);
                }
                Err(errno) => {
                    assert_eq!(errno, Errno::EAGAIN);
                    return all;
                }
            }
        }
    }
}

/// Allocations of a transfer that has run for a while, of how many packets and bytes.
fn allocations(link: &Capabilities, merges: bool) -> (u64, usize, usize) {
    let mut pair = Pair::new(link, merges);
    let [client, server] = pair.connect();
    let data = vec![7; PIECE];
    let mut bytes = 0;
    let mut rounds = |pair: &mut Pair, count: usize| {
        for _ in 0..count {
            pair.write(&client, &data);
            pair.turn(64);
            bytes += pair.read(&server);
        }
    };
    rounds(&mut pair, 4000);
    let before = pair.packets;
    let counted = measure(|| rounds(&mut pair, 1000));
    (counted.count_total, pair.packets - before, bytes)
}

#[test]
fn a_transfer_of_super_frames_allocates_nothing() {
    let link = Capabilities { checksum: true, tso4: true, tso6: true, ..Capabilities::plain(1500) };
    let (count, packets, bytes) = allocations(&link, false);
    assert!(packets > 4000, "{packets} packets, {bytes} bytes");
    assert_eq!(count, 0, "for {packets} packets");
}

#[test]
fn a_transfer_of_single_packets_allocates_nothing() {
    let (count, packets, bytes) = allocations(&Capabilities::plain(1500), true);
    assert!(packets > 4000, "{packets} packets, {bytes} bytes");
    assert_eq!(count, 0, "for {packets} packets");
}

/// Small payloads are copied together in chunks, and a chunk that is full before its program has read takes two allocations to follow.
#[test]
fn packets_that_nobody_merges_cost_an_allocation_for_dozens() {
    let (count, packets, bytes) = allocations(&Capabilities::plain(1500), false);
    assert!(packets > 4000, "{packets} packets, {bytes} bytes");
    assert!(count * 20 <= packets as u64, "{count} for {packets} packets");
}
