//! The figures of a connection by the names that scripts have for them.

use usertcp_core::tcp::TcpInfo;

/// One lookup from a list of names.
macro_rules! figures {
    ($info:ident, $name:ident: $($field:ident)*) => {
        match $name {
            $(concat!("tcpi_", stringify!($field)) => Some(i128::from($info.$field)),)*
            _ => None,
        }
    };
}

/// The figure called `name`; none if there is no such figure.
pub(super) fn figure(info: &TcpInfo, name: &str) -> Option<i128> {
    figures!(info, name:
        state ca_state retransmits probes backoff options snd_wscale rcv_wscale delivery_rate_app_limited
        rto ato snd_mss rcv_mss unacked sacked lost retrans fackets
        last_data_sent last_ack_sent last_data_recv last_ack_recv
        pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering
        rcv_rtt rcv_space total_retrans pacing_rate max_pacing_rate bytes_acked bytes_received
        segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out
        delivery_rate busy_time rwnd_limited sndbuf_limited delivered delivered_ce
        bytes_sent bytes_retrans dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash
        total_rto total_rto_recoveries total_rto_time)
}
