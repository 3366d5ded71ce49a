//! All sockets of a stack at one moment, and how they are written down: as `ss -tiun` of iproute2 does.

use super::{Snapshot, Stack, TcpInfo};
use crate::engine::Engine;
use crate::error::Result;
use std::fmt;
use std::net::SocketAddr;

/// Slots of sockets that are looked at while others wait for the stack.
const AT_ONCE: u32 = 256;

impl Stack {
    /// Every socket of the stack, also those that no program holds: half open, or closed and not over. Where there are many the stack works
    /// meanwhile, so that each is as it was at some moment of the call. EBADF (closed), ECHILD, EDEADLK, ENOTRECOVERABLE.
    pub fn sockets(&self) -> Result<Vec<Snapshot>> {
        let mut all = Vec::new();
        for engine in self.running.engines() {
            each(engine, |some| all.extend(some))?;
        }
        Ok(all)
    }
}

/// Hands over all sockets of a worker, some at a time.
pub(super) fn each(engine: &Engine, mut take: impl FnMut(Vec<Snapshot>)) -> Result<()> {
    let mut from = Some(0);
    while let Some(next) = from {
        let (some, rest) = engine.control(|turn, now| Ok(turn.stack.snapshots(now, next, AT_ONCE)))?;
        take(some);
        from = rest;
    }
    Ok(())
}

/// The line above the sockets.
pub const SNAPSHOT_HEADER: &str = "Netid State      Recv-Q Send-Q Local Address:Port  Peer Address:Port\n";

/// The names that `ss` has for the states of `TCP_INFO`.
const STATES: [&str; 13] = [
    "UNKNOWN",
    "ESTAB",
    "SYN-SENT",
    "SYN-RECV",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "TIME-WAIT",
    "UNCONN",
    "CLOSE-WAIT",
    "LAST-ACK",
    "LISTEN",
    "CLOSING",
    "SYN-RECV",
];

/// One line, and for a connection that is not over a second one with its figures; each ends with a line feed.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = if self.stream { "tcp" } else { "udp" };
        let state = STATES.get(usize::from(self.state)).copied().unwrap_or("UNKNOWN");
        let (local, remote) = (shown(self.local), shown(self.remote));
        let Self { receive_queue, send_queue, .. } = self;
        write!(f, "{network:<5} {state:<10} {receive_queue:<6} {send_queue:<6} {local} {remote}")?;
        if !self.held {
            f.write_str(" (no program)")?;
        }
        if let Some(end) = &self.end {
            write!(f, " ({end})")?;
        }
        f.write_str("\n")?;
        match &self.info {
            Some(info) if self.end.is_none() => writeln!(f, "\t {} {}", self.congestion, Figures(info)),
            _ => Ok(()),
        }
    }
}

fn shown(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| "*:*".to_owned(), |address| address.to_string())
}

/// The figures of a connection in the words and the order of `ss -i`; what says nothing is left out.
struct Figures<'a>(&'a TcpInfo);

