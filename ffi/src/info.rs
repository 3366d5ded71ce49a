//! Chapter: Figures of a connection.

use crate::args::{self, Prefixed};
use crate::socket::{find, usertcp_socket_t};
use std::ffi::c_int;
use std::mem::size_of;
use usertcp_core::api::TcpInfo;

/// A connection in figures, under the names of Linux. Begin with USERTCP_TCP_INFO_INIT. A figure that the
/// library does not have is 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct usertcp_tcp_info_t {
    /// sizeof(usertcp_tcp_info_t).
    pub size: u32,
    /// State by the numbers of <netinet/tcp.h>: TCP_ESTABLISHED is 1, TCP_LISTEN 10.
    pub tcpi_state: u8,
    /// State of loss recovery: 0 open, 1 disorder, 2 window reduced, 3 recovery, 4 loss.
    pub tcpi_ca_state: u8,
    /// Timeouts in a row without progress.
    pub tcpi_retransmits: u8,
    /// Window or keep-alive probes unanswered.
    pub tcpi_probes: u8,
    /// Times the timeout was doubled.
    pub tcpi_backoff: u8,
    /// Options negotiated: 1 timestamps, 2 selective acknowledgement, 4 window scale.
    pub tcpi_options: u8,
    /// Window scale of the peer.
    pub tcpi_snd_wscale: u8,
    /// Own window scale.
    pub tcpi_rcv_wscale: u8,
    /// Retransmission timeout, microseconds.
    pub tcpi_rto: u32,
    /// Delay of acknowledgements, microseconds.
    pub tcpi_ato: u32,
    /// Largest segment sent, bytes.
    pub tcpi_snd_mss: u32,
    /// Largest segment received, bytes.
    pub tcpi_rcv_mss: u32,
    /// Segments in flight.
    pub tcpi_unacked: u32,
    /// Segments acknowledged selectively.
    pub tcpi_sacked: u32,
    /// Segments taken for lost.
    pub tcpi_lost: u32,
    /// Segments retransmitted and in flight.
    pub tcpi_retrans: u32,
    /// Milliseconds since data was last sent.
    pub tcpi_last_data_sent: u32,
    /// Milliseconds since data was last received.
    pub tcpi_last_data_recv: u32,
    /// Milliseconds since the last acknowledgement.
    pub tcpi_last_ack_recv: u32,
    /// Path MTU, bytes.
    pub tcpi_pmtu: u32,
    /// Receive window that is offered at most now, bytes.
    pub tcpi_rcv_ssthresh: u32,
    /// Smoothed round-trip time, microseconds.
    pub tcpi_rtt: u32,
    /// Its mean deviation, microseconds.
    pub tcpi_rttvar: u32,
    /// Slow start threshold, segments.
    pub tcpi_snd_ssthresh: u32,
    /// Congestion window, segments.
    pub tcpi_snd_cwnd: u32,
    /// MSS announced, bytes.
    pub tcpi_advmss: u32,
    /// Reordering that is tolerated, segments.
    pub tcpi_reordering: u32,
    /// Receive buffer in use for the window, bytes.
    pub tcpi_rcv_space: u32,
    /// Segments retransmitted since the beginning.
    pub tcpi_total_retrans: u32,
    /// Bytes acknowledged by the peer.
    pub tcpi_bytes_acked: u64,
    /// Bytes received in order.
    pub tcpi_bytes_received: u64,
    /// Bytes sent, retransmissions included.
    pub tcpi_bytes_sent: u64,
    /// Bytes retransmitted.
    pub tcpi_bytes_retrans: u64,
    /// Segments sent.
    pub tcpi_segs_out: u32,
    /// Segments received.
    pub tcpi_segs_in: u32,
    /// Segments with data received.
    pub tcpi_data_segs_in: u32,
    /// Segments with data sent.
    pub tcpi_data_segs_out: u32,
    /// Bytes queued that were never sent.
    pub tcpi_notsent_bytes: u32,
    /// Least round-trip time, microseconds.
    pub tcpi_min_rtt: u32,
    /// Window of the peer, bytes.
    pub tcpi_snd_wnd: u32,
    /// Window offered, bytes.
    pub tcpi_rcv_wnd: u32,
    /// Segments received out of order.
    pub tcpi_rcv_ooopack: u32,
    /// Segments that the peer received twice, as far as it told.
    pub tcpi_dsack_dups: u32,
    /// Bytes a second that Linux would pace at; nothing is paced here. UINT64_MAX: nothing is measured yet.
    pub tcpi_pacing_rate: u64,
    /// UINT64_MAX: no limit is set.
    pub tcpi_max_pacing_rate: u64,
    /// Bytes delivered a second, as last measured.
    pub tcpi_delivery_rate: u64,
    /// Microseconds with something to send or to be acknowledged.
    pub tcpi_busy_time: u64,
    /// Of those, limited by the peer's window.
    pub tcpi_rwnd_limited: u64,
    /// Of those, limited by the send buffer.
    pub tcpi_sndbuf_limited: u64,
    /// Segments delivered, the SYN included.
    pub tcpi_delivered: u32,
    /// Of these, segments whose ACKs told of marks of congestion (ECN).
    pub tcpi_delivered_ce: u32,
    /// Times that the path was seen to reorder.
    pub tcpi_reord_seen: u32,
    /// Round-trip time as the receiver sees it, microseconds; 0: not measured.
    pub tcpi_rcv_rtt: u32,
    /// 0, as in Linux.
    pub tcpi_fackets: u32,
    /// 0, as in Linux.
    pub tcpi_last_ack_sent: u32,
    /// 0: no path is left for another by changing the flow label.
    pub tcpi_rehash: u32,
    /// Milliseconds spent repairing what retransmission timeouts told of, up to now.
    pub tcpi_total_rto_time: u32,
    /// Retransmission timeouts.
    pub tcpi_total_rto: u16,
    /// Times that it came to one, however many followed.
    pub tcpi_total_rto_recoveries: u16,
    /// 1: the delivery rate was limited by what there was to send.
    pub tcpi_delivery_rate_app_limited: u8,
    /// 0.
    pub tcpi_reserved: [u8; 3],
    /// Packets received that a router has marked.
    pub tcpi_received_ce: u32,
    /// 0, as are those that follow: accurate ECN (RFC 9768) is not spoken.
    pub tcpi_delivered_e1_bytes: u32,
    /// 0.
    pub tcpi_delivered_e0_bytes: u32,
    /// 0.
    pub tcpi_delivered_ce_bytes: u32,
    /// 0.
    pub tcpi_received_e1_bytes: u32,
    /// 0.
    pub tcpi_received_e0_bytes: u32,
    /// 0.
    pub tcpi_received_ce_bytes: u32,
    /// 0.
    pub tcpi_accecn_fail_mode: u16,
    /// 0.
    pub tcpi_accecn_opt_seen: u16,
}

