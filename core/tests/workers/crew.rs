//! A host with several workers, and at the other end of its link a host that is one stack, on a clock of their own.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use usertcp_core::buffer::{Cell, PausedSyn, SMALL, SocketId};
use usertcp_core::config::Config;
use usertcp_core::counters::Counters;
use usertcp_core::error::Errno;
use usertcp_core::ip;
use usertcp_core::link::{Capabilities, Frame, Transmit};
use usertcp_core::stack::socket::{self, Kick, More, Queued, Take, Urgency};
use usertcp_core::stack::{Domain, Foreign, Intercept, Stack};
use usertcp_core::time::{Duration, Instant};
use usertcp_core::trace::Log;

/// Which queue a packet of the peer comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steer {
    /// That of the worker which last sent for its flow; else the first, as a TUN does.
    Learned,
    /// Any but that one.
    Wrong,
    /// Each in turn.
    Around,
}

pub(crate) const STEERS: [Steer; 3] = [Steer::Learned, Steer::Wrong, Steer::Around];

/// Which host a socket is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// The one with workers.
    Crew,
    /// The other.
    Peer,
}

/// A socket as its program holds it.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    pub(crate) host: Host,
    pub(crate) id: SocketId,
    pub(crate) cell: Arc<Cell>,
}

/// The two hosts.
pub(crate) struct Lab {
    pub(crate) now: Instant,
    pub(crate) workers: Vec<Stack>,
    pub(crate) peer: Stack,
    steer: Steer,
    around: usize,
    /// The worker that last sent between two endpoints.
    learned: HashMap<[SocketAddr; 2], usize>,
    foreign: VecDeque<(usize, Foreign)>,
    /// Of the packets that workers leave to each other so many pass before one finds no room.
    pub(crate) room: usize,
    passed: usize,
    /// Packets of the workers, kept from the peer when this is set.
    pub(crate) kept: Option<Vec<Frame>>,
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// The crew's or the peer's address in a family.
pub(crate) fn at(host: Host, domain: Domain, port: u16) -> SocketAddr {
    let n = if host == Host::Crew { 2 } else { 1 };
    address(&match domain {
        Domain::V4 => format!("192.0.2.{n}:{port}"),
        Domain::V6 => format!("[2001:db8::{n}]:{port}"),
    })
}

fn config(n: u8) -> Config {
    let prefix = |text: String| text.parse().expect("a prefix");
    Config {
        addresses: vec![prefix(format!("192.0.2.{n}/24")), prefix(format!("2001:db8::{n}/64"))],
        secret: [n + 40; 16],
        ..Config::default()
    }
}

/// Runs `test` with one worker, two and four, and packets on right and on wrong queues.
pub(crate) fn everywhere(test: impl Fn(&mut Lab)) {
    for workers in [1, 2, 4] {
        for steer in STEERS {
            println!("{workers} workers, {steer:?}");
            test(&mut Lab::new(workers, steer, |_| {}));
        }
    }
}

impl Lab {
    pub(crate) fn new(workers: usize, steer: Steer, change: impl FnOnce(&mut Config)) -> Self {
        let mut own = config(2);
        change(&mut own);
        let link = Capabilities::plain(1500);
        let log = || Log::new(None);
        Self {
            now: Instant::from_millis(1_000_000),
            workers: Stack::workers(&own, workers, link, log).expect("workers"),
            peer: Stack::new(config(1), link, log()).expect("a stack"),
            steer,
            around: 0,
            learned: HashMap::new(),
            foreign: VecDeque::new(),
            room: usize::MAX,
            passed: 0,
            kept: None,
        }
    }

    pub(crate) fn stack(&mut self, handle: &Handle) -> &mut Stack {
        match handle.host {
            Host::Peer => &mut self.peer,
            Host::Crew => &mut self.workers[handle.id.worker()],
        }
    }

