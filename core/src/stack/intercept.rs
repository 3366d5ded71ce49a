//! Interceptors: SYNs for any address of a prefix and a range of ports, which wait until the program accepts, refuses or ignores them.
//!
//! ```text
//!  SYN -> paused --cell--> next_syn() --> program --accept_syn--> SYN-RECEIVED --ACK--> connected
//!         (one a four-tuple)                  \----refuse_syn---> RST
//! ```
//! Nothing is answered while a SYN waits, and of a connection there is nothing yet. The stack's own listeners go first; of several interceptors the one
//! with the longest prefix has the SYN.

use super::demux::{FourTuple, KeyedState};
use super::table::{Flow, Kind, Stage};
use super::workers::Letter;
use super::{Domain, LinkState, Stack};
use crate::buffer::{Cell, Fate, Interest, Life, PausedSyn, SocketId, Syns, Verdict};
use crate::config::Prefix;
use crate::counters::Drop;
use crate::error::Errno;
use crate::rng::Rng;
use crate::sync::Arc;
use crate::tcp::{Connection, Context, Segment, Setup};
use crate::time::{Duration, Instant};
use crate::trace::Level;
use crate::wire::tcp::Flags;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

/// What an interceptor is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intercept {
    /// The addresses that peers want: those of a network of any length, 0 included.
    pub prefix: Prefix,
    /// The ports that they want.
    pub ports: RangeInclusive<u16>,
    /// Undecided SYNs that are kept; `None`: `TcpConfig::intercept_queue`.
    pub queue: Option<u32>,
    /// How long one is kept; `None`: `TcpConfig::intercept_timeout`.
    pub timeout: Option<Duration>,
}

/// One interceptor, as its socket knows it.
#[derive(Clone, Debug)]
pub(super) struct Interceptor {
    limit: usize,
    patience: Duration,
    range: Range,
    /// The interceptor of another worker that this one stands in for.
    pub original: Option<SocketId>,
}

impl Interceptor {
    /// Undecided SYNs that it may keep, in all workers.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }
}

/// What a stand-in has of its interceptor.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    cell: Arc<Cell>,
    settings: Arc<super::socket::options::Settings>,
    interceptor: Interceptor,
}

/// Addresses and ports.
#[derive(Clone, Debug)]
struct Range {
    prefix: Prefix,
    ports: RangeInclusive<u16>,
}

impl Range {
    fn overlaps(&self, other: &Self) -> bool {
        self.prefix == other.prefix
            && self.ports.start() <= other.ports.end()
            && other.ports.start() <= self.ports.end()
    }
}

/// The interceptors of a worker, and the SYNs that wait in it.
#[derive(Debug)]
pub(super) struct Interceptors {
    /// The longest prefixes first.
    ranges: Vec<(Range, SocketId)>,
    paused: HashMap<FourTuple, Paused, KeyedState>,
    /// When they expire.
    due: BTreeMap<(Instant, u64), FourTuple>,
    serial: u64,
}

/// A SYN that waits.
#[derive(Debug)]
struct Paused {
    serial: u64,
    due: Instant,
    interceptor: SocketId,
    /// As it came last.
    syn: Segment,
    fate: Fate,
}

impl Interceptors {
    pub(super) fn new(rng: &Rng) -> Self {
        let key = KeyedState::new(&mut rng.fork("intercept"));
        let paused = HashMap::with_hasher(key);
        Self { ranges: Vec::new(), paused, due: BTreeMap::new(), serial: 0 }
    }

    /// Whose a SYN to `local` is.
    pub(super) fn find(&self, local: SocketAddr) -> Option<SocketId> {
        let holds = |range: &Range| range.prefix.contains(local.ip()) && range.ports.contains(&local.port());
        self.ranges.iter().find(|(range, _)| holds(range)).map(|(_, id)| *id)
    }

    /// Whether SYNs to some port of `address` are anybody's.
    pub(super) fn cover(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|(range, _)| range.prefix.contains(address))
    }

    /// When the next one expires.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((due, _), _)| *due)
    }

    fn add(&mut self, range: Range, id: SocketId) {
        let shorter = |(known, _): &(Range, SocketId)| known.prefix.length < range.prefix.length;
        let place = self.ranges.iter().position(shorter).unwrap_or(self.ranges.len());
        self.ranges.insert(place, (range, id));
    }

    fn remove(&mut self, tuple: &FourTuple) -> Option<Paused> {
        let paused = self.paused.remove(tuple)?;
        self.due.remove(&(paused.due, paused.serial));
        Some(paused)
    }
}

