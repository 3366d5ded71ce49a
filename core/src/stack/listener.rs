//! A listening socket: its SYN queue and the part of its accept queue that is not published yet, and how connections get there.
//!
//! ```text
//!  SYN -> half_open --final ACK--> ready --publish--> cell.accept --accept()--> program
//!         (SYN queue)             \________ accept queue ________/
//! ```
//!
//! While the SYN queue is full, SYNs are answered with cookies, and an ACK that brings one back makes a connection that goes straight to `ready`.

use super::Stack;
use super::cookie::{self, Cookies, Told};
use super::crew::{Seat, Tally};
use super::socket::options::Settings;
use super::table::{Flow, Kind, Stage};
use crate::buffer::SocketId;
use crate::config::SynCookies;
use crate::counters::Drop;
use crate::sync::Arc;
use crate::tcp::{Connection, Context, Segment, SeqNum, Setup};
use crate::time::Instant;
use crate::trace::Level;
use crate::wire::Codepoint;
use crate::wire::tcp::{Flags, TcpHeader, TcpOptions};
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    /// Connections that may wait, less one: as in Linux, a backlog of 0 lets one wait.
    pub backlog: usize,
    /// Connections whose handshake is not complete.
    pub half_open: BTreeSet<SocketId>,
    /// Established connections that are not in the cell yet, oldest first.
    pub ready: VecDeque<SocketId>,
    /// Connections in the cell when the holder last looked; accept has made them fewer since.
    pub published: usize,
    /// Half-open connections whose final ACK found the accept queue full.
    pub held: VecDeque<SocketId>,
    /// When a SYN was last answered with a cookie.
    pub overflowed: Option<Instant>,
    /// When a good cookie last found the accept queue full.
    pub turned_away: Option<Instant>,
    /// The listener of another worker that this one stands in for.
    pub original: Option<SocketId>,
    /// How many are `ready` in all workers, if there are several.
    pub coming: Option<Tally>,
}

impl Listener {
    pub(super) const fn new(backlog: usize) -> Self {
        Self {
            backlog,
            half_open: BTreeSet::new(),
            ready: VecDeque::new(),
            published: 0,
            held: VecDeque::new(),
            overflowed: None,
            turned_away: None,
            original: None,
            coming: None,
        }
    }

    /// Queues a connection for the cell.
    pub(super) fn push_ready(&mut self, id: SocketId) {
        self.ready.push_back(id);
        if let Some(coming) = &self.coming {
            coming.add();
        }
    }

    /// Takes the connections that are queued for the cell.
    pub(super) fn take_ready(&mut self) -> VecDeque<SocketId> {
        if let Some(coming) = &self.coming {
            coming.take(self.ready.len());
        }
        std::mem::take(&mut self.ready)
    }

    /// Whether the accept queue can take no more, as far as the holder knows.
    pub(super) fn accept_full(&self) -> bool {
        let ready = self.coming.as_ref().map_or(self.ready.len(), Tally::count);
        ready.saturating_add(self.published) > self.backlog
    }

    /// Whether the SYN queue can take no more: each of `workers` has an equal part of it.
    pub(super) fn syn_full(&self, extra: u32, workers: u32) -> bool {
        self.half_open.len() > self.backlog.saturating_add(extra as usize) / workers.max(1) as usize
    }

    /// Queues a half-open connection that waits for room; those that have timed out make way.
    fn hold(&mut self, id: SocketId) {
        self.held.push_back(id);
        if self.held.len() > 2 * self.half_open.len() {
            self.held.retain(|held| self.half_open.contains(held));
        }
    }
}

/// Own address and the peer's.
type Names = (SocketAddr, SocketAddr);

