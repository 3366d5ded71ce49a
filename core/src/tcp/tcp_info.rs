//! `TcpInfo`: what a connection tells of itself.

use super::rack::DUP_THRESH;

/// Figures of a connection under the names of Linux's `struct tcp_info`. Times are in microseconds, but for the ages `last_*`, which are in
/// milliseconds; rates are in bytes a second, and the largest number is no limit. What they mean is what they mean in Linux 6.18, but for
/// `bytes_acked`, which counts data: Linux counts the SYN of a connection that it opened and the FIN as well.
///
/// Nothing is paced here, so `pacing_rate` is what Linux computes (`tcp_update_pacing_rate`) and `max_pacing_rate` is no limit. 0, because that is what
/// happened: everything of accurate ECN, which is not spoken (what follows `received_ce`), and `rehash`, since no path is left for another by
/// changing the flow label. 0 in Linux too: `fackets`, `last_ack_sent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of <linux/tcp.h>")]
pub struct TcpInfo {
    pub state: u8,
    pub ca_state: u8,
    pub retransmits: u8,
    pub probes: u8,
    pub backoff: u8,
    pub options: u8,
    pub snd_wscale: u8,
    pub rcv_wscale: u8,
    pub delivery_rate_app_limited: u8,
    pub rto: u32,
    pub ato: u32,
    pub snd_mss: u32,
    pub rcv_mss: u32,
    pub unacked: u32,
    pub sacked: u32,
    pub lost: u32,
    pub retrans: u32,
    pub fackets: u32,
    pub last_data_sent: u32,
    pub last_ack_sent: u32,
    pub last_data_recv: u32,
    pub last_ack_recv: u32,
    pub pmtu: u32,
    pub rcv_ssthresh: u32,
    pub rtt: u32,
    pub rttvar: u32,
    pub snd_ssthresh: u32,
    pub snd_cwnd: u32,
    pub advmss: u32,
    pub reordering: u32,
    pub rcv_rtt: u32,
    pub rcv_space: u32,
    pub total_retrans: u32,
    pub pacing_rate: u64,
    pub max_pacing_rate: u64,
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub segs_out: u32,
    pub segs_in: u32,
    pub notsent_bytes: u32,
    pub min_rtt: u32,
    pub data_segs_in: u32,
    pub data_segs_out: u32,
    pub delivery_rate: u64,
    pub busy_time: u64,
    pub rwnd_limited: u64,
    pub sndbuf_limited: u64,
    pub delivered: u32,
    pub delivered_ce: u32,
    pub bytes_sent: u64,
    pub bytes_retrans: u64,
    pub dsack_dups: u32,
    pub reord_seen: u32,
    pub rcv_ooopack: u32,
    pub snd_wnd: u32,
    pub rcv_wnd: u32,
    pub rehash: u32,
    pub total_rto: u16,
    pub total_rto_recoveries: u16,
    pub total_rto_time: u32,
    pub received_ce: u32,
    pub delivered_e1_bytes: u32,
    pub delivered_e0_bytes: u32,
    pub delivered_ce_bytes: u32,
    pub received_e1_bytes: u32,
    pub received_e0_bytes: u32,
    pub received_ce_bytes: u32,
    pub accecn_fail_mode: u16,
    pub accecn_opt_seen: u16,
}

impl TcpInfo {
    /// Where nothing is known of a path.
    #[must_use]
    pub fn unconnected() -> Self {
        Self {
            snd_ssthresh: i32::MAX as u32,
            reordering: DUP_THRESH,
            min_rtt: u32::MAX,
            pacing_rate: u64::MAX,
            max_pacing_rate: u64::MAX,
            delivery_rate_app_limited: 1,
            ..Self::default()
        }
    }
}