impl Stack {
    /// A socket that the SYNs for a range of addresses and ports come to: [`next_syn`](super::socket::next_syn) takes them, and it is readable while
    /// there are some.
    ///
    /// EINVAL: no port, port 0, or a queue or time-out of zero. EADDRINUSE: another has some of the ports for the same prefix. EMFILE, ENETDOWN.
    pub fn intercept(&mut self, now: Instant, what: &Intercept) -> Result<(SocketId, Arc<Cell>), Errno> {
        self.begin(now);
        let limit = what.queue.unwrap_or(self.config.tcp.intercept_queue) as usize;
        let patience = what.timeout.unwrap_or(self.config.tcp.intercept_timeout);
        let range = Range { prefix: what.prefix.network(), ports: what.ports.clone() };
        if range.ports.is_empty() || *range.ports.start() == 0 || limit == 0 || patience.is_zero() {
            return Err(Errno::EINVAL);
        }
        if self.link == LinkState::Gone {
            return Err(Errno::ENETDOWN);
        }
        if self.interceptors.ranges.iter().any(|(known, _)| known.overlaps(&range)) {
            return Err(Errno::EADDRINUSE);
        }
        let domain = Domain::of(range.prefix.address);
        let id = self.add_socket(domain, Arc::clone(&self.defaults)).ok_or(Errno::EMFILE)?;
        let entry = self.table.get_mut(id).ok_or(Errno::EMFILE)?;
        let port = if range.ports.start() == range.ports.end() { *range.ports.start() } else { 0 };
        entry.local = Some(SocketAddr::new(range.prefix.address, port));
        let interceptor = Interceptor { limit, patience, range: range.clone(), original: None };
        entry.kind = Kind::Interceptor(Box::new(interceptor));
        let cell = Arc::clone(&entry.cell);
        let mut state = cell.lock();
        (state.life, state.syns) = (Life::Listening, Some(Box::default()));
        drop(state);
        self.interceptors.add(range, id);
        self.post_interceptor(id);
        Ok((id, cell))
    }

    /// Accepts: the peer is answered, and the connection shows as connected in its cell when it has acknowledged that; ECONNREFUSED there if it resets
    /// instead, ETIMEDOUT if it never answers. It has the options that the interceptor has.
    ///
    /// EBADF: decided before; ETIMEDOUT: nobody decided in time; ECANCELED: the interceptor is closed. Nothing is decided at EMFILE, at ENETDOWN, and at
    /// EADDRINUSE: a connection of the same addresses has come to be meanwhile.
    pub fn accept_syn(&mut self, now: Instant, syn: &PausedSyn) -> Result<(SocketId, Arc<Cell>), Errno> {
        self.begin(now);
        let names = (syn.local, syn.peer);
        let tuple = FourTuple::new(syn.local, syn.peer);
        let segment = self.undecided(syn)?.syn.clone();
        self.need_link(false)?;
        let before = self.demux.connection(&self.table, &tuple);
        let least = match before {
            Some(id) => Some(self.reopens(id, &segment).ok_or(Errno::EADDRINUSE)?),
            None => None,
        };
        let entry = self.table.get(syn.interceptor).ok_or(Errno::ECANCELED)?;
        let (domain, settings) = (entry.domain, Arc::clone(&entry.settings));
        let id = self.add_socket(domain, Arc::clone(&settings)).ok_or(Errno::EMFILE)?;
        before.into_iter().for_each(|old| self.reap(old));
        // Whoever is bound to the port may come to want these addresses, and nobody holds it for this connection.
        if self.seat.as_ref().is_some_and(|seat| !seat.write(tuple, true)) {
            self.remove(id);
            return Err(Errno::EADDRINUSE);
        }
        let first = self.first_window(syn.peer);
        let setup = self.setup(now, syn.local, syn.peer, &settings);
        let iss = least.map_or(setup.iss, |least| setup.iss.latest(least));
        let mut cx = Context {
            config: &self.config.tcp,
            counters: &mut self.counters,
            challenges: &mut self.challenges,
        };
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.2
        //# ISS should be selected and a SYN segment sent of the form: <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK> (SM-2)
        let limit = settings.receive_limit().min(first);
        let connection = Connection::accept(now, Setup { iss, ..setup }, limit, &segment, &mut cx);
        let flow = Flow::new(connection, settings.buffers(), names, Stage::Open);
        self.know_tuple(&tuple, syn.local.ip(), id);
        let entry = self.table.get_mut(id).ok_or(Errno::EMFILE)?;
        (entry.local, entry.peer) = (Some(syn.local), Some(syn.peer));
        entry.kind = Kind::Flow(Box::new(flow));
        let cell = Arc::clone(&entry.cell);
        cell.lock().life = Life::Connecting;
        self.decide(syn)?;
        self.counters.tcp_syns_accepted = self.counters.tcp_syns_accepted.saturating_add(1);
        self.log.record(now, Level::Debug, || format!("{} from {}: accepted", syn.local, syn.peer));
        self.fit_receive(id);
        self.begin_trace(now, id, Some(&segment));
        self.settle(id);
        Ok((id, cell))
    }

