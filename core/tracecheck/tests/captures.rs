//! Captures in files: pcapng and pcap, byte orders, links, directions; and what cannot be read.

mod build;

use build::*;
use std::process::Command;
use usertcp_tracecheck::{Direction, Kind, Options, Report, Whom, check_capture};

/// A trace with one violation: an acknowledgement of what was not sent.
fn trace() -> Trace {
    let mut trace = Trace::default();
    trace.open().put(received(1, 1, 100)).put(sent(1, 102, 0));
    trace
}

/// Numbers in the byte order of a file.
#[derive(Clone, Copy)]
struct Order {
    big: bool,
}

impl Order {
    fn u16(self, number: u16) -> [u8; 2] {
        if self.big { number.to_be_bytes() } else { number.to_le_bytes() }
    }
    fn u32(self, number: u32) -> [u8; 4] {
        if self.big { number.to_be_bytes() } else { number.to_le_bytes() }
    }
    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let length = self.u32(body.len() as u32 + 12);
        [&self.u32(kind)[..], &length, body, &length].concat()
    }
}

fn pcapng(trace: &Trace, order: Order, link: u16, front: &[u8], directions: bool) -> Vec<u8> {
    let section = [&order.u32(0x1a2b_3c4d)[..], &order.u16(1), &order.u16(0), &[0xff; 8]].concat();
    let resolution = [&order.u16(9)[..], &order.u16(1), &[9, 0, 0, 0], &[0; 4]].concat();
    let interface = [&order.u16(link)[..], &[0; 2], &order.u32(0), &resolution].concat();
    let mut file = [order.block(0x0a0d_0d0a, &section), order.block(1, &interface)].concat();
    for (time, direction, packet) in &trace.records {
        let bytes = [front, packet].concat();
        let length = order.u32(bytes.len() as u32);
        let time = [order.u32((time >> 32) as u32), order.u32(*time as u32)].concat();
        let mut body = [&[0; 4][..], &time, &length, &length, &bytes].concat();
        body.resize(body.len().next_multiple_of(4), 0);
        if directions {
            let flags = order.u32(if *direction == Direction::In { 1 } else { 2 });
            body.extend([&order.u16(2)[..], &order.u16(4), &flags, &[0; 4]].concat());
        }
        file.extend(order.block(6, &body));
    }
    file
}

fn pcap(trace: &Trace, order: Order, magic: u32, link: u32) -> Vec<u8> {
    let head = [order.u32(magic), [0; 4], [0; 4], [0; 4], order.u32(262_144), order.u32(link)].concat();
    let mut file = head;
    file[4..8].copy_from_slice(&[order.u16(2), order.u16(4)].concat());
    let unit = if magic == 0xa1b2_3c4d { 1 } else { 1000 };
    for (time, _, packet) in &trace.records {
        let length = order.u32(packet.len() as u32);
        let seconds = order.u32((time / 1_000_000_000) as u32);
        file.extend([seconds, order.u32((time % 1_000_000_000 / unit) as u32), length, length].concat());
        file.extend(packet);
    }
    file
}

fn kinds(report: &Report) -> Vec<Kind> {
    report.violations.iter().map(|violation| violation.kind).collect()
}

#[test]
fn pcapng_says_which_way_packets_went() {
    for big in [false, true] {
        let file = pcapng(&trace(), Order { big }, 101, &[], true);
        let options = Options { whom: Whom::Capturing, ..Options::default() };
        let report = check_capture(&file[..], options).unwrap();
        assert_eq!((kinds(&report), report.packets), (vec![Kind::AckOfUnsent], 5));
        assert_eq!(report.violations[0].time, 1_010_000_000);
    }
}

#[test]
fn other_tools_captures_are_read() {
    let hosts = || Options { whom: Whom::Hosts(vec![HERE.parse().unwrap()]), ..Options::default() };
    let trace = trace();
    for big in [false, true] {
        for magic in [0xa1b2_c3d4, 0xa1b2_3c4d] {
            for link in [101, 228, 12] {
                let report = check_capture(&pcap(&trace, Order { big }, magic, link)[..], hosts()).unwrap();
                assert_eq!(kinds(&report), [Kind::AckOfUnsent]);
                assert_eq!(report.violations[0].time, 1_010_000_000);
            }
        }
    }
    let ethernet = [&[2; 12][..], &[8, 0]].concat();
    let tagged = [&[2; 12][..], &[0x81, 0, 0, 5, 8, 0]].concat();
    for (link, front) in [(1, &ethernet[..]), (1, &tagged), (0, &[2, 0, 0, 0])] {
        let file = pcapng(&trace, Order { big: false }, link, front, false);
        assert_eq!(kinds(&check_capture(&file[..], hosts()).unwrap()), [Kind::AckOfUnsent]);
    }
}

