//! What scripts set, and what they ask for in vain.

use super::*;
use crate::parse::parse;
use usertcp_core::config::{Congestion, Ecn, SlowStart, SynCookies};

fn settings(text: &str, personality: Personality) -> Settings {
    let script = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    Settings::new(&script, Config::of(personality))
}

fn linux(text: &str) -> Settings {
    settings(text, Personality::Linux)
}

fn freebsd(lines: &[&str]) -> Settings {
    let text: String = lines.iter().map(|line| format!("0 `sysctl -w {line}`\n")).collect();
    settings(&text, Personality::FreeBsd)
}

#[test]
fn the_suites_defaults_make_a_linux_of_it() {
    let settings = linux("`../common/defaults.sh`\n0 socket(..., SOCK_STREAM, 0) = 3");
    assert_eq!((settings.reason(), settings.leading, settings.trailing), (None, 1, 2));
    let tcp = &settings.config.tcp;
    assert_eq!((tcp.syn_retries, tcp.syn_ack_retries, tcp.initial_window), (5, 5, 10));
    assert!(tcp.timestamps && tcp.sack && tcp.window_scaling && !tcp.slow_start_after_idle);
    assert!(!tcp.time_wait_ignores_reset);
    let buffers = &settings.config.buffers;
    assert_eq!((buffers.receive_initial, buffers.send_initial), (540_000, 262_144));
    assert_eq!((buffers.receive, tcp.syn_cookies), (15_728_640, SynCookies::WhenFull));
    let assumed: Vec<&str> = settings.assumed.iter().copied().collect();
    assert!(assumed.is_empty(), "{assumed:?}");
    assert!(settings.config.validate().is_ok());
}

#[test]
fn the_controller_and_its_slow_start_are_those_of_the_system() {
    let linux = |lines: &str| {
        let tcp = linux(&format!("`../common/defaults.sh\n{lines}`")).config.tcp;
        (tcp.congestion, tcp.slow_start)
    };
    assert_eq!(linux(""), (Congestion::Cubic, SlowStart::HyStart));
    let parameters = "/sys/module/tcp_cubic/parameters";
    assert_eq!(linux(&format!("echo 0 > {parameters}/hystart")), (Congestion::Cubic, SlowStart::Standard));
    assert_eq!(
        linux(&format!("echo 3 > {parameters}/hystart_detect")),
        (Congestion::Cubic, SlowStart::HyStart)
    );
    let reno = "sysctl -q net.ipv4.tcp_congestion_control=reno";
    assert_eq!(linux(reno), (Congestion::Reno, SlowStart::Standard));
    let tcp = freebsd(&[]).config.tcp;
    assert_eq!((tcp.congestion, tcp.slow_start), (Congestion::Cubic, SlowStart::HyStartPlusPlus));
}

#[test]
fn settings_of_linux_reach_the_configuration() {
    let set = |lines: &str| {
        let settings = linux(&format!("`../common/defaults.sh\n{lines}`"));
        assert_eq!(settings.reason(), None, "{lines}");
        settings
    };
    let tcp = |lines: &str| set(lines).config.tcp;
    assert!(!tcp("sysctl -q net.ipv4.tcp_timestamps=0").timestamps);
    assert!(!tcp("sysctl -q net.ipv4.tcp_sack=0 net.ipv4.tcp_window_scaling=0").sack);
    assert_eq!(tcp("sysctl -q net.ipv4.tcp_syn_retries=2").syn_retries, 2);
    assert_eq!(tcp("sysctl -q net.ipv4.tcp_orphan_retries=0").orphan_retries, 8);
    assert_eq!(tcp("sysctl -q net.ipv4.tcp_fin_timeout=5").fin_wait_2, Duration::from_secs(5));
    assert_eq!(tcp("echo 2 > /proc/sys/net/ipv4/tcp_syncookies").syn_cookies, SynCookies::Always);
    assert!(tcp("../common/set_sysctls.py /proc/sys/net/ipv4/tcp_rfc1337=1").time_wait_ignores_reset);
    assert!(tcp("sysctl -q net.ipv4.tcp_slow_start_after_idle=1").slow_start_after_idle);
    assert_eq!(tcp("ip route replace 192.0.2.0/24 dev tun0 initcwnd 3").initial_window, 3);
    assert_eq!(tcp("ip route replace 192.0.2.0/24 dev tun0 rto_min 1s").rto_min, Duration::from_secs(1));
    assert_eq!(tcp("ip route change default advmss 900").mss, Some(900));
    assert_eq!(set("ip link set dev tun0 mtu 1000").config.mtu, 1000);
    assert_eq!(set("sysctl net.ipv4.tcp_wmem=\"4096 50000 4194304\"").config.buffers.send_initial, 50_000);
    let harmless = set(
        "sysctl net.ipv4.tcp_min_tso_segs=10 net.core.rmem_max=6291456 net.ipv4.tcp_notsent_lowat=4294967295",
    );
    assert_eq!(format!("{:?}", harmless.config), format!("{:?}", set("").config));
}

