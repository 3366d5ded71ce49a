//! The whole stack: packets, calls and time in any order, from a peer that can be polite, sloppy or hostile.
//!
//! What has to hold: nothing panics, output ends, timers move on, frames are counted and dropped at most once, no buffer exceeds its
//! limit, programs read exactly what the peer sent and the peer sees exactly what programs wrote.

mod intercepted;

use crate::input::Input;
use crate::packet::{self, ACK, FIN, PSH, RST, SYN, Tcp};
use crate::peer::{Flow, pattern};
use bytes::Bytes;
use intercepted::{AWAY, AWAY_PEER, Held};
use std::net::SocketAddr;
use usertcp_core::config::{Config, Prefix, SynCookies};
use usertcp_core::counters::Counters;
use usertcp_core::link::{Capabilities, Frame, FrameMeta, ReceivedChecksum, SentChecksum};
use usertcp_core::stack::socket::{self, Kick, Queued, Readiness, Take, Urgency};
use usertcp_core::stack::{Cell, Domain, LinkState, Shutdown, SocketId, Stack};
use usertcp_core::sync::Arc;
use usertcp_core::time::{Duration, Instant};
use usertcp_core::trace::Log;

const LISTENING: u16 = 80;
const RECEIVE: usize = 64 << 10;
const SEND: usize = 32 << 10;
const MTU: u16 = 1500;
const PROGRAMS: usize = 24;

/// A socket and what its program knows.
#[derive(Debug)]
struct Program {
    id: SocketId,
    cell: Arc<Cell>,
    /// Bytes written, and read.
    written: u32,
    read: u32,
    /// Where the peer's stream may have begun, of those that agree with what was read so far.
    starts: Option<Vec<u32>>,
}

#[derive(Debug)]
struct World {
    stack: Stack,
    now: Instant,
    flows: Vec<Flow>,
    programs: Vec<Program>,
    /// SYNs that its programs have taken of interceptors.
    held: Vec<Held>,
    /// First sequence numbers of the streams that the peer has started.
    starts: Vec<u32>,
    last: Vec<u8>,
    frames: u64,
    bytes: u64,
    /// Frames came that no checksum vouches for: contents are no longer compared.
    forged: bool,
    /// What a well-behaved peer puts into its SYN: nothing, or MSS and SACK permitted.
    syn_options: &'static [u8],
    /// The stack has talked to itself: packets are read that never were frames.
    looped: bool,
}

/// Runs one input.
pub fn stack(data: &[u8]) {
    let _ = reached(data);
}

/// Runs one input and tells what the stack counted meanwhile.
#[must_use]
pub fn reached(data: &[u8]) -> Counters {
    let mut input = Input::new(data);
    let mut world = World::new(input.u8());
    while !input.is_empty() {
        world.step(&mut input);
        world.settle();
    }
    world.finish();
    world.stack.counters().clone()
}

impl World {
    fn new(setup: u8) -> Self {
        let mut config = Config { mtu: MTU, secret: [setup; 16], max_sockets: 64, ..Config::default() };
        config.addresses = vec![
            Prefix { address: packet::stack_address(false), length: 24 },
            Prefix { address: packet::stack_address(true), length: 64 },
        ];
        config.buffers.receive = RECEIVE;
        config.buffers.send = SEND;
        config.udp.receive = RECEIVE;
        config.udp.send = SEND;
        config.tcp.timestamps = setup & 1 != 0;
        config.tcp.window_scaling = setup & 2 != 0;
        config.tcp.reassembly_segments = 32;
        config.tcp.sack_ranges = 8;
        config.tcp.syn_queue_extra = 0;
        config.tcp.syn_cookies = match setup >> 4 & 3 {
            0 | 1 => SynCookies::WhenFull,
            2 => SynCookies::Always,
            _ => SynCookies::Off,
        };
        config.tcp.abort_on_overflow = setup & 64 != 0;
        let offload = setup & 4 != 0;
        let capabilities =
            Capabilities { mtu: MTU, checksum: offload, tso4: offload, tso6: offload, queue: None };
        let Ok(stack) = Stack::new(config, capabilities, Log::new(None)) else {
            panic!("a plain configuration is refused");
        };
        let next = if setup & 8 == 0 { 1000 } else { 0xffff_fff0 };
        let passive = |v6, peer| Flow::new(v6, peer, LISTENING, next);
        let active = |v6, peer| Flow::new(v6, peer, 0, next);
        let mut world = Self {
            stack,
            now: Instant::from_millis(u64::from(setup) << 24),
            flows: vec![
                passive(false, 40_000),
                passive(true, 40_001),
                active(false, 9),
                active(true, 9),
                passive(false, 40_002),
                Flow::new(false, 40_003, 81, next),
                Flow::new(false, 40_004, AWAY, next).away(),
                Flow::new(true, 40_005, AWAY, next).away(),
                Flow::new(false, AWAY_PEER, 0, next).away(),
                Flow::new(true, AWAY_PEER, 0, next).away(),
            ],
            programs: Vec::new(),
            held: Vec::new(),
            // What the stack's own programs write begins at zero.
            starts: vec![0],
            last: Vec::new(),
            frames: 0,
            bytes: 0,
            forged: false,
            syn_options: if setup & 16 == 0 { &[] } else { &[2, 4, 5, 180, 4, 2, 1, 1] },
            looped: false,
        };
        for v6 in [false, true] {
            world.open(v6);
            world.listen(world.programs.len() - 1, v6, 4);
        }
        world.settle();
        world
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let op = input.u8();
        match op % 16 {
            0..=2 => self.segment(op, input),
            3 => self.polite(usize::from(op / 16)),
            4 => self.polite_open(usize::from(op / 16)),
            5 => self.raw(input),
            6 => self.flip(input),
            7 => self.now += Duration::from_micros(u64::from(input.u16()) << (op / 32)),
            8 => self.now = self.stack.poll_timeout().unwrap_or(self.now).max(self.now),
            9 => self.write(usize::from(op / 16), usize::from(input.u16()) >> 1),
            10 => self.read(usize::from(op / 16), input.u8()),
            11 => self.accept(usize::from(op / 16) % 2),
            12 => self.connect(op / 16, input),
            13 => self.end(input),
            14 => self.other_call(input),
            _ => self.icmp_or_link(op / 16, input),
        }
    }

