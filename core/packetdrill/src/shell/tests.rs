//! Shell lines as scripts have them.

use super::*;
use proptest::prelude::*;

fn set_to(name: &str, value: &str) -> Command {
    Command::Set { name: name.into(), value: value.into() }
}

#[test]
fn settings_are_read_in_all_their_forms() {
    let read_as = |text: &str, commands: &[Command]| assert_eq!(read(text), commands, "{text}");
    read_as("../../common/defaults.sh", &[Command::Defaults]);
    read_as(
        "../common/defaults.sh\nsysctl -q net.ipv4.tcp_ecn=2    # server agrees\n",
        &[Command::Defaults, set_to("net.ipv4.tcp_ecn", "2")],
    );
    read_as("sysctl -w net.inet.tcp.sack.enable=1", &[set_to("net.inet.tcp.sack.enable", "1")]);
    read_as(
        "sysctl net.ipv4.tcp_a=1 net.ipv4.tcp_b=\"4096 50000   9\"",
        &[set_to("net.ipv4.tcp_a", "1"), set_to("net.ipv4.tcp_b", "4096 50000 9")],
    );
    read_as(
        "../common/set_sysctls.py /proc/sys/net/ipv4/tcp_x=1 \\\n\t\t /proc/sys/net/ipv4/tcp_wmem=\"4096 50000 4194304\"",
        &[set_to("net.ipv4.tcp_x", "1"), set_to("net.ipv4.tcp_wmem", "4096 50000 4194304")],
    );
    read_as(
        "echo 3 > /sys/module/tcp_cubic/parameters/hystart_detect",
        &[set_to("module.tcp_cubic.hystart_detect", "3")],
    );
    read_as(
        "echo -n 0 >/proc/sys/net/ipv4/tcp_sack; true",
        &[set_to("net.ipv4.tcp_sack", "0"), Command::Nothing],
    );
    read_as("echo 4096 1 2 | tee /proc/sys/net/ipv4/tcp_rmem", &[set_to("net.ipv4.tcp_rmem", "4096 1 2")]);
    read_as("/tmp/sysctl_restore_${PPID}.sh", &[Command::Nothing]);
    read_as("sysctl net.ipv4.tcp_sack && sysctl -q a.b=1 2>/dev/null || echo no", &[set_to("a.b", "1")]);
    read_as(
        "ip route replace 192.0.2.0/24 dev tun0 mtu lock 1300 initcwnd 20 quickack 1 features ecn rto_min 50ms",
        &[
            set_to("route.mtu", "1300"),
            set_to("route.initcwnd", "20"),
            set_to("route.quickack", "1"),
            set_to("route.features", "ecn"),
            set_to("route.rto_min", "50ms"),
        ],
    );
    read_as("ip -6 route change 2001:db8::/32 dev tun0", &[Command::Nothing]);
    read_as("ip link set dev tun0 mtu 1000", &[set_to("link.mtu", "1000")]);
    read_as("ifconfig tun0 mtu 1400", &[set_to("link.mtu", "1400")]);
    read_as("ip tcp_metrics flush all > /dev/null 2>&1", &[Command::Nothing]);
    read_as("sleep 0.5", &[Command::Wait(Duration::from_millis(500))]);
    for harmless in [
        "tc qdisc replace dev tun0 root fq",
        "ethtool -K tun0 tso off",
        "nstat -n",
        "nstat > /dev/null",
        "",
        "# so",
        "cat /proc/x",
    ] {
        assert!(read(harmless).iter().all(|command| *command == Command::Nothing), "{harmless}");
    }
}

#[test]
fn questions_to_the_system_are_read() {
    let count = |state: &str, family, port, owned, expected| {
        vec![Command::Ask(Oracle::Count { state: state.into(), family: Some(family), port, owned, expected })]
    };
    assert_eq!(
        read("sockstat -4 -P tcp -s | grep packetdril | grep -c TIME_WAIT | grep 1"),
        count("TIME_WAIT", Domain::V4, None, true, 1)
    );
    assert_eq!(
        read("sockstat -6 -P tcp -p 8080 -s | grep -c SYN_RCVD | grep 0"),
        count("SYN_RCVD", Domain::V6, Some(8080), false, 0)
    );
    let dropped = |state: Option<&str>, ports| {
        vec![Command::Ask(Oracle::Drop { state: state.map(str::to_owned), ports })]
    };
    assert_eq!(read("tcpdrop -s TIME_WAIT"), dropped(Some("TIME_WAIT"), None));
    assert_eq!(read("tcpdrop -a"), dropped(None, None));
    assert_eq!(read("tcpdrop 192.0.2.1 8080 192.0.2.2 5000"), dropped(None, Some((8080, 5000))));
}

#[test]
fn what_nobody_knows_is_kept_as_written() {
    for text in [
        "nstat | grep TcpExtTCPTimeouts",
        "iptables -A INPUT -j DROP",
        "if true; then sysctl a=1; fi",
        "for i in 1 2; do true; done",
        "sysctl a=$(cat x)",
        "echo 1 > /tmp/x",
        "tc qdisc add dev tun0 root netem delay 10ms",
        "ip route add unreachable 192.0.2.0/24",
        "ip link set dev tun0 down",
        "ifconfig tun0 down",
        "ip addr add 192.0.2.9/24 dev tun0",
        "tc qdisc replace dev tun0 root tbf rate 1mbit burst 32k latency 1s",
        "sysctl -p /etc/x.conf",
        "ip rule add from 1.2.3.4 table 5",
        "sockstat -4 | grep TIME_WAIT",
        "echo 'open",
        "./other.sh",
    ] {
        assert_eq!(read(text), [Command::Unknown(text.into())], "{text}");
    }
    let mixed = read("sysctl -q a.b=1\nfoo --bar; true");
    assert_eq!(mixed, [set_to("a.b", "1"), Command::Unknown("foo --bar".into()), Command::Nothing]);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,80}") {
        let _ = read(&text);
    }

    #[test]
    fn no_mixture_of_its_own_words_makes_it_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "sysctl", "-w", "a.b=1", "echo", "1", ">", "/proc/sys/net/x", "|", "||", "&&", "&", ";", "\n", "\\", "\"", "'", "#",
                "ip", "route", "add", "mtu", "lock", "sockstat", "-p", "grep", "-c", "tcpdrop", "-s", "2>&1", "<", "tee", "sleep", "1e99",
            ]),
            0..20,
        )
    ) {
        let _ = read(&words.join(" "));
    }
}