#[test]
fn what_linux_assumes_can_be_turned_off() {
    let tcp = |lines: &str| {
        let settings = linux(&format!("`../common/defaults.sh\n{lines}`"));
        assert_eq!(settings.reason(), None, "{lines}");
        settings.config.tcp
    };
    let defaults = tcp("sysctl -q net.ipv4.tcp_recovery=1");
    assert!(defaults.tail_loss_probe && defaults.frto);
    assert_eq!(defaults.rto_min_short, defaults.rto_min);
    assert!(!tcp("sysctl -q net.ipv4.tcp_early_retrans=0").tail_loss_probe);
    assert!(!tcp("sysctl -q net.ipv4.tcp_frto=0").frto);
    assert_eq!((defaults.ecn, defaults.ecn_retries), (Ecn::Off, 0));
    assert_eq!(tcp("sysctl -q net.ipv4.tcp_ecn=1").ecn, Ecn::On);
    assert_eq!(tcp("sysctl -q net.ipv4.tcp_ecn=2").ecn, Ecn::Passive);
    assert_eq!(tcp("sysctl -q net.ipv4.tcp_ecn_fallback=0").ecn_retries, u8::MAX);
    assert_eq!(tcp("ip route change default features ecn").ecn, Ecn::On);
    let held = tcp("sysctl -q net.ipv4.tcp_rto_min_us=5000");
    assert_eq!((held.rto_min, held.rto_min_short), (Duration::from_millis(5), Duration::from_millis(5)));
}

#[test]
fn what_the_stack_has_not_is_told_by_name() {
    for (line, reason) in [
        ("sysctl -q net.ipv4.tcp_ecn=3", "AccECN (net.ipv4.tcp_ecn=3)"),
        (
            "echo 2 > /sys/module/tcp_cubic/parameters/hystart_detect",
            "HyStart with one of its two signs only (module.tcp_cubic.hystart_detect=2)",
        ),
        ("sysctl net.ipv4.tcp_congestion_control=bbr", "BBR (net.ipv4.tcp_congestion_control=bbr)"),
        ("sysctl net.ipv4.tcp_fastopen=0x603", "Fast Open (net.ipv4.tcp_fastopen=0x603)"),
        ("sysctl net.ipv4.tcp_moon=2", "net.ipv4.tcp_moon=2"),
        ("sysctl net.ipv4.tcp_syn_retries=many", "net.ipv4.tcp_syn_retries=many"),
        ("sysctl net.ipv4.tcp_recovery=0", "loss detection without RACK (net.ipv4.tcp_recovery=0)"),
        ("sysctl net.ipv4.tcp_comp_sack_nr=44", "delayed SACKs (net.ipv4.tcp_comp_sack_nr=44)"),
        (
            "echo 1 > /sys/module/tcp_cubic/parameters/tcp_friendliness",
            "another CUBIC (module.tcp_cubic.tcp_friendliness=1)",
        ),
        ("sysctl net.core.rmem_max=9", "another limit of SO_RCVBUF (net.core.rmem_max=9)"),
        ("ip route change default expires 10", "a shell that runs 'ip route change default expires 10'"),
        ("iptables -F", "a shell that runs 'iptables -F'"),
    ] {
        let settings = linux(&format!("\n`{line}`"));
        assert_eq!(settings.missing, [Missing { line: 2, what: reason.into() }], "{line}");
    }
    assert_eq!(linux("--udp_encapsulation=tcp").reason(), Some("TCP in UDP (--udp_encapsulation=tcp)"));
    assert_eq!(linux("--moon=1").reason(), Some("--moon"));
    assert_eq!(linux("--mtu=1400\n--mss=1000\n--strict_segments").config.mtu, 1400);
}

