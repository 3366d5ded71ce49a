//! Each kind of failure is told as that kind, and nothing else is a failure.

use super::{Choices, Spoil, run};
use crate::parse::parse;
use crate::report::{Difference, Failure, Kind, Outcome, Passed};
use std::time::Duration;

/// A server whose connection 4 is established; what follows begins in line 8.
const SERVER: &str = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32792 <mss 1000,nop,wscale 7>
+0 > S. 0:0(0) ack 1 <...>
+.1 < . 1:1(0) ack 1 win 257
+0 accept(3, ..., ...) = 4
";

fn outcome(text: &str, spoil: Option<Spoil>) -> Outcome {
    let script = parse(text).unwrap_or_else(|error| panic!("{error}"));
    run(&script, &Choices { spoil, ..Choices::default() }).outcome
}

fn server(rest: &str) -> Outcome {
    outcome(&format!("{SERVER}{rest}"), None)
}

fn passed(rest: &str) -> Passed {
    match server(rest) {
        Outcome::Passed(passed) => passed,
        other => panic!("{rest}: {other:?}"),
    }
}

/// The failure of a script that goes on like this: its kind and its line, counted from the first of `rest`.
fn failed(rest: &str) -> (Kind, u32, Failure) {
    match server(rest) {
        Outcome::Failed(failure) => (failure.kind, failure.line.saturating_sub(7), failure),
        other => panic!("{rest}: {other:?}"),
    }
}

fn skipped(rest: &str) -> String {
    match server(rest) {
        Outcome::Skipped(reason) => reason,
        other => panic!("{rest}: {other:?}"),
    }
}

#[test]
fn what_holds_passes_without_slack() {
    let passed = passed(
        "+0 write(4, ..., 2500) = 2500
+0 > P. 1:2501(2500) ack 1
+.1 < . 1:1(0) ack 2501 win 257
+0 < P. 1:101(100) ack 2501 win 257
* > . 2501:2501(0) ack 101
+0 read(4, ..., 1000) = 100
+.1 close(4) = 0
+0 > F. 2501:2501(0) ack 101
+0 < F. 101:101(0) ack 2502 win 257
+0 > . 2502:2502(0) ack 102",
    );
    assert_eq!(passed, Passed::default());
}

#[test]
fn a_packet_at_another_time() {
    let (kind, line, failure) = failed("+.5 write(4, ..., 100) = 100\n+.2 > P. 1:101(100) ack 1");
    assert_eq!((kind, line), (Kind::Time, 2));
    assert_eq!(failure.differences, [Difference::new("time", "0.800000", "0.600000")]);
}

#[test]
fn time_that_is_off_within_the_tolerance_is_slack() {
    assert_eq!(
        passed("+.5 write(4, ..., 100) = 100\n+.003 > P. 1:101(100) ack 1").slack,
        Duration::from_millis(3)
    );
    let wide =
        format!("--tolerance_usecs=20000\n{SERVER}+0 write(4, ..., 100) = 100\n+.015 > P. 1:101(100) ack 1");
    assert!(
        matches!(outcome(&wide, None), Outcome::Passed(passed) if passed.slack == Duration::from_millis(15))
    );
}

#[test]
fn a_range_is_no_slack() {
    let rest = "+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 1\n+.2~+.4 > P. 1:101(100) ack 1";
    assert_eq!(passed(rest).slack, Duration::ZERO);
    assert_eq!(failed(&rest.replace("+.2~+.4", "+.35~+.4")).0, Kind::Time);
    assert_eq!(failed(&rest.replace("+.2~+.4", "+.1~+.2")).0, Kind::Missing);
}

#[test]
fn a_packet_with_other_fields() {
    let table = [
        ("P. 2:102(100) ack 1", "seq", "2", "1"),
        ("P. 1:101(100) ack 2", "ack", "2", "1"),
        (". 1:101(100) ack 1", "flags", ".", "P."),
        ("P. 1:100(99) ack 1", "length", "99", "100"),
        ("P. 1:201(200) ack 1", "length", "200", "100"),
        ("P. 1:101(100) ack 1 win 7", "window", "7", ""),
        ("P. 1:101(100) ack 1 <nop,nop,sack 1:2>", "options", "nop,nop,sack 1:2", "none"),
        ("(ttl 1) P. 1:101(100) ack 1", "hop limit", "1", "64"),
        ("(tos 0x8) P. 1:101(100) ack 1", "traffic class", "8", "0"),
        ("8080 > 99 P. 1:101(100) ack 1", "ports", "ports 8080 > 99", "8080 > 53055"),
        ("udp (100)", "protocol", "udp", ""),
    ];
    for (packet, field, expected, got) in table {
        let (kind, line, failure) = failed(&format!("+0 write(4, ..., 100) = 100\n+0 > {packet}"));
        assert_eq!((kind, line), (Kind::Packet, 2), "{packet}");
        let difference = &failure.differences[0];
        assert_eq!((difference.field.as_str(), difference.expected.as_str()), (field, expected), "{packet}");
        assert!(difference.got.starts_with(got) && failure.differences.len() == 1, "{packet}: {failure:?}");
    }
}

