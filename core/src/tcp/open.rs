//! How a connection begins: SYN-SENT, and what the two SYNs negotiate.

use super::ack::Cause;
use super::congestion::controller;
use super::connection::{Common, Connection, Open, Parts, Phase};
use super::defer;
use super::ecn::Ecn;
use super::flight::Flight;
use super::receiver::{Receiver, unscaled};
use super::rightsize::RightSize;
use super::rtt::Rtt;
use super::sack::Sack;
use super::segment::{Arrival, bare};
use super::sender::Sender;
use super::timer::Timer;
use super::timestamps::{self, Timestamps};
use super::validation::Validation;
use super::window::WindowScale;
use super::{Buffers, Context, EndReason, Outgoing, Segment, SeqNum, Setup, State};
use crate::config::{OptionLayout, TcpConfig};
use crate::counters::Drop;
use crate::error::Errno;
use crate::time::Instant;
use crate::wire::tcp::{Flags, Layout, TcpOptions};

/// SYN-SENT.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) iss: SeqNum,
    /// The SYN is to be sent.
    pub(super) due: bool,
    /// SYNs sent.
    pub(super) sent: u32,
    /// When the first was.
    pub(super) sent_at: Instant,
    /// When the next will be, or when there will be none.
    pub(super) retransmit_at: Option<Instant>,
    pub(super) rtt: Rtt,
}

/// MSS of a peer that announces none (RFC 9293 3.7.1): IPv4, IPv6.
const MSS_DEFAULT: (u16, u16) = (536, 1220);
/// Smallest MSS taken from a peer; a smaller one would make every packet mostly header.
pub(super) const MSS_MIN: u16 = 64;

impl Opening {
    pub(super) fn new(now: Instant, iss: SeqNum, config: &TcpConfig) -> Self {
        Self { iss, due: true, sent: 0, sent_at: now, retransmit_at: None, rtt: Rtt::new(config) }
    }

    /// When to send the SYN again, or to give up.
    pub(super) fn deadline(&self, common: &Common) -> Option<Instant> {
        let timeout = common.setup.options.user_timeout.map(|timeout| self.sent_at + timeout);
        [self.retransmit_at, timeout].into_iter().flatten().min()
    }
}

/// The MSS announced in our SYN.
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1
//# The MSS value to be sent in an MSS Option must be less than or equal to: MMS_R - 20 where MMS_R is the maximum size for a transport-layer message that can be received (and reassembled at the IP layer) (MUST-67).
pub(super) fn announced_mss(setup: &Setup, config: &TcpConfig) -> u16 {
    //= https://www.rfc-editor.org/rfc/rfc6691#section-2
    //# The MSS option SHOULD tell the MTU less the fixed headers of IP and TCP (6691:2-1).
    //= https://www.rfc-editor.org/rfc/rfc6691#section-2
    //# The MSS option SHOULD NOT be smaller for options of IP or TCP (6691:2-2).
    let caps = [setup.options.max_segment, config.mss];
    caps.into_iter().flatten().fold(setup.mss, u16::min).max(MSS_MIN)
}

/// The scale of our windows: of the receive buffer, or of what it may become.
fn own_scale(recv_limit: usize, setup: &Setup, config: &TcpConfig) -> WindowScale {
    WindowScale::for_limit(recv_limit.max(setup.options.receive_max).max(config.window_scale_for))
}

