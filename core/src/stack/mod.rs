//! Many connections behind one set of addresses: a pure function of packets, calls and time.
//!
//! | kind | methods |
//! |---|---|
//! | inputs | `handle_frame`, `handle_kick`, `handle_link`, `handle_timeout`, and of other workers `handle_foreign` |
//! | control calls | `socket`, `datagram_socket`, `bind`, `listen`, `connect`, `shutdown`, `close`, `abort`, `intercept`, `accept_syn`, `refuse_syn`, `ignore_syn`, options, names, `tcp_info`, `snapshots`, `trace` |
//! | outputs | `poll_transmit` until `None`, then `publish`, then `poll_timeout`; for other workers `poll_foreign` and `poll_call` |
//!
//! Data calls do not come here: [`socket`] answers them on the cell. `send_datagram` is where a datagram goes that the cell cannot answer for.
//!
//! Nothing here walks over the sockets but what ends or halts all of them: segments find theirs by hash, and a connection that has something to
//! send, to show or to wait for stands in a queue of its own kind, once.

mod budget;
mod census;
mod control;
mod cookie;
mod crew;
mod datagram;
mod deadlines;
mod demux;
mod hand_over;
mod icmp;
mod input;
mod intercept;
mod lifecycle;
mod listener;
mod memory;
mod names;
mod output;
mod path;
mod ports;
mod publish;
mod queue_share;
mod rest;
mod route;
mod settings;
mod snapshot;
pub mod socket;
mod table;
mod trace;
mod transparent;
mod workers;

pub use crate::buffer::{Cell, SocketId, WORKERS_MAX};
pub use crate::config::Domain;
pub use crate::tcp::{Glance, TcpInfo};
pub use intercept::Intercept;
pub use snapshot::Snapshot;
pub use workers::Foreign;

use crate::buffer::SendShare;
use crate::config::Config;
use crate::counters::Counters;
use crate::error::Error;
use crate::ip::{Flows, PathMtus, Reassembly};
use crate::link::segment::Cutter;
use crate::link::{Capabilities, Frame, Transmit};
use crate::rng::Rng;
use crate::sync::Arc;
use crate::tcp::Challenges;
use crate::time::Instant;
use crate::trace::{Level, Log, Queue};
use crew::{Commons, Seat};
use deadlines::Deadlines;
use demux::Demux;
use intercept::Interceptors;
use memory::Memory;
use queue_share::QueueShare;
use route::Route;
use settings::Shared;
use socket::options::Settings;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::task::Waker;
use table::Table;

/// State of the link, as the device reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Frames pass.
    Up,
    /// Frames do not pass now: blocked calls and new connections get ENETDOWN, live connections go on when it returns.
    /// Packets for it are dropped and counted.
    Down,
    /// The device is gone: every connection ends with ENETDOWN.
    Gone,
}

/// Which half of a connection to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// SHUT_RD: recv returns 0 from now on.
    Read,
    /// SHUT_WR: FIN behind what is queued.
    Write,
    /// SHUT_RDWR: both.
    Both,
}

/// Every connection, listener, timer and cache of one host.
#[derive(Debug)]
pub struct Stack {
    config: Config,
    capabilities: Capabilities,
    /// What a new connection-oriented socket begins with.
    defaults: Arc<Settings>,
    /// Options that sockets have of late.
    shared: Shared,
    counters: Counters,
    log: Log,
    /// The event trace.
    events: Queue,
    link: LinkState,
    route: Route,
    /// Source and destination of the last packet from the link that had to do with this stack: those after it have the same, mostly.
    admitted: (IpAddr, IpAddr),
    table: Table,
    demux: Demux,
    interceptors: Interceptors,
    commons: Commons,
    /// Its place among the other workers; `None`: there are none.
    seat: Option<Seat>,
    /// Datagram sockets whose next datagram goes back into the stack, when this turn takes no more of those.
    stalled: Vec<SocketId>,
    /// A connection was cut off since somebody last asked.
    cut: bool,
    deadlines: Deadlines,
    challenges: Challenges,
    paths: PathMtus,
    fragments: Reassembly,
    flows: Flows,
    /// Sockets that may have something to send; each once, by `Entry::pending`.
    pending: VecDeque<SocketId>,
    /// Sockets with something to show; each once, by `Entry::dirty`.
    dirty: VecDeque<SocketId>,
    /// Packets on their way to the link.
    outgoing: VecDeque<Transmit>,
    /// What is being cut; it goes before that.
    cutting: Option<Cutter>,
    /// Whose turn it is to send, and how many bytes more.
    turn: Option<(SocketId, usize)>,
    /// Packets on their way back into the stack.
    loopback: VecDeque<Frame>,
    /// Loopback packets that this turn may still take.
    loopback_budget: usize,
    /// The latest time told.
    clock: Instant,
    /// Wakers taken since the last publication.
    woken: Vec<Waker>,
    /// Handles that programs hold or may get from a listener.
    open: usize,
    /// What connections hold.
    memory: Memory,
    /// What near peers may send to them.
    queue: QueueShare,
    /// What is written ahead for near peers.
    sending: SendShare,
    /// Connections not over for the program.
    live: usize,
    /// Connections that the program has closed and the peer has not.
    orphans: usize,
}

