//! Each form of the language, what it is read as, and what is refused where.

use super::*;
use crate::script::Expression::{Any, Apply, Binary, Field, List, Name, Number, Struct, Text, Unary};
use crate::script::{
    Action, Body, Call, Event, Expression, Header, Options, Packet, Segment, TcpOption, Time,
};
use proptest::prelude::*;
use std::time::Duration;

fn only(text: &str) -> Event {
    let mut script = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(script.events.len(), 1, "{text}");
    script.events.remove(0)
}

fn packet(text: &str) -> Packet {
    match only(&format!("0 {text}")).action {
        Action::Inbound(packet) | Action::Outbound(packet) => packet,
        other => panic!("{other:?}"),
    }
}

fn segment(text: &str) -> Segment {
    match packet(text).body {
        Body::Tcp(segment) => segment,
        other => panic!("{other:?}"),
    }
}

fn call(text: &str) -> Call {
    match only(&format!("0 {text}")).action {
        Action::Call(call) => call,
        other => panic!("{other:?}"),
    }
}

fn argument(text: &str) -> Expression {
    call(&format!("f({text}) = 0")).arguments.remove(0)
}

fn refusal(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn times_are_read_in_all_their_forms() {
    for (text, time) in [
        ("+.1 > . 1:1(0)", Time::Relative(ms(100))),
        ("+ 1 > . 1:1(0)", Time::Relative(ms(1000))),
        ("0.3 > . 1:1(0)", Time::Absolute(ms(300))),
        (" 2 > . 1:1(0)", Time::Absolute(ms(2000))),
        ("+.3~+.400 > . 1:1(0)", Time::RelativeRange(ms(300), ms(400))),
        (".1~.2 > . 1:1(0)", Time::AbsoluteRange(ms(100), ms(200))),
        ("* > . 1:1(0)", Time::Any),
        ("`true`", Time::Unwritten),
        ("+0.000001 > . 1:1(0)", Time::Relative(Duration::from_micros(1))),
        ("0.0000000019 > . 1:1(0)", Time::Absolute(Duration::from_nanos(1))),
    ] {
        assert_eq!(only(text).time, time, "{text}");
    }
    for (text, start, end) in [
        ("+.08...0.180 connect(3, ..., ...) = 0", Time::Relative(ms(80)), ms(180)),
        ("0...0.2 connect(3, ..., ...) = 0", Time::Absolute(ms(0)), ms(200)),
        ("+.002 ... 0.004 connect(3, ..., ...) = 0", Time::Relative(ms(2)), ms(4)),
    ] {
        let event = only(text);
        let Action::Call(call) = event.action else { panic!("{text}") };
        assert_eq!((event.time, call.end), (start, Some(end)), "{text}");
    }
}

#[test]
fn options_stand_in_lines_or_together() {
    let script = parse(
        "--ip_version=ipv4 --mss=1000\n--strict_segments\n-D PORT=8080 -DCC=\"reno\" // names\n\
         --define=LINE=`sysctl a=b`\n--remote_ip=2001:db8::1\n0 f(PORT, CC, OTHER) = 0\n+1 LINE",
    )
    .unwrap();
    let text = |value: &str| Some(value.to_owned());
    assert_eq!(
        script.options,
        [
            ("ip_version".into(), text("ipv4")),
            ("mss".into(), text("1000")),
            ("strict_segments".into(), None),
            ("define".into(), text("PORT=8080")),
            ("define".into(), text("CC=\"reno\"")),
            ("define".into(), text("LINE=`sysctl a=b`")),
            ("remote_ip".into(), text("2001:db8::1")),
        ]
    );
    let Action::Call(call) = &script.events[0].action else { panic!() };
    assert_eq!(call.arguments, [Number(8080), Text(b"reno".to_vec()), Name("OTHER".into())]);
    assert_eq!(script.events[1].action, Action::Shell("sysctl a=b".into()));
}

#[test]
fn names_from_outside_win_over_those_of_the_script() {
    let defines = vec![("A".into(), "SOL_IP".into()), ("N".into(), "0x10".into())];
    let symbols = Symbols { defines, ..Symbols::default() };
    let script = parse_with("-D A=SOL_IPV6 -D B=2\n0 f(A, B, N, C) = 0", &symbols).unwrap();
    let Action::Call(call) = &script.events[0].action else { panic!() };
    assert_eq!(call.arguments, [Name("SOL_IP".into()), Number(2), Number(16), Name("C".into())]);
}

#[test]
fn conditional_parts_are_chosen_by_name_and_keep_their_lines() {
    let text =
        "0 `a`\n#ifdef STANDARD\n+0 `b`\n#endif\n#ifdef FreeBSD\n+0 `c`\n#else\n+0 `d`\n#endif\n+0 `e`";
    let shells = |systems: &[&str]| {
        let systems = systems.iter().map(|s| (*s).to_owned()).collect();
        let script = parse_with(text, &Symbols { defines: vec![], systems }).unwrap();
        let shell = |event: Event| match event.action {
            Action::Shell(text) => (event.line, text),
            other => panic!("{other:?}"),
        };
        script.events.into_iter().map(shell).collect::<Vec<_>>()
    };
    let lines = |lines: &[(u32, &str)]| lines.iter().map(|(l, s)| (*l, (*s).to_owned())).collect::<Vec<_>>();
    assert_eq!(shells(&["STANDARD", "FreeBSD"]), lines(&[(1, "a"), (3, "b"), (8, "d"), (10, "e")]));
    assert_eq!(shells(&["freebsd", "STANDARD"]), lines(&[(1, "a"), (6, "c"), (10, "e")]));
    assert_eq!(shells(&[]), lines(&[(1, "a"), (8, "d"), (10, "e")]));
    assert_eq!(refusal("\n#endif"), "2:1: expected an '#ifdef' before it, found '#endif'");
    assert!(refusal("#ifdef A\n0 `a`").starts_with("1:1: expected an '#endif'"));
}

#[test]
fn shell_lines_and_code_span_lines() {
    let script = parse(
        "`../common/defaults.sh\nsysctl -q a=1 # b\n`\n\n+0 %{\nassert a == 1, a\n}%\n+0 `echo \\`a\\``",
    )
    .unwrap();
    assert_eq!(
        script.events,
        [
            Event {
                line: 1,
                time: Time::Unwritten,
                action: Action::Shell("../common/defaults.sh\nsysctl -q a=1 # b\n".into())
            },
            Event {
                line: 5,
                time: Time::Relative(ms(0)),
                action: Action::Code("\nassert a == 1, a\n".into())
            },
            Event { line: 8, time: Time::Relative(ms(0)), action: Action::Shell("echo \\`a\\`".into()) },
        ]
    );
}

#[test]
fn comments_are_passed_over_wherever_they_stand() {
    let script =
        parse("// a\n/* b\n * c */ 0 /* d */ > . // e\n 1:1(0) ack 1 // f\n// g\n# h\n+1 `x` // i").unwrap();
    assert_eq!(script.events.iter().map(|event| event.line).collect::<Vec<_>>(), [3, 7]);
}

#[test]
fn segments_are_read_with_every_field() {
    let full = segment("> 1234 > 80 FP. 1:1461(1460)! ack 5! win 257 urg 7 <nop, nop, TS val 1 ecr 2>");
    assert_eq!(
        full,
        Segment {
            ports: Some((1234, 80)),
            flags: "FP.".into(),
            seq: 1,
            end: 1461,
            len: 1460,
            any_seq: false,
            absolute_seq: true,
            ack: Some(5),
            absolute_ack: true,
            window: Some(257),
            urgent: Some(7),
            options: Options::List(vec![
                TcpOption::Nop,
                TcpOption::Nop,
                TcpOption::Timestamps { value: 1, echo: 2 }
            ]),
        }
    );
    let bare = segment("< R 5:5(0)");
    assert_eq!((bare.ack, bare.window, bare.urgent, bare.options), (None, None, None, Options::None));
    assert_eq!(segment("< . 4294967295:0(1)").end, 0);
    let any = segment("> S. ...(0) ack 65538 win 65535 <...>");
    assert!(any.any_seq && any.options == Options::Any && any.ack == Some(65_538));
    assert_eq!(segment("> . 1:1(0) ack ... win ...").window, None);
}

#[test]
fn flags_are_kept_as_written() {
    for flags in
        ["S", "S.", "F.", "FP.", "P.", ".", "-", "SEW", "SE.", "R.", "EWA", "SEWA", ".5", "P.5", "SW.", "PU."]
    {
        assert_eq!(segment(&format!("> {flags} 1:1(0)")).flags, flags);
    }
    assert!(refusal("0 > Sx 1:1(0)").contains("expected flags"));
    assert!(refusal("0 > 1:1(0)").contains("expected flags before"));
}

#[test]
fn options_of_segments_are_read_in_order() {
    let options = |text: &str| match segment(&format!("< S 0:0(0) win 1 <{text}>")).options {
        Options::List(list) => list,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        options("mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 8"),
        [
            TcpOption::Mss(1460),
            TcpOption::SackPermitted,
            TcpOption::Timestamps { value: 100, echo: 0 },
            TcpOption::Nop,
            TcpOption::WindowScale(8),
        ]
    );
    assert_eq!(
        options("sack 1:2 3:4, eol,eol"),
        [TcpOption::Sack(vec![(1, 2), (3, 4)]), TcpOption::End, TcpOption::End]
    );
    let other = |name: &str, text: &str| TcpOption::Other(name.into(), text.into());
    assert_eq!(
        options("FO 300a , FOEXP, md5 00ff, ECN e1b 1 ceb 0"),
        [other("FO", "300a"), other("FOEXP", ""), other("md5", "00ff"), other("ECN", "e1b 1 ceb 0")]
    );
}

#[test]
fn headers_in_front_are_read() {
    let header = |text: &str| packet(&format!("> {text} . 1:1(0)")).header;
    let none = Header::default;
    assert_eq!(header("(tos 0x28)"), Header { traffic_class: Some(0x28), ..none() });
    assert_eq!(header("(ttl 4)"), Header { hop_limit: Some(4), ..none() });
    assert_eq!(header("(hlim 5)"), Header { hop_limit: Some(5), ..none() });
    assert_eq!(header("[ect0]"), Header { ecn: Some("ect0".into()), ..none() });
    assert_eq!(header("[noecn, flowlabel 0xfffff]").flow_label, Some(0xf_ffff));
    let both =
        Header { traffic_class: Some(1), hop_limit: Some(2), ecn: Some("ce".into()), flow_label: None };
    assert_eq!(header("(tos 0x1, ttl 2) [ce]"), both);
    assert!(refusal("0 > (tos 256) . 1:1(0)").starts_with("1:10: expected an octet"));
    assert!(refusal("0 > [ect2] . 1:1(0)").contains("found 'ect2'"));
}

#[test]
fn icmp_and_udp_are_read() {
    let body = |text: &str| packet(text).body;
    let quote = |seq, end, len| Some(Box::new(Body::Tcp(Segment { seq, end, len, ..Segment::default() })));
    let icmp = |kind: &str, code: Option<&str>, mtu, quoted| Body::Icmp {
        kind: kind.into(),
        code: code.map(str::to_owned),
        mtu,
        quoted,
    };
    assert_eq!(
        body("< icmp unreachable frag_needed mtu 1400 [1:1461(1460)]"),
        icmp("unreachable", Some("frag_needed"), Some(1400), quote(1, 1461, 1460))
    );
    assert_eq!(body("< icmp packet_too_big mtu 1280"), icmp("packet_too_big", None, Some(1280), None));
    assert_eq!(body("< icmp 3 4 [0:0(0)]"), icmp("3", Some("4"), None, quote(0, 0, 0)));
    let udp = |ports, len| Body::Udp { ports, len };
    let quoted = Some(Box::new(udp(None, 1000)));
    assert_eq!(
        body("< icmp unreachable port_unreachable [udp (1000)]"),
        icmp("unreachable", Some("port_unreachable"), None, quoted)
    );
    assert_eq!(body("> udp (1000)"), udp(None, 1000));
    assert_eq!(body("> udp 53 > 1024 (1000)"), udp(Some((53, 1024)), 1000));
    let whole = body("< icmp unreachable host_unreachable [1 > 2 S 0:0(0) win 5]");
    let Body::Icmp { quoted: Some(quoted), .. } = whole else { panic!() };
    let Body::Tcp(quoted) = *quoted else { panic!() };
    assert_eq!((quoted.ports, quoted.flags.as_str(), quoted.window), (Some((1, 2)), "S", Some(5)));

    let script = parse("0 > icmp unreachable\n0.5 `x`").unwrap();
    assert_eq!(script.events[1].time, Time::Absolute(ms(500)), "the time of the next event is no code");
}

#[test]
fn outer_headers_are_kept_as_text() {
    let outer = |text: &str| packet(text).encapsulation;
    assert_eq!(outer("> gre: . 1:1(0)"), ["gre"]);
    assert_eq!(
        outer("< ipv4 192.0.2.1 > 192.0.2.2: gre flags[none], sum 0, off 0, key=7, seq 0: . 1:1(0) win 5"),
        ["ipv4 192.0.2.1 > 192.0.2.2", "gre flags[none], sum 0, off 0, key=7, seq 0"]
    );
    assert_eq!(outer("< mpls (label 0, tc 0, [S], ttl 1): . 1:1(0)"), ["mpls (label 0, tc 0, [S], ttl 1)"]);
    assert_eq!(outer("< ipv6 2001:db8::1 > 2001:db8::2: . 1:1(0)"), ["ipv6 2001:db8::1 > 2001:db8::2"]);
    assert_eq!(outer("> R. 1:1(0)! ack 3 win 0/udp(9811 > 9811)"), ["udp(9811 > 9811)"]);
}

#[test]
fn calls_have_arguments_a_result_an_error_and_a_note() {
    let made = call("connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)");
    assert_eq!((made.name.as_str(), made.arguments), ("connect", vec![Number(3), Any, Any]));
    assert_eq!((made.result, made.errno.as_deref(), made.note), (Number(-1), Some("EINPROGRESS"), None));
    let made = call("fcntl(3, F_GETFL) = 0x02 (flags O_RDWR)");
    assert_eq!((made.result, made.errno, made.note.as_deref()), (Number(2), None, Some("flags O_RDWR")));
    assert_eq!(call("f() = ...").result, Any);
    assert_eq!(call("f() = O_RDWR (x)").result, Name("O_RDWR".into()));
    assert_eq!(call("open(\"a\", 1) = -1 ENOENT").errno.as_deref(), Some("ENOENT"));
}

#[test]
fn expressions_are_read_in_all_their_forms() {
    let name = |name: &str| Name(name.into());
    let field = |name: &str, value| Field(name.into(), None, Box::new(value));
    let binary = |c, a, b| Binary(c, Box::new(a), Box::new(b));
    let text = |text: &str| Text(text.as_bytes().to_vec());
    let apply = |name: &str, argument| Apply(name.into(), vec![argument]);
    let with = |name: &str, argument, value| Field(name.into(), Some(Box::new(argument)), Box::new(value));
    for (written, read) in [
        ("-5", Number(-5)),
        ("0xffffffff", Number(0xffff_ffff)),
        ("[]", List(vec![])),
        ("[1, [2], {}]", List(vec![Number(1), List(vec![Number(2)]), Struct(vec![])])),
        ("A|B | C", binary('|', binary('|', name("A"), name("B")), name("C"))),
        ("A & ~B|2", binary('|', binary('&', name("A"), Unary('~', Box::new(name("B")))), Number(2))),
        ("(1)", Number(1)),
        ("\"a\\n\\x41\\0\\\"\" \"b\"", text("a\nA\0\"b")),
        ("\"GET\"...", binary('.', text("GET"), Any)),
        ("{onoff=1, linger=0}", Struct(vec![field("onoff", Number(1)), field("linger", Number(0))])),
        (
            "[{fd=4, events=POLLOUT|POLLIN, revents=POLLOUT}]",
            List(vec![Struct(vec![
                field("fd", Number(4)),
                field("events", binary('|', name("POLLOUT"), name("POLLIN"))),
                field("revents", name("POLLOUT")),
            ])]),
        ),
        (
            "{sa_family = AF_INET, sin_port = htons(8080), sin_addr = inet_addr(\"192.0.2.1\")}",
            Struct(vec![
                field("sa_family", name("AF_INET")),
                field("sin_port", apply("htons", Number(8080))),
                field("sin_addr", apply("inet_addr", text("192.0.2.1"))),
            ]),
        ),
        (
            "{msg_name(...)=..., msg_iov(2)=[{..., 100}, {..., 5}], msg_flags=MSG_X, msg_control=[{cmsg_level=A, cmsg_type=B, cmsg_data={a=1}}]}",
            Struct(vec![
                with("msg_name", Any, Any),
                with(
                    "msg_iov",
                    Number(2),
                    List(vec![Struct(vec![Any, Number(100)]), Struct(vec![Any, Number(5)])]),
                ),
                field("msg_flags", name("MSG_X")),
                field(
                    "msg_control",
                    List(vec![Struct(vec![
                        field("cmsg_level", name("A")),
                        field("cmsg_type", name("B")),
                        field("cmsg_data", Struct(vec![field("a", Number(1))])),
                    ])]),
                ),
            ]),
        ),
    ] {
        assert_eq!(argument(written), read, "{written}");
    }
}

#[test]
fn what_is_no_script_is_refused_with_its_place() {
    for (text, message) in [
        ("0 > . 1:2(0)", "1:9: expected 1 here, found '2'"),
        ("\n 0 > . 1:1(0) ack x", "2:19: expected a number, found 'x'"),
        ("0 > . 1:1(0) win 65536", "1:18: expected a window of 16 bits in its range, found '65536'"),
        ("0 f(1", "1:6: expected ',' or ')', found the end of the script"),
        ("0 f(1) 3", "1:8: expected '=', found '3'"),
        ("0 `x", "1:3: expected a second '`' behind this one, found '`'"),
        ("0 %{ x", "1:6: expected a '}%' further on, found 'x'"),
        ("f() = 0", "1:1: expected a time such as '+.1', found 'f'"),
        ("* f() = 0", "1:1: expected a single time: a range or '*' is for a packet with '>', found '*'"),
        ("0~1 < . 1:1(0)", "1:1: expected a single time: a range or '*' is for a packet with '>', found '0'"),
        ("1~0 > . 1:1(0)", "1:1: expected a range whose end is not before its beginning, found '1'"),
        ("9999999999 `x`", "1:1: expected a time below 1000000000 seconds, found '9999999999'"),
        ("0 f(\"x) = 0", "1:6: expected a second '\"' further on, found 'x'"),
        ("0 > . 1:1(0) <mss>", "1:18: expected a number, found '>'"),
        ("0 > . 1:1(0) <nop nop>", "1:19: expected ',' or '>', found 'nop'"),
        ("0 > ", "1:5: expected flags such as S, F., P. or -, found the end of the script"),
        ("--", "1:3: expected the name of an option, found the end of the script"),
        (
            "/* a",
            "1:1: expected a packet ('<' or '>'), a call, a shell line in '`' or code in '%{ }%', found '/'",
        ),
    ] {
        let found = refusal(text);
        assert!(found.starts_with(message) || message.starts_with(&found), "{text}\n{found}\n{message}");
    }
    assert!(refusal(&format!("0 f({}", "[".repeat(100_000))).contains("less nesting"));
    assert!(refusal(&format!("0 f({}1) = 0", "-".repeat(100_000))).contains("less nesting"));
    assert!(refusal(&format!("0 f(1{}) = 0", "|1".repeat(100_000))).contains("shorter"));
}

/// Pieces that a script is made of, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "0",
        "+.1",
        "~",
        "*",
        "...",
        "<",
        ">",
        "S.",
        ".",
        "-",
        "1:1(0)",
        "ack 1",
        "win 5",
        "urg",
        "sack",
        "1:2",
        "TS val 1 ecr 2",
        "mss",
        "icmp",
        "udp",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "=",
        ",",
        "|",
        "\"",
        "`",
        "%{",
        "}%",
        "//",
        "/*",
        "*/",
        "\n",
        " ",
        "--a=b",
        "-D A=1",
        "#ifdef A",
        "#else",
        "#endif",
        "ipv4",
        "gre",
        ":",
        "!",
        "/udp(1 > 2)",
        "close(3) = 0",
        "\\",
        "é",
        "0x",
        "18446744073709551616",
        "\"a\"",
        "tos 0x1",
        "ect0",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_mixture_of_its_own_words_makes_the_parser_panic(text in pieces()) {
        if let Err(error) = parse(&text) {
            let lines = u32::try_from(text.matches('\n').count()).unwrap() + 1;
            prop_assert!(error.line >= 1 && error.line <= lines && error.column >= 1);
        }
    }

    #[test]
    fn no_cut_of_a_script_makes_the_parser_panic(cut in 0_usize..400, mark in any::<char>()) {
        let text = "--mss=1000\n`a`\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+.1~+.2 > [ect0] P. 1:5(4) ack 1 win 5 \
                    <nop,sack 1:2 3:4,TS val 1 ecr 2>\n+0 < icmp unreachable frag_needed mtu 1400 [1:5(4)]\n+0 %{ assert a }%\n\
                    +0...1 poll([{fd=4, events=POLLOUT}], 1, -1) = -1 EINTR (a b)";
        let cut = cut.min(text.len());
        let _ = parse(&text[..cut]);
        let _ = parse(&format!("{}{mark}{}", &text[..cut], &text[cut..]));
    }
}

#[test]
fn the_work_grows_with_the_text_and_no_faster() {
    let line = "+.1 > P. 1:5(4) ack 1 win 5 <nop,nop,sack 1:2 3:4> // and so on\n+0 poll([{fd=4, events=A|B}], 1, 0) = 0\n";
    let script = parse(&line.repeat(20_000)).unwrap();
    assert_eq!((script.events.len(), script.events.last().unwrap().line), (40_000, 40_000));
}

#[test]
fn every_script_of_the_folders_that_the_environment_names_is_read() {
    let Some(folders) = std::env::var_os("USERTCP_PKT_DIRS") else { return };
    let mut folders: Vec<_> = std::env::split_paths(&folders).collect();
    let (mut read, mut refused) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "pkt") {
                let bytes = std::fs::read(&path).expect("a readable script");
                match parse(&String::from_utf8_lossy(&bytes)) {
                    Ok(_) => read += 1,
                    Err(error) => refused.push(format!("{}:{error}", path.display())),
                }
            }
        }
    }
    assert!(refused.is_empty(), "{read} are read, these are not:\n{}", refused.join("\n"));
}
