//! What turns allocate for a transfer that has run for a while: nothing, from the page that one program writes to the slices that the other reads.

use super::turn::{Called, Turn, Wakers};
use crate::buffer::{Cell, PagePool, SocketId};
use crate::config::Config;
use crate::error::Errno;
use crate::link::{Capabilities, Device, DeviceError, Frame, FrameMeta, ReceivedChecksum};
use crate::link::{Sent, SentChecksum, Transmit};
use crate::stack::socket::{self, Kick, More, Take, Urgency};
use crate::stack::{Domain, Stack};
use crate::sync::{Arc, Mutex, lock};
use crate::time::{Duration, Instant};
use crate::trace::Log;
use allocation_counter::measure;
use bytes::BytesMut;
use std::collections::VecDeque;
use std::net::SocketAddr;

const PAGE: usize = 256 << 10;
/// Bytes that the program writes at a time.
const PIECE: usize = 128 << 10;
/// Bytes that it reads: few slices, for the list of many is allocated.
const READ: usize = 16 << 10;
/// Packets that wait in the device.
const QUEUE: usize = 256;
/// Bytes of the largest.
const SPARE: usize = 1 << 16;

/// Packets on their way, and the buffers of those that have arrived.
#[derive(Default)]
struct Queue {
    packets: VecDeque<(Vec<u8>, FrameMeta)>,
    free: Vec<Vec<u8>>,
}

/// One end of a link in memory, which is read and written as a device of the system is.
struct Wire {
    capabilities: Capabilities,
    incoming: Arc<Mutex<Queue>>,
    outgoing: Arc<Mutex<Queue>>,
}

impl Device for Wire {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn recv(&mut self, now: Instant, page: &mut BytesMut) -> Result<Option<Frame>, DeviceError> {
        let meta = self.recv_behind(now, page)?;
        Ok(meta.map(|meta| Frame { bytes: page.split().freeze(), meta }))
    }

    fn recv_behind(&mut self, _now: Instant, page: &mut BytesMut) -> Result<Option<FrameMeta>, DeviceError> {
        let mut queue = lock(&self.incoming);
        let Some((mut packet, meta)) = queue.packets.pop_front() else { return Ok(None) };
        page.extend_from_slice(&packet);
        packet.clear();
        queue.free.push(packet);
        Ok(Some(meta))
    }

    fn send(&mut self, _now: Instant, transmit: &Transmit) -> Result<Sent, DeviceError> {
        let mut queue = lock(&self.outgoing);
        if queue.packets.len() >= QUEUE {
            return Ok(Sent::WouldBlock);
        }
        let mut packet = queue.free.pop().unwrap_or_else(|| Vec::with_capacity(SPARE));
        packet.extend_from_slice(&transmit.head);
        transmit.payload.iter().for_each(|slice| packet.extend_from_slice(slice));
        let checksum = match transmit.checksum {
            SentChecksum::Complete => ReceivedChecksum::Unverified,
            SentChecksum::Partial { .. } => ReceivedChecksum::Valid,
        };
        queue.packets.push_back((packet, FrameMeta { checksum, gso_size: transmit.gso_size }));
        Ok(Sent::Taken)
    }

    fn spare(&self) -> usize {
        SPARE
    }
}

/// Two hosts and the link between them.
struct Pair {
    turns: [Turn; 2],
    written: PagePool,
    woken: Wakers,
    now: Instant,
}

impl Pair {
    fn new(capabilities: Capabilities) -> Self {
        let queues = [0, 1].map(|_| Arc::new(Mutex::new(Queue::default())));
        let turns = [1, 2].map(|number: usize| {
            let addresses = vec![format!("192.0.2.{number}/24").parse().expect("a prefix")];
            let config = Config { addresses, secret: [number as u8; 16], ..Config::default() };
            let stack = Stack::new(config, capabilities, Log::new(None)).expect("a stack");
            let (incoming, outgoing) = (queues[number - 1].clone(), queues[2 - number].clone());
            let device = Box::new(Wire { capabilities, incoming, outgoing });
            let (_, commands) = crossbeam_channel::unbounded();
            Turn::new(stack, device, PagePool::new(PAGE, 64), commands, None)
        });
        let now = Instant::from_millis(1_000_000);
        Self { turns, written: PagePool::new(PAGE, 64), woken: Wakers::new(), now }
    }

    fn turn(&mut self) {
        for turn in &mut self.turns {
            let _ = turn.run(self.now, Called::ByDevice);
            turn.take_wakers(&mut self.woken);
            self.woken.clear();
        }
        self.now += Duration::from_micros(20);
    }

    fn connect(&mut self) -> [(SocketId, Arc<Cell>); 2] {
        let address: SocketAddr = "192.0.2.2:80".parse().expect("an address");
        let now = self.now;
        let server = &mut self.turns[1].stack;
        let (listener, listening) = server.socket(Domain::V4).expect("a socket");
        server.bind(listener, address).expect("bind");
        server.listen(now, listener, 1).expect("listen");
        let client = self.turns[0].stack.socket(Domain::V4).expect("a socket");
        self.turns[0].stack.connect(now, client.0, address).expect("connect");
        (0..8).for_each(|_| self.turn());
        let (accepted, _) = socket::accept(&listening, None).expect("an accepted connection");
        [client, (accepted.socket, accepted.cell)]
    }

    fn kick(&mut self, host: usize, id: SocketId, kick: Kick) {
        if kick == Kick::Yes {
            self.turns[host].stack.handle_kick(self.now, id);
        }
    }

    /// The program writes as much as there is room for.
    fn write(&mut self, (id, cell): &(SocketId, Arc<Cell>), bytes: &[u8]) {
        while let Ok(room) = socket::reserve(cell, bytes.len(), None) {
            let mut page = self.written.take_room(room);
            page.extend_from_slice(&bytes[..room]);
            let slice = page.split().freeze();
            self.written.give(page);
            let kick = socket::commit(cell, slice, More::No, Urgency::None).expect("it is open");
            self.kick(0, *id, kick);
        }
    }

    /// The program reads everything.
    fn read(&mut self, (id, cell): &(SocketId, Arc<Cell>)) -> usize {
        let mut all = 0;
        loop {
            match socket::recv(cell, READ, Take::Consume, None) {
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

#[test]
fn a_transfer_from_turn_to_turn_allocates_nothing() {
    let plain = Capabilities::plain(1500);
    for capabilities in [plain, Capabilities { checksum: true, tso4: true, tso6: true, ..plain }] {
        let mut pair = Pair::new(capabilities);
        let [client, server] = pair.connect();
        let data = vec![7; PIECE];
        let mut bytes = 0;
        let mut rounds = |pair: &mut Pair, count: usize| {
            bytes = 0;
            for _ in 0..count {
                pair.write(&client, &data);
                pair.turn();
                bytes += pair.read(&server);
            }
        };
        rounds(&mut pair, 4000);
        let counted = measure(|| rounds(&mut pair, 1000));
        assert!(bytes > 10 << 20, "{bytes} bytes");
        assert_eq!(counted.count_total, 0, "for {bytes} bytes");
    }
}