impl Stack {
    /// A SYN for a listener; `reopens`: in the place of that connection in TIME-WAIT, and not with a lower sequence number.
    pub(super) fn on_syn(
        &mut self,
        now: Instant,
        listener: SocketId,
        names: Names,
        reopens: Option<(SocketId, SeqNum)>,
        syn: &Segment,
    ) -> Result<(), Drop> {
        if syn.header.flags.has(Flags::FIN) && self.config.tcp.drop_syn_fin {
            return Err(Drop::TcpFlags);
        }
        if !self.route.leads_to(names.1.ip()) {
            return Err(Drop::IpNoRoute);
        }
        if self.accept_full(listener) {
            return Err(Drop::TcpAcceptQueue);
        }
        // Who was connected before is no flood, and its old connection would get the cookie.
        if reopens.is_none() && self.answers_with_cookie(listener)? {
            self.send_cookie(now, listener, names, syn);
            return Ok(());
        }
        let least = reopens.map(|(id, least)| {
            self.reap(id);
            least
        });
        let first = self.first_window(names.1);
        let id = self.add_half_open(now, listener, names, |setup, settings, cx| {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.2
            //# ISS should be selected and a SYN segment sent of the form: <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK> (SM-2)
            let iss = least.map_or(setup.iss, |least| setup.iss.latest(least));
            Connection::accept(now, Setup { iss, ..setup }, settings.receive_limit().min(first), syn, cx)
        })?;
        self.begin_trace(now, id, Some(syn));
        self.settle(id);
        Ok(())
    }

    /// Whether the next SYN gets a cookie and no place in the SYN queue.
    //= https://www.rfc-editor.org/rfc/rfc4987#section-4
    //# TCP implementers should provide some means of defense to SYN flooding attacks in end-host implementations (4987:4-1).
    fn answers_with_cookie(&mut self, listener: SocketId) -> Result<bool, Drop> {
        let extra = self.config.tcp.syn_queue_extra;
        let workers = self.seat.as_ref().map_or(1, Seat::workers);
        let full = self.table.listener_mut(listener).is_none_or(|queues| queues.syn_full(extra, workers));
        match self.config.tcp.syn_cookies {
            SynCookies::Always => Ok(true),
            //= https://www.rfc-editor.org/rfc/rfc4987#section-3.7
            //# in the event that the cache becomes full, then SYN cookies can be sent instead of purging cache entries upon the arrival of new SYNs (4987:3.7-1).
            SynCookies::WhenFull => Ok(full),
            SynCookies::Off if full => Err(Drop::TcpSynQueue),
            SynCookies::Off => Ok(false),
        }
    }