#[test]
fn a_packet_that_is_not_sent() {
    let (kind, line, failure) = failed("+.5 > . 1:1(0) ack 1");
    assert_eq!((kind, line), (Kind::Missing, 1));
    assert!(failure.got.contains("0.662500"), "it waits for an eighth of the interval: {}", failure.got);
}

#[test]
fn a_packet_that_nobody_expects() {
    let (kind, line, failure) = failed(
        "+0 write(4, ..., 100) = 100
+.1 < . 1:1(0) ack 101 win 257
+0 < . 1:2(1) ack 101 win 257
+0 > . 101:101(0) ack 2",
    );
    assert_eq!((kind, line), (Kind::Extra, 2));
    assert!(failure.got.starts_with("> P. 1:101(100) ack 1") && failure.got.ends_with("at 0.100000"));
}

#[test]
fn a_packet_after_the_last_line() {
    assert_eq!(failed("+0 write(4, ..., 100) = 100").0, Kind::After);
    assert_eq!(failed("+0 < . 1:2(1) ack 1 win 257\n+0 close(4) = 0").0, Kind::After);
    let rest = "+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 1\n+.298 < . 1:1(0) ack 1 win 300";
    assert_eq!(failed(rest).0, Kind::After, "the retransmission");
    passed(&rest.replace(".298", ".1"));
}

#[test]
fn the_rest_of_a_burst_needs_no_line_where_only_a_look_at_figures_follows() {
    let rest = "+0 write(4, ..., 3000) = 3000\n+0 > . 1:1001(1000) ack 1";
    assert_eq!(failed(rest).0, Kind::After);
    assert_eq!(failed(&format!("{rest}\n+.1 close(4) = 0")).0, Kind::After);
    let looked = passed(&format!("{rest}\n+0 %{{ assert tcpi_unacked == 3 }}%"));
    assert_eq!(looked.warnings.len(), 2);
    assert!(looked.warnings[1].got.contains("P. 2001:3001(1000)"), "{looked:?}");
    let later = format!("{rest}\n+.3 %{{ assert tcpi_unacked == 3 }}%");
    assert_eq!(failed(&later).0, Kind::After, "the retransmission is another matter");
}

#[test]
fn psh_of_a_line_is_of_its_last_segment_or_of_the_whole() {
    // Super-frames of three, three and one.
    let run = |flags: &str| {
        let rest = format!("+0 write(4, ..., 20000) = 20000\n+0 > {flags} 1:7001(7000) ack 1");
        outcome(&format!("`ip route change default initcwnd 7`\n{SERVER}{rest}"), None)
    };
    assert!(matches!(run("."), Outcome::Passed(_)), "{:?}", run("."));
    assert!(matches!(run("P."), Outcome::Passed(_)), "{:?}", run("P."));
    assert!(matches!(run("F."), Outcome::Failed(_)), "{:?}", run("F."));
}

#[test]
fn data_behind_the_last_line_needs_none_where_a_look_at_figures_follows_packets() {
    let rest =
        "+0 write(4, ..., 20000) = 20000\n+0 > P. 1:10001(10000) ack 1\n+.1 < . 1:1(0) ack 1001 win 257";
    assert_eq!(failed(rest).0, Kind::After);
    let looked = passed(&format!("{rest}\n+0 %{{ assert tcpi_snd_cwnd == 11 }}%"));
    assert!(looked.warnings[0].got.contains("10001:11001(1000)"), "{looked:?}");
    let acked = format!("{rest}\n+0 < P. 1:2(1) ack 1001 win 257\n+0 %{{ assert tcpi_snd_cwnd == 11 }}%");
    assert_eq!(failed(&acked).0, Kind::After, "an ACK that no line wants is another matter");
}

#[test]
fn what_a_timer_sends_behind_a_last_line_is_no_matter_of_the_script() {
    let rest = "+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 1\n+.298 < P. 1:2(1) ack 1 win 300";
    let last = passed(&format!("{rest}\n+0 > . 101:101(0) ack 2"));
    assert!(last.warnings[0].got.contains("P. 1:101(100)"), "the retransmission: {last:?}");
    assert_eq!(failed(rest).0, Kind::After, "not so where the last word is the peer's");
}