#[test]
fn packets_show_what_no_setting_says() {
    let reason = |text: &str| linux(text).reason().map(str::to_owned);
    assert_eq!(reason("0 > [ect0] . 1:1(0)"), None);
    assert_eq!(reason("0 > SEW 0:0(0)"), None);
    assert_eq!(reason("0 > SA. 0:0(0)").as_deref(), Some("AccECN (as its packets show)"));
    assert_eq!(
        reason("0 > S 0:0(0) <mss 1460,FO,nop,nop>").as_deref(),
        Some("Fast Open (as its packets show)")
    );
    assert_eq!(linux("`sysctl net.ipv4.tcp_ecn=3`\n0 > SEWA 0:0(0)").missing.len(), 1);
}

#[test]
fn settings_of_freebsd_reach_the_configuration() {
    let defaults = freebsd(&[
        "net.inet.tcp.rfc1323=1",
        "net.inet.tcp.blackhole=0",
        "net.inet.tcp.sack.enable=1",
        "net.inet.tcp.ecn.enable=2",
        "net.inet.tcp.rexmit_slop=200",
        "net.inet.tcp.rexmit_drop_options=0",
        "kern.ipc.maxsockbuf=2097152",
        "net.inet.tcp.recvspace=65536",
        "net.inet.tcp.sendspace=32768",
        "net.inet.tcp.hostcache.purgenow=1",
        "net.inet.tcp.icmp_may_rst=1",
        "net.inet.tcp.insecure_rst=0",
        "net.inet.tcp.delacktime=40",
    ]);
    assert_eq!(defaults.reason(), None);
    assert_eq!(
        format!("{:?}", defaults.config),
        format!("{:?}", Config::of(Personality::FreeBsd)),
        "they are the defaults"
    );
    let tcp = |line: &str| {
        let settings = freebsd(&[line]);
        assert_eq!(settings.reason(), None, "{line}");
        settings.config.tcp
    };
    for (kind, scaling, timestamps) in
        [(0, false, false), (1, true, true), (2, true, false), (3, false, true)]
    {
        let tcp = tcp(&format!("net.inet.tcp.rfc1323={kind}"));
        assert_eq!((tcp.window_scaling, tcp.timestamps), (scaling, timestamps), "{kind}");
    }
    assert_eq!(tcp("kern.ipc.maxsockbuf=4294967295").window_scale_for, 0xffff_ffff);
    assert_eq!(tcp("net.inet.tcp.keepidle=15000").keepalive_idle, Duration::from_secs(15));
    assert_eq!(tcp("net.inet.tcp.rexmit_initial=3000").rto_initial, Duration::from_secs(3));
    assert_eq!(tcp("net.inet.tcp.rexmit_slop=100").rto_slop, Duration::from_millis(100));
    assert_eq!(tcp("net.inet.tcp.rexmit_drop_options=1").syn_plain_after, Some(2));
    assert!(!tcp("net.inet.tcp.icmp_may_rst=0").hard_errors_end_opening);
    assert!(tcp("net.inet.tcp.drop_synfin=1").drop_syn_fin);
    assert_eq!(tcp("net.inet.tcp.ecn.enable=0").ecn, Ecn::Off);
    assert_eq!(tcp("net.inet.tcp.ecn.enable=1").ecn, Ecn::On);
    assert_eq!(tcp("net.inet.tcp.ecn.maxretries=3").ecn_retries, 3);
    for (line, what) in [
        ("net.inet.tcp.blackhole=2", "blackhole"),
        ("net.inet.tcp.ecn.enable=3", "AccECN"),
        ("net.inet.tcp.functions_default=rack", "another stack of FreeBSD's"),
    ] {
        assert_eq!(freebsd(&[line]).reason(), Some(format!("{what} ({line})").as_str()), "{line}");
    }
}

