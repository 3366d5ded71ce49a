//! Several workers of one stack: each is a [`Stack`] with a queue of the link, and each connection lives in one of them.
//!
//! ```text
//!  queue 0 --> worker 0 --foreign--> worker 1 <-- queue 1
//!                 \______ letters ______/
//! ```
//! A packet that came by another queue than that of its worker is handed to it: [`Stack::poll_foreign`] there, [`Stack::handle_foreign`] here. Letters
//! are read at the beginning of every input and call, so that what one worker did before it answered its caller holds in the others from then on;
//! [`Stack::poll_call`] says who is to be woken for that. What workers have in common is in `crew`.
//!
//! A listener has a stand-in in every other worker, with the same cell: one accept queue, one backlog. A datagram socket lives in the worker that it was
//! made in. Counters and `max_sockets` are those of all workers together; of the memory, of the orphans, of the fragments and of the challenge ACKs that a
//! stack may have each worker has an equal part; ICMP is limited as a whole. Each worker learns the MTU of a path for itself.

use super::crew::{Crew, Seat, Tally};
use super::demux::FourTuple;
use super::intercept::Shown;
use super::listener::Listener;
use super::ports::Reuse;
use super::route::endpoint;
use super::socket::options::Settings;
use super::table::{Entry, Kind};
use super::{Domain, Stack};
use crate::buffer::{Cell, Life, SocketId, WORKERS_MAX};
use crate::config::Config;
use crate::counters::Drop;
use crate::error::{Errno, Error};
use crate::ip::{self, Fragment, Heard, Packet};
use crate::link::Capabilities;
use crate::rng::Rng;
use crate::sync::Arc;
use crate::time::Instant;
use crate::trace::Log;
use crate::wire::protocol;
use bytes::Bytes;
use std::net::SocketAddr;

/// A packet for another worker.
#[derive(Debug)]
pub struct Foreign {
    worker: u32,
    what: What,
}

#[derive(Debug)]
enum What {
    /// A whole one, and what of it an ICMP error would quote.
    Packet(Box<Packet>, Bytes),
    /// A part of one.
    Fragment(Box<Fragment>),
}

impl Foreign {
    /// The number of the worker that it is for.
    #[must_use]
    pub const fn worker(&self) -> usize {
        self.worker as usize
    }

    /// Bytes of the packet.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.what {
            What::Packet(_, bytes) => bytes.len(),
            What::Fragment(fragment) => fragment.packet().len(),
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What one worker tells another. Nothing of it is ever lost.
#[derive(Debug)]
pub(super) enum Letter {
    /// A listener, new or changed, that needs a stand-in.
    Listens(SocketId, Box<Posted>),
    /// An interceptor, new or changed, that needs a stand-in.
    Intercepts(SocketId, Box<Shown>),
    /// It listens, or intercepts, no more.
    Left(SocketId),
    /// Its accept queue has room again.
    Room(SocketId),
    /// A connection that was in the accept queue of a listener that is closed.
    Reset(SocketId),
    /// What this datagram socket sent to that address met nobody.
    Refused(SocketId, SocketAddr),
}

/// What a stand-in has of its listener.
#[derive(Debug)]
pub(super) struct Posted {
    cell: Arc<Cell>,
    domain: Domain,
    settings: Arc<Settings>,
    local: SocketAddr,
    backlog: usize,
    coming: Option<Tally>,
}

impl Stack {
    /// The workers of one host, `count` of them, on a link with `capabilities`; each has a log of its own. EINVAL as [`Stack::new`], and for a count
    /// that is not from 1 to 64.
    pub fn workers(
        config: &Config,
        count: usize,
        capabilities: Capabilities,
        mut log: impl FnMut() -> Log,
    ) -> Result<Vec<Self>, Error> {
        if !(1..=WORKERS_MAX).contains(&count) {
            let text = format!("workers must be from 1 to {WORKERS_MAX}, not {count}");
            return Err(Error::new(Errno::EINVAL, text));
        }
        if count == 1 {
            return Ok(vec![Self::new(config.clone(), capabilities, log())?]);
        }
        config.validate()?;
        let count = u32::try_from(count).unwrap_or(1);
        let rng = Rng::from_key(config.secret).fork("stack");
        let crew = Crew::new(config, count, &rng);
        let config = share(config, count);
        let worker = |worker: u32| {
            let seat = Seat::new(Arc::clone(&crew), worker);
            let own = rng.fork(&format!("worker {worker}"));
            Self::build(config.clone(), capabilities, log(), own, crew.commons(), Some(seat))
        };
        Ok((0..count).map(worker).collect())
    }

    /// Takes a packet that another worker has received.
    pub fn handle_foreign(&mut self, now: Instant, foreign: Foreign) {
        self.begin(now);
        let length = foreign.len();
        let outcome = match foreign.what {
            What::Packet(packet, bytes) => self.on_packet(now, *packet, &bytes),
            What::Fragment(fragment) => self.on_fragment(now, *fragment),
        };
        if let Err(reason) = outcome {
            self.drop_packet(now, length, reason);
        }
    }

