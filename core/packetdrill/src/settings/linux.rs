//! Settings of Linux: `net.ipv4`, `net.ipv6`, `net.core`, parameters of modules, and those of routes.

use super::{Settings, Verdict, assume, at_least, number, obey, obey_as, only};
use std::time::Duration;
use usertcp_core::config::{MtuProbing, SlowStart, SynCookies};

/// What the suite's own `defaults.sh` sets.
pub(super) fn defaults(settings: &mut Settings) {
    for (name, value) in [
        ("net.ipv4.tcp_timestamps", "1"),
        ("net.ipv4.tcp_sack", "1"),
        ("net.ipv4.tcp_window_scaling", "1"),
        ("net.ipv4.tcp_ecn", "0"),
        ("net.ipv4.tcp_congestion_control", "cubic"),
        ("net.ipv4.tcp_syn_retries", "5"),
        ("net.ipv4.tcp_synack_retries", "5"),
        ("net.ipv4.tcp_retries1", "3"),
        ("net.ipv4.tcp_retries2", "15"),
        ("net.ipv4.tcp_frto", "2"),
        ("net.ipv4.tcp_early_retrans", "4"),
        ("net.ipv4.tcp_recovery", "1"),
        ("net.ipv4.tcp_slow_start_after_idle", "0"),
        ("net.ipv4.tcp_rmem", "4096 540000 15728640"),
        ("net.ipv4.tcp_wmem", "4096 262144 4194304"),
        ("net.ipv4.tcp_syncookies", "1"),
        ("net.ipv4.tcp_rfc1337", "0"),
        ("net.ipv4.tcp_abort_on_overflow", "0"),
        ("net.ipv4.tcp_stdurg", "0"),
        ("net.ipv4.tcp_keepalive_time", "7200"),
        ("net.ipv4.tcp_keepalive_intvl", "75"),
        ("net.ipv4.tcp_keepalive_probes", "9"),
        ("net.ipv4.tcp_fin_timeout", "60"),
        ("route.initcwnd", "10"),
    ] {
        // What the system does anyway is taken for granted, and no script asks for it by this.
        let _: Verdict = set(settings, name, value);
    }
    let tcp = &mut settings.config.tcp;
    tcp.empty_probes = true;
    // It knows one least timeout only.
    tcp.rto_min_short = tcp.rto_min;
}

const fn seconds(number: u32) -> Duration {
    Duration::from_secs(number as u64)
}

const fn millis(number: u32) -> Duration {
    Duration::from_millis(number as u64)
}