#[test]
fn what_closing_at_the_end_sends_needs_no_line_and_what_comes_later_does() {
    passed("+0 close(4) = 0");
    passed("+0 close(4) = 0\n+.1 close(3) = 0");
    let (kind, line, failure) = failed("+0 close(4) = 0\n+5 close(3) = 0");
    assert_eq!((kind, line), (Kind::After, 2), "the FIN once more: {}", failure.got);
}

#[test]
fn another_result_and_another_error() {
    let (kind, _, failure) = failed("+0 read(4, ..., 10) = 10");
    assert_eq!((kind, failure.differences.len()), (Kind::Blocks, 0));
    let (kind, _, failure) = failed("+0 write(4, ..., 10) = 11");
    assert_eq!(
        (kind, &failure.differences[..]),
        (Kind::Result, &[Difference::new("result", "11", "10")][..])
    );
    let (kind, _, failure) = failed("+0 write(9, ..., 10) = -1 EPIPE (Broken pipe)");
    let difference = Difference::new("result", "-1 EPIPE", "-1 EBADF");
    assert_eq!((kind, &failure.differences[..]), (Kind::Error, &[difference][..]));
    assert_eq!(failed("+0 write(4, ..., 10) = -1 EPIPE").0, Kind::Result);
    assert_eq!(failed("+0 getsockopt(4, SOL_TCP, TCP_MAXSEG, [7], [4]) = 0").0, Kind::Result);
    let (.., failure) = failed("+0 getsockopt(4, SOL_TCP, TCP_NODELAY, [0], [8]) = 0");
    assert_eq!(failure.differences, [Difference::new("the length", "8", "4")]);
    passed("+0 recv(4, ..., 10, MSG_DONTWAIT) = -1 EWOULDBLOCK (Resource temporarily unavailable)");
}

#[test]
fn a_packet_that_is_not_sound() {
    let spoil: Spoil = |packet| {
        if packet.len() > 100 {
            let last = packet.len() - 1;
            packet[last] ^= 1;
        }
    };
    let text = format!("{SERVER}+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 1");
    let Outcome::Failed(failure) = outcome(&text, Some(spoil)) else { panic!("it passes") };
    assert_eq!((failure.kind, failure.got.as_str()), (Kind::Unsound, "bad TCP checksum"));
}

/// A packet that agrees with the script, and not with an RFC.
#[test]
fn a_packet_that_the_judge_finds_wrong() {
    let spoil: Spoil = |packet| {
        let sum = u32::from(packet[10]) << 8 | u32::from(packet[11]);
        let sum = sum + (u32::from(packet[8]) << 8);
        let sum = (sum & 0xffff) + (sum >> 16);
        packet[8] = 0;
        packet[10..12].copy_from_slice(&(sum as u16).to_be_bytes());
    };
    let script = parse(SERVER).expect("a script");
    let choices = |spoil| Choices { judged: true, spoil, ..Choices::default() };
    assert!(matches!(run(&script, &choices(None)).outcome, Outcome::Passed(_)));
    let Outcome::Failed(failure) = run(&script, &choices(Some(spoil))).outcome else { panic!("it passes") };
    assert!(failure.kind == Kind::Judged && failure.got.contains("zero-ttl"), "{}", failure.got);
}

#[test]
fn a_call_that_returns_too_early_or_too_late() {
    let rest =
        "+0...0.200 read(4, ..., 1000) = 100\n+.1 < P. 1:101(100) ack 1 win 257\n+0 > . 1:1(0) ack 101";
    let (kind, line, failure) = failed(rest);
    assert_eq!((kind, line), (Kind::Return, 1));
    assert_eq!(failure.differences, [Difference::new("end of the call", "0.300000", "0.200000")]);
    let (kind, line, _) = failed(&rest.replace("0.200", "0.050"));
    assert_eq!((kind, line), (Kind::Return, 1));
    passed(&rest.replace("0.200", "0.100"));
    assert_eq!(failed("+0...0.200 read(4, ..., 1000) = 100").0, Kind::Return, "never");
}

#[test]
fn the_next_call_that_sleeps_waits_for_the_one_before() {
    passed(
        "+0...0.100 read(4, ..., 1000) = 100
+.1 < P. 1:101(100) ack 1 win 257
+0 > . 1:1(0) ack 101
+.1...0.400 read(4, ..., 1000) = 50
+.3 < P. 101:151(50) ack 1 win 257
* > . 1:1(0) ack 151",
    );
}

#[test]
fn code_that_does_not_hold() {
    passed("+0 %{ assert tcpi_state == TCP_ESTABLISHED, tcpi_state }%");
    let (kind, line, failure) = failed("+0 %{ assert tcpi_snd_mss == 7, tcpi_snd_mss }%");
    assert_eq!((kind, line), (Kind::Assertion, 1));
    assert!(failure.got.contains("1000"), "{}", failure.got);
}