#[test]
fn super_frames_fill_a_record() {
    let mut trace = Trace::default();
    trace.accept().put(sent(1, 1, 1).window(500));
    trace.wait(1).put(received(1, 2, 63_712)).put(sent(2, 63_713, 0));
    let options = Options { whom: Whom::Capturing, ..Options::default() };
    let file = pcapng(&trace, Order { big: false }, 101, &[], true);
    assert_eq!(kinds(&check_capture(&file[..], options).unwrap()), []);
}

#[test]
fn a_record_that_is_not_complete_ends_the_capture() {
    let file = pcapng(&trace(), Order { big: false }, 101, &[], true);
    let report = check_capture(&file[..file.len() - 7], Options::default()).unwrap();
    assert_eq!((kinds(&report), report.packets), (vec![], 4));
}

#[test]
fn links_that_carry_something_else_are_passed_over() {
    let file = pcapng(&trace(), Order { big: false }, 147, &[], true);
    let report = check_capture(&file[..], Options::default()).unwrap();
    assert_eq!((report.packets, report.skipped), (5, 5));
}

#[test]
fn what_is_no_capture_is_refused_with_cause_and_remedy() {
    for (bytes, cause) in [(&b""[..], "empty"), (b"hello, this is not a capture at all.....", "neither")] {
        let error = check_capture(bytes, Options::default()).unwrap_err().to_string();
        assert!(error.contains(cause), "{error}");
    }
}

/// Standard output, standard error, exit status.
fn run(arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_usertcp-tracecheck")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

#[test]
fn the_program_prints_and_exits_as_it_says() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (bad, good) = (folder.join("bad.pcapng"), folder.join("good.pcapng"));
    std::fs::write(&bad, pcapng(&trace(), Order { big: false }, 101, &[], true)).unwrap();
    let mut clean = Trace::default();
    clean.open();
    std::fs::write(&good, pcapng(&clean, Order { big: false }, 101, &[], true)).unwrap();
    let (bad, good) = (bad.to_str().unwrap(), good.to_str().unwrap());

    let (out, err, status) = run(&[bad]);
    assert_eq!((out.lines().count(), err.as_str(), status), (2, "", Some(1)));
    assert!(
        out.contains("ack-of-unsent") && out.ends_with("1 violation, 1 connection, 5 packets\n"),
        "{out}"
    );
    let (out, _, status) = run(&[good, "--capturing"]);
    assert_eq!((out.lines().count(), status), (1, Some(0)), "{out}");
    for quiet in [&["--allow", "ack-of-unsent"][..], &["--host", PEER]] {
        assert_eq!(run(&[quiet, &[bad]].concat()).2, Some(0));
    }
    assert_eq!(run(&["--slack", "5", "--host", PEER, bad]).2, Some(0));
    for wrong in [
        &["--host", "nobody", bad][..],
        &["--allow", "nothing", bad],
        &["--slack", "much", bad],
        &["--what"],
        &[],
    ] {
        let (_, err, status) = run(wrong);
        assert!(status == Some(2) && err.contains("see --help"), "{err}");
    }
    let (_, err, status) = run(&["/does/not/exist.pcap", good]);
    assert!(status == Some(2) && err.contains("is the name right"), "{err}");
    let strange = folder.join("strange.pcapng");
    std::fs::write(&strange, pcapng(&trace(), Order { big: false }, 147, &[], true)).unwrap();
    let (_, err, status) = run(&[strange.to_str().unwrap()]);
    assert!(status == Some(2) && err.contains("a link that carries IP"), "{err}");
    assert_eq!(run(&["--kinds"]).0.lines().count(), Kind::ALL.len());
    assert!(run(&["--help"]).0.contains("Exit status"));
}
