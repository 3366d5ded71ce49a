//! Settings of FreeBSD: `net.inet`, `net.inet6` and `kern.ipc`.

use super::{Settings, Verdict, assume, number, obey, obey_as, only};
use std::time::Duration;
use usertcp_core::config::SynCookies;

/// The default of `net.inet.tcp.keepinit`, milliseconds.
const KEEPINIT: &str = "75000";

const fn millis(number: u32) -> Duration {
    Duration::from_millis(number as u64)
}

pub(super) fn set(settings: &mut Settings, name: &str, value: &str) -> Verdict {
    if let Some(name) = name.strip_prefix("net.inet.tcp.") {
        return tcp(settings, name, value);
    }
    let config = &mut settings.config;
    match name {
        "kern.ipc.maxsockbuf" => obey(&mut config.tcp.window_scale_for, value),
        "kern.ipc.soacceptqueue" | "kern.ipc.somaxconn" => obey(&mut config.tcp.backlog_max, value),
        "net.inet.ip.ttl" | "net.inet6.ip6.hlim" => obey(&mut config.ip.hop_limit, value),
        "net.inet.ip.portrange.first" => obey(&mut config.tcp.port_first, value),
        "net.inet.ip.portrange.last" => obey(&mut config.tcp.port_last, value),
        "net.inet6.ip6.v6only" => obey_as(&mut config.ip.bind_v6_only, value, |on: u8| on != 0),
        "net.inet6.ip6.auto_flowlabel" => obey_as(&mut config.ip.flow_label, value, |on: u8| on != 0),
        name if name.starts_with("net.inet.sctp.") => Verdict::Missing("SCTP"),
        name if ["net.inet.ip.", "net.inet.icmp.", "net.inet.udp.", "net.inet6.", "kern."]
            .iter()
            .any(|harmless| name.starts_with(harmless)) =>
        {
            Verdict::Obeyed
        }
        _ => Verdict::Unknown,
    }
}