    /// Refuses, as a port that nobody listens to does: with RST. Errors as [`Stack::accept_syn`] for what cannot be decided any more.
    pub fn refuse_syn(&mut self, now: Instant, syn: &PausedSyn) -> Result<(), Errno> {
        self.begin(now);
        let paused = self.decide(syn)?;
        self.counters.tcp_syns_refused = self.counters.tcp_syns_refused.saturating_add(1);
        self.refuse(syn.local, syn.peer, &paused.syn);
        Ok(())
    }

    /// Ignores: the peer is told nothing, and its next SYN is a new one. Errors as [`Stack::refuse_syn`].
    pub fn ignore_syn(&mut self, now: Instant, syn: &PausedSyn) -> Result<(), Errno> {
        self.begin(now);
        self.decide(syn)?;
        self.counters.tcp_syns_dropped = self.counters.tcp_syns_dropped.saturating_add(1);
        Ok(())
    }

    /// A SYN for an interceptor: kept once, and told to the program. One that comes again replaces what is kept, so that its latest timestamp, or the
    /// sequence number of another attempt, is what will be answered.
    pub(super) fn pause(
        &mut self,
        now: Instant,
        id: SocketId,
        (local, peer): (SocketAddr, SocketAddr),
        syn: &Segment,
    ) -> Result<(), Drop> {
        if syn.header.flags.has(Flags::FIN) && self.config.tcp.drop_syn_fin {
            return Err(Drop::TcpFlags);
        }
        if !self.route.leads_to(peer.ip()) {
            return Err(Drop::IpNoRoute);
        }
        // Its data, if it has any, comes again once it is acknowledged without.
        let segment =
            Segment { header: syn.header.clone(), payload: Bytes::new(), gso_size: 0, ecn: syn.ecn };
        let tuple = FourTuple::new(local, peer);
        if let Some(paused) = self.interceptors.paused.get_mut(&tuple) {
            paused.syn = segment;
            return Ok(());
        }
        let Some(entry) = self.table.get(id) else { return Err(Drop::TcpNoSocket) };
        let Kind::Interceptor(interceptor) = &entry.kind else { return Err(Drop::TcpNoSocket) };
        let (limit, due) = (interceptor.limit, now + interceptor.patience);
        let mut state = entry.cell.lock();
        // The program may have closed it, and this worker not have heard of it.
        let open = state.life == Life::Listening;
        let Some(syns) = state.syns.as_mut().filter(|_| open) else { return Err(Drop::TcpNoSocket) };
        if syns.undecided() >= limit {
            return Err(Drop::TcpInterceptQueue);
        }
        self.interceptors.serial += 1;
        let (serial, fate) = (self.interceptors.serial, Fate::default());
        let flags = syn.header.flags;
        syns.push(PausedSyn {
            interceptor: id,
            serial,
            local: entry.shown(local),
            peer: entry.shown(peer),
            since: now,
            mss: syn.header.options.mss,
            ecn: flags.has(Flags::ECE) && flags.has(Flags::CWR),
            fate: fate.clone(),
        });
        state.take_wakers(Interest::Read, &mut self.woken);
        drop(state);
        self.counters.tcp_syns_paused = self.counters.tcp_syns_paused.saturating_add(1);
        self.interceptors.due.insert((due, serial), tuple);
        let paused = Paused { serial, due, interceptor: id, syn: segment, fate };
        self.interceptors.paused.insert(tuple, paused);
        Ok(())
    }