/// The options of our SYN; an answer to `peer`'s SYN carries what that one had.
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.2
//# MUST NOT be sent in other segments (MUST-65).
pub(super) fn syn_options(
    now: Instant,
    common: &Common,
    answer: Option<&Open>,
    config: &TcpConfig,
) -> TcpOptions {
    let tsval = timestamps::value(now, common.setup.timestamp_offset);
    //= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
    //# The Window Scale option MUST be sent with shift.cnt = R, where R is the value that the TCP would like to use for its receive window (7323:2.3-2).
    let scale = own_scale(common.recv_limit, &common.setup, config).shift();
    let layout = match config.option_layout {
        OptionLayout::TimestampsFirst => Layout::TimestampsFirst,
        OptionLayout::ScaleFirst => Layout::ScaleFirst,
    };
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1
    //# TCP endpoints MUST implement both sending and receiving the MSS Option (MUST-14).
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1
    //# TCP implementations SHOULD send an MSS Option in every SYN segment when its receive MSS differs from the default 536 for IPv4 or 1220 for IPv6 (SHLD-5), and MAY send it always (MAY-3).
    let mss = Some(announced_mss(&common.setup, config));
    match answer {
        None => TcpOptions {
            mss,
            //= https://www.rfc-editor.org/rfc/rfc7323#section-2.2
            //# The three-byte Window Scale option MAY be sent in a <SYN> segment by a TCP (7323:2.2-1).
            //= https://www.rfc-editor.org/rfc/rfc7323#section-2.2
            //# a TCP that is prepared to scale windows SHOULD send the option, even if its own scale factor is 1 and the exponent 0 (7323:2.2-2).
            window_scale: config.window_scaling.then_some(scale),
            //= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
            //# If the ACK bit is not set in the outgoing TCP header, the sender of that segment SHOULD set the TSecr field to zero (7323:3.2-1).
            //= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
            //# A TCP MAY send the TSopt in an initial <SYN> segment (7323:3.2-4).
            timestamps: config.timestamps.then_some((tsval, 0)),
            //= https://www.rfc-editor.org/rfc/rfc2018#section-2
            //# This two-byte option may be sent in a SYN by a TCP that has been extended to receive (and presumably process) the SACK option once the connection has opened (2018:2-1).
            sack_permitted: config.sack,
            layout,
            ..TcpOptions::default()
        },
        Some(open) => TcpOptions {
            mss,
            //= https://www.rfc-editor.org/rfc/rfc7323#section-2.2
            //# If a Window Scale option was received in the initial <SYN> segment, then this option MAY be sent in the <SYN,ACK> segment (7323:2.2-4).
            //= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
            //# If a TCP receives a <SYN> segment containing a Window Scale option, it SHOULD send its own Window Scale option in the <SYN,ACK> segment (7323:2.3-1).
            window_scale: open.scaled.then(|| open.rcv.scale.shift()),
            //= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
            //# MAY send a TSopt in <SYN,ACK> only if it received a TSopt in the initial <SYN> segment for the connection (7323:3.2-5).
            timestamps: open.timestamps.as_ref().map(|stamps| stamps.option(now)),
            sack_permitted: open.rcv.sack.is_some(),
            layout,
            ..TcpOptions::default()
        },
    }
}

impl Open {
    /// SYN-RECEIVED by the peer's SYN.
    pub(super) fn passive(
        now: Instant,
        setup: &Setup,
        recv_limit: usize,
        syn: &Segment,
        config: &TcpConfig,
    ) -> Self {
        let mut open = Self::negotiate(now, setup, recv_limit, syn, Rtt::new(config), config);
        open.ecn = Ecn::granted(syn.header.flags, config);
        open.passive = true;
        open.pending.syn = true;
        open.snd.nxt = open.snd.iss + 1;
        open.snd.cursor = open.snd.nxt;
        open.defer = defer::retransmissions(setup.options.defer_accept, config.rto_initial, config.rto_max);
        open
    }

