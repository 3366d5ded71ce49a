//! `_usertcp.TcpInfo`: a connection in figures.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use usertcp_core::api;

macro_rules! figures {
    ($($name:ident: $kind:ty,)*) => {
        /// Figures of a connection under the names of Linux's `struct tcp_info`, times in microseconds.
        #[pyclass(frozen, get_all, module = "usertcp._usertcp")]
        pub(crate) struct TcpInfo { $($name: $kind,)* }

        impl From<api::TcpInfo> for TcpInfo {
            fn from(info: api::TcpInfo) -> Self {
                let api::TcpInfo { $($name,)* } = info;
                Self { $($name,)* }
            }
        }

        #[pymethods]
        impl TcpInfo {
            /// All figures by name.
            fn _asdict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
                let all = PyDict::new(py);
                $(all.set_item(stringify!($name), self.$name)?;)*
                Ok(all)
            }

            fn __repr__(&self) -> String {
                let figures = [$(format!(concat!(stringify!($name), "={}"), self.$name),)*];
                format!("TcpInfo({})", figures.join(", "))
            }
        }
    };
}

figures! {
    state: u8,
    ca_state: u8,
    retransmits: u8,
    probes: u8,
    backoff: u8,
    options: u8,
    snd_wscale: u8,
    rcv_wscale: u8,
    rto: u32,
    ato: u32,
    snd_mss: u32,
    rcv_mss: u32,
    unacked: u32,
    sacked: u32,
    lost: u32,
    retrans: u32,
    last_data_sent: u32,
    last_data_recv: u32,
    last_ack_recv: u32,
    pmtu: u32,
    rcv_ssthresh: u32,
    rtt: u32,
    rttvar: u32,
    snd_ssthresh: u32,
    snd_cwnd: u32,
    advmss: u32,
    reordering: u32,
    rcv_space: u32,
    total_retrans: u32,
    bytes_acked: u64,
    bytes_received: u64,
    bytes_sent: u64,
    bytes_retrans: u64,
    dsack_dups: u32,
    segs_out: u32,
    segs_in: u32,
    data_segs_in: u32,
    data_segs_out: u32,
    notsent_bytes: u32,
    min_rtt: u32,
    snd_wnd: u32,
    rcv_wnd: u32,
    rcv_ooopack: u32,
    pacing_rate: u64,
    max_pacing_rate: u64,
    delivery_rate: u64,
    busy_time: u64,
    rwnd_limited: u64,
    sndbuf_limited: u64,
    delivered: u32,
    delivered_ce: u32,
    reord_seen: u32,
    rcv_rtt: u32,
    fackets: u32,
    last_ack_sent: u32,
    rehash: u32,
    total_rto_time: u32,
    total_rto: u16,
    total_rto_recoveries: u16,
    delivery_rate_app_limited: u8,
    received_ce: u32,
    delivered_e1_bytes: u32,
    delivered_e0_bytes: u32,
    delivered_ce_bytes: u32,
    received_e1_bytes: u32,
    received_e0_bytes: u32,
    received_ce_bytes: u32,
    accecn_fail_mode: u16,
    accecn_opt_seen: u16,
}
