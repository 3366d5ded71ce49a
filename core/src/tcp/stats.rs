//! Figures of a connection, for `tcp_info`.

use super::account::{Rate, Time, Timeouts};
use super::connection::{Connection, Open, Phase};
use super::output::segments;
use super::recovery::Repair;
use super::segment::merged;
use super::timestamps::OPTION_LEN;
use super::{Buffers, Outgoing, Segment, TcpInfo};
use crate::pack::packed;
use crate::time::{Duration, Instant};
use crate::wire::Codepoint;

/// What is counted over the life of a connection.
#[derive(Debug)]
pub(super) struct Stats {
    /// The MSS announced, before any options.
    pub(super) announced: u16,
    pub(super) retransmits: u32,
    pub(super) bytes_acked: u64,
    pub(super) bytes_received: u64,
    bytes_sent: u64,
    bytes_retrans: u64,
    pub(super) dsack_dups: u32,
    segs_out: u32,
    segs_in: u32,
    data_segs_in: u32,
    data_segs_out: u32,
    last_data_sent: Instant,
    last_data_received: Instant,
    last_ack_received: Instant,
    /// Segments that came before their turn.
    pub(super) out_of_order: u32,
    /// Segments acknowledged, the SYN included.
    pub(super) delivered: u32,
    /// Of these, by ACKs that told of a mark.
    pub(super) delivered_ce: u32,
    received_ce: u32,
    pub(super) time: Time,
    pub(super) rate: Rate,
    pub(super) timeouts: Timeouts,
}

/// Bits of `tcpi_options` in Linux.
const TCPI_OPT_TIMESTAMPS: u8 = 1;
const TCPI_OPT_SACK: u8 = 2;
const TCPI_OPT_WSCALE: u8 = 4;
const TCPI_OPT_ECN: u8 = 8;
const TCPI_OPT_ECN_SEEN: u8 = 16;

/// States of `tcpi_ca_state` in Linux.
const TCP_CA_OPEN: u8 = 0;
const TCP_CA_DISORDER: u8 = 1;
const TCP_CA_CWR: u8 = 2;
const TCP_CA_RECOVERY: u8 = 3;
const TCP_CA_LOSS: u8 = 4;

impl Stats {
    pub(super) fn new(now: Instant, announced: u16) -> Self {
        Self {
            announced,
            retransmits: 0,
            bytes_acked: 0,
            bytes_received: 0,
            bytes_sent: 0,
            bytes_retrans: 0,
            dsack_dups: 0,
            segs_out: 0,
            segs_in: 0,
            data_segs_in: 0,
            data_segs_out: 0,
            last_data_sent: now,
            last_data_received: now,
            last_ack_received: now,
            out_of_order: 0,
            delivered: 0,
            delivered_ce: 0,
            received_ce: 0,
            time: Time::new(now),
            rate: Rate::default(),
            timeouts: Timeouts::default(),
        }
    }

    /// The handshake is over: ages count from here.
    pub(super) fn established(&mut self, now: Instant) {
        self.timeouts.over(now);
        self.delivered = self.delivered.wrapping_add(1);
        self.last_data_sent = now;
        self.last_data_received = now;
        self.last_ack_received = now;
    }

    /// A segment came, whatever becomes of it.
    pub(super) fn received(&mut self, now: Instant, segment: &Segment) {
        let bytes = segment.payload.len() as u32;
        let count = merged(segment);
        self.segs_in = self.segs_in.wrapping_add(count);
        self.last_ack_received = now;
        if segment.ecn == Codepoint::Ce {
            self.received_ce = self.received_ce.wrapping_add(count);
        }
        if bytes > 0 {
            self.data_segs_in = self.data_segs_in.wrapping_add(count);
            self.last_data_received = now;
        }
    }

    /// A segment goes.
    pub(super) fn sent(&mut self, now: Instant, outgoing: &Outgoing) {
        let bytes: usize = outgoing.payload.iter().map(bytes::Bytes::len).sum();
        let count = segments(outgoing);
        self.segs_out = self.segs_out.wrapping_add(count);
        if bytes > 0 {
            self.bytes_sent += bytes as u64;
            self.data_segs_out = self.data_segs_out.wrapping_add(count);
            self.last_data_sent = now;
        }
    }