    /// A segment that differs from the right one in what the input says.
    fn segment(&mut self, op: u8, input: &mut Input<'_>) {
        const FLAGS: [u8; 8] = [ACK, ACK | PSH, ACK | FIN, SYN, SYN | ACK, RST, RST | ACK, FIN];
        let choice = input.u8();
        let index = usize::from(op / 16) % self.flows.len();
        let flow = &self.flows[index];
        let flags = if choice & 0x40 == 0 { FLAGS[usize::from(choice & 7)] } else { choice };
        let (seq, ack) = (input.delta(), if choice & 8 == 0 { 0 } else { input.delta() });
        let length = match op % 16 {
            0 => 0,
            1 => usize::from(input.u8()),
            _ => usize::from(input.u16() >> 2),
        };
        let mut segment = flow.segment(flags, seq, ack, length);
        if choice & 0x10 != 0 {
            segment.window = input.u16();
        }
        if choice & 0x20 != 0 {
            let count = input.u8();
            segment.options = if count & 0x80 == 0 {
                input.bytes(usize::from(count % 41)).to_vec()
            } else {
                sack(self.flows[index].seen, count % 4 + 1, input)
            };
        }
        if choice & 0x80 != 0 {
            segment.urgent = input.u16();
        }
        if seq == 0 && flags & RST == 0 {
            self.flows[index].next = self.flows[index].next.wrapping_add(segment.span());
        }
        let gso_size = if length > usize::from(MTU) { 1400 } else { 0 };
        self.send_segment(&segment, gso_size);
    }

    /// What a well-behaved peer sends next.
    fn polite(&mut self, choice: usize) {
        let index = choice % self.flows.len();
        let Some(mut answer) = self.flows[index].answer() else { return };
        if answer.flags & SYN != 0 {
            answer.options = self.syn_options.to_vec();
        }
        self.flows[index].next = self.flows[index].next.wrapping_add(answer.span());
        self.send_segment(&answer, 0);
    }

    /// A whole handshake by a well-behaved peer.
    fn polite_open(&mut self, choice: usize) {
        let index = choice % self.flows.len();
        if self.flows[index].stack == LISTENING {
            let mut syn = self.flows[index].segment(SYN, 0, 0, 0);
            syn.options = self.syn_options.to_vec();
            self.flows[index].next = self.flows[index].next.wrapping_add(1);
            self.send_segment(&syn, 0);
            self.settle();
        }
        self.polite(index);
        self.settle();
        self.accept(usize::from(self.flows[index].v6));
    }

    fn send_segment(&mut self, segment: &Tcp, gso_size: u16) {
        if segment.flags & SYN != 0 {
            self.starts.push(segment.seq.wrapping_add(1));
        }
        self.last = segment.frame();
        self.deliver(FrameMeta { checksum: ReceivedChecksum::Unverified, gso_size });
    }

