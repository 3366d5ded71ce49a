//! The figures of a connection in the layout of Linux's `struct tcp_info`, for getsockopt of TCP_INFO.

use crate::tcp::TcpInfo;

/// The bytes of `struct tcp_info` as of Linux 6.18. Whoever has room for less takes the beginning, as with Linux.
pub fn bytes(info: &TcpInfo) -> Vec<u8> {
    let mut out = Vec::with_capacity(LENGTH);
    let flags = info.delivery_rate_app_limited & 1;
    out.extend([
        info.state,
        info.ca_state,
        info.retransmits,
        info.probes,
        info.backoff,
        info.options,
        info.snd_wscale & 15 | info.rcv_wscale << 4,
        flags,
    ]);
    let mut words = |some: &[u32]| some.iter().for_each(|word| out.extend(word.to_ne_bytes()));
    words(&[info.rto, info.ato, info.snd_mss, info.rcv_mss]);
    words(&[info.unacked, info.sacked, info.lost, info.retrans, info.fackets]);
    words(&[info.last_data_sent, info.last_ack_sent, info.last_data_recv, info.last_ack_recv]);
    words(&[info.pmtu, info.rcv_ssthresh, info.rtt, info.rttvar]);
    words(&[info.snd_ssthresh, info.snd_cwnd, info.advmss, info.reordering]);
    words(&[info.rcv_rtt, info.rcv_space, info.total_retrans]);
    for long in [info.pacing_rate, info.max_pacing_rate, info.bytes_acked, info.bytes_received] {
        out.extend(long.to_ne_bytes());
    }
    let mut words = |some: &[u32]| some.iter().for_each(|word| out.extend(word.to_ne_bytes()));
    words(&[info.segs_out, info.segs_in, info.notsent_bytes, info.min_rtt]);
    words(&[info.data_segs_in, info.data_segs_out]);
    for long in [info.delivery_rate, info.busy_time, info.rwnd_limited, info.sndbuf_limited] {
        out.extend(long.to_ne_bytes());
    }
    let mut words = |some: &[u32]| some.iter().for_each(|word| out.extend(word.to_ne_bytes()));
    words(&[info.delivered, info.delivered_ce]);
    for long in [info.bytes_sent, info.bytes_retrans] {
        out.extend(long.to_ne_bytes());
    }
    let mut words = |some: &[u32]| some.iter().for_each(|word| out.extend(word.to_ne_bytes()));
    words(&[info.dsack_dups, info.reord_seen, info.rcv_ooopack, info.snd_wnd, info.rcv_wnd, info.rehash]);
    out.extend(info.total_rto.to_ne_bytes());
    out.extend(info.total_rto_recoveries.to_ne_bytes());
    let mut words = |some: &[u32]| some.iter().for_each(|word| out.extend(word.to_ne_bytes()));
    words(&[info.total_rto_time, info.received_ce]);
    words(&[info.delivered_e1_bytes, info.delivered_e0_bytes, info.delivered_ce_bytes]);
    words(&[info.received_e1_bytes, info.received_e0_bytes, info.received_ce_bytes]);
    out.extend(info.accecn_fail_mode.to_ne_bytes());
    out.extend(info.accecn_opt_seen.to_ne_bytes());
    debug_assert_eq!(out.len(), LENGTH);
    out
}

const LENGTH: usize = 280;