    /// A connection in SYN-RECEIVED, in the SYN queue of its listener.
    fn add_half_open(
        &mut self,
        now: Instant,
        listener: SocketId,
        (local, remote): Names,
        make: impl FnOnce(Setup, &Settings, &mut Context<'_>) -> Connection,
    ) -> Result<SocketId, Drop> {
        let Some(parent) = self.table.get(listener) else { return Err(Drop::TcpNoSocket) };
        let (domain, settings) = (parent.domain, Arc::clone(&parent.settings));
        let setup = self.setup(now, local, remote, &settings);
        let mut cx = Context {
            config: &self.config.tcp,
            counters: &mut self.counters,
            challenges: &mut self.challenges,
        };
        let connection = make(setup, &settings, &mut cx);
        let flow = Flow::new(connection, settings.buffers(), (local, remote), Stage::HalfOpen(listener));
        let id = self.add_accepted(domain, flow, settings).ok_or(Drop::Sockets)?;
        self.fit_receive(id);
        if let Some(Listener { half_open, .. }) = self.table.listener_mut(listener) {
            half_open.insert(id);
        }
        Ok(id)
    }

    /// Answers a SYN and keeps nothing of it but the time.
    //= https://www.rfc-editor.org/rfc/rfc4987#section-3.6
    //# SYN cookies go a step further and allocate no state at all for connections in SYN-RECEIVED (4987:3.6-1).
    fn send_cookie(&mut self, now: Instant, listener: SocketId, (local, remote): Names, syn: &Segment) {
        let Some(parent) = self.table.get(listener) else { return };
        let (ip, offered) = (parent.settings.ip, &syn.header.options);
        let mut setup = self.setup(now, local, remote, &parent.settings);
        setup.iss = self.cookies(now, local, remote).sequence(SeqNum(syn.header.seq), offered.mss);
        let limit = parent.settings.receive_limit().min(self.first_window(remote));
        let offset = setup.timestamp_offset;
        let mut answer = Connection::answer_unkept(now, setup, limit, syn, &self.config.tcp);
        if answer.options.timestamps.is_none() {
            // There is nowhere to keep them.
            //= https://www.rfc-editor.org/rfc/rfc4987#section-3.6
            //# SACK blocks should normally not be sent by a host using TCP cookies unless they are first received (4987:3.6-4).
            (answer.options.window_scale, answer.options.sack_permitted) = (None, false);
            answer.flags = Flags::SYN;
        }
        let told = Told {
            ecn: answer.flags.has(Flags::ECE),
            window_scale: offered.window_scale.filter(|_| answer.options.window_scale.is_some()),
            sack_permitted: answer.options.sack_permitted,
        };
        let stamped = |(tsval, tsecr)| (cookie::stamp(tsval, offset, told), tsecr);
        answer.options.timestamps = answer.options.timestamps.map(stamped);
        self.counters.tcp_syn_cookies_sent = self.counters.tcp_syn_cookies_sent.saturating_add(1);
        self.counters.tcp_segments_out = self.counters.tcp_segments_out.saturating_add(1);
        self.trace_answer(now, &answer, "syn_cookie");
        //= https://www.rfc-editor.org/rfc/rfc4987#section-4
        //# the IPv6 flow label value used on the SYN-ACK should be consistent with the flow label used for the rest of the packets within that flow (4987:4-3).
        let transmit = self.wrap(local, remote, answer, &ip);
        self.reply(remote.ip(), transmit);
        let Some(queues) = self.table.listener_mut(listener) else { return };
        if queues.overflowed.replace(now).is_none() {
            self.log.record(now, Level::Warn, || format!("{local}: SYNs are answered with cookies"));
        }
    }

    fn cookies(&self, now: Instant, local: SocketAddr, remote: SocketAddr) -> Cookies<'_> {
        let count = cookie::count(now, self.config.tcp.syn_cookie_step);
        Cookies { secret: &self.config.secret, local, remote, count }
    }

    /// The SYN that an ACK of no connection tells of by its cookie. Where none was sent of late none is believed: anybody could try its luck.
    //= https://www.rfc-editor.org/rfc/rfc4987#section-3.6
    //# the acknowledgement number (along with several other fields) in the ACK that completes the handshake can be used to reconstruct the state to be put into the TCB (4987:3.6-2).
    pub(super) fn recalled(
        &mut self,
        now: Instant,
        listener: SocketId,
        (local, remote): Names,
        ack: &Segment,
    ) -> Option<Segment> {
        let header = &ack.header;
        if header.flags.0 & (Flags::SYN.0 | Flags::RST.0 | Flags::ACK.0) != Flags::ACK.0 {
            return None;
        }
        let overflowed = self.table.listener_mut(listener)?.overflowed?;
        if self.is_past(now, overflowed) {
            return None;
        }
        let seq = SeqNum(header.seq) - 1;
        let told = self.cookies(now, local, remote).recall(seq, SeqNum(header.ack) - 1);
        //= https://www.rfc-editor.org/rfc/rfc4987#appendix-A
        //# If there is not a match, the connection can be rejected under the heuristic that it is probably not in response to a recently sent SYN-ACK (4987:A-1).
        let Some(mss) = told else {
            self.counters.tcp_syn_cookies_failed = self.counters.tcp_syn_cookies_failed.saturating_add(1);
            return None;
        };
        let stamps = header.options.timestamps;
        let offset = crate::tcp::isn::timestamp_offset(&self.config.secret, local, remote);
        let told = stamps.map(|(_, tsecr)| cookie::told(tsecr, offset));
        let options = TcpOptions {
            mss,
            window_scale: told.and_then(|told| told.window_scale),
            sack_permitted: told.is_some_and(|told| told.sack_permitted),
            timestamps: stamps.map(|(tsval, _)| (tsval, 0)),
            ..TcpOptions::default()
        };
        let TcpHeader { source, destination, window, .. } = *header;
        let asks = told.is_some_and(|told| told.ecn);
        let flags = if asks { Flags::SYN.with(Flags::ECE).with(Flags::CWR) } else { Flags::SYN };
        let header =
            TcpHeader { source, destination, seq: seq.0, flags, window, options, ..Default::default() };
        Some(Segment { header, payload: Bytes::new(), gso_size: 0, ecn: Codepoint::NotEct })
    }