    /// A socket of the peer, or of a worker.
    pub(crate) fn socket(&mut self, worker: Option<usize>, domain: Domain) -> Handle {
        let (host, stack) = self.maker(worker);
        let (id, cell) = stack.socket(domain).expect("a socket");
        Handle { host, id, cell }
    }

    pub(crate) fn datagram_socket(&mut self, worker: Option<usize>, local: SocketAddr) -> Handle {
        let handle = self.socket_of_datagrams(worker, Domain::of(local.ip()));
        self.bind(&handle, local).expect("bind");
        handle
    }

    pub(crate) fn socket_of_datagrams(&mut self, worker: Option<usize>, domain: Domain) -> Handle {
        let (host, stack) = self.maker(worker);
        let (id, cell) = stack.datagram_socket(domain).expect("a socket");
        Handle { host, id, cell }
    }

    fn maker(&mut self, worker: Option<usize>) -> (Host, &mut Stack) {
        match worker {
            None => (Host::Peer, &mut self.peer),
            Some(worker) => {
                let workers = self.workers.len();
                (Host::Crew, &mut self.workers[worker % workers])
            }
        }
    }

    pub(crate) fn bind(&mut self, handle: &Handle, local: SocketAddr) -> Result<(), Errno> {
        self.stack(handle).bind(handle.id, local)
    }

    pub(crate) fn reuse(&mut self, handle: &Handle, name: i32) {
        let (now, id) = (self.now, handle.id);
        self.stack(handle).set_option(now, id, 1, name, &1i32.to_ne_bytes()).expect("SO_REUSE...");
    }

    /// IP_TRANSPARENT, IPV6_TRANSPARENT.
    pub(crate) fn transparent(&mut self, handle: &Handle) {
        let (now, id) = (self.now, handle.id);
        let (level, name) = if self.local(handle).is_ipv4() { (0, 19) } else { (41, 75) };
        let value = 1i32.to_ne_bytes();
        self.stack(handle).set_option(now, id, level, name, &value).expect("IP_TRANSPARENT");
    }

    pub(crate) fn listen(&mut self, worker: Option<usize>, local: SocketAddr, backlog: u32) -> Handle {
        let handle = self.socket(worker, Domain::of(local.ip()));
        self.bind(&handle, local).expect("bind");
        let (now, id) = (self.now, handle.id);
        self.stack(&handle).listen(now, id, backlog).expect("listen");
        handle
    }

    /// An interceptor of every port of a prefix.
    pub(crate) fn intercept(&mut self, prefix: &str, queue: Option<u32>) -> Handle {
        let prefix = prefix.parse().expect("a prefix");
        let what = Intercept { prefix, ports: 1..=u16::MAX, queue, timeout: None };
        let (id, cell) = self.workers[0].intercept(self.now, &what).expect("an interceptor");
        Handle { host: Host::Crew, id, cell }
    }

    /// What accepting a SYN comes to.
    pub(crate) fn decided(&mut self, syn: &PausedSyn) -> Result<Handle, Errno> {
        let (id, cell) = self.workers[syn.interceptor.worker()].accept_syn(self.now, syn)?;
        Ok(Handle { host: Host::Crew, id, cell })
    }

    pub(crate) fn refuse(&mut self, syn: &PausedSyn) -> Result<(), Errno> {
        self.workers[syn.interceptor.worker()].refuse_syn(self.now, syn)
    }

    pub(crate) fn connect(&mut self, handle: &Handle, peer: SocketAddr) -> Result<(), Errno> {
        let (now, id) = (self.now, handle.id);
        self.stack(handle).connect(now, id, peer)
    }

    /// A socket that has begun to connect.
    pub(crate) fn connecting(&mut self, worker: Option<usize>, peer: SocketAddr) -> Handle {
        let handle = self.socket(worker, Domain::of(peer.ip()));
        self.connect(&handle, peer).expect("connect");
        handle
    }