    fn deliver(&mut self, meta: FrameMeta) {
        let bytes = Bytes::from(self.last.clone());
        self.frames += 1;
        self.bytes += bytes.len() as u64;
        self.stack.handle_frame(self.now, Frame { bytes, meta });
    }

    /// Bytes as they are, and sometimes with the link's word that they are right.
    fn raw(&mut self, input: &mut Input<'_>) {
        let (hint, length) = (input.u8(), usize::from(input.u16() >> 5));
        self.last = input.bytes(length).to_vec();
        let checksum = if hint & 1 == 0 { ReceivedChecksum::Unverified } else { ReceivedChecksum::Valid };
        self.forged = true;
        self.deliver(FrameMeta { checksum, gso_size: u16::from(hint >> 1) * 16 });
    }

    /// The last frame again, one bit of it wrong; a checksum tells, or the bit does not matter.
    fn flip(&mut self, input: &mut Input<'_>) {
        let bits = self.last.len() * 8;
        if bits > 0 {
            let bit = usize::from(input.u16()) % bits;
            self.last[bit / 8] ^= 1 << (bit % 8);
            self.deliver(FrameMeta::default());
            self.last[bit / 8] ^= 1 << (bit % 8);
        }
    }

    fn icmp_or_link(&mut self, kind: u8, input: &mut Input<'_>) {
        match kind {
            0..=7 => {
                let length = usize::from(input.u8());
                self.last = packet::icmp_frame(kind & 1 != 0, input.bytes(length));
                self.deliver(FrameMeta::default());
            }
            8..=10 => self.stack.handle_link(self.now, LinkState::Down),
            11..=14 => self.stack.handle_link(self.now, LinkState::Up),
            _ => self.stack.handle_link(self.now, LinkState::Gone),
        }
    }

    fn open(&mut self, v6: bool) {
        if self.programs.len() >= PROGRAMS {
            return;
        }
        if let Ok((id, cell)) = self.stack.socket(if v6 { Domain::V6 } else { Domain::V4 }) {
            self.programs.push(Program { id, cell, written: 0, read: 0, starts: None });
        }
    }

    fn listen(&mut self, program: usize, v6: bool, backlog: u32) {
        let id = self.programs[program].id;
        let _ = self.stack.bind(id, SocketAddr::new(packet::stack_address(v6), LISTENING));
        let _ = self.stack.listen(self.now, id, backlog);
    }

    fn connect(&mut self, choice: u8, input: &mut Input<'_>) {
        let v6 = choice & 1 != 0;
        self.open(v6);
        let Some(program) = self.programs.last_mut() else { return };
        let (address, port) = match choice >> 1 {
            0..=4 => (packet::peer_address(v6), 9),
            5 => (packet::stack_address(v6), LISTENING),
            _ => (packet::peer_address(v6), input.u16()),
        };
        self.looped |= address == packet::stack_address(v6);
        // The next connection of this flow picks another port.
        let flow = &mut self.flows[if v6 { 3 } else { 2 }];
        if self.stack.connect(self.now, program.id, SocketAddr::new(address, port)).is_ok() {
            (flow.stack, program.written) = (0, 0);
        }
    }

    fn accept(&mut self, listener: usize) {
        let Some(program) = self.programs.get(listener) else { return };
        let Ok((accepted, kick)) = socket::accept(&program.cell, None) else { return };
        let id = program.id;
        self.programs.push(Program {
            id: accepted.socket,
            cell: accepted.cell,
            written: 0,
            read: 0,
            starts: None,
        });
        self.kick(id, kick);
    }

    fn kick(&mut self, id: SocketId, kick: Kick) {
        if kick == Kick::Yes {
            self.stack.handle_kick(self.now, id);
        }
    }

    fn write(&mut self, choice: usize, length: usize) {
        let Some(program) = nth(&mut self.programs, choice) else { return };
        let from = program.written;
        let bytes: Vec<u8> = (0..length as u32).map(|i| pattern(from.wrapping_add(i))).collect();
        let urgency = if choice % 5 == 3 { Urgency::Last } else { Urgency::None };
        let written = if length < 2048 {
            socket::send_small(&program.cell, &bytes, socket::More::No, urgency, None)
        } else {
            socket::reserve(&program.cell, length, None).and_then(|room| {
                assert!(room <= length, "more room than asked for");
                let bytes = Bytes::from(bytes).slice(..room);
                Ok((room, socket::commit(&program.cell, bytes, socket::More::No, urgency)?))
            })
        };
        let Ok((count, kick)) = written else { return };
        program.written = program.written.wrapping_add(count as u32);
        let id = program.id;
        self.kick(id, kick);
    }