    /// `bytes` of payload went again.
    pub(super) const fn sent_again(&mut self, segments: u32, bytes: u32) {
        self.retransmits = self.retransmits.wrapping_add(segments);
        self.bytes_retrans += bytes as u64;
    }

    /// The peer has received `bytes` twice, in segments of `mss`.
    pub(super) const fn duplicated(&mut self, bytes: u32, mss: u32) {
        self.dsack_dups = self.dsack_dups.saturating_add(bytes.div_ceil(mss));
    }
}

/// Fills the structure.
pub(super) fn info(connection: &Connection, now: Instant, buffers: &Buffers) -> TcpInfo {
    let stats = &connection.common.stats;
    let age = |at: Instant| u32::try_from(now.since(at).as_millis()).unwrap_or(u32::MAX);
    let mut info = TcpInfo {
        state: connection.state() as u8,
        last_data_sent: age(stats.last_data_sent),
        last_data_recv: age(stats.last_data_received),
        last_ack_recv: age(stats.last_ack_received),
        advmss: u32::from(stats.announced),
        total_retrans: stats.retransmits,
        bytes_acked: stats.bytes_acked,
        bytes_received: stats.bytes_received,
        bytes_sent: stats.bytes_sent,
        bytes_retrans: stats.bytes_retrans,
        dsack_dups: stats.dsack_dups,
        segs_out: stats.segs_out,
        segs_in: stats.segs_in,
        data_segs_in: stats.data_segs_in,
        data_segs_out: stats.data_segs_out,
        rcv_ooopack: stats.out_of_order,
        delivered: stats.delivered,
        delivered_ce: stats.delivered_ce,
        received_ce: stats.received_ce,
        ..TcpInfo::unconnected()
    };
    let [busy, window, buffer] = stats.time.totals(now).map(|time| time.as_micros() as u64);
    (info.busy_time, info.rwnd_limited, info.sndbuf_limited) = (busy, window, buffer);
    let (rate, limited) = stats.rate.value();
    (info.delivery_rate, info.delivery_rate_app_limited) = (rate, u8::from(limited));
    (info.total_rto, info.total_rto_recoveries, info.total_rto_time) = stats.timeouts.totals(now);
    match &connection.phase {
        Phase::Opening(opening) => {
            info.rto = micros(opening.rtt.rto(false));
            info.backoff = clip(opening.rtt.backoff());
            info.retransmits = clip(opening.sent.saturating_sub(1));
        }
        Phase::Open(open) => fill(&mut info, open, buffers),
        Phase::Closed(closed) => keep(&mut info, &closed.last),
    }
    info
}

impl Connection {
    /// Bytes that came before their turn, and what it takes to know what is in flight: of single octets that is far more than the octets.
    #[must_use]
    pub fn waiting(&self) -> usize {
        match &self.phase {
            Phase::Open(open) => open.rcv.assembler.bytes() + open.snd.flight.size(),
            Phase::Opening(_) | Phase::Closed(_) => 0,
        }
    }

    /// The least round trip of late, as what was sent has told.
    #[must_use]
    pub fn least_trip(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Open(open) => open.rtt.least(),
            Phase::Opening(_) | Phase::Closed(_) => None,
        }
    }

    /// The congestion window, bytes, and whether it is in slow start.
    #[must_use]
    pub fn flight_allowed(&self) -> (usize, bool) {
        let Phase::Open(open) = &self.phase else { return (0, false) };
        let window = open.congestion.window();
        (window as usize, window < open.congestion.threshold())
    }
}