#[test]
fn what_a_script_bears_is_a_warning() {
    let text =
        format!("--non_fatal=syscall,packet\n{SERVER}+0 write(4, ..., 10) = 11\n+0 > P. 1:11(10) ack 2");
    let Outcome::Passed(passed) = outcome(&text, None) else { panic!("it fails") };
    let kinds: Vec<Kind> = passed.warnings.iter().map(|warning| warning.kind).collect();
    assert_eq!(kinds, [Kind::Result, Kind::Packet]);
}

#[test]
fn what_needs_more_than_there_is_is_skipped_by_name() {
    assert_eq!(skipped("+0 setsockopt(4, SOL_TCP, TCP_MD5SIG, [1], 4) = 0"), "TCP_MD5SIG");
    assert_eq!(skipped("+0 send(4, ..., 10, MSG_ZEROCOPY) = 10"), "MSG_ZEROCOPY");
    assert_eq!(skipped("+0 kqueue() = 5"), "kqueue()");
    assert_eq!(skipped("+0 < . 1:1(0) ack 1 win 257 <md5 00>"), "option md5");
}

#[test]
fn a_line_stands_for_several_segments_unless_they_are_to_be_strict() {
    let rest = "+0 write(4, ..., 2500) = 2500\n+0 > P. 1:2501(2500) ack 1";
    passed(rest);
    passed(&rest.replace("> P. 1:2501(2500) ack 1", "> . 1:2001(2000) ack 1\n+0 > P. 2001:2501(500) ack 1"));
    let strict = format!("--strict_segments\n{SERVER}{rest}");
    assert!(matches!(outcome(&strict, None), Outcome::Failed(failure) if failure.kind == Kind::Packet));
    assert_eq!(failed(&rest.replace("2501(2500)", "1501(1500)")).0, Kind::Packet, "it ends within one");
}

#[test]
fn what_no_packet_can_carry_is_no_script() {
    assert_eq!(failed("+0 < . 1:4000000001(4000000000) ack 1 win 257").0, Kind::Script);
}

#[test]
fn numbers_count_from_the_syn_but_in_segments_that_have_it() {
    let text =
        SERVER.replace("< S 0:0(0)", "< S 500:500(0)").replace("> S. 0:0(0) ack 1", "> S. 70:70(0) ack 501");
    let text = format!("{text}+0 < P. 1:101(100) ack 1 win 257\n+0 > . 1:1(0) ack 101");
    assert!(matches!(outcome(&text, None), Outcome::Passed(_)));
}

#[test]
fn an_echo_is_the_one_that_is_asked_for() {
    let text = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32792 <mss 1000,sackOK,TS val 700 ecr 0>
+0 > S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 100 ecr 700>
+.1 < . 1:1(0) ack 1 win 257 <nop,nop,TS val 800 ecr 100>
+0 < P. 1:101(100) ack 1 win 257 <nop,nop,TS val 800 ecr 100>
+0 > . 1:1(0) ack 101 <nop,nop,TS val 200 ecr 800>";
    let passes = |text: &str| matches!(outcome(text, None), Outcome::Passed(_));
    assert!(passes(text));
    for wrong in ["200 ecr 55", "200 ecr 700", "200 ecr 0"] {
        assert!(!passes(&text.replace("200 ecr 800", wrong)), "{wrong}");
    }
    let ticks = format!("--tcp_ts_tick_usecs=1000\n{text}");
    assert!(passes(&ticks) && !passes(&ticks.replace("TS val 200", "TS val 205")));
}

#[test]
fn many_events_at_one_instant_are_not_without_end() {
    let lines = "+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [0], [4]) = 0\n".repeat(12_000);
    assert_eq!(passed(&lines), Passed::default());
}

#[test]
fn a_quotation_of_another_packet() {
    let quoting = |quote: &str| {
        let text =
            "0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3\n+0 bind(3, ..., ...) = 0\n+.1 < udp 9 > 9 (10)";
        outcome(&format!("{text}\n+0 > icmp unreachable port_unreachable [{quote}]"), None)
    };
    assert!(matches!(quoting("udp 9 > 9 (10)"), Outcome::Passed(_)), "{:?}", quoting("udp 9 > 9 (10)"));
    assert!(matches!(quoting("udp (10)"), Outcome::Passed(_)));
    for (quote, what) in [
        ("udp 9 > 8 (10)", "quoted ports"),
        ("udp 9 > 9 (11)", "quoted length"),
        ("1:11(10)", "quoted protocol"),
    ] {
        let Outcome::Failed(failure) = quoting(quote) else { panic!("{quote}") };
        assert_eq!((failure.kind, &failure.differences[0].field[..]), (Kind::Packet, what), "{quote}");
    }
}