#[test]
fn lines_in_mid_script_say_what_they_change() {
    let mut settings =
        linux("`../common/defaults.sh`\n0 socket(..., SOCK_STREAM, 0) = 3\n+0 `sysctl a=1`\n+0 close(3) = 0");
    assert_eq!((settings.leading, settings.trailing), (1, 2));
    assert_eq!(settings.shell(9, "sysctl net.ipv4.tcp_sack=1"), []);
    assert_eq!(
        settings.shell(9, "sysctl net.ipv4.tcp_sack=0; sleep 2"),
        [Step::Wait(Duration::from_secs(2)), Step::Changed]
    );
    assert_eq!(settings.shell(9, "tcpdrop -a"), [Step::Ask(Oracle::Drop { state: None, ports: None })]);
    assert_eq!(settings.reason(), None);
    assert_eq!(
        linux("`sockstat -4 | grep -c TIME_WAIT | grep 1`").reason(),
        None,
        "it is asked when it runs"
    );
    assert_eq!(settings.shell(9, "sysctl net.ipv4.tcp_ecn=3"), []);
    assert_eq!(settings.missing, [Missing { line: 9, what: "AccECN (net.ipv4.tcp_ecn=3)".into() }]);
}

#[test]
fn what_would_show_and_is_not_obeyed_is_told_by_name() {
    let others = [
        "persmin=100",
        "persmax=100",
        "rexmit_min=1000",
        "mssdflt=512",
        "v6mssdflt=512",
        "minmss=300",
        "nolocaltimewait=1",
        "fast_finwait2_recycle=1",
        "maxunacktime=1",
        "ack_war_cnt=1",
        "ack_war_timewindow=1",
        "abc_l_var=44",
        "reass.maxqueuelen=1",
        "sack.maxholes=1",
        "cc.newreno.beta=80",
        "cc.cubic.beta=80",
        "cc.algorithm=dctcp",
        "rfc3390=0",
        "do_prr=1",
        "rfc6675_pipe=0",
        "recvbuf_auto=1",
        "sendbuf_auto=1",
        "reass.maxsegments=1",
        "sack.lrd=1",
        "syncache.bucketlimit=1",
    ];
    for line in others {
        let line = format!("net.inet.tcp.{line}");
        let settings = freebsd(&[&line]);
        assert!(settings.reason().is_some_and(|reason| reason.contains(&line)), "{line}");
    }
    assert_eq!(freebsd(&["net.inet.tcp.persmin=5000", "net.inet.tcp.rexmit_min=30"]).reason(), None);
    assert_eq!(freebsd(&["net.inet.tcp.syncache.rexmtlimit=1"]).config.tcp.syn_ack_retries, 1);
    for line in ["do_prr=0", "recvbuf_auto=0", "sendbuf_auto=0", "rfc3390=1", "rfc6675_pipe=1"] {
        assert_eq!(freebsd(&[&format!("net.inet.tcp.{line}")]).reason(), None, "{line}");
    }
    for line in [
        "adv_win_scale=-2",
        "app_win=8",
        "min_snd_mss=600",
        "pingpong_thresh=3",
        "max_reordering=5",
        "max_syn_backlog=2",
        "max_tw_buckets=2",
        "tw_reuse=1",
    ] {
        let settings = linux(&format!("`sysctl -q net.ipv4.tcp_{line}`"));
        assert!(settings.reason().is_some_and(|reason| reason.contains(line)), "{line}");
    }
}

#[test]
fn acks_that_are_delayed_again_are_so_for_as_long_as_before() {
    let delay = |lines: &[&str]| freebsd(lines).config.tcp.delayed_ack;
    let (off, on, time) =
        ("net.inet.tcp.delayed_ack=0", "net.inet.tcp.delayed_ack=1", "net.inet.tcp.delacktime=90");
    assert_eq!(delay(&[off]), Duration::ZERO);
    assert_eq!(delay(&[off, on]), Config::of(Personality::FreeBsd).tcp.delayed_ack);
    assert_eq!(delay(&[off, time]), Duration::ZERO);
    assert_eq!(delay(&[off, time, on]), Duration::from_millis(90));
    assert_eq!(delay(&[time, on]), Duration::from_millis(90));
}