/// Addresses that no packet is taken in with.
const NOBODY: (IpAddr, IpAddr) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED));

/// Loopback packets handled in one turn: whoever talks to itself must not starve the others.
const LOOPBACK_TURN: usize = 1024;

impl Stack {
    /// A stack with `config` on a link with `capabilities`; EINVAL with a sentence for settings that cannot work.
    pub fn new(config: Config, capabilities: Capabilities, log: Log) -> Result<Self, Error> {
        config.validate()?;
        let rng = Rng::from_key(config.secret).fork("stack");
        let commons = Commons::own(&config, &rng);
        Ok(Self::build(config, capabilities, log, rng, commons, None))
    }

    fn build(
        config: Config,
        capabilities: Capabilities,
        log: Log,
        mut rng: Rng,
        commons: Commons,
        seat: Option<Seat>,
    ) -> Self {
        Self {
            defaults: Arc::new(settings::defaults(&config, &capabilities)),
            shared: Shared::default(),
            queue: QueueShare::new(&capabilities),
            sending: SendShare::default(),
            capabilities,
            counters: Counters::default(),
            log,
            events: seat
                .as_ref()
                .map_or_else(Queue::default, |seat| Queue::of_worker(seat.worker(), seat.workers())),
            link: LinkState::Up,
            route: Route::new(config.addresses.clone(), &config.routes),
            admitted: NOBODY,
            table: Table::new(seat.as_ref().map_or(0, Seat::worker)),
            demux: Demux::new(&mut rng),
            interceptors: Interceptors::new(&rng),
            commons,
            seat,
            stalled: Vec::new(),
            flows: Flows::new(&rng),
            cut: false,
            deadlines: Deadlines::default(),
            challenges: Challenges::new(rng.fork("challenges")),
            fragments: Reassembly::new(&config.ip),
            paths: PathMtus::new(config.ip.path_mtus, path::rules(&config.ip)),
            pending: VecDeque::new(),
            dirty: VecDeque::new(),
            outgoing: VecDeque::new(),
            cutting: None,
            turn: None,
            loopback: VecDeque::new(),
            loopback_budget: LOOPBACK_TURN,
            clock: Instant::ZERO,
            woken: Vec::new(),
            open: 0,
            memory: Memory::new(config.buffers.total),
            live: 0,
            orphans: 0,
            config,
        }
    }

    /// Takes one frame from the link.
    pub fn handle_frame(&mut self, now: Instant, frame: Frame) {
        self.begin(now);
        self.counters.frames_in = self.counters.frames_in.saturating_add(1);
        self.counters.bytes_in = self.counters.bytes_in.saturating_add(frame.bytes.len() as u64);
        self.on_frame(now, frame, route::Way::Link);
    }

    /// The link changed its state.
    pub fn handle_link(&mut self, now: Instant, state: LinkState) {
        self.begin(now);
        if self.link == state || self.link == LinkState::Gone {
            return;
        }
        self.link = state;
        self.log.record(now, Level::Info, || format!("link is {state:?}"));
        match state {
            LinkState::Up => {}
            LinkState::Down => self.interrupt_sleepers(),
            LinkState::Gone => self.end_all(now),
        }
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.begin(now);
        self.expire_fragments(now);
        self.expire_syns(now);
        while let Some(id) = self.deadlines.pop(&mut self.table, now) {
            self.on_deadline(now, id);
        }
    }

    /// When `handle_timeout` has something to do next. The origin of the clock stands for "at once".
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.loopback.is_empty()
            || !self.stalled.is_empty()
            || self.seat.as_ref().is_some_and(Seat::has_mail)
        {
            return Some(Instant::ZERO);
        }
        [self.deadlines.next(), self.fragments.next(), self.interceptors.next()].into_iter().flatten().min()
    }

    /// Connections that still have something to send or to be told. Not counted: TIME-WAIT, listeners, and what the program has closed once its
    /// FIN is acknowledged.
    #[must_use]
    pub fn live_connections(&self) -> usize {
        self.live
    }

    /// Bytes that connections hold: written and not acknowledged, with what it takes to know what is in flight, received and not read, received before their
    /// turn; `BufferConfig::total` limits them.
    #[must_use]
    pub const fn memory(&self) -> usize {
        self.memory.held()
    }

    /// Sockets there are: handles, connections on their way to one, and what nobody holds any more but the protocol.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.table.len() - self.seat.as_ref().map_or(0, |seat| seat.stand_ins.len())
    }

    /// Connections that are packed for now.
    #[must_use]
    pub const fn asleep(&self) -> usize {
        self.table.asleep()
    }

    /// Totals.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The log, to drain.
    pub fn log(&mut self) -> &mut Log {
        &mut self.log
    }

    /// An input or a call: time has passed, and loopback may work for another turn.
    fn begin(&mut self, now: Instant) {
        self.clock = self.clock.max(now);
        self.loopback_budget = LOOPBACK_TURN;
        if !self.stalled.is_empty() {
            self.pending.extend(self.stalled.drain(..));
        }
        if self.seat.is_some() {
            self.read_mail(now);
        }
    }
}