pub(super) fn set(settings: &mut Settings, name: &str, value: &str) -> Verdict {
    if let Some(name) = name.strip_prefix("net.ipv4.tcp_") {
        return tcp(settings, name, value);
    }
    if let Some(name) = name.strip_prefix("route.") {
        return route(settings, name, value);
    }
    let config = &mut settings.config;
    match name {
        "link.mtu" => obey(&mut config.mtu, value),
        "net.ipv4.ip_default_ttl" => obey(&mut config.ip.hop_limit, value),
        "net.ipv4.ip_local_port_range" => match value.split_once(' ') {
            Some((first, last)) => match (number(first), number(last)) {
                (Some(first), Some(last)) => {
                    (config.tcp.port_first, config.tcp.port_last) = (first, last);
                    (config.udp.port_first, config.udp.port_last) = (first, last);
                    Verdict::Obeyed
                }
                _ => Verdict::Unknown,
            },
            None => Verdict::Unknown,
        },
        "net.ipv4.ip_no_pmtu_disc" => only("0", value, "no path MTU discovery"),
        "net.ipv4.route.min_pmtu" => obey(&mut config.ip.path_mtu_min, value),
        "net.ipv4.route.mtu_expires" => obey_as(&mut config.ip.path_mtu_lifetime, value, seconds),
        "net.ipv4.icmp_msgs_per_sec" => obey(&mut config.ip.icmp_rate, value),
        "net.ipv4.icmp_echo_ignore_all" => obey_as(&mut config.ip.answer_echo, value, |off: u8| off == 0),
        "net.ipv6.bindv6only" => obey_as(&mut config.ip.bind_v6_only, value, |on: u8| on != 0),
        "net.ipv6.auto_flowlabels" => obey_as(&mut config.ip.flow_label, value, |on: u8| on != 0),
        "net.core.rmem_max" => at_least(212_992, value, "another limit of SO_RCVBUF"),
        "net.core.wmem_max" => at_least(212_992, value, "another limit of SO_SNDBUF"),
        "net.core.somaxconn" => obey(&mut config.tcp.backlog_max, value),
        "module.tcp_cubic.hystart" => {
            let on = value != "0";
            config.tcp.slow_start = if on { SlowStart::HyStart } else { SlowStart::Standard };
            Verdict::Obeyed
        }
        "module.tcp_cubic.hystart_detect" => {
            config.tcp.slow_start = SlowStart::HyStart;
            only("3", value, "HyStart with one of its two signs only")
        }
        "module.tcp_cubic.hystart_low_window" => obey(&mut config.tcp.hystart_window, value),
        "module.tcp_cubic.fast_convergence" => {
            obey_as(&mut config.tcp.cubic_fast_convergence, value, |on: u8| on != 0)
        }
        name if name.starts_with("module.tcp_cubic.") => Verdict::Missing("another CUBIC"),
        name if name.starts_with("net.mptcp.") => Verdict::Missing("MPTCP"),
        name if [
            "net.core.",
            "net.ipv4.conf.",
            "net.ipv6.conf.",
            "net.ipv4.icmp_",
            "net.ipv6.icmp",
            "net.ipv4.ping_",
        ]
        .iter()
        .chain(&["net.ipv4.udp_", "net.ipv4.neigh.", "net.ipv6.neigh.", "net.ipv6.route.", "net.ipv4.route."])
        .chain(&["net.ipv6.flowlabel_", "net.netfilter.", "net.ipv4.ip_forward", "net.ipv4.ip_nonlocal_bind"])
        .any(|harmless| name.starts_with(harmless)) =>
        {
            Verdict::Obeyed
        }
        _ => Verdict::Unknown,
    }
}