    /// The next packet for another worker. Call until `None` after any input.
    pub fn poll_foreign(&mut self) -> Option<Foreign> {
        self.seat.as_mut()?.foreign.pop_front()
    }

    /// A packet for another worker found its queue full.
    pub fn lose_foreign(&mut self, now: Instant, foreign: &Foreign) {
        self.drop_packet(now, foreign.len(), Drop::WorkerQueue);
    }

    /// The next worker that was left something and is to look at it: [`Stack::handle_timeout`] does. Call until `None` after any input or call.
    pub fn poll_call(&mut self) -> Option<usize> {
        self.seat.as_mut()?.poll_call().map(|worker| worker as usize)
    }

    /// Hands a packet to another worker.
    pub(super) fn hand_packet(&mut self, worker: u32, packet: Packet, bytes: &Bytes) {
        self.forward(worker, What::Packet(Box::new(packet), bytes.clone()));
    }

    /// Hands a fragment to the worker that puts its packet together, if that is another.
    pub(super) fn hand_to_gatherer(&mut self, fragment: Fragment) -> Option<Fragment> {
        let Some(seat) = &self.seat else { return Some(fragment) };
        let worker = seat.gatherer(&fragment);
        if worker == seat.worker() {
            return Some(fragment);
        }
        self.forward(worker, What::Fragment(Box::new(fragment)));
        None
    }

    fn forward(&mut self, worker: u32, what: What) {
        let Some(seat) = &mut self.seat else { return };
        seat.foreign.push_back(Foreign { worker, what });
        self.counters.packets_forwarded = self.counters.packets_forwarded.saturating_add(1);
    }

    /// The other worker that a packet is for, if it is for another.
    #[inline]
    pub(super) fn keeper(&self, packet: &Packet) -> Option<u32> {
        self.keeper_among(self.seat.as_ref()?, packet)
    }

    fn keeper_among(&self, seat: &Seat, packet: &Packet) -> Option<u32> {
        match (packet.protocol, Domain::of(packet.destination)) {
            (protocol::TCP | protocol::UDP, _) => {
                let [a, b, c, d] = *packet.payload.first_chunk()?;
                let local = endpoint(packet.destination, u16::from_be_bytes([c, d]));
                let remote = endpoint(packet.source, u16::from_be_bytes([a, b]));
                self.keeper_of(seat, packet.protocol, local, remote)
            }
            (protocol::ICMP, Domain::V4) | (protocol::ICMPV6, Domain::V6) => match ip::hear(packet) {
                Ok(Heard::Report(report)) => {
                    self.keeper_of(seat, report.protocol, report.local, report.remote)
                }
                Ok(Heard::Echo(_)) | Err(_) => None,
            },
            _ => None,
        }
    }

    /// The other worker that has the socket of `local` for `remote`.
    fn keeper_of(&self, seat: &Seat, protocol: u8, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
        let keeper = match protocol {
            protocol::TCP => {
                let tuple = FourTuple::new(local, remote);
                seat.keeper(&tuple, || self.demux.connection(&self.table, &tuple).is_some())
            }
            protocol::UDP => self.find_datagram_socket(local, remote)?.worker() as u32,
            _ => return None,
        };
        (keeper != seat.worker()).then_some(keeper)
    }

    /// Reads what other workers have left.
    pub(super) fn read_mail(&mut self, now: Instant) {
        let Some(seat) = self.seat.as_ref().filter(|seat| seat.has_mail()) else { return };
        for letter in seat.take_mail() {
            match letter {
                Letter::Listens(listener, posted) => self.stand_in(now, listener, *posted),
                Letter::Left(listener) => {
                    if let Some(id) = self.stand_in_for(listener) {
                        self.stop_intercepting(id);
                        self.unlisten(now, id);
                    }
                }
                Letter::Intercepts(original, shown) => self.stand_in_interceptor(original, *shown),
                Letter::Room(listener) => {
                    if let Some(id) = self.stand_in_for(listener) {
                        self.release_held(now, id);
                    }
                }
                Letter::Reset(id) => self.reset_unaccepted(now, id),
                Letter::Refused(id, about) => self.tell_datagram(id, about, Errno::ECONNREFUSED),
            }
        }
    }

    /// Leaves a letter for the worker of `id`; false: that is this one.
    pub(super) fn post_to_worker_of(&mut self, id: SocketId, letter: impl FnOnce() -> Letter) -> bool {
        let Some(seat) = &mut self.seat else { return false };
        let worker = id.worker() as u32;
        let other = worker != seat.worker();
        if other {
            seat.post(worker, letter());
        }
        other
    }