    /// An open connection in SYN-RECEIVED, from the peer's SYN and our own.
    fn negotiate(
        now: Instant,
        setup: &Setup,
        recv_limit: usize,
        syn: &Segment,
        rtt: Rtt,
        config: &TcpConfig,
    ) -> Self {
        let offered = &syn.header.options;
        //= https://www.rfc-editor.org/rfc/rfc7323#section-2.2
        //# both sides MUST send Window Scale options in their <SYN> segments to enable window scaling in either direction (7323:2.2-3).
        let scaling = offered.window_scale.filter(|_| config.window_scaling);
        //= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
        //# MUST set Rcv.Wind.Shift to R; otherwise, it MUST set both Snd.Wind.Shift and Rcv.Wind.Shift to zero (7323:2.3-4).
        let own_scale = scaling.map_or(WindowScale::default(), |_| own_scale(recv_limit, setup, config));
        let stamped = offered.timestamps.filter(|_| config.timestamps);
        //= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
        //# The TCP SHOULD remember this state by setting a flag, referred to as Snd.TS.OK, to one (7323:3.2-8).
        let timestamps = stamped.map(|(tsval, _)| Timestamps::new(now, setup.timestamp_offset, tsval));

        let mut snd = Sender::new(now, setup.iss);
        snd.flight = Flight::new(setup.iss + 1, config.sack_ranges);
        //= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
        //# Upon receiving a <SYN> segment with a Window Scale option containing shift.cnt = S, a TCP MUST set Snd.Wind.Shift to S (7323:2.3-3).
        snd.scale = WindowScale::from_wire(scaling.unwrap_or(0));
        snd.mss = u32::from(send_mss(setup, offered.mss, timestamps.is_some(), config));
        snd.mss_most = snd.mss;
        snd.validation = Validation::new(config, config.initial_window);
        let irs = SeqNum(syn.header.seq);
        //= https://www.rfc-editor.org/rfc/rfc7323#section-2.2
        //# The window field in a segment where the SYN bit is set (i.e., a <SYN> or <SYN,ACK>) MUST NOT be scaled (7323:2.2-6).
        snd.set_window(irs, setup.iss, u32::from(syn.header.window));

        let congestion = controller(setup.options.congestion, snd.mss, config.initial_window, config);
        let mut rcv = Receiver::new(irs, recv_limit, own_scale);
        rcv.offers = config.offered_window;
        rcv.size = RightSize::new(snd.mss, recv_limit);
        //= https://www.rfc-editor.org/rfc/rfc2018#section-4
        //# If the data receiver has received a SACK-Permitted option on the SYN for this connection, the data receiver MAY elect to generate SACK options (2018:4-1).
        //= https://www.rfc-editor.org/rfc/rfc2018#section-4
        //# If the data receiver has not received a SACK-Permitted option for a given connection, it MUST NOT send SACK options on that connection (2018:4-3).
        if offered.sack_permitted && config.sack {
            rcv.sack = Some(Sack::new(timestamps.is_some()));
            snd.selective = true;
        }
        let parts = Parts {
            rtt,
            timestamps,
            congestion,
            ecn: Ecn::default(),
            scaled: scaling.is_some(),
            quick_acks: if setup.options.quick_ack { config.quick_acks } else { 0 },
            ack_any_second: config.ack_any_second,
            delayed_ack: config.delayed_ack,
            clock_granularity: config.clock_granularity,
            tail_probes: config.tail_loss_probe,
        };
        Self::new(now, State::SynReceived, snd, rcv, parts)
    }

    /// Whether the ACK of our SYN is not enough yet (TCP_DEFER_ACCEPT): `bytes` of text and FIN came with it.
    pub(super) fn defers(&self, bytes: u32) -> bool {
        bytes == 0 && self.snd.retries < u32::from(self.defer)
    }

    /// Our SYN is acknowledged: the handshake is over.
    pub(super) fn establish(&mut self, now: Instant, common: &mut Common, config: &TcpConfig) {
        self.enter(now, State::Established);
        self.snd.una = self.snd.iss + 1;
        self.snd.cursor = self.snd.nxt;
        self.snd.retries = 0;
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
        //# if the SYN or SYN/ACK is lost, the initial window used by a sender after a correctly transmitted SYN MUST be one segment consisting of at most SMSS bytes (5681:3.1-7).
        if self.syn_lost {
            self.congestion = controller(common.setup.options.congestion, self.snd.mss, 1, config);
            self.snd.validation = Validation::new(config, 1);
        }
        self.rtt.handshake_done(self.syn_lost);
        common.established = true;
        common.stats.established(now);
    }
}