/// `net.ipv4.tcp_NAME`.
fn tcp(settings: &mut Settings, name: &str, value: &str) -> Verdict {
    let on = value != "0";
    match name {
        "ecn" => settings.ecn(value),
        "ecn_fallback" => {
            obey_as(&mut settings.config.tcp.ecn_retries, value, |on: u8| if on == 0 { u8::MAX } else { 0 })
        }
        "congestion_control" => settings.controller(value),
        "fastopen" => match number::<u32>(value) {
            Some(bits) if bits & 7 == 0 => Verdict::Obeyed,
            Some(_) => Verdict::Missing("Fast Open"),
            None => Verdict::Unknown,
        },
        "recovery" => match number::<u32>(value) {
            Some(1) => Verdict::Obeyed,
            Some(0) => Verdict::Missing("loss detection without RACK"),
            Some(_) => Verdict::Missing("RACK with another reordering window"),
            None => Verdict::Unknown,
        },
        "early_retrans" => {
            obey_as(&mut settings.config.tcp.tail_loss_probe, value, |kind: u8| matches!(kind, 3 | 4))
        }
        "frto" => obey_as(&mut settings.config.tcp.frto, value, |_: u8| on),
        "moderate_rcvbuf" if value != "0" => Verdict::Obeyed,
        "comp_sack_nr" | "comp_sack_delay_ns" | "comp_sack_slack_ns" => {
            assume(settings, "delayed SACKs", value)
        }
        "rmem" | "wmem" => memory(settings, name, value),
        "adv_win_scale" => only("1", value, "another share of the buffer as window"),
        "app_win" => only("31", value, "another share of the buffer as window"),
        "min_snd_mss" => only("48", value, "another least MSS"),
        "pingpong_thresh" => only("1", value, "another threshold of interactive sessions"),
        "reordering" => only("3", value, "another threshold of duplicate ACKs"),
        "max_reordering" => only("300", value, "another limit of the threshold of duplicate ACKs"),
        "max_syn_backlog" => at_least(128, value, "another limit of half-open connections"),
        "max_tw_buckets" => at_least(4096, value, "another limit of connections in TIME-WAIT"),
        // 2 is for the loopback alone, which no script has.
        "tw_reuse" if value == "2" => Verdict::Obeyed,
        "tw_reuse" => only("0", value, "ports again that are in TIME-WAIT"),
        "dsack" => only("1", value, "no duplicate SACKs"),
        "fastopen_key" => Verdict::Missing("Fast Open"),
        "mtu_probing" => {
            settings.config.tcp.mtu_probing = match value {
                "0" => MtuProbing::Off,
                "1" => MtuProbing::BlackHole,
                "2" => MtuProbing::Always,
                _ => return Verdict::Unknown,
            };
            Verdict::Obeyed
        }
        // An MSS, of a segment without options.
        "base_mss" => {
            obey_as(&mut settings.config.ip.path_mtu_base, value, |mss: u16| mss.saturating_add(40))
        }
        "probe_threshold" => obey(&mut settings.config.ip.path_mtu_step, value),
        "syn_linear_timeouts" => only("0", value, "linear timeouts of SYNs"),
        "thin_linear_timeouts" => only("0", value, "linear timeouts"),
        "reflect_tos" => only("0", value, "a type of service that is the peer's"),
        "shrink_window" => only("0", value, "a window that shrinks"),
        "workaround_signed_windows" => only("0", value, "windows with a sign"),
        "plb_enabled" => only("0", value, "PLB"),
        "notsent_lowat" => match number::<i64>(value) {
            Some(limit) if limit < 0 || limit >= i64::from(i32::MAX) => Verdict::Obeyed,
            Some(_) => Verdict::Missing("a default of TCP_NOTSENT_LOWAT"),
            None => Verdict::Unknown,
        },
        "timestamps" => obey_as(&mut settings.config.tcp.timestamps, value, |_: u8| on),
        "sack" => obey_as(&mut settings.config.tcp.sack, value, |_: u8| on),
        "window_scaling" => obey_as(&mut settings.config.tcp.window_scaling, value, |_: u8| on),
        "syncookies" => {
            settings.config.tcp.syn_cookies = match value {
                "0" => SynCookies::Off,
                "1" => SynCookies::WhenFull,
                "2" => SynCookies::Always,
                _ => return Verdict::Unknown,
            };
            Verdict::Obeyed
        }
        // How it sends what it sends, or what only shows between two connections.
        "min_tso_segs"
        | "limit_output_bytes"
        | "tso_win_divisor"
        | "tso_rtt_log"
        | "pacing_ss_ratio"
        | "pacing_ca_ratio"
        | "autocorking"
        | "no_metrics_save"
        | "no_ssthresh_metrics_save"
        | "fack"
        | "mem"
        | "mtu_probe_floor"
        | "probe_interval"
        | "tw_recycle"
        | "tw_reuse_delay"
        | "min_rtt_wlen"
        | "backlog_ack_defer"
        | "early_demux"
        | "allowed_congestion_control"
        | "available_congestion_control"
        | "low_latency"
        | "migrate_req"
        | "child_ehash_entries"
        | "fwmark_accept"
        | "l3mdev_accept"
        | "available_ulp"
        | "thin_dupack"
        | "cookie_size"
        | "dma_copybreak"
        | "fastopen_blackhole_timeout_sec"
        | "plb_idle_rehash_rounds"
        | "plb_rehash_rounds"
        | "plb_suspend_rto_sec"
        | "plb_cong_thresh"
        | "rto_min_us_tune"
        | "ao_enabled"
        | "tcp_ecn_option"
        | "ecn_option"
        | "ecn_option_beacon" => Verdict::Obeyed,
        _ => duration_or_count(settings, name, value),
    }
}