    pub(super) fn post_to_all(&mut self, letter: impl Fn() -> Letter) {
        let Some(seat) = &mut self.seat else { return };
        let own = seat.worker();
        for worker in (0..seat.workers()).filter(|worker| *worker != own) {
            seat.post(worker, letter());
        }
    }

    /// Tells the other workers of a listener of this one, new or changed.
    pub(super) fn post_listener(&mut self, id: SocketId) {
        if self.seat.is_none() {
            return;
        }
        let Some(entry) = self.table.get(id) else { return };
        let (Kind::Listener(listener), Some(local)) = (&entry.kind, entry.local) else {
            return self.post_interceptor(id);
        };
        if listener.original.is_some() {
            return;
        }
        let (cell, domain) = (Arc::clone(&entry.cell), entry.domain);
        let (settings, backlog, coming) = (entry.settings.clone(), listener.backlog, listener.coming.clone());
        self.post_to_all(|| {
            let (cell, settings, coming) = (Arc::clone(&cell), settings.clone(), coming.clone());
            Letter::Listens(id, Box::new(Posted { cell, domain, settings, local, backlog, coming }))
        });
    }

    /// Tells the other workers that a listener of this one listens no more.
    pub(super) fn post_left(&mut self, id: SocketId) {
        self.post_to_all(|| Letter::Left(id));
    }

    /// Tells the other workers that the accept queue of a listener of this one has room again.
    pub(super) fn post_room(&mut self, id: SocketId) {
        self.post_to_all(|| Letter::Room(id));
    }

    /// A connection begins here; false: another worker has one of its four-tuple. What it may share its port with is in `settings`.
    pub(super) fn write_down(&self, tuple: FourTuple, settings: &Settings) -> bool {
        let shares = || settings.reuse() != Reuse::default();
        self.seat.as_ref().is_none_or(|seat| seat.write(tuple, shares()))
    }

    /// The same when its settings have changed.
    pub(super) fn write_down_again(&self, id: SocketId) {
        if let Some(Entry { kind: Kind::Flow(flow), settings, .. }) = self.table.get(id) {
            self.write_down(FourTuple::new(flow.local, flow.remote), settings);
        }
    }

    /// A connection is over here.
    pub(super) fn erase(&self, tuple: &FourTuple) {
        if let Some(seat) = &self.seat {
            seat.erase(tuple);
        }
    }

    /// Whether a listener still is one: its program may have closed it, and the stack, or the worker that it is of, not have heard of it.
    pub(super) fn still_listens(&self, id: SocketId) -> bool {
        self.table.get(id).is_some_and(|entry| entry.cell.lock().life == Life::Listening)
    }

    pub(super) fn stand_in_for(&self, listener: SocketId) -> Option<SocketId> {
        self.seat.as_ref()?.stand_ins.get(&listener).copied()
    }

    /// Makes a stand-in for a listener of another worker, or brings it up to date.
    fn stand_in(&mut self, now: Instant, listener: SocketId, posted: Posted) {
        let Posted { cell, domain, settings, local, backlog, coming } = posted;
        if let Some(id) = self.stand_in_for(listener) {
            if let Some(entry) = self.table.get_mut(id) {
                entry.settings = settings;
            }
            if let Some(queues) = self.table.listener_mut(id) {
                queues.backlog = backlog;
            }
            self.release_held(now, id);
            return;
        }
        let stand_in = Listener { original: Some(listener), coming, ..Listener::new(backlog) };
        let kind = Kind::Listener(Box::new(stand_in));
        let Some(id) = self.insert_entry(domain, settings, cell, kind) else { return };
        let Some(entry) = self.table.get_mut(id) else { return };
        // No program holds it: it is not counted.
        entry.orphan = true;
        entry.local = Some(local);
        let dual = entry.is_dual(local);
        self.demux.add_listener(local, dual, id);
        if let Some(seat) = &mut self.seat {
            seat.stand_ins.insert(listener, id);
        }
    }

    /// A stand-in goes with its listener.
    pub(super) fn dismiss(&mut self, listener: SocketId, id: SocketId) {
        if let Some(seat) = &mut self.seat {
            seat.stand_ins.remove(&listener);
        }
        self.remove(id);
    }
}

/// What each of `workers` may hold of what `config` gives to the whole stack.
fn share(config: &Config, workers: u32) -> Config {
    let of = |whole: usize, least: usize| whole.div_ceil(workers as usize).max(least).min(whole);
    let mut config = config.clone();
    config.buffers.total = of(config.buffers.total, 1 << 16);
    config.ip.reassembly_bytes = of(config.ip.reassembly_bytes, 1 << 16);
    config.ip.reassembly_packets = of(config.ip.reassembly_packets, 1);
    config.tcp.orphans_max = of(config.tcp.orphans_max, 1);
    config.tcp.challenge_acks_stack = config.tcp.challenge_acks_stack.div_ceil(workers);
    config
}