impl Context<'_> {
    /// Counts a window scale that cannot be. A line in the log for each would be for anybody to fill.
    pub(super) fn note_scale(&mut self, syn: &Segment) {
        let cut = syn.header.options.window_scale.is_some_and(WindowScale::is_cut);
        //= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
        //# If a Window Scale option is received with a shift.cnt value larger than 14, the TCP SHOULD log the error (7323:2.3-8).
        self.counters.tcp_scales_cut += u64::from(cut);
    }
}

impl Connection {
    /// Largest segment that both sides' SYNs allow, options and data, bytes; `None` before the peer's has come.
    #[must_use]
    pub fn agreed_mss(&self) -> Option<u32> {
        let Phase::Open(open) = &self.phase else { return None };
        let stamps = if open.timestamps.is_some() { timestamps::OPTION_LEN } else { 0 };
        Some(open.snd.mss_most + u32::from(stamps))
    }
}

/// Effective send MSS: what the peer takes and our side carries, less the options that every segment has.
///
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1
//# Eff.snd.MSS = min(SendMSS+20, MMS_S) - TCPhdrsize - IPoptionsize
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1
//# MUST be the smaller (MUST-16) of the send MSS (that reflects the available reassembly buffer size at the remote host, the EMTU_R [19]) and the largest transmission size permitted by the IP layer (EMTU_S [19])
fn send_mss(setup: &Setup, offered: Option<u16>, stamped: bool, config: &TcpConfig) -> u16 {
    let default = if setup.remote.is_ipv4() { MSS_DEFAULT.0 } else { MSS_DEFAULT.1 };
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1
    //# TCP implementations MUST assume a default send MSS of 536 (576 - 40) for IPv4 or 1220 (1280 - 60) for IPv6 (MUST-15)
    let mss = offered.unwrap_or(default).max(MSS_MIN).min(announced_mss(setup, config));
    //= https://www.rfc-editor.org/rfc/rfc6691#section-2
    //# The sender MUST make its data shorter by the options that it sends (6691:2-3).
    mss - if stamped { timestamps::OPTION_LEN } else { 0 }
}

impl Connection {
    /// The SYN/ACK to a SYN that nothing is kept of but what `setup` put into its numbers (RFC 4987 section 3.6).
    #[must_use]
    pub fn answer_unkept(
        now: Instant,
        setup: Setup,
        recv_limit: usize,
        syn: &Segment,
        config: &TcpConfig,
    ) -> Outgoing {
        let open = Open::passive(now, &setup, recv_limit, syn, config);
        let connection = Self::born(now, setup, recv_limit, Phase::Open(Box::new(open)), config);
        let Phase::Open(open) = &connection.phase else { return bare(SeqNum(0), None, Flags::RST) };
        let mut answer = bare(open.snd.iss, Some(open.rcv.nxt), Flags::SYN.with(open.ecn.granting()));
        answer.window = unscaled(recv_limit);
        answer.options = syn_options(now, &connection.common, Some(open), config);
        answer
    }

    /// A passive open of which nothing was kept: in SYN-RECEIVED, `syn` as the ACK that has come tells it, its SYN/ACK long sent.
    #[must_use]
    pub fn recall(
        now: Instant,
        setup: Setup,
        recv_limit: usize,
        syn: &Segment,
        cx: &mut Context<'_>,
    ) -> Self {
        let mut open = Open::passive(now, &setup, recv_limit, syn, cx.config);
        open.pending.syn = false;
        open.syns_sent = 1;
        open.defer = 0;
        cx.counters.tcp_passive_opens += 1;
        Self::born(now, setup, recv_limit, Phase::Open(Box::new(open)), cx.config)
    }

    /// Whether a segment ends the handshake of this connection in SYN-RECEIVED.
    #[must_use]
    pub fn completed_by(&self, segment: &Segment) -> bool {
        let Phase::Open(open) = &self.phase else { return false };
        let flags = segment.header.flags;
        let bytes = segment.payload.len() as u32 + u32::from(flags.has(Flags::FIN));
        let acks = flags.has(Flags::ACK) && !flags.has(Flags::RST);
        let right = SeqNum(segment.header.ack) == open.snd.iss + 1 && open.syns_sent > 0;
        open.state() == State::SynReceived && acks && right && !open.defers(bytes)
    }