    /// Whether no cookie of that time is good any more.
    fn is_past(&self, now: Instant, at: Instant) -> bool {
        now.since(at) >= self.config.tcp.syn_cookie_step.saturating_mul(cookie::GOOD)
    }

    /// Whether a segment that brings no cookie may be of a connection whose cookie found the accept queue full: it will come again, behind
    /// what brings the cookie, and a RST would end what the peer takes for established.
    pub(super) fn may_come_again(&mut self, now: Instant, listener: SocketId) -> bool {
        let turned_away = self.table.listener_mut(listener).and_then(|queues| queues.turned_away);
        turned_away.is_some_and(|at| !self.is_past(now, at))
    }

    /// An ACK with a good cookie: the connection is made as if `syn` had been kept, and the ACK is its first segment.
    pub(super) fn on_cookie(
        &mut self,
        now: Instant,
        listener: SocketId,
        names: Names,
        syn: &Segment,
        ack: Segment,
    ) -> Result<(), Drop> {
        self.counters.tcp_syn_cookies_received = self.counters.tcp_syn_cookies_received.saturating_add(1);
        if self.accept_full(listener) {
            if self.config.tcp.abort_on_overflow {
                self.refuse(names.0, names.1, &ack);
            } else if let Some(queues) = self.table.listener_mut(listener) {
                queues.turned_away = Some(now);
            }
            return Err(Drop::TcpAcceptQueue);
        }
        let iss = SeqNum(ack.header.ack) - 1;
        let first = self.first_window(names.1);
        let id = self.add_half_open(now, listener, names, |setup, settings, cx| {
            Connection::recall(now, Setup { iss, ..setup }, settings.receive_limit().min(first), syn, cx)
        })?;
        self.begin_trace(now, id, None);
        self.deliver(now, id, ack);
        Ok(())
    }

    /// Whether the accept queue of a listener is full, looking into its cell only when it seems so.
    pub(super) fn accept_full(&mut self, id: SocketId) -> bool {
        let Some(entry) = self.table.get_mut(id) else { return false };
        let Kind::Listener(listener) = &mut entry.kind else { return false };
        // Other workers fill the same queue.
        let alone = self.seat.is_none();
        if alone && !listener.accept_full() {
            return false;
        }
        let mut state = entry.cell.lock();
        listener.published = state.accept.len();
        let full = listener.accept_full();
        // Who finds room does not take back what others wait for.
        if alone || full {
            state.consumed_edge = usize::from(full);
        }
        full
    }

    /// Keeps a final ACK without data until the accept queue has room; the peer sends data again by itself.
    pub(super) fn hold_back(&mut self, listener: SocketId, id: SocketId, segment: &Segment) {
        let flags = segment.header.flags;
        if !segment.payload.is_empty() || flags.has(Flags::FIN) || flags.has(Flags::SYN) {
            return;
        }
        let Some(flow) = self.table.flow_mut(id) else { return };
        if flow.held.replace(segment.header.clone()).is_some() {
            return;
        }
        if let Some(queues) = self.table.listener_mut(listener) {
            queues.hold(id);
        }
    }

    /// Lets half-open connections complete that found the accept queue full.
    pub(super) fn release_held(&mut self, now: Instant, listener: SocketId) {
        while !self.accept_full(listener) {
            let Some(queues) = self.table.listener_mut(listener) else { return };
            let Some(id) = queues.held.pop_front() else { return };
            let Some(flow) = self.table.flow_mut(id) else { continue };
            let Some(header) = flow.held.take() else { continue };
            let segment = Segment { header, payload: Bytes::new(), gso_size: 0, ecn: Codepoint::NotEct };
            self.deliver(now, id, segment);
        }
    }
}
