//! The connection: its phases and its public methods.

mod deadline;
mod rest;

use super::ack::Acks;
use super::challenge::Challenge;
use super::congestion::{self, Controller};
use super::ecn::Ecn;
use super::mtu_probe::{MtuProbe, PathNews};
use super::open::{Opening, announced_mss};
use super::rack::Rack;
use super::receiver::Receiver;
use super::recovery::Recovery;
use super::rtt::Rtt;
use super::segment::Reply;
use super::sender::Sender;
use super::stats::Stats;
use super::timer::Timers;
use super::timestamps::Timestamps;
use super::tracer::Tracer;
use super::urgent::{Urgent, UrgentMark};
use super::{
    Buffers, Context, EndReason, Limits, Options, Outgoing, Segment, SeqNum, Setup, State, TcpInfo,
    Unreachable, Unsent,
};
use crate::config::TcpConfig;
use crate::error::Errno;
use crate::time::{Duration, Instant};
use crate::wire::tcp::TcpHeader;

/// Sequence numbers skipped when a connection is opened again from TIME-WAIT: more than an unscaled window.
const REOPEN_GAP: u32 = 65_537;

/// One connection.
#[derive(Debug)]
pub struct Connection {
    pub(super) common: Common,
    pub(super) phase: Phase,
    /// Something happened since `poll_transmit` last found nothing to do.
    stirred: bool,
    /// The latest time told.
    pub(super) now: Instant,
    /// The deadline that `poll_transmit` found.
    wake: Option<Instant>,
}

/// What every phase has.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) setup: Setup,
    /// SO_RCVBUF at the start: it decides the window scale.
    pub(super) recv_limit: usize,
    pub(super) ended: Option<EndReason>,
    pub(super) error: Option<Errno>,
    /// What the network said last about data in flight: why it timed out, should it.
    pub(super) soft_error: Option<Unreachable>,
    /// It has changed since the program was shown it.
    pub(super) soft_news: bool,
    pub(super) established: bool,
    /// The program has said of what it wrote last that more follows at once (MSG_MORE).
    pub(super) more: bool,
    /// A small segment waits for that, until something ends the wait.
    pub(super) waits_for_more: bool,
    /// A segment has been sent so often that there is a problem on the way, R1 of RFC 9293 3.8.3; until the stack asks.
    pub(super) advice: bool,
    /// The program sends no more: FIN behind what is queued.
    pub(super) closing: bool,
    /// Since when the program reads no more.
    pub(super) orphaned: Option<Instant>,
    /// A RST to send as an answer, the connection staying as it is: <SEQ=..><CTL=RST>.
    pub(super) reply: Option<Reply>,
    pub(super) stats: Stats,
    /// Who is told what happens, if anybody is.
    pub(super) trace: Option<Box<Tracer>>,
}

/// A connection's life in three parts, each with the data that exists in it only.
#[derive(Debug)]
pub(super) enum Phase {
    /// SYN-SENT: nothing is known of the peer.
    Opening(Opening),
    /// From SYN-RECEIVED to TIME-WAIT.
    Open(Box<Open>),
    /// CLOSED.
    Closed(Closed),
}

/// From SYN-RECEIVED to TIME-WAIT.
#[derive(Debug)]
pub(super) struct Open {
    state: State,
    pub(super) snd: Sender,
    pub(super) rcv: Receiver,
    pub(super) rtt: Rtt,
    pub(super) timestamps: Option<Timestamps>,
    pub(super) congestion: Box<dyn Controller>,
    pub(super) recovery: Recovery,
    pub(super) rack: Rack,
    /// Tail loss probes are sent.
    pub(super) tail_probes: bool,
    pub(super) acks: Acks,
    pub(super) challenge: Challenge,
    pub(super) urgent: Urgent,
    pub(super) ecn: Ecn,
    pub(super) mtu: MtuProbe,
    pub(super) timers: Timers,
    pub(super) pending: Pending,
    /// When the peer was last heard.
    pub(super) heard: Instant,
    /// Keep-alive probes sent since then.
    pub(super) keep_probes: u32,
    /// When the present state was entered, or in TIME-WAIT last confirmed.
    pub(super) since: Instant,
    /// Timeouts of the SYN/ACK up to which the handshake completes with data only (TCP_DEFER_ACCEPT).
    pub(super) defer: u8,
    /// When the handshake would have been complete but for that.
    pub(super) deferred: Option<Instant>,
    /// SYNs sent, with ACK or without.
    pub(super) syns_sent: u32,
    /// A SYN of the handshake, of ours or of the peer's, had to be sent again.
    pub(super) syn_lost: bool,
    /// It came from LISTEN.
    pub(super) passive: bool,
    /// Both sides scale their windows.
    pub(super) scaled: bool,
    /// Delay of acknowledgements.
    pub(super) delayed_ack: Duration,
}