    fn read(&mut self, choice: usize, most: u8) {
        let Some(program) = nth(&mut self.programs, choice) else { return };
        let take = if most & 1 == 0 { Take::Consume } else { Take::Peek };
        let most = usize::from(most) << (most & 6);
        let Ok((slices, kick)) = socket::recv(&program.cell, most, take, None) else { return };
        let bytes: Vec<u8> = slices.iter().flatten().copied().collect();
        assert!(bytes.len() <= most, "more bytes than asked for");
        let (from, id) = (program.read, program.id);
        if !self.forged && !bytes.is_empty() {
            let fits = |start: &u32| {
                let mut at = (0u32..).map(|i| start.wrapping_add(from).wrapping_add(i));
                bytes.iter().all(|byte| at.next().map(pattern) == Some(*byte))
            };
            let starts = program.starts.get_or_insert_with(|| self.starts.clone());
            starts.retain(fits);
            assert!(!starts.is_empty(), "read what the peer did not send, at {from} of the stream");
        }
        if take == Take::Consume {
            program.read = program.read.wrapping_add(bytes.len() as u32);
        }
        self.kick(id, kick);
    }

    /// Shutdown, close and abort.
    fn end(&mut self, input: &mut Input<'_>) {
        let (choice, how) = (usize::from(input.u8()), input.u8());
        if self.programs.is_empty() {
            return;
        }
        let index = choice % self.programs.len();
        let (id, now) = (self.programs[index].id, self.now);
        match how % 8 {
            0 => _ = self.stack.shutdown(now, id, Shutdown::Read),
            1 | 2 => _ = self.stack.shutdown(now, id, Shutdown::Write),
            3 => _ = self.stack.shutdown(now, id, Shutdown::Both),
            4 => _ = self.stack.abort(now, id),
            // The listeners stay, mostly.
            _ if index < 2 && how < 250 => {}
            _ => {
                let mut wakers = Vec::new();
                socket::close(&self.programs[index].cell, &mut wakers);
                self.stack.close(now, id);
                self.programs.remove(index);
            }
        }
    }

    /// Datagrams in and out, and the calls of their sockets.
    fn datagram(&mut self, what: u8, choice: usize, input: &mut Input<'_>) {
        let (v6, now) = (choice & 1 != 0, self.now);
        let host = if choice & 2 == 0 { packet::peer_address(v6) } else { packet::stack_address(v6) };
        let peer = SocketAddr::new(host, if choice & 4 == 0 { 53 } else { input.u16() });
        match what % 8 {
            0 if self.programs.len() < PROGRAMS => {
                let made = self.stack.datagram_socket(if v6 { Domain::V6 } else { Domain::V4 });
                let Ok((id, cell)) = made else { return };
                let _ = self.stack.bind(id, SocketAddr::new(packet::stack_address(v6), 53));
                self.programs.push(Program { id, cell, written: 0, read: 0, starts: None });
            }
            1 | 2 => {
                let length = usize::from(input.u8());
                self.last = packet::udp_frame(v6, 53, peer.port(), input.bytes(length));
                return self.deliver(FrameMeta::default());
            }
            _ => {}
        }
        let Some(program) = nth(&mut self.programs, choice / 8) else { return };
        let id = program.id;
        self.looped |= choice & 2 != 0;
        match what % 8 {
            3 | 4 => {
                let payload = Bytes::from(vec![7; usize::from(input.u16())]);
                let destination = Some(peer).filter(|_| what & 8 == 0);
                match socket::send_to(&program.cell, &payload, destination, None) {
                    Ok(Queued::Done(kick)) => self.kick(id, kick),
                    Ok(Queued::Ask) => _ = self.stack.send_datagram(now, id, &payload, destination, None),
                    Err(_) => {}
                }
            }
            5 => {
                let take = if what & 8 == 0 { Take::Consume } else { Take::Peek };
                _ = socket::recv_from(&program.cell, take, None);
            }
            6 if program.cell.lock().datagrams.is_some() => _ = self.stack.connect(now, id, peer),
            7 => _ = self.stack.dissolve(id),
            _ => {}
        }
    }