    pub(crate) fn accept(&mut self, listener: &Handle) -> Result<Handle, Errno> {
        let (accepted, kick) = socket::accept(&listener.cell, None)?;
        self.kick(listener, kick);
        Ok(Handle { host: listener.host, id: accepted.socket, cell: accepted.cell })
    }

    pub(crate) fn close(&mut self, handle: &Handle) {
        if socket::close(&handle.cell, &mut Vec::new()) {
            let (now, id) = (self.now, handle.id);
            self.stack(handle).close(now, id);
        }
    }

    fn kick(&mut self, handle: &Handle, kick: Kick) {
        if kick == Kick::Yes {
            let (now, id) = (self.now, handle.id);
            self.stack(handle).handle_kick(now, id);
        }
    }

    pub(crate) fn local(&mut self, handle: &Handle) -> SocketAddr {
        let id = handle.id;
        self.stack(handle).local_address(id).expect("an address")
    }

    pub(crate) fn send(&mut self, handle: &Handle, bytes: &[u8]) -> usize {
        let sent = if bytes.len() < SMALL {
            socket::send_small(&handle.cell, bytes, More::No, Urgency::None, None)
        } else {
            socket::reserve(&handle.cell, bytes.len(), None).and_then(|count| {
                let bytes = bytes::Bytes::copy_from_slice(&bytes[..count]);
                Ok((count, socket::commit(&handle.cell, bytes, More::No, Urgency::None)?))
            })
        };
        match sent {
            Ok((count, kick)) => {
                self.kick(handle, kick);
                count
            }
            Err(Errno::EAGAIN) => 0,
            Err(errno) => panic!("send: {errno:?}"),
        }
    }

    pub(crate) fn recv(&mut self, handle: &Handle) -> Result<Vec<u8>, Errno> {
        let (slices, kick) = socket::recv(&handle.cell, 1 << 20, Take::Consume, None)?;
        self.kick(handle, kick);
        Ok(slices.concat())
    }

    pub(crate) fn send_to(&mut self, handle: &Handle, bytes: &[u8], to: SocketAddr) -> Result<(), Errno> {
        let payload = bytes::Bytes::copy_from_slice(bytes);
        match socket::send_to(&handle.cell, &payload, Some(to), None)? {
            Queued::Done(kick) => {
                self.kick(handle, kick);
                Ok(())
            }
            Queued::Ask => {
                let (now, id) = (self.now, handle.id);
                self.stack(handle).send_datagram(now, id, &payload, Some(to), None)
            }
        }
    }

    pub(crate) fn recv_from(&mut self, handle: &Handle) -> Result<(Vec<u8>, SocketAddr), Errno> {
        let datagram = socket::recv_from(&handle.cell, Take::Consume, None)?.expect("no end");
        Ok((datagram.payload.to_vec(), datagram.peer))
    }

    /// Sends `bytes` all the way, however long that takes.
    pub(crate) fn carry(&mut self, from: &Handle, to: &Handle, bytes: &[u8]) {
        let (mut sent, mut got) = (0, Vec::new());
        for _ in 0..100_000 {
            if sent < bytes.len() {
                sent += self.send(from, &bytes[sent..]);
            }
            self.settle();
            match self.recv(to) {
                Ok(piece) => got.extend(piece),
                Err(Errno::EAGAIN) if got.len() < bytes.len() => self.wait(),
                Err(Errno::EAGAIN) => break,
                Err(errno) => panic!("recv: {errno:?}"),
            }
        }
        assert!(got == bytes, "{} of {} bytes, or others", got.len(), bytes.len());
    }

    /// Totals of all workers.
    pub(crate) fn counters(&self) -> Counters {
        let mut totals = Counters::default();
        self.workers.iter().for_each(|worker| totals.add(worker.counters()));
        totals
    }

    /// Runs until nobody has anything to do now.
    pub(crate) fn settle(&mut self) {
        while self.turn() {}
    }