    /// Gives up SYNs that nobody has decided about in time: the peer is told nothing.
    pub(super) fn expire_syns(&mut self, now: Instant) {
        while let Some(entry) = self.interceptors.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let tuple = entry.remove();
            let Some(paused) = self.interceptors.paused.remove(&tuple) else { continue };
            self.counters.tcp_syns_expired = self.counters.tcp_syns_expired.saturating_add(1);
            self.end_pause(&paused, Verdict::Expired);
        }
    }

    /// The interceptor takes no more, and what it has kept is forgotten without a word. What was accepted lives on.
    pub(super) fn stop_intercepting(&mut self, id: SocketId) {
        let Some(entry) = self.table.get_mut(id) else { return };
        let Kind::Interceptor(interceptor) = &entry.kind else { return };
        let original = interceptor.original;
        entry.kind = Kind::Idle;
        self.interceptors.ranges.retain(|(_, other)| *other != id);
        let of_it = |(_, paused): &(&FourTuple, &Paused)| paused.interceptor == id;
        let tuples: Vec<_> = self.interceptors.paused.iter().filter(of_it).map(|(tuple, _)| *tuple).collect();
        for tuple in tuples {
            let Some(paused) = self.interceptors.remove(&tuple) else { continue };
            self.counters.tcp_syns_dropped = self.counters.tcp_syns_dropped.saturating_add(1);
            self.end_pause(&paused, Verdict::Closed);
        }
        match original {
            Some(original) => self.dismiss(original, id),
            None => self.post_left(id),
        }
    }

    /// Tells the other workers of an interceptor of this one, new or changed.
    pub(super) fn post_interceptor(&mut self, id: SocketId) {
        let Some(entry) = self.table.get(id).filter(|_| self.seat.is_some()) else { return };
        let Kind::Interceptor(interceptor) = &entry.kind else { return };
        if interceptor.original.is_some() {
            return;
        }
        let shown = Shown {
            cell: Arc::clone(&entry.cell),
            settings: Arc::clone(&entry.settings),
            interceptor: Interceptor::clone(interceptor),
        };
        self.post_to_all(|| Letter::Intercepts(id, Box::new(shown.clone())));
    }

    /// Makes a stand-in for an interceptor of another worker, or brings it up to date.
    pub(super) fn stand_in_interceptor(&mut self, original: SocketId, shown: Shown) {
        let Shown { cell, settings, interceptor } = shown;
        if let Some(id) = self.stand_in_for(original) {
            if let Some(entry) = self.table.get_mut(id) {
                entry.settings = settings;
            }
            return;
        }
        let range = interceptor.range.clone();
        let kind = Kind::Interceptor(Box::new(Interceptor { original: Some(original), ..interceptor }));
        let domain = Domain::of(range.prefix.address);
        let Some(id) = self.insert_entry(domain, settings, cell, kind) else { return };
        let Some(entry) = self.table.get_mut(id) else { return };
        // No program holds it: it is not counted.
        entry.orphan = true;
        self.interceptors.add(range, id);
        if let Some(seat) = &mut self.seat {
            seat.stand_ins.insert(original, id);
        }
    }

    /// What is kept of a SYN that can still be decided.
    fn undecided(&self, syn: &PausedSyn) -> Result<&Paused, Errno> {
        let paused = self.interceptors.paused.get(&FourTuple::new(syn.local, syn.peer));
        paused.filter(|paused| paused.serial == syn.serial).ok_or_else(|| syn.fate.errno())
    }

    /// Decides: it is kept no more.
    fn decide(&mut self, syn: &PausedSyn) -> Result<Paused, Errno> {
        self.undecided(syn)?;
        let paused = self.interceptors.remove(&FourTuple::new(syn.local, syn.peer)).ok_or(Errno::EBADF)?;
        self.end_pause(&paused, Verdict::Decided);
        Ok(paused)
    }

    /// Tells everybody what became of a SYN.
    fn end_pause(&self, paused: &Paused, verdict: Verdict) {
        paused.fate.set(verdict);
        let Some(entry) = self.table.get(paused.interceptor) else { return };
        if let Some(syns) = &mut entry.cell.lock().syns {
            Syns::settle(syns);
        }
    }
}