fn fill(info: &mut TcpInfo, open: &Open, buffers: &Buffers) {
    let (snd, rcv) = (&open.snd, &open.rcv);
    let mss = snd.mss.max(1);
    let flight = &snd.flight;
    let sacked = if snd.selective { flight.held() } else { open.recovery.heard };
    info.ca_state = match open.recovery.repair {
        Repair::Fast => TCP_CA_RECOVERY,
        Repair::Timeout => TCP_CA_LOSS,
        Repair::None if open.ecn.leading().is_some() => TCP_CA_CWR,
        Repair::None if open.recovery.duplicates > 0 || sacked > 0 => TCP_CA_DISORDER,
        Repair::None => TCP_CA_OPEN,
    };
    info.retransmits = clip(snd.retries);
    info.probes = clip(snd.probes_unanswered.max(open.keep_probes));
    info.backoff = clip(open.rtt.backoff().max(snd.probes));
    let scaling = if open.scaled { TCPI_OPT_WSCALE } else { 0 };
    let selective = if rcv.sack.is_some() { TCPI_OPT_SACK } else { 0 };
    let (ecn, seen) = open.ecn.state();
    let marked = if ecn { TCPI_OPT_ECN } else { 0 } | if seen { TCPI_OPT_ECN_SEEN } else { 0 };
    info.options = marked | scaling | selective | open.timestamps.as_ref().map_or(0, |_| TCPI_OPT_TIMESTAMPS);
    info.snd_wscale = snd.scale.shift();
    info.rcv_wscale = rcv.scale.shift();
    info.rto = micros(open.rto());
    info.ato = micros(open.delayed_ack);
    info.snd_mss = mss;
    info.rcv_mss = rcv.mss;
    info.unacked = snd.outstanding().div_ceil(mss);
    info.sacked = sacked.div_ceil(mss);
    info.retrans = flight.again().div_ceil(mss);
    info.lost = flight.lost().div_ceil(mss);
    info.rcv_ssthresh = u32::try_from(buffers.recv_limit).unwrap_or(u32::MAX);
    info.rtt = open.rtt.smoothed().map_or(0, micros);
    info.rttvar = micros(open.rtt.variation());
    info.min_rtt = open.rtt.least().map_or(u32::MAX, micros);
    let threshold = open.congestion.threshold();
    info.snd_ssthresh = if threshold == u32::MAX { i32::MAX as u32 } else { threshold / mss };
    info.snd_cwnd = open.congestion.window() / mss;
    info.reordering = open.rack.degree();
    info.pacing_rate = pacing_rate(open);
    info.reord_seen = open.rack.reorderings();
    info.rcv_rtt = rcv.size.trip().map_or(0, micros);
    info.rcv_space = u32::try_from(rcv.size.space()).unwrap_or(u32::MAX);
    info.notsent_bytes = snd.unsent(buffers.send.len()).saturating_sub(snd.resending());
    info.snd_wnd = snd.wnd;
    info.rcv_wnd = rcv.window();
    info.advmss = info.advmss.saturating_sub(u32::from(stamps_len(open)));
}

/// Bytes a second that Linux would pace this connection at, if it did: twice what the window sends in a round trip while it grows fast, else 1.2
/// times that (`tcp_update_pacing_rate`).
fn pacing_rate(open: &Open) -> u64 {
    let Some(trip) = open.rtt.smoothed() else { return u64::MAX };
    let mss = open.snd.mss.max(1);
    let (window, threshold) = (open.congestion.window() / mss, open.congestion.threshold() / mss);
    let percent = if window < threshold / 2 { 200 } else { 120 };
    let segments = u64::from(window.max(open.snd.outstanding().div_ceil(mss)));
    let micros = u64::from(micros(trip).max(1));
    (u64::from(mss) * percent * segments).saturating_mul(10_000) / micros
}

/// The figures that a connection had when it ended.
fn keep(info: &mut TcpInfo, last: &TcpInfo) {
    *info = TcpInfo {
        state: info.state,
        last_data_sent: info.last_data_sent,
        last_data_recv: info.last_data_recv,
        last_ack_recv: info.last_ack_recv,
        segs_out: info.segs_out,
        segs_in: info.segs_in,
        ..*last
    };
}

/// Bytes that timestamps take of each segment.
fn stamps_len(open: &Open) -> u16 {
    if open.timestamps.is_some() { OPTION_LEN } else { 0 }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

fn clip(count: u32) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

packed!(Stats {
    announced,
    retransmits,
    bytes_acked,
    bytes_received,
    bytes_sent,
    bytes_retrans,
    dsack_dups,
    segs_out,
    segs_in,
    data_segs_in,
    data_segs_out,
    last_data_sent,
    last_data_received,
    last_ack_received,
    out_of_order,
    delivered,
    delivered_ce,
    received_ce,
    time,
    rate,
    timeouts
});
