//! The settings of TCP.

use super::named::named;
use super::{Congestion, CwndValidation, OfferedWindow, OptionLayout, SlowStart};
use crate::error::{Errno, Error};
use crate::time::Duration;

/// When a listener answers SYNs with cookies (RFC 4987 section 3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SynCookies {
    /// Never: what finds the SYN queue full is dropped.
    Off,
    /// While the SYN queue is full.
    WhenFull,
    /// Always: no SYN queue is kept.
    Always,
}

/// Which connections let routers mark packets instead of dropping them (ECN, RFC 3168).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// None.
    Off,
    /// Those whose peer agrees: it is asked for, and granted.
    On,
    /// Those whose peer asks for it.
    Passive,
}

/// How the MTU of a path is found out where no router tells (RFC 4821).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MtuProbing {
    /// Not at all.
    Off,
    /// Once segments vanish: they get smaller, and probes find out what passes.
    BlackHole,
    /// From the start: a path is taken to carry `path_mtu_base`, and probes find out what more.
    Always,
}

named! {
    Ecn { Off: "off", On: "on", Passive: "passive" }
    MtuProbing { Off: "off", BlackHole: "black_hole", Always: "always" }
    SynCookies { Off: "off", WhenFull: "when_full", Always: "always" }
}

/// TCP settings.
#[derive(Clone, Debug)]
pub struct TcpConfig {
    /// Retransmission timeout before the first measurement. Default 1 s (RFC 6298 2.1).
    pub rto_initial: Duration,
    /// Least retransmission timeout. Default 200 ms, as in Linux (RFC 6298 2.4 says 1 s).
    pub rto_min: Duration,
    /// The least RTO while several segments are in flight on a path of short round trips: 200 of them, but no less than this. Default 50 ms: above
    /// the 40 ms for which Linux and this stack delay an ACK, and what a busy host's scheduler takes; 200 ms allow for the slowest that RFC 9293 knows.
    /// As large as `rto_min`, it changes nothing.
    pub rto_min_short: Duration,
    /// The step of the clock that `now` is read from; times that lie closer are not told apart (RFC 8985 section 6). Default 1 us.
    pub clock_granularity: Duration,
    /// For how long a round trip counts as the least of its path, so that a path that becomes longer is known as such (RFC 8985 6.2 step 1). Default
    /// 5 min, as `tcp_min_rtt_wlen` of Linux.
    pub min_rtt_window: Duration,
    /// Tail loss probes (RFC 8985 section 7), where SACK is negotiated. Default true.
    pub tail_loss_probe: bool,
    /// Finding out whether a retransmission timeout was spurious (F-RTO, RFC 5682). Default true.
    pub frto: bool,
    /// Largest retransmission timeout. Default 120 s (RFC 6298 2.5: at least 60 s).
    pub rto_max: Duration,
    /// Added to every retransmission timeout but that of the first SYN. Default 0; 200 ms is net.inet.tcp.rexmit_slop of FreeBSD.
    pub rto_slop: Duration,
    /// Retransmissions of a SYN after which it carries no option but MSS, for paths that drop what they do not know. Default none.
    pub syn_plain_after: Option<u8>,
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.2
    //# A TCP endpoint SHOULD implement ECN as described in RFC 3168 (SHLD-8).
    /// Which connections use ECN (RFC 3168). Default those whose peer asks for it, as tcp_ecn of Linux (2).
    pub ecn: Ecn,
    /// Retransmissions of a SYN that still ask for ECN, for paths that drop SYNs which do. Default 0, as in Linux; net.inet.tcp.ecn.maxretries of FreeBSD
    /// is 1 (RFC 3168 6.1.1.1).
    pub ecn_retries: u8,
    /// Retransmissions of a SYN before connect fails with ETIMEDOUT. Default 7: 247 s in all (RFC 9293 MUST-23: at least 3 minutes; Linux has 6).
    pub syn_retries: u8,
    /// Retransmissions of a SYN/ACK before the half-open connection is dropped. Default 5, as in Linux.
    pub syn_ack_retries: u8,
    /// Retransmissions of a segment after which the log tells of a delivery problem, R1 of RFC 9293 3.8.3. Default 3 (SHLD-10), as tcp_retries1 of Linux.
    pub advice_retries: u8,
    /// How the MTU of a path is found out where no router tells (RFC 4821). Default once segments vanish; tcp_mtu_probing of Linux is off, so that
    /// a connection over a path that swallows full segments and says nothing stalls until it fails.
    pub mtu_probing: MtuProbing,
    /// Timeouts in a row, of a segment larger than `path_mtu_base` and without a word from the network, after which the path is taken to swallow
    /// such segments. Default 3 (RFC 4821 7.7: R1 of RFC 1122).
    pub mtu_timeouts: u8,
    /// Retransmissions of data, and unanswered probes of a window that is shut, before the connection fails with ETIMEDOUT, R2 of RFC 9293 3.8.3;
    /// where the program has set `user_timeout`, that decides instead. Default 15.
    pub data_retries: u8,
    /// Retransmissions of data of a connection that the program has closed. Default 8, as in Linux; they decide whatever `user_timeout` says, where Linux
    /// lets a longer one keep the data.
    pub orphan_retries: u8,
    /// Most connections that the program has closed and the peer has not; closing one more resets it. Default 16384, as tcp_max_orphans of Linux
    /// with 4 GiB of memory.
    pub orphans_max: usize,
    /// Maximum segment lifetime; TIME-WAIT lasts twice as long. Default 30 s, so 60 s as in Linux.
    pub msl: Duration,
    /// Time that a closed connection waits in FIN-WAIT-2 for the peer's FIN. Default 60 s, as in Linux.
    pub fin_wait_2: Duration,
    /// Longest delay of an acknowledgement. Default 40 ms (RFC 9293 3.8.6.3: below 500 ms).
    pub delayed_ack: Duration,
    /// Segments acknowledged at once at the start of a connection, before delaying begins. Default 16, as in Linux.
    pub quick_acks: u8,
    /// Every second segment is acknowledged at once, of whatever size; false: of full ones only, as RFC 9293 3.8.6.3 asks. Default false.
    pub ack_any_second: bool,
    /// Longest time that TCP_CORK and MSG_MORE hold back less than a segment. Default 200 ms, as in Linux.
    pub cork: Duration,
    /// Initial congestion window in segments. Default 10 (RFC 6928).
    pub initial_window: u32,
    /// Most segments by which one ACK widens the congestion window in slow start. RFC 3465 says 2, for ACKs of two segments;
    /// the ACK of a super-frame stands for those of all its segments. Default 45: 64 KiB.
    pub slow_start_step: u32,
    /// A connection that has sent nothing for a retransmission timeout begins again with the initial window (RFC 5681 4.1). Default true, as
    /// tcp_slow_start_after_idle of Linux.
    pub slow_start_after_idle: bool,
    /// What decides whether a congestion window that is not used is believed. Default what was used of it, as in Linux: RFC 7661 is experimental, and its
    /// bursts after a pause are not paced here.
    pub cwnd_validation: CwndValidation,
    /// The non-validated period of RFC 7661: a window that is not used is halved after each. Default 5 min, the most (RFC 7661 section 5).
    pub cwnd_preserved: Duration,
    /// Congestion controller of a new socket. TCP_CONGESTION. Default CUBIC, as in Linux.
    pub congestion: Congestion,
    /// How the first slow start ends without a loss, whichever the controller. Default HyStart++ (RFC 9406).
    pub slow_start: SlowStart,
    /// C of CUBIC in thousandths, at least 1. Default 400 (RFC 9438 section 5).
    pub cubic_scale: u16,
    /// beta_cubic in thousandths, 1 to 999: what a loss leaves of the window. Default 700 (RFC 9438 4.6).
    pub cubic_beta: u16,
    /// A loss below where the last one was makes room for others (RFC 9438 4.7). Default true.
    pub cubic_fast_convergence: bool,
    /// MIN_RTT_DIVISOR of HyStart and HyStart++: a round trip longer by one part in so many tells of a queue, at least 1. Default 8 (RFC 9406 4.3).
    pub hystart_divisor: u8,
    /// MIN_RTT_THRESH: but by no less than this. Default 4 ms (RFC 9406 4.3).
    pub hystart_rise_min: Duration,
    /// MAX_RTT_THRESH: and by no more. Default 16 ms (RFC 9406 4.3).
    pub hystart_rise_max: Duration,
    /// N_RTT_SAMPLE: measurements of a round before it tells anything, at least 1. Default 8 (RFC 9406 4.3).
    pub hystart_samples: u8,
    /// CSS_GROWTH_DIVISOR of HyStart++, at least 1. Default 4 (RFC 9406 4.3).
    pub hystart_css_divisor: u8,
    /// CSS_ROUNDS of HyStart++, at least 1. Default 5 (RFC 9406 4.3).
    pub hystart_css_rounds: u8,
    /// Least window in segments at which classic HyStart leaves slow start. Default 16, as in Linux.
    pub hystart_window: u32,
    /// Longest gap between two ACKs of a train of classic HyStart. Default 2 ms, as in Linux.
    pub hystart_ack_gap: Duration,
    /// Challenge ACKs of a connection in each `challenge_interval` (RFC 5961 section 7). Default 10.
    pub challenge_acks: u32,
    /// Challenge ACKs of all connections together in each `challenge_interval`, on average: the number is drawn anew each time, from a half to one
    /// and a half of this (CVE-2016-5696). Default 1000, as in Linux before it did away with the limit.
    pub challenge_acks_stack: u32,
    /// Time that the numbers of challenge ACKs are for. Default 1 s, as in Linux (RFC 5961 section 7).
    pub challenge_interval: Duration,
    /// A RST does not end TIME-WAIT (RFC 1337 section 3, fix F1). Default true; tcp_rfc1337 of Linux is off.
    pub time_wait_ignores_reset: bool,
    /// A soft error of the network ends a connection that is being opened (RFC 5461 section 4). Default true, as in Linux, so that `connect` to where
    /// no way leads fails at once; false is what RFC 9293 MUST-56 asks: it is told if the attempt times out.
    pub soft_errors_end_opening: bool,
    /// A hard error of the network ends a connection that is being opened (RFC 1122 4.2.3.9); false: it is told if the attempt times out. Default true.
    pub hard_errors_end_opening: bool,
    /// What a hard error says there is ECONNREFUSED, whichever it was. Default false: each has its own number.
    pub hard_errors_refuse: bool,
    /// A RST behind the peer's FIN is told as EPIPE; false: as ECONNRESET (RFC 9293 3.10.7.4). Default true, as in Linux.
    pub reset_in_close_wait_is_epipe: bool,
    /// For how long after a gap in what arrives was filled no ACK is delayed, and what arrives at once is acknowledged twice: a path that loses data
    /// loses ACKs, and a sender that hears nothing waits for a timer. Default 1 s; 0: never.
    pub wary_acks: Duration,
    /// An ACK sent while our FIN is the only thing in flight carries it once more. Default false.
    pub fin_with_acks: bool,
    /// The acknowledgement in a segment that lies wholly before the window counts, though the segment is answered and dropped. Default false, as RFC
    /// 9293 3.10.7.4 asks.
    pub old_segments_acknowledge: bool,
    /// A segment that opens a connection is dropped if it has FIN as well as SYN. Default false: the FIN counts, or comes again.
    pub drop_syn_fin: bool,
    /// Super-frames carry PSH, so that a receiver that merges segments passes them on at once, and so does what ends one that was gathered while
    /// it could not be sent, half of the largest window behind the last. Default true, as in Linux.
    pub push_super_frames: bool,
    /// The urgent pointer of a peer is that of the last urgent byte (RFC 1122 4.2.2.4), not of the one following it (RFC 6093 section 4,
    /// RFC 9293 MUST-62). Default false, as tcp_stdurg of Linux. What is sent follows RFC 9293 in any case.
    pub urgent_pointer_last: bool,
    /// Window scaling option offered and accepted (RFC 7323 section 2). Default true.
    pub window_scaling: bool,
    /// Window that the scale of a SYN allows for where the receive buffer is smaller, bytes: the buffer may grow up to it. Default 0: the scale is
    /// that of the buffer.
    pub window_scale_for: usize,
    /// How much of the free receive buffer a segment offers. Default in steps.
    pub offered_window: OfferedWindow,
    /// The receive buffer grows to a multiple of the segment size once the peer's SYN is there. Default false.
    pub receive_whole_segments: bool,
    /// A closed window is probed without data, by a segment in front of the window that the peer has to answer. Default false: by an octet of new data,
    /// as RFC 9293 3.8.6.1 says; Linux does it without.
    pub empty_probes: bool,
    /// In which order the options of a SYN stand. Default timestamps first.
    pub option_layout: OptionLayout,
    /// Data in a SYN that crosses ours is kept until the connection is established (RFC 9293 3.10.7.3). Default false, as in Linux: the SYN alone is
    /// acknowledged, and the peer sends its data again. Of a SYN to a listener it is left in any case.
    pub keep_syn_data: bool,
    /// Timestamps option offered and accepted (RFC 7323 section 3). Default true.
    pub timestamps: bool,
    /// Selective acknowledgement offered and accepted (RFC 2018). Default true.
    pub sack: bool,
    /// Most ranges of selectively acknowledged data that are kept of a connection; blocks beyond are ignored. Default 16384: every second segment of
    /// more than 40 MB in flight.
    pub sack_ranges: usize,
    /// Nagle's algorithm on new sockets (RFC 9293 3.7.4); TCP_NODELAY turns it off. Default true.
    pub nagle: bool,
    /// Largest segment offered to the peer, bytes; None: what the MTU allows. RFC 9293 3.7.1.
    pub mss: Option<u16>,
    /// Idle time before the first keep-alive probe of a socket with SO_KEEPALIVE. Default 2 h (RFC 9293 3.8.4).
    pub keepalive_idle: Duration,
    /// Time between keep-alive probes. Default 75 s.
    pub keepalive_interval: Duration,
    /// Unanswered keep-alive probes before the connection fails. Default 9.
    pub keepalive_probes: u8,
    /// TCP_USER_TIMEOUT of new sockets: time without progress after which a connection fails, be it longer or shorter than `data_retries` take. A
    /// handshake ends after it as well, but no later than after its retries, and a connection that the program has closed no later than after
    /// `orphan_retries`. None, the default: `data_retries` decides. RFC 5482, RFC 9293 3.8.3.
    pub user_timeout: Option<Duration>,
    /// First port of the ephemeral range. Default 32768, as in Linux (RFC 6056 recommends a wide range).
    pub port_first: u16,
    /// Last port of the ephemeral range, inclusive. Default 60999.
    pub port_last: u16,
    /// Largest backlog that listen accepts; larger ones are cut. Default 4096, as in Linux.
    pub backlog_max: u32,
    /// Half-open connections a listener keeps beyond its backlog. Default 256.
    pub syn_queue_extra: u32,
    /// When SYNs are answered with cookies (RFC 4987 section 3.6). Default while the SYN queue is full, as in Linux.
    pub syn_cookies: SynCookies,
    /// Time in which the secret of SYN cookies changes; one is good for at least that long and at most twice. Default 64 s (RFC 4987 appendix A).
    pub syn_cookie_step: Duration,
    /// A handshake that completes while the accept queue is full is reset; false: its last ACK is ignored, and may come again. Default false, as
    /// in Linux.
    pub abort_on_overflow: bool,
    /// SYNs that an interceptor keeps for its program to decide about; more are dropped. Default 1024.
    pub intercept_queue: u32,
    /// How long it keeps one. Default 127 s: a client of Linux (tcp_syn_retries 6) gives up then.
    pub intercept_timeout: Duration,
    /// Most bytes of out-of-order segments' bookkeeping: segments queued out of order per connection. Default 4096.
    pub reassembly_segments: usize,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            //= https://www.rfc-editor.org/rfc/rfc6298#section-2
            //# Until a round-trip time (RTT) measurement has been made for a segment sent between the sender and receiver, the sender SHOULD set RTO <- 1 second (6298:2-1).
            rto_initial: Duration::from_secs(1),
            //= https://www.rfc-editor.org/rfc/rfc1122#section-4.2.3.1
            //# The lower bound SHOULD be measured in fractions of a second (to accommodate high speed LANs) (1122:4.2.3.1-5)
            rto_min: Duration::from_millis(200),
            rto_min_short: Duration::from_millis(50),
            clock_granularity: Duration::from_micros(1),
            min_rtt_window: Duration::from_secs(300),
            tail_loss_probe: true,
            //= https://www.rfc-editor.org/rfc/rfc5682#section-3.1
            //# a TCP sender MAY apply the SACK-enhanced F-RTO algorithm (5682:3.1-1).
            //= https://www.rfc-editor.org/rfc/rfc5682#section-3.1
            //# If the sender applies the SACK-enhanced F-RTO algorithm, it MUST follow the steps below (5682:3.1-2).
            //= https://www.rfc-editor.org/rfc/rfc5682#section-2.1
            //# A TCP sender implementing the basic F-RTO algorithm MUST take the following steps after the retransmission timer expires (5682:2.1-1).
            frto: true,
            //= https://www.rfc-editor.org/rfc/rfc6298#section-2
            //# A maximum value MAY be placed on RTO provided it is at least 60 seconds (6298:2-8).
            rto_max: Duration::from_secs(120),
            rto_slop: Duration::ZERO,
            syn_plain_after: None,
            ecn: Ecn::Passive,
            ecn_retries: 0,
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
            //# In particular, R2 for a SYN segment MUST be set large enough to provide retransmission of the segment for at least 3 minutes (MUST-23).
            syn_retries: 7,
            syn_ack_retries: 5,
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
            //# The value of R1 SHOULD correspond to at least 3 retransmissions, at the current RTO (SHLD-10).
            advice_retries: 3,
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
            //# The value of R2 SHOULD correspond to at least 100 seconds (SHLD-11).
            data_retries: 15,
            mtu_probing: MtuProbing::BlackHole,
            mtu_timeouts: 3,
            orphan_retries: 8,
            orphans_max: 16_384,
            msl: Duration::from_secs(30),
            fin_wait_2: Duration::from_secs(60),
            delayed_ack: Duration::from_millis(40),
            quick_acks: 16,
            ack_any_second: false,
            cork: Duration::from_millis(200),
            initial_window: 10,
            slow_start_step: 45,
            slow_start_after_idle: true,
            cwnd_validation: CwndValidation::Used,
            cwnd_preserved: Duration::from_secs(300),
            congestion: Congestion::Cubic,
            slow_start: SlowStart::HyStartPlusPlus,
            cubic_scale: 400,
            //= https://www.rfc-editor.org/rfc/rfc9438#section-4.6
            //# beta_cubic SHOULD be 0.7 (9438:4.6-2).
            cubic_beta: 700,
            cubic_fast_convergence: true,
            //= https://www.rfc-editor.org/rfc/rfc9406#section-4.3
            //# The constants SHOULD be 4 ms for MIN_RTT_THRESH, 16 ms for MAX_RTT_THRESH, 8 for MIN_RTT_DIVISOR, 8 for N_RTT_SAMPLE, 4 for CSS_GROWTH_DIVISOR, 5 for CSS_ROUNDS (9406:4.3-1).
            hystart_divisor: 8,
            hystart_rise_min: Duration::from_millis(4),
            hystart_rise_max: Duration::from_millis(16),
            hystart_samples: 8,
            hystart_css_divisor: 4,
            hystart_css_rounds: 5,
            hystart_window: 16,
            hystart_ack_gap: Duration::from_millis(2),
            challenge_acks: 10,
            challenge_acks_stack: 1000,
            challenge_interval: Duration::from_secs(1),
            time_wait_ignores_reset: true,
            soft_errors_end_opening: true,
            hard_errors_end_opening: true,
            hard_errors_refuse: false,
            reset_in_close_wait_is_epipe: true,
            wary_acks: Duration::from_secs(1),
            fin_with_acks: false,
            old_segments_acknowledge: false,
            drop_syn_fin: false,
            push_super_frames: true,
            urgent_pointer_last: false,
            window_scaling: true,
            window_scale_for: 0,
            offered_window: OfferedWindow::Stepped,
            empty_probes: false,
            receive_whole_segments: false,
            option_layout: OptionLayout::TimestampsFirst,
            keep_syn_data: false,
            timestamps: true,
            sack: true,
            sack_ranges: 16_384,
            nagle: true,
            mss: None,
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4
            //# This interval MUST be configurable (MUST-27) and MUST default to no less than two hours (MUST-28).
            keepalive_idle: Duration::from_secs(7200),
            keepalive_interval: Duration::from_secs(75),
            keepalive_probes: 9,
            user_timeout: None,
            port_first: 32_768,
            port_last: 60_999,
            backlog_max: 4096,
            syn_queue_extra: 256,
            syn_cookies: SynCookies::WhenFull,
            syn_cookie_step: Duration::from_secs(64),
            abort_on_overflow: false,
            intercept_queue: 1024,
            intercept_timeout: Duration::from_secs(127),
            reassembly_segments: 4096,
        }
    }
}