    /// Calls that change little, stale names among them.
    fn other_call(&mut self, input: &mut Input<'_>) {
        let (what, choice) = (input.u8(), usize::from(input.u8()));
        if what & 0x40 != 0 {
            return self.datagram(what, choice, input);
        }
        if what & 0x30 == 0x30 {
            return self.intercepted(what, choice);
        }
        let Some(program) = nth(&mut self.programs, choice) else { return };
        let (mut id, now) = (program.id, self.now);
        if what & 0x80 != 0 {
            id.generation = id.generation.wrapping_add(1);
        }
        match what % 8 {
            0 => _ = self.stack.tcp_info(now, id),
            1 => {
                let (level, name) = (if choice & 1 == 0 { 1 } else { 6 }, i32::from(input.u8() % 64));
                let length = usize::from(input.u8() % 20);
                _ = self.stack.set_option(now, id, level, name, input.bytes(length));
            }
            2 => _ = self.stack.option(id, if choice & 1 == 0 { 1 } else { 6 }, i32::from(input.u8() % 64)),
            3 => _ = (self.stack.local_address(id), self.stack.peer_address(id)),
            4 => _ = socket::take_error(&program.cell),
            5 => _ = socket::readiness(&program.cell, Readiness::IN, None),
            6 => _ = self.stack.bind(id, SocketAddr::new(packet::stack_address(false), input.u16())),
            _ => _ = self.stack.listen(now, id, u32::from(input.u8())),
        }
    }

    /// Lets the stack do everything that is due, and looks at what it did.
    fn settle(&mut self) {
        let mut wakers = Vec::new();
        for _ in 0..64 {
            self.drain();
            self.stack.publish(self.now, &mut wakers);
            self.drain();
            if self.stack.poll_timeout().is_none_or(|at| at > self.now) {
                self.check();
                return;
            }
            self.stack.handle_timeout(self.now);
        }
        panic!("a timer that is due again and again");
    }

    fn drain(&mut self) {
        for _ in 0..20_000 {
            let Some(transmit) = self.stack.poll_transmit(self.now) else { return };
            let mut bytes = transmit.head.to_vec();
            transmit.payload.iter().for_each(|slice| bytes.extend_from_slice(slice));
            let most = if transmit.gso_size == 0 { usize::from(MTU) } else { 65_535 };
            assert!(bytes.len() <= most, "a packet of {} bytes", bytes.len());
            let complete = transmit.checksum == SentChecksum::Complete;
            let Some(segment) = Tcp::read(&bytes, complete) else { continue };
            if let Some(flow) = self.flows.iter_mut().find(|flow| flow.carries(&segment)) {
                flow.see(segment);
            }
        }
        panic!("poll_transmit does not end");
    }

    fn check(&self) {
        let counters = self.stack.counters();
        assert_eq!(counters.frames_in, self.frames, "frames counted");
        assert_eq!(counters.bytes_in, self.bytes, "bytes counted");
        let dropped: u64 =
            counters.iter().filter(|(name, ..)| name.starts_with("drop_")).map(|(_, value, _)| value).sum();
        assert!(self.looped || dropped <= self.frames, "frames dropped more than once");
        assert!(self.looped || counters.tcp_segments_in <= self.frames, "segments out of nowhere");
        for program in &self.programs {
            Self::check_syns(&program.cell);
            let cell = program.cell.lock();
            if let Some(datagrams) = &cell.datagrams {
                // The last one may stand out, and a buffer may have been made larger.
                let most = RECEIVE.max(datagrams.receive_limit) + 66_000;
                assert!(datagrams.inbox.charge() <= most, "too many datagrams to read");
            }
            let inbox: usize = cell.inbox.iter().map(Bytes::len).sum();
            assert_eq!(inbox, cell.inbox_len, "bytes to read");
            assert!(inbox <= 2 * RECEIVE, "{inbox} bytes to read");
            let outbox: usize = cell.outbox.iter().map(Bytes::len).sum::<usize>() + cell.outbox_tail.len();
            assert_eq!(outbox, cell.outbox_len, "bytes to send");
            assert!(outbox <= 2 * SEND, "{outbox} bytes to send");
        }
    }

    /// Everything ends when it is told to.
    fn finish(&mut self) {
        self.stack.close_all(self.now);
        self.settle();
        self.stack.abort_all(self.now);
        self.settle();
        assert_eq!(self.stack.live_connections(), 0, "connections outlive the stack");
    }
}

/// A SACK option whose blocks lie up to 64 KiB before `seen`.
fn sack(seen: u32, blocks: u8, input: &mut Input<'_>) -> Vec<u8> {
    let mut option = vec![1, 1, 5, 2 + 8 * blocks];
    for _ in 0..blocks {
        let left = seen.wrapping_sub(u32::from(input.u16()));
        let right = left.wrapping_add(u32::from(input.u16() >> 2));
        option.extend(left.to_be_bytes().iter().chain(&right.to_be_bytes()));
    }
    option
}

fn nth(programs: &mut [Program], choice: usize) -> Option<&mut Program> {
    let count = programs.len();
    programs.get_mut(choice.checked_rem(count)?)
}