// SAFETY: repr(C), `size` first, no padding, and zeroes are a value of every field.
unsafe impl Prefixed for usertcp_tcp_info_t {
    const NAME: &'static str = "usertcp_tcp_info_t";
    const FIRST: usize = 168;
}

/// Fills `*info`, as much of it as its `size` says. A socket without a connection reports its state only.
/// -EINVAL, -E2BIG: `size` is wrong. -ENOPROTOOPT: a datagram socket.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_tcp_info(socket: usertcp_socket_t, info: *mut usertcp_tcp_info_t) -> c_int {
    guard!({
        let figures = translate(&find(socket)?.socket.tcp_info()?);
        // SAFETY: the program promises a usertcp_tcp_info_t of the size that it states.
        unsafe { args::write_struct(info, &figures) }?;
        Ok(0)
    })
}

pub(crate) const fn translate(info: &TcpInfo) -> usertcp_tcp_info_t {
    usertcp_tcp_info_t {
        size: size_of::<usertcp_tcp_info_t>() as u32,
        tcpi_state: info.state,
        tcpi_ca_state: info.ca_state,
        tcpi_retransmits: info.retransmits,
        tcpi_probes: info.probes,
        tcpi_backoff: info.backoff,
        tcpi_options: info.options,
        tcpi_snd_wscale: info.snd_wscale,
        tcpi_rcv_wscale: info.rcv_wscale,
        tcpi_rto: info.rto,
        tcpi_ato: info.ato,
        tcpi_snd_mss: info.snd_mss,
        tcpi_rcv_mss: info.rcv_mss,
        tcpi_unacked: info.unacked,
        tcpi_sacked: info.sacked,
        tcpi_lost: info.lost,
        tcpi_retrans: info.retrans,
        tcpi_last_data_sent: info.last_data_sent,
        tcpi_last_data_recv: info.last_data_recv,
        tcpi_last_ack_recv: info.last_ack_recv,
        tcpi_pmtu: info.pmtu,
        tcpi_rcv_ssthresh: info.rcv_ssthresh,
        tcpi_rtt: info.rtt,
        tcpi_rttvar: info.rttvar,
        tcpi_snd_ssthresh: info.snd_ssthresh,
        tcpi_snd_cwnd: info.snd_cwnd,
        tcpi_advmss: info.advmss,
        tcpi_reordering: info.reordering,
        tcpi_rcv_space: info.rcv_space,
        tcpi_total_retrans: info.total_retrans,
        tcpi_bytes_acked: info.bytes_acked,
        tcpi_bytes_received: info.bytes_received,
        tcpi_bytes_sent: info.bytes_sent,
        tcpi_bytes_retrans: info.bytes_retrans,
        tcpi_segs_out: info.segs_out,
        tcpi_segs_in: info.segs_in,
        tcpi_data_segs_in: info.data_segs_in,
        tcpi_data_segs_out: info.data_segs_out,
        tcpi_notsent_bytes: info.notsent_bytes,
        tcpi_min_rtt: info.min_rtt,
        tcpi_snd_wnd: info.snd_wnd,
        tcpi_rcv_wnd: info.rcv_wnd,
        tcpi_rcv_ooopack: info.rcv_ooopack,
        tcpi_dsack_dups: info.dsack_dups,
        tcpi_pacing_rate: info.pacing_rate,
        tcpi_max_pacing_rate: info.max_pacing_rate,
        tcpi_delivery_rate: info.delivery_rate,
        tcpi_busy_time: info.busy_time,
        tcpi_rwnd_limited: info.rwnd_limited,
        tcpi_sndbuf_limited: info.sndbuf_limited,
        tcpi_delivered: info.delivered,
        tcpi_delivered_ce: info.delivered_ce,
        tcpi_reord_seen: info.reord_seen,
        tcpi_rcv_rtt: info.rcv_rtt,
        tcpi_fackets: info.fackets,
        tcpi_last_ack_sent: info.last_ack_sent,
        tcpi_rehash: info.rehash,
        tcpi_total_rto_time: info.total_rto_time,
        tcpi_total_rto: info.total_rto,
        tcpi_total_rto_recoveries: info.total_rto_recoveries,
        tcpi_delivery_rate_app_limited: info.delivery_rate_app_limited,
        tcpi_reserved: [0; 3],
        tcpi_received_ce: info.received_ce,
        tcpi_delivered_e1_bytes: info.delivered_e1_bytes,
        tcpi_delivered_e0_bytes: info.delivered_e0_bytes,
        tcpi_delivered_ce_bytes: info.delivered_ce_bytes,
        tcpi_received_e1_bytes: info.received_e1_bytes,
        tcpi_received_e0_bytes: info.received_e0_bytes,
        tcpi_received_ce_bytes: info.received_ce_bytes,
        tcpi_accecn_fail_mode: info.accecn_fail_mode,
        tcpi_accecn_opt_seen: info.accecn_opt_seen,
    }
}