impl TcpConfig {
    /// Refuses settings that no stack can work with, naming the field and its range.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let refuse = |text: &str| Err(Error::new(Errno::EINVAL, text));
        if self.mtu_timeouts == 0 {
            return refuse("mtu_timeouts must be at least 1");
        }
        super::validate_ports(self.port_first, self.port_last)?;
        if self.rto_min > self.rto_max || self.rto_min.is_zero() {
            return refuse("rto_min must be above zero and not above rto_max");
        }
        if self.rto_initial.is_zero() {
            return refuse("rto_initial must be above zero");
        }
        if self.delayed_ack >= Duration::from_millis(500) {
            return refuse("delayed_ack must be below 500 ms");
        }
        self.validate_congestion()?;
        if self.challenge_interval.is_zero() {
            return refuse("challenge_interval must be above zero");
        }
        if self.keepalive_interval.is_zero() {
            return refuse("keepalive_interval must be above zero");
        }
        if self.intercept_queue == 0 || self.intercept_timeout.is_zero() {
            return refuse("intercept_queue and intercept_timeout must be above zero");
        }
        if self.syn_cookie_step.is_zero() {
            return refuse("syn_cookie_step must be above zero");
        }
        if self.mss.is_some_and(|mss| mss < 64) {
            return refuse("mss must be at least 64");
        }
        Ok(())
    }
}