/// What is to be sent, other than what queues and accounts tell.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// The SYN/ACK.
    pub(super) syn: bool,
    /// The segment at SND.UNA once more.
    pub(super) head: bool,
    /// A tail loss probe.
    pub(super) tail: bool,
    /// Whatever the window takes, and a probe if it takes nothing.
    pub(super) force: bool,
    /// A keep-alive probe.
    pub(super) keep_alive: bool,
    /// Whatever is queued, whoever holds small segments back; until all of it is sent.
    pub(super) push: bool,
}

/// CLOSED, perhaps with a last word.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) reset: Option<Outgoing>,
    /// The figures it ended with.
    pub(super) last: Box<TcpInfo>,
}

impl Open {
    pub(super) fn new(now: Instant, state: State, snd: Sender, rcv: Receiver, parts: Parts) -> Self {
        let iss = snd.iss;
        Self {
            state,
            snd,
            rcv,
            rtt: parts.rtt,
            timestamps: parts.timestamps,
            congestion: parts.congestion,
            recovery: Recovery::new(iss),
            rack: Rack::new(parts.clock_granularity),
            tail_probes: parts.tail_probes,
            acks: Acks::new(parts.quick_acks, parts.ack_any_second),
            challenge: Challenge::new(),
            urgent: Urgent::default(),
            ecn: parts.ecn,
            mtu: MtuProbe::default(),
            timers: Timers::default(),
            pending: Pending::default(),
            heard: now,
            keep_probes: 0,
            since: now,
            defer: 0,
            deferred: None,
            syns_sent: 0,
            syn_lost: false,
            passive: false,
            scaled: parts.scaled,
            delayed_ack: parts.delayed_ack,
        }
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    /// The one way from state to state; a move that the table does not know is not made.
    pub(super) fn enter(&mut self, now: Instant, to: State) {
        debug_assert!(self.state.may_become(to), "{:?} to {to:?}", self.state);
        if self.state.may_become(to) {
            self.state = to;
            self.since = now;
        }
    }
}

/// What negotiation and configuration contribute to an open connection.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) rtt: Rtt,
    pub(super) timestamps: Option<Timestamps>,
    pub(super) congestion: Box<dyn Controller>,
    pub(super) ecn: Ecn,
    pub(super) scaled: bool,
    pub(super) quick_acks: u8,
    pub(super) ack_any_second: bool,
    pub(super) delayed_ack: Duration,
    pub(super) clock_granularity: Duration,
    pub(super) tail_probes: bool,
}

impl Connection {
    /// An active open: in SYN-SENT, its SYN waiting for `poll_transmit` (RFC 9293 3.10.1).
    #[must_use]
    pub fn connect(now: Instant, setup: Setup, recv_limit: usize, cx: &mut Context<'_>) -> Self {
        let opening = Opening::new(now, setup.iss, cx.config);
        cx.counters.tcp_active_opens += 1;
        Self::born(now, setup, recv_limit, Phase::Opening(opening), cx.config)
    }

    /// A passive open: `syn` was acceptable to a listener; in SYN-RECEIVED, its SYN/ACK waiting for `poll_transmit` (RFC 9293 3.10.7.2).
    #[must_use]
    pub fn accept(
        now: Instant,
        setup: Setup,
        recv_limit: usize,
        syn: &Segment,
        cx: &mut Context<'_>,
    ) -> Self {
        let open = Open::passive(now, &setup, recv_limit, syn, cx.config);
        cx.counters.tcp_passive_opens += 1;
        cx.note_scale(syn);
        Self::born(now, setup, recv_limit, Phase::Open(Box::new(open)), cx.config)
    }