impl fmt::Display for Figures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.0;
        let mut words = Words::default();
        for (bit, name) in [
            (OPTION_TIMESTAMPS, "ts"),
            (OPTION_SACK, "sack"),
            (OPTION_ECN, "ecn"),
            (OPTION_ECN_SEEN, "ecnseen"),
        ] {
            words.word(info.options & bit != 0, || name.to_owned());
        }
        let scaled = info.options & OPTION_WINDOW_SCALE != 0;
        words.word(scaled, || format!("wscale:{},{}", info.snd_wscale, info.rcv_wscale));
        words.figure("rto", info.rto / 1000);
        words.figure("backoff", info.backoff);
        let millis = |micros: u32| f64::from(micros) / 1000.0;
        words.word(info.rtt != 0, || format!("rtt:{}/{}", millis(info.rtt), millis(info.rttvar)));
        words.figure("ato", info.ato / 1000);
        words.figure("mss", info.snd_mss);
        words.figure("pmtu", info.pmtu);
        words.figure("rcvmss", info.rcv_mss);
        words.figure("advmss", info.advmss);
        words.figure("cwnd", info.snd_cwnd);
        words.figure("ssthresh", if info.snd_ssthresh < i32::MAX as u32 { info.snd_ssthresh } else { 0 });
        words.figure("bytes_sent", info.bytes_sent);
        words.figure("bytes_retrans", info.bytes_retrans);
        words.figure("bytes_acked", info.bytes_acked);
        words.figure("bytes_received", info.bytes_received);
        words.figure("segs_out", info.segs_out);
        words.figure("segs_in", info.segs_in);
        words.figure("data_segs_out", info.data_segs_out);
        words.figure("data_segs_in", info.data_segs_in);
        words.word(info.rtt != 0, || {
            let window = u64::from(info.snd_cwnd) * u64::from(info.snd_mss);
            format!("send {}bps", window.saturating_mul(8_000_000) / u64::from(info.rtt.max(1)))
        });
        words.figure("lastsnd", info.last_data_sent);
        words.figure("lastrcv", info.last_data_recv);
        words.figure("lastack", info.last_ack_recv);
        let paced = info.pacing_rate != u64::MAX;
        words.word(paced, || format!("pacing_rate {}bps", info.pacing_rate.saturating_mul(8)));
        let delivered = info.delivery_rate != 0;
        words.word(delivered, || format!("delivery_rate {}bps", info.delivery_rate.saturating_mul(8)));
        words.figure("delivered", info.delivered);
        words.figure("delivered_ce", info.delivered_ce);
        words.word(info.delivery_rate_app_limited != 0, || "app_limited".to_owned());
        let times = [
            ("busy", info.busy_time),
            ("rwnd_limited", info.rwnd_limited),
            ("sndbuf_limited", info.sndbuf_limited),
        ];
        for (name, time) in times {
            words.word(time != 0, || format!("{name}:{}ms", time / 1000));
        }
        words.figure("unacked", info.unacked);
        let resent = info.retrans != 0 || info.total_retrans != 0;
        words.word(resent, || format!("retrans:{}/{}", info.retrans, info.total_retrans));
        words.figure("lost", info.lost);
        words.figure("sacked", info.sacked);
        words.figure("dsack_dups", info.dsack_dups);
        words.figure(
            "reordering",
            if info.reordering == TcpInfo::unconnected().reordering { 0 } else { info.reordering },
        );
        words.figure("reord_seen", info.reord_seen);
        words.word(info.rcv_rtt != 0, || format!("rcv_rtt:{}", millis(info.rcv_rtt)));
        words.figure("rcv_space", info.rcv_space);
        words.figure("rcv_ssthresh", info.rcv_ssthresh);
        words.figure("notsent", info.notsent_bytes);
        let measured = info.min_rtt != u32::MAX && info.min_rtt != 0;
        words.word(measured, || format!("minrtt:{}", millis(info.min_rtt)));
        words.figure("rcv_ooopack", info.rcv_ooopack);
        words.figure("snd_wnd", info.snd_wnd);
        words.figure("rcv_wnd", info.rcv_wnd);
        f.write_str(&words.0.join(" "))
    }
}

/// What `TcpInfo::options` has bits for.
const OPTION_TIMESTAMPS: u8 = 1;
const OPTION_SACK: u8 = 2;
const OPTION_WINDOW_SCALE: u8 = 4;
const OPTION_ECN: u8 = 8;
const OPTION_ECN_SEEN: u8 = 16;

/// A line of words.
#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn word(&mut self, is_there: bool, word: impl FnOnce() -> String) {
        if is_there {
            self.0.push(word());
        }
    }

    fn figure(&mut self, name: &str, value: impl Into<u64>) {
        let value = value.into();
        self.word(value != 0, || format!("{name}:{value}"));
    }
}