/// Those that are one number of the configuration.
fn duration_or_count(settings: &mut Settings, name: &str, value: &str) -> Verdict {
    let tcp = &mut settings.config.tcp;
    match name {
        "syn_retries" => obey(&mut tcp.syn_retries, value),
        "synack_retries" => obey(&mut tcp.syn_ack_retries, value),
        "retries1" => obey(&mut tcp.advice_retries, value),
        "retries2" => obey(&mut tcp.data_retries, value),
        "orphan_retries" => {
            obey_as(&mut tcp.orphan_retries, value, |retries: u8| if retries == 0 { 8 } else { retries })
        }
        "max_orphans" => obey(&mut tcp.orphans_max, value),
        "fin_timeout" => obey_as(&mut tcp.fin_wait_2, value, seconds),
        "keepalive_time" => obey_as(&mut tcp.keepalive_idle, value, seconds),
        "keepalive_intvl" => obey_as(&mut tcp.keepalive_interval, value, seconds),
        "keepalive_probes" => obey(&mut tcp.keepalive_probes, value),
        "abort_on_overflow" => obey_as(&mut tcp.abort_on_overflow, value, |on: u8| on != 0),
        "stdurg" => obey_as(&mut tcp.urgent_pointer_last, value, |on: u8| on != 0),
        "rfc1337" => obey_as(&mut tcp.time_wait_ignores_reset, value, |on: u8| on != 0),
        "challenge_ack_limit" => obey(&mut tcp.challenge_acks_stack, value),
        "slow_start_after_idle" => obey_as(&mut tcp.slow_start_after_idle, value, |on: u8| on != 0),
        "rto_min_us" => {
            let verdict = obey_as(&mut tcp.rto_min, value, |us: u32| Duration::from_micros(us.into()));
            tcp.rto_min_short = tcp.rto_min;
            verdict
        }
        "rto_max_ms" => obey_as(&mut tcp.rto_max, value, millis),
        // Without a limit of its rate nothing is kept back.
        "invalid_ratelimit" => match value {
            "0" => {
                (tcp.challenge_acks, tcp.challenge_acks_stack) = (u32::MAX, u32::MAX);
                Verdict::Obeyed
            }
            "500" => Verdict::Obeyed,
            _ => Verdict::Missing("another rate of ACKs for what is out of the window"),
        },
        _ => Verdict::Unknown,
    }
}

/// `tcp_rmem` and `tcp_wmem`: least, default, most.
fn memory(settings: &mut Settings, name: &str, value: &str) -> Verdict {
    let sizes: Option<Vec<usize>> = value.split(' ').map(number).collect();
    let Some([_, default, most]) = sizes.as_deref() else { return Verdict::Unknown };
    if name == "wmem" {
        (settings.config.buffers.send_initial, settings.config.buffers.send) = (*default, *most);
    } else {
        (settings.config.buffers.receive_initial, settings.config.buffers.receive) = (*default, *most);
    }
    Verdict::Obeyed
}

/// Parameters of `ip route`.
fn route(settings: &mut Settings, name: &str, value: &str) -> Verdict {
    let config = &mut settings.config;
    match name {
        "mtu" => obey(&mut config.mtu, value),
        "advmss" => obey_as(&mut config.tcp.mss, value, Some),
        "initcwnd" => obey(&mut config.tcp.initial_window, value),
        "hoplimit" => obey(&mut config.ip.hop_limit, value),
        "congctl" => settings.controller(value),
        "rto_min" => {
            let (digits, unit) = match value.strip_suffix("ms") {
                Some(digits) => (digits, 1),
                None => {
                    (value.strip_suffix('s').unwrap_or(value), if value.ends_with('s') { 1000 } else { 1 })
                }
            };
            let verdict =
                obey_as(&mut config.tcp.rto_min, digits, |number: u32| millis(number.saturating_mul(unit)));
            config.tcp.rto_min_short = config.tcp.rto_min;
            verdict
        }
        "quickack" => match value {
            "0" => Verdict::Obeyed,
            // For as long as any script is.
            _ => {
                config.tcp.quick_acks = u8::MAX;
                Verdict::Obeyed
            }
        },
        "features" if value == "ecn" => settings.ecn("1"),
        "fastopen_no_cookie" => only("0", value, "Fast Open"),
        "reordering" => only("3", value, "another threshold of duplicate ACKs"),
        "initrwnd" | "window" => Verdict::Missing("a window of the route's"),
        "cwnd" | "ssthresh" | "rtt" | "rttvar" => Verdict::Missing("metrics of the route"),
        _ => Verdict::Unknown,
    }
}