/// `net.inet.tcp.NAME`.
fn tcp(settings: &mut Settings, name: &str, value: &str) -> Verdict {
    let tcp = &mut settings.config.tcp;
    match name {
        "rfc1323" => {
            let Some(kind @ 0..=3) = number::<u8>(value) else { return Verdict::Unknown };
            (tcp.window_scaling, tcp.timestamps) = (matches!(kind, 1 | 2), matches!(kind, 1 | 3));
            Verdict::Obeyed
        }
        "sack.enable" => obey_as(&mut tcp.sack, value, |on: u8| on != 0),
        "recvspace" => obey(&mut settings.config.buffers.receive, value),
        "sendspace" => obey(&mut settings.config.buffers.send, value),
        "ecn.enable" => settings.ecn(value),
        "ecn.maxretries" => obey(&mut tcp.ecn_retries, value),
        "rexmit_initial" => obey_as(&mut tcp.rto_initial, value, millis),
        "rexmit_slop" => obey_as(&mut tcp.rto_slop, value, millis),
        "rexmit_drop_options" => obey_as(&mut tcp.syn_plain_after, value, |on: u8| (on != 0).then_some(2)),
        "keepinit" => only(KEEPINIT, value, "another time limit of connect"),
        "keepidle" => obey_as(&mut tcp.keepalive_idle, value, millis),
        "keepintvl" => obey_as(&mut tcp.keepalive_interval, value, millis),
        "keepcnt" => obey(&mut tcp.keepalive_probes, value),
        "always_keepalive" => only("0", value, "keep-alive of every connection"),
        "delacktime" => {
            let on = !tcp.delayed_ack.is_zero();
            let verdict = obey_as(&mut settings.delayed_ack, value, millis);
            if on {
                tcp.delayed_ack = settings.delayed_ack;
            }
            verdict
        }
        "delayed_ack" => {
            let longest = settings.delayed_ack;
            obey_as(&mut tcp.delayed_ack, value, |on: u8| if on == 0 { Duration::ZERO } else { longest })
        }
        "msl" => obey_as(&mut tcp.msl, value, millis),
        "finwait2_timeout" => obey_as(&mut tcp.fin_wait_2, value, millis),
        "initcwnd_segments" => obey(&mut tcp.initial_window, value),
        "icmp_may_rst" => obey_as(&mut tcp.hard_errors_end_opening, value, |on: u8| on != 0),
        "insecure_rst" => only("0", value, "RSTs anywhere in the window"),
        "insecure_syn" => only("0", value, "SYNs in the window that reset"),
        "insecure_ack" => only("0", value, "ACKs that RFC 5961 refuses"),
        "drop_synfin" => obey_as(&mut tcp.drop_syn_fin, value, |on: u8| on != 0),
        "blackhole" => only("0", value, "blackhole"),
        "tolerate_missing_ts" => only("0", value, "segments that lack timestamps"),
        "path_mtu_discovery" => only("1", value, "no path MTU discovery"),
        "pmtud_blackhole_detection" => only("0", value, "MTU probing"),
        "udp_tunneling_port" => only("0", value, "TCP in UDP"),
        "fastopen.server_enable" | "fastopen.client_enable" | "fastopen.enabled" => {
            only("0", value, "Fast Open")
        }
        "cc.algorithm" => settings.controller(value),
        "functions_default" => only("freebsd", value, "another stack of FreeBSD's"),
        "syncookies" => {
            tcp.syn_cookies = if value == "0" { SynCookies::Off } else { SynCookies::WhenFull };
            Verdict::Obeyed
        }
        "syncookies_only" => {
            if value != "0" {
                tcp.syn_cookies = SynCookies::Always;
            } else if tcp.syn_cookies == SynCookies::Always {
                tcp.syn_cookies = SynCookies::WhenFull;
            }
            Verdict::Obeyed
        }
        // As the system has them by default, or not at all.
        "persmin" => only("5000", value, "another shortest interval of probes"),
        "persmax" => only("60000", value, "another longest interval of probes"),
        "rexmit_min" => only("30", value, "another least time-out"),
        "mssdflt" => only("536", value, "another default of the MSS"),
        "v6mssdflt" => only("1220", value, "another default of the MSS"),
        "minmss" => only("216", value, "another least MSS"),
        "nolocaltimewait" => only("0", value, "no TIME-WAIT"),
        "fast_finwait2_recycle" => only("0", value, "a short FIN-WAIT-2"),
        "maxunacktime" => only("0", value, "a time limit of what is unacknowledged"),
        "ack_war_cnt" => only("5", value, "another rate of challenge ACKs"),
        "ack_war_timewindow" => only("1000", value, "another rate of challenge ACKs"),
        "abc_l_var" => only("2", value, "another limit of byte counting"),
        "reass.maxqueuelen" => only("100", value, "another limit of what is out of order"),
        "sack.maxholes" => only("128", value, "another limit of holes"),
        "cc.newreno.beta" => only("50", value, "another factor of the congestion window"),
        "syncache.rexmtlimit" => obey(&mut tcp.syn_ack_retries, value),
        "rfc3042" => only("1", value, "no limited transmit"),
        "rfc3390" => only("1", value, "another initial window"),
        "rfc6675_pipe" => only("1", value, "another count of what is under way"),
        "newreno_enable" => only("1", value, "no NewReno"),
        "do_prr" => assume(settings, "PRR", value),
        "do_prr_conservative" => only("0", value, "PRR"),
        "do_lrd" => only("0", value, "detection of lost retransmissions"),
        "recvbuf_auto" | "sendbuf_auto" => assume(settings, "buffers that grow", value),
        "sack.globalmaxholes" => only("65536", value, "another limit of holes"),
        name if name.starts_with("cc.cubic.") => Verdict::Missing("another CUBIC"),
        name if name.starts_with("cc.hystartplusplus.") => Verdict::Missing("another HyStart++"),
        "tso"
        | "lro.entries"
        | "do_tcpdrain"
        | "log_debug"
        | "log_in_vain"
        | "maxtcptw"
        | "per_cpu_timers"
        | "isn_reseed_interval"
        | "ts_offset_per_conn"
        | "require_unique_port"
        | "soreceive_stream"
        | "udp_tunneling_overhead"
        | "recvbuf_inc"
        | "recvbuf_max"
        | "sendbuf_inc"
        | "sendbuf_max"
        | "sendbuf_auto_lowat"
        | "split_limit"
        | "map_limit"
        | "tcbhashsize"
        | "timer_race" => Verdict::Obeyed,
        name if ["hostcache.", "syncache.hashsize", "syncache.see_other", "bb.", "hpts.", "fastopen."]
            .iter()
            .any(|harmless| name.starts_with(harmless)) =>
        {
            Verdict::Obeyed
        }
        _ => Verdict::Unknown,
    }
}