    /// SYN-SENT (RFC 9293 3.10.7.3). Returns the open connection, if it is one now, and what of the segment is left to process.
    pub(super) fn in_syn_sent(
        &mut self,
        now: Instant,
        segment: Segment,
        buffers: &mut Buffers,
        cx: &mut Context<'_>,
    ) {
        let Phase::Opening(opening) = &mut self.phase else { return };
        let arrival = Arrival::new(segment.clone());
        let sent = opening.sent > 0;
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.3
        //# If SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset (unless the RST bit is set, if so drop the segment and return) (SM-3)
        let acked = arrival.ack.map(|ack| sent && ack == opening.iss + 1);
        if acked == Some(false) {
            self.common.dropped(now, Drop::TcpAckUnsent, cx);
            self.common.reply = arrival.ack.filter(|_| !arrival.rst()).map(|ack| arrival.reply(ack));
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.3
        //# If the ACK was acceptable, then signal to the user "error: connection reset", drop the segment, enter CLOSED state, delete TCB, and return. Otherwise (no ACK), drop the segment and return (SM-4).
        if arrival.rst() {
            //= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
            //# In the SYN-SENT state (a RST received in response to an initial SYN), the RST is acceptable if the ACK field acknowledges the SYN (5961:3.2-7).
            if acked == Some(true) {
                cx.counters.tcp_attempt_fails += 1;
                self.end(EndReason::Reset { seq: arrival.seq.0, errno: Errno::ECONNREFUSED });
            } else {
                //= https://www.rfc-editor.org/rfc/rfc5961#section-3.2
                //# In all other cases the receiver MUST silently discard the segment (5961:3.2-8).
                self.common.dropped(now, Drop::TcpRst, cx);
            }
            return;
        }
        if !arrival.syn() || (arrival.fin() && cx.config.drop_syn_fin) {
            self.common.dropped(now, Drop::TcpFlags, cx);
            return;
        }
        cx.note_scale(&segment);
        let rtt = std::mem::replace(&mut opening.rtt, Rtt::new(cx.config));
        let (syns, sent_at) = (opening.sent, opening.sent_at);
        let (setup, limit) = (&self.common.setup, self.common.recv_limit);
        let mut open = Open::negotiate(now, setup, limit, &segment, rtt, cx.config);
        open.ecn = Ecn::asked(syns, segment.header.flags, cx.config);
        open.syn_lost = syns > 1;
        open.snd.nxt = open.snd.iss + 1;
        open.snd.cursor = open.snd.nxt;
        if acked.is_none() {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.5
            //# A TCP implementation MUST support simultaneous open attempts (MUST-10)
            // Simultaneous open: the SYN is sent again, with the ACK of the peer's.
            open.pending.syn = true;
            open.syns_sent = syns;
            open.snd.stalled_since = Some(sent_at);
            if cx.config.keep_syn_data {
                let arrived = segment.payload.len().min(open.rcv.window() as usize);
                let text = segment.payload.slice(..arrived);
                open.rcv.assembler.insert(0, text, cx.config.reassembly_segments);
            }
            self.phase = Phase::Open(Box::new(open));
            return;
        }
        if syns == 1 {
            open.rtt.sample(now, now.since(sent_at));
        }
        open.snd.set_window(arrival.seq, open.snd.nxt, arrival.window_bytes(open.snd.scale));
        open.establish(now, &mut self.common, cx.config);
        // Who has set TCP_DEFER_ACCEPT will write at once: the data takes the ACK along.
        let later = !self.common.setup.options.defer_accept.is_zero();
        if later {
            open.acks.owe_later();
            open.timers.set(Timer::DelayedAck, now + cx.config.delayed_ack);
        } else {
            open.acks.owe_now(Cause::Handshake);
        }
        self.phase = Phase::Open(Box::new(open));
        self.after_syn(now, arrival, buffers, cx);
    }
}