    /// Lets time pass until somebody has something to do.
    pub(crate) fn wait(&mut self) {
        let all = self.workers.iter().chain([&self.peer]);
        let next = all.filter_map(Stack::poll_timeout).min().expect("somebody waits");
        self.now = next.max(self.now + Duration::from_micros(1));
        self.settle();
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        self.settle();
        loop {
            let all = self.workers.iter().chain([&self.peer]);
            match all.filter_map(Stack::poll_timeout).min() {
                Some(next) if next <= until => self.wait(),
                _ => break,
            }
        }
        self.now = until;
        self.settle();
    }

    fn turn(&mut self) -> bool {
        let mut busy = false;
        for number in 0..self.workers.len() {
            let (now, worker) = (self.now, &mut self.workers[number]);
            worker.handle_timeout(now);
            let mut sent = Vec::new();
            while let Some(transmit) = worker.poll_transmit(now) {
                sent.push(transmit);
            }
            busy |= !sent.is_empty() || worker.has_news();
            worker.publish(now, &mut Vec::new());
            busy |= self.hand_out(number);
            sent.iter().for_each(|transmit| self.reach_peer(number, transmit));
        }
        let (now, mut answers) = (self.now, Vec::new());
        self.peer.handle_timeout(now);
        while let Some(transmit) = self.peer.poll_transmit(now) {
            answers.push(ip::to_frame(&transmit));
        }
        busy |= !answers.is_empty() || self.peer.has_news();
        self.peer.publish(now, &mut Vec::new());
        answers.into_iter().for_each(|frame| self.reach_crew(frame));
        busy
    }

    /// Brings what a worker leaves for others to them; whether there was anything.
    fn hand_out(&mut self, number: usize) -> bool {
        let mut any = false;
        let now = self.now;
        while let Some(foreign) = self.workers[number].poll_foreign() {
            any = true;
            self.passed += 1;
            if self.passed > self.room {
                self.passed = 0;
                self.workers[number].lose_foreign(now, &foreign);
                continue;
            }
            self.foreign.push_back((number, foreign));
        }
        while self.workers[number].poll_call().is_some() {
            any = true;
        }
        while let Some((from, foreign)) = self.foreign.pop_front() {
            let to = foreign.worker();
            assert_ne!(to, from, "to itself");
            self.workers[to].handle_foreign(now, foreign);
            self.hand_out(to);
        }
        any
    }

    fn reach_peer(&mut self, number: usize, transmit: &Transmit) {
        let frame = ip::to_frame(transmit);
        if let Some(flow) = flow(&frame) {
            self.learned.insert(flow, number);
        }
        match &mut self.kept {
            Some(kept) => kept.push(frame),
            None => self.peer.handle_frame(self.now, frame),
        }
    }

    /// A packet reaches the crew by one of its queues.
    pub(crate) fn reach_crew(&mut self, frame: Frame) {
        let workers = self.workers.len();
        let right = flow(&frame).and_then(|flow| self.learned.get(&flow)).copied().unwrap_or(0);
        self.around += 1;
        let queue = match self.steer {
            Steer::Learned => right,
            Steer::Wrong => right + 1 + self.around % workers.saturating_sub(1).max(1),
            Steer::Around => self.around,
        };
        let number = queue % workers;
        self.workers[number].handle_frame(self.now, frame);
        self.hand_out(number);
    }
}

/// Between which endpoints a packet goes, in an order of their own. Fragments and ICMP are of no flow.
fn flow(frame: &Frame) -> Option<[SocketAddr; 2]> {
    let packet = ip::ingress(frame).ok()?;
    let [a, b, c, d] = *packet.payload.first_chunk()?;
    let end = |ip: IpAddr, high, low| SocketAddr::new(ip, u16::from_be_bytes([high, low]));
    let mut ends = [end(packet.source, a, b), end(packet.destination, c, d)];
    ends.sort();
    (packet.protocol == 6 || packet.protocol == 17).then_some(ends)
}