    pub(super) fn born(
        now: Instant,
        setup: Setup,
        recv_limit: usize,
        phase: Phase,
        config: &TcpConfig,
    ) -> Self {
        let stats = Stats::new(now, announced_mss(&setup, config));
        let common = Common {
            setup,
            recv_limit,
            ended: None,
            error: None,
            soft_error: None,
            soft_news: false,
            established: false,
            more: false,
            waits_for_more: false,
            advice: false,
            closing: false,
            orphaned: None,
            reply: None,
            stats,
            trace: None,
        };
        Self { common, phase, stirred: true, now, wake: None }
    }

    /// The state of RFC 9293 3.3.2.
    #[must_use]
    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Opening(_) => State::SynSent,
            Phase::Open(open) => open.state,
            Phase::Closed(_) => State::Closed,
        }
    }

    /// Takes one segment through the eight steps of RFC 9293 3.10.7.4. Answers are left to `poll_transmit`.
    pub fn on_segment(
        &mut self,
        now: Instant,
        segment: Segment,
        buffers: &mut Buffers,
        cx: &mut Context<'_>,
    ) {
        self.stir(now);
        self.observe_segment(now, &segment);
        self.input(now, segment, buffers, cx);
        self.observe(now);
    }

    /// Lets time pass; to be called at or after `poll_timeout`, harmless earlier.
    pub fn on_timeout(&mut self, now: Instant, _buffers: &mut Buffers, cx: &mut Context<'_>) {
        self.stir(now);
        self.expire(now, cx);
        self.observe(now);
    }

    /// The program has appended to `buffers.send`.
    pub fn on_written(&mut self, now: Instant) {
        self.stir(now);
    }

    /// Whether the program has said of what it wrote last that more follows at once (MSG_MORE).
    pub const fn expect_more(&mut self, more: bool) {
        self.common.more = more;
        self.common.waits_for_more = more;
    }

    /// What is queued goes, whatever holds small segments back.
    pub fn push(&mut self, now: Instant, buffers: &Buffers) {
        let Phase::Open(open) = &mut self.phase else { return };
        open.pending.push = open.snd.unsent(buffers.send.len()) > 0;
        self.stir(now);
    }

    /// Puts the congestion controller in place that the options name; window and threshold stay (TCP_CONGESTION).
    pub fn steer(&mut self, config: &TcpConfig) {
        let Phase::Open(open) = &mut self.phase else { return };
        let kind = self.common.setup.options.congestion;
        if open.congestion.name() != kind.name() {
            open.congestion = congestion::successor(kind, &*open.congestion, open.snd.mss, config);
        }
    }

    /// Acknowledges at once for a while, beginning with what is owed, or delays (TCP_QUICKACK).
    pub fn quick_acks(&mut self, now: Instant, count: u8) {
        let Phase::Open(open) = &mut self.phase else { return };
        open.acks.quick(count);
        self.stir(now);
    }

    /// Whether the next segment is acknowledged at once.
    #[must_use]
    pub fn acks_quickly(&self) -> bool {
        match &self.phase {
            Phase::Open(open) => open.acks.is_quick(),
            Phase::Opening(_) | Phase::Closed(_) => self.common.setup.options.quick_ack,
        }
    }

    /// What the program has written ends with urgent data, at this stream position (MSG_OOB).
    pub fn urge(&mut self, now: Instant, end: u64) {
        let Phase::Open(open) = &mut self.phase else { return };
        let up = open.snd.iss + 1 + end as u32;
        if up.after(open.snd.una) {
            open.urgent.send(up);
            self.stir(now);
        }
    }

    /// Where the peer's urgent data ends, whether it has been read or not.
    #[must_use]
    pub fn urgent(&self) -> Option<UrgentMark> {
        match &self.phase {
            Phase::Open(open) => open.urgent.received(),
            Phase::Opening(_) | Phase::Closed(_) => None,
        }
    }

    /// The program has read: `buffers.recv_held` has shrunk. Sends a window update when it is worth one (RFC 9293 3.8.6.2.2).
    pub fn on_read(&mut self, now: Instant, buffers: &Buffers) {
        let Phase::Open(open) = &mut self.phase else { return };
        if open.state.receives() && open.rcv.update_due(buffers) {
            open.acks.owe_now(super::ack::Cause::Window);
            self.stir(now);
        }
    }

    /// Consumption, in bytes from now, at which `on_read` would send a window update.
    #[must_use]
    pub fn read_edge(&self, buffers: &Buffers) -> usize {
        match &self.phase {
            Phase::Open(open) if open.state.receives() => open.rcv.update_edge(buffers),
            _ => usize::MAX,
        }
    }

    /// No more data from the program: FIN follows what is queued (shutdown(SHUT_WR), close).
    pub fn close(&mut self, now: Instant) {
        self.stir(now);
        self.common.closing = true;
        if matches!(self.phase, Phase::Opening(_)) {
            self.end(EndReason::Aborted);
        }
        self.observe(now);
    }

    /// Nobody will read any more (close): data that arrives from now on is answered by RST, FIN-WAIT-2 is limited in time, retries by `orphan_retries`.
    pub fn orphan(&mut self, now: Instant) {
        self.stir(now);
        self.common.orphaned.get_or_insert(now);
    }

    /// Ends at once, with RST where RFC 9293 3.10.5 says so; the RST waits for `poll_transmit`. The program is told no error: it knows.
    pub fn abort(&mut self, now: Instant, reason: EndReason) {
        self.stir(now);
        self.reset(reason);
        self.observe(now);
    }

    /// Ends at once, without a word to the peer; the program is told the error that belongs to the reason.
    pub fn abandon(&mut self, now: Instant, reason: EndReason) {
        self.stir(now);
        self.end(reason);
        self.observe(now);
    }

    /// The next segment to send, `None` when there is nothing to send now.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        buffers: &Buffers,
        limits: &Limits,
        cx: &mut Context<'_>,
    ) -> Option<Outgoing> {
        self.now = self.now.max(now);
        let outgoing = self.output(now, buffers, limits, cx);
        let done = outgoing.is_none() || self.is_done(now, buffers, limits, cx.config);
        self.observe(now);
        if done {
            self.stirred = false;
            self.wake = self.deadline(cx.config);
        }
        outgoing
    }

    /// Whether `poll_transmit` may have something to send now.
    #[must_use]
    pub const fn is_stirred(&self) -> bool {
        self.stirred
    }

    /// When `on_timeout` or `poll_transmit` has something to do next. May change after any other call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.stirred { Some(self.now) } else { self.wake }
    }

    /// Whether this connection has completed its handshake, now or earlier.
    #[must_use]
    pub fn established(&self) -> bool {
        self.common.established
    }

    /// Whether the peer's FIN has been reached in order: nothing more will come.
    #[must_use]
    pub fn receive_ended(&self) -> bool {
        match &self.phase {
            Phase::Opening(_) => false,
            Phase::Open(open) => open.rcv.fin_reached,
            Phase::Closed(_) => true,
        }
    }

    /// What of the queue was never sent, and whether the FIN was, and is acknowledged.
    #[must_use]
    pub fn unsent(&self, buffers: &Buffers) -> Unsent {
        let queued = buffers.send.len();
        let Phase::Open(open) = &self.phase else { return Unsent::default() };
        let sends = open.state.transmits();
        let fin_unsent = sends && self.common.closing && open.snd.fin.is_none();
        let fin_sent = sends && open.snd.fin.is_some_and(|fin| open.snd.una.at_or_before(fin));
        Unsent {
            step: open.snd.write_step() as usize,
            bytes: open.snd.unsent(queued).saturating_sub(open.snd.resending()) as usize,
            fin_unsent,
            fin_unacked: fin_unsent || fin_sent,
        }
    }

    /// Whether a SYN may open a new connection in the place of this one, which is in TIME-WAIT; then the least sequence number for it to begin
    /// with. An old duplicate of a SYN has neither a higher sequence number nor a later timestamp (RFC 6191).
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.6.1
    //# This algorithm for reducing TIME-WAIT is a Best Current Practice that SHOULD be implemented since Timestamp Options are commonly used, and using them to reduce TIME-WAIT provides benefits for busy Internet servers (SHLD-4).
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.6.1
    //# it MAY accept a new SYN from the remote TCP endpoint to reopen the connection directly from TIME-WAIT state (MAY-2)
    #[must_use]
    //= https://www.rfc-editor.org/rfc/rfc6191#section-2
    //# Processing of SYN segments received for connections in the TIME-WAIT state SHOULD occur as follows (6191:2-1).
    pub fn may_reopen(&self, syn: &TcpHeader, config: &TcpConfig) -> Option<SeqNum> {
        let Phase::Open(open) = &self.phase else { return None };
        let offered = syn.options.timestamps.filter(|_| config.timestamps);
        let later = match (&open.timestamps, offered) {
            //= https://www.rfc-editor.org/rfc/rfc6191#section-2
            //# If TCP Timestamps would be enabled for the new incarnation of the connection, and the timestamp contained in the incoming SYN segment is greater than the last timestamp seen on the previous incarnation of the connection (for that direction of the data transfer), honor the connection request (6191:2-2).
            (Some(known), Some((tsval, _))) if tsval != known.recent() => {
                SeqNum(tsval).after(SeqNum(known.recent()))
            }
            //= https://www.rfc-editor.org/rfc/rfc6191#section-2
            //# If TCP Timestamps would be enabled for the new incarnation of the connection, honor the incoming connection request (6191:2-6).
            (None, Some(_)) => true,
            //= https://www.rfc-editor.org/rfc/rfc6191#section-2
            //# the timestamp contained in the incoming SYN segment is equal to the last timestamp seen on the previous incarnation of the connection (for that direction of the data transfer), and the Sequence Number of the incoming SYN segment is greater than the last sequence number seen on the previous incarnation of the connection (6191:2-3).
            //= https://www.rfc-editor.org/rfc/rfc6191#section-2
            //# If TCP Timestamps would not be enabled for the new incarnation of the connection, but the Sequence Number of the incoming SYN segment is greater than the last sequence number seen on the previous incarnation of the connection (for the same direction of the data transfer), honor the connection request (6191:2-4).
            //= https://www.rfc-editor.org/rfc/rfc6191#section-2
            //# If TCP Timestamps would not be enabled for the new incarnation of the connection, but the Sequence Number of the incoming SYN segment is greater than the last sequence number seen on the previous incarnation of the connection (for the same direction of the data transfer), honor the incoming connection request (6191:2-7).
            _ => SeqNum(syn.seq).at_or_after(open.rcv.nxt),
        };
        (open.state == State::TimeWait && later).then(|| open.snd.nxt + REOPEN_GAP)
    }

    /// Why the connection is over, once it is; in TIME-WAIT it is over for the program but not for the stack.
    #[must_use]
    pub fn ended(&self) -> Option<EndReason> {
        self.common.ended
    }

    /// The error that the program is told once: by SO_ERROR or the next call. ECONNREFUSED, ECONNRESET, ETIMEDOUT, EPIPE.
    pub fn take_error(&mut self) -> Option<Errno> {
        self.common.error.take()
    }

    /// What the network says of data in flight, if that has changed since it was asked for last (SO_ERROR tells it where there is no error).
    pub fn soft_error(&mut self) -> Option<Option<Errno>> {
        let news = std::mem::take(&mut self.common.soft_news);
        news.then(|| self.common.soft_error.map(|told| told.errno))
    }

    /// Whether a segment has been sent so often that there is a problem on the way (R1 of RFC 9293 3.8.3); said once each time.
    pub fn take_advice(&mut self) -> bool {
        std::mem::take(&mut self.common.advice)
    }

    /// What it has found out about its path since this was asked last: to be asked before output is told what the path carries.
    pub fn take_path_news(&mut self) -> Option<PathNews> {
        let Phase::Open(open) = &mut self.phase else { return None };
        open.mtu.take_news()
    }

    /// Per-socket options, to change at any time.
    pub fn options_mut(&mut self) -> &mut Options {
        self.stirred = true;
        &mut self.common.setup.options
    }

    /// The connection in figures.
    #[must_use]
    pub fn info(&self, now: Instant, buffers: &Buffers) -> TcpInfo {
        super::stats::info(self, now, buffers)
    }

    pub(super) fn stir(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.stirred = true;
    }
}
