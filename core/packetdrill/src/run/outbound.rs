//! What the stack has to send: `>` lines against the packets that it sent.

use super::wire::{self, CWR, Content, FIN, PSH, RST, SYN, Wire, letters};
use super::{Run, Stop, When, icmp};
use crate::report::{Difference, Kind};
use crate::script::{Body, Header, Options, Packet, Segment, TcpOption};
use std::fmt::Write;
use usertcp_core::time::{Duration, Instant};

/// Data that was sent at one instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    time: Instant,
    ports: (u16, u16),
    /// The sequence number behind it.
    next: u32,
}

impl Burst {
    /// The burst with `packet`, if it goes on with that.
    pub(super) fn followed_by(self, packet: &Wire) -> Option<Self> {
        let Content::Tcp(segment) = &packet.content else { return None };
        let same = (packet.time, segment.source, segment.destination, segment.seq)
            == (self.time, self.ports.0, self.ports.1, self.next);
        let next = self.next.wrapping_add(segment.payload.len() as u32);
        (same && next != self.next).then_some(Self { next, ..self })
    }
}

impl Run<'_> {
    /// A `>` line: the next packet has to be this one, at this time.
    pub(super) fn outbound(&mut self, when: When, packet: &Packet) -> Result<(), Stop> {
        if let Some(outer) = packet.encapsulation.first() {
            return Err(Stop::Skip(format!("encapsulation: {outer}")));
        }
        let Some(first) = self.await_sent(when.limit())? else {
            let until = super::world::since_start(self.world.now).as_secs_f64();
            return Err(Stop::fail(Kind::Missing, format!("nothing was sent until {until:.6}"), vec![]));
        };
        self.last_line = first.time;
        let differences = match (&packet.body, &first.content) {
            (Body::Tcp(expected), Content::Tcp(_)) => {
                self.segments(when, expected, &packet.header, &first)?
            }
            (Body::Udp { ports, len }, Content::Udp { source, destination, len: got }) => {
                let mut differences = header(&packet.header, &first);
                if let Some((from, to)) = ports.filter(|ports| *ports != (*source, *destination)) {
                    let (expected, got) = (format!("{from} > {to}"), format!("{source} > {destination}"));
                    differences.push(Difference::new("ports", expected, got));
                }
                push(&mut differences, "length", *len as usize, *got);
                differences
            }
            (Body::Icmp { kind, code, mtu, quoted }, Content::Icmp { .. }) => {
                let expected = (&kind[..], code.as_deref(), *mtu, quoted.as_deref());
                let mut differences = header(&packet.header, &first);
                differences.extend(self.icmp_sent(expected, &first)?);
                differences
            }
            _ => vec![Difference::new("protocol", protocol(&packet.body), describe(&first.bytes))],
        };
        if !differences.is_empty() {
            return Err(Stop::fail(Kind::Packet, self.in_script(&first), differences));
        }
        self.in_time(when, &first)
    }

    /// The time of a packet; the clock stands there from now on.
    fn in_time(&mut self, when: When, packet: &Wire) -> Result<(), Stop> {
        let text = |run: &Self| format!("> {}", run.in_script(packet));
        let off = when.off(packet.time);
        if off > when.tolerance {
            let difference = Difference::new("time", when, super::seconds(packet.time));
            return Err(Stop::fail(Kind::Time, text(self), vec![difference]));
        }
        self.slack = self.slack.max(off);
        Ok(())
    }

    /// One line and the segments that it stands for, of which `first` is the first.
    fn segments(
        &mut self,
        when: When,
        expected: &Segment,
        fields: &Header,
        first: &Wire,
    ) -> Result<Vec<Difference>, Stop> {
        let Content::Tcp(segment) = &first.content else { return Ok(Vec::new()) };
        let flags = wire::flags(&expected.flags).map_err(|flag| Stop::Skip(format!("flag {flag}")))?;
        let index = match self.flows.outbound(expected.ports, segment) {
            Ok(index) => index,
            Err(ports) => {
                let got = format!("{} > {}", segment.source, segment.destination);
                return Ok(vec![Difference::new("ports", ports, got)]);
            }
        };
        if flags & SYN == segment.flags & SYN {
            let stamp = match &expected.options {
                Options::List(list) => stamp(list),
                Options::None | Options::Any => None,
            };
            self.flows.get_mut(index).learn(expected.seq, expected.absolute_seq, stamp, segment);
        }
        let size = segment.payload.len();
        let wanted = expected.len as usize;
        let mut differences = header(fields, first);
        differences.extend(self.label(index, fields, first));
        let (mut seen, mut last, mut length) = (segment.flags, segment.flags, size);
        differences.extend(self.fields(index, expected, segment, 0));
        let data_only = (SYN | RST) & segment.flags == 0;
        while !self.rules.strict_segments
            && data_only
            && differences.is_empty()
            && 0 < length
            && length < wanted
        {
            let joins = |next: &Wire| {
                let Content::Tcp(next) = &next.content else { return false };
                let follows = next.seq == segment.seq.wrapping_add(length as u32);
                let same = (next.source, next.destination) == (segment.source, segment.destination);
                let fits = (1..=size.min(wanted - length)).contains(&next.payload.len());
                same && follows
                    && fits
                    && (next.flags ^ segment.flags) & !(PSH | FIN | CWR) == 0
                    && seen & FIN == 0
            };
            let Some(next) = self.await_if(when.limit(), joins)? else { break };
            let Content::Tcp(more) = &next.content else { break };
            differences.extend(header(fields, &next));
            differences.extend(self.fields(index, expected, more, length as u32));
            seen |= more.flags & (PSH | FIN);
            last = seen & !PSH | more.flags & PSH;
            let short = more.payload.len() < size;
            length += more.payload.len();
            self.in_time(when, &next)?;
            if short {
                break;
            }
        }
        // What a line says of PSH is of its last segment, or of the whole: super-frames before the last may have it.
        if seen != flags && last != flags {
            differences.insert(0, Difference::new("flags", letters(flags), letters(seen)));
        }
        push(&mut differences, "length", wanted, length);
        let next = segment.seq.wrapping_add(length as u32);
        let ports = (segment.source, segment.destination);
        self.burst = (length > 0).then_some(Burst { time: first.time, ports, next });
        Ok(differences)
    }

    /// Flow labels are whichever the stack likes, but the same as long as they are the same in the script.
    fn label(&mut self, flow: usize, fields: &Header, got: &Wire) -> Option<Difference> {
        let (script, live) = fields.flow_label.zip(got.flow_label)?;
        let fits = script == 0 || self.flows.get_mut(flow).labels(script, live);
        (!fits).then(|| {
            Difference::new("flow label", format!("what {script:#x} stands for"), format!("{live:#x}"))
        })
    }

    /// The fields in which a segment that begins `at` bytes into what the line stands for differs; flags and length are judged on the whole.
    fn fields(&mut self, flow: usize, expected: &Segment, got: &wire::Segment, at: u32) -> Vec<Difference> {
        let flow = self.flows.get_mut(flow).clone();
        let mut differences = Vec::new();
        let base = if expected.absolute_seq { 0 } else { flow.offset(got.flags) };
        let ack = got.ack.wrapping_sub(if expected.absolute_ack { 0 } else { flow.peer_offset(got.flags) });
        if !expected.any_seq {
            let seq = got.seq.wrapping_sub(base);
            push(&mut differences, "seq", expected.seq.wrapping_add(at), seq);
        }
        match expected.ack {
            Some(expected) => push(&mut differences, "ack", expected, ack),
            None if got.flags & wire::ACK == 0 => push(&mut differences, "ack", 0, got.ack),
            None => {}
        }
        if let Some(window) = expected.window {
            push(&mut differences, "window", window, got.window);
        }
        match expected.urgent {
            Some(urgent) => push(&mut differences, "urgent pointer", urgent, got.urgent),
            None if !expected.flags.contains('U') => push(&mut differences, "urgent pointer", 0, got.urgent),
            None => {}
        }
        if let Some(difference) = self.payload(&flow, got) {
            differences.push(difference);
        }
        let list: &[TcpOption] = match &expected.options {
            Options::Any => return differences,
            Options::None => &[],
            Options::List(list) => list,
        };
        let live = in_script(&flow, got.flags, &got.options);
        if !self.same_options(list, &live) {
            differences.push(Difference::new("options", options(list), options(&live)));
        }
        differences
    }

    /// What is sent has to be what the program wrote.
    fn payload(&self, flow: &super::flow::Flow, got: &wire::Segment) -> Option<Difference> {
        let first = flow.position(got.seq).filter(|_| !self.files.wrote_text)?;
        let written = |at: usize| super::calls::pattern(u64::from(first) + at as u64);
        let wrong = got.payload.iter().enumerate().find(|(at, byte)| **byte != written(*at));
        wrong.map(|(at, byte)| Difference::new(&format!("byte {at} of the payload"), written(at), byte))
    }

    fn same_options(&mut self, expected: &[TcpOption], got: &[TcpOption]) -> bool {
        let same = |(expected, got): (&TcpOption, &TcpOption)| match (expected, got) {
            (TcpOption::Timestamps { value, echo }, TcpOption::Timestamps { value: live, echo: back }) => {
                let ticks = live.wrapping_sub(*value).cast_signed().unsigned_abs();
                let off = self.rules.tick * ticks;
                self.slack = self.slack.max(off);
                echo == back && off <= self.rules.tolerance
            }
            (expected, got) => expected == got,
        };
        expected.len() == got.len() && expected.iter().zip(got).all(same)
    }

    fn icmp_sent(
        &self,
        expected: (&str, Option<&str>, Option<u32>, Option<&Body>),
        got: &Wire,
    ) -> Result<Vec<Difference>, Stop> {
        let (kind, code, mtu, quoted) = expected;
        let Content::Icmp { kind: got_kind, code: got_code, rest, quoted: inner } = &got.content else {
            return Ok(Vec::new());
        };
        let six = got.source.is_ipv6();
        let message = icmp::message(six, kind, code, mtu).map_err(Stop::Skip)?;
        let mut differences = Vec::new();
        let words = |kind, code| icmp::words(six, kind, code);
        push(&mut differences, "message", words(message.kind, message.code), words(*got_kind, *got_code));
        if mtu.is_some() {
            push(&mut differences, "mtu", u32::from_be_bytes(message.rest), u32::from_be_bytes(*rest));
        }
        // What it quotes is what the peer sent.
        let offset = self.flows.current().map_or(0, |flow| flow.peer_offset(0));
        if let Some(expected) = quoted {
            quotation(&mut differences, expected, inner, offset);
        }
        Ok(differences)
    }

    /// A packet of the stack's in the language and the numbers of the script.
    pub(super) fn in_script(&self, packet: &Wire) -> String {
        let Content::Tcp(segment) = &packet.content else { return describe(&packet.bytes) };
        let Some(flow) = self.flows.current() else { return describe(&packet.bytes) };
        let mut segment = segment.clone();
        // The number of a reset that acknowledges is mostly none of the connection's.
        if segment.flags & (RST | wire::ACK) != RST | wire::ACK {
            segment.seq = segment.seq.wrapping_sub(flow.offset(segment.flags));
        }
        segment.ack = segment.ack.wrapping_sub(flow.peer_offset(segment.flags));
        segment.options = in_script(flow, segment.flags, &segment.options);
        segment_text(&segment)
    }
}

fn push<T: ToString + PartialEq>(differences: &mut Vec<Difference>, field: &str, expected: T, got: T) {
    if expected != got {
        differences.push(Difference::new(field, expected, got));
    }
}

/// Fields of the IP header that the line names.
fn header(expected: &Header, got: &Wire) -> Vec<Difference> {
    let mut differences = Vec::new();
    if let Some(class) = expected.traffic_class {
        push(&mut differences, "traffic class", class, got.traffic_class);
    }
    if let Some(hops) = expected.hop_limit {
        push(&mut differences, "hop limit", hops, got.hop_limit);
    }
    if let Some(ecn) = &expected.ecn {
        let live = ["noecn", "ect1", "ect0", "ce"][usize::from(got.traffic_class & 3)];
        let either = ecn == "ect01" && live.starts_with("ect");
        if !either {
            push(&mut differences, "ECN", ecn.as_str(), live);
        }
    }
    differences
}

/// The value of the timestamps option in a list.
fn stamp(list: &[TcpOption]) -> Option<u32> {
    list.iter().find_map(|option| match option {
        TcpOption::Timestamps { value, .. } => Some(*value),
        _ => None,
    })
}

/// Options of a segment of the stack's in the numbers of the script.
fn in_script(flow: &super::flow::Flow, flags: u8, list: &[TcpOption]) -> Vec<TcpOption> {
    let mut list = list.to_vec();
    let offset = flow.peer_offset(flags);
    for option in &mut list {
        match option {
            TcpOption::Timestamps { value, .. } => *value = flow.stamp_in_script(*value),
            TcpOption::Sack(blocks) => {
                for (left, right) in blocks {
                    (*left, *right) = (left.wrapping_sub(offset), right.wrapping_sub(offset));
                }
            }
            _ => {}
        }
    }
    list
}

/// In what a quoted packet is not the one that the script writes; `offset` is what the peer's numbers are more than the script's.
fn quotation(differences: &mut Vec<Difference>, expected: &Body, packet: &[u8], offset: u32) {
    let six = packet.first().is_some_and(|first| first >> 4 == 6);
    let start = if six { 40 } else { packet.first().map_or(0, |first| usize::from(first & 15) * 4) };
    let short = |at: usize| packet.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]));
    let number = packet.get(if six { 6 } else { 9 }).copied();
    let (name, wanted) = match expected {
        Body::Tcp(_) => ("tcp", wire::TCP),
        Body::Udp { .. } => ("udp", wire::UDP),
        Body::Icmp { .. } => return,
    };
    if number != Some(wanted) {
        let got = number.map_or("nothing".into(), |number| format!("protocol {number}"));
        differences.push(Difference::new("quoted protocol", name, got));
        return;
    }
    let (Body::Tcp(Segment { ports, len, .. }) | Body::Udp { ports, len }) = expected else { return };
    let got = short(start).zip(short(start + 2));
    if let (Some((from, to)), Some((source, destination))) = (ports.filter(|ports| Some(*ports) != got), got)
    {
        let got = format!("{source} > {destination}");
        differences.push(Difference::new("quoted ports", format!("{from} > {to}"), got));
    }
    // The header of IP tells of the whole packet, however much of it is quoted.
    let whole = if six { short(4).map(|len| usize::from(len) + 40) } else { short(2).map(usize::from) };
    let header = match expected {
        Body::Tcp(_) => packet.get(start + 12).map(|offset| usize::from(offset >> 4) * 4),
        _ => Some(8),
    };
    if let Some((whole, header)) = whole.zip(header) {
        push(differences, "quoted length", *len as usize, whole.saturating_sub(start + header));
    }
    if let (Body::Tcp(segment), Some((high, low))) = (expected, short(start + 4).zip(short(start + 6)))
        && !segment.any_seq
    {
        let seq = u32::from(high) << 16 | u32::from(low);
        let seq = seq.wrapping_sub(if segment.absolute_seq { 0 } else { offset });
        push(differences, "quoted seq", segment.seq, seq);
    }
}

fn protocol(body: &Body) -> &'static str {
    match body {
        Body::Tcp(_) => "tcp",
        Body::Udp { .. } => "udp",
        Body::Icmp { .. } => "icmp",
    }
}

fn segment_text(segment: &wire::Segment) -> String {
    let (seq, list) = (segment.seq, &segment.options);
    let len = segment.payload.len() as u32;
    let mut text = format!("{} {seq}:{}({len})", letters(segment.flags), seq.wrapping_add(len));
    if segment.flags & wire::ACK != 0 {
        let _ = write!(text, " ack {}", segment.ack);
    }
    let _ = write!(text, " win {}", segment.window);
    if segment.flags & 0x20 != 0 {
        let _ = write!(text, " urg {}", segment.urgent);
    }
    if !list.is_empty() {
        let _ = write!(text, " <{}>", options(list));
    }
    text
}

/// Options in the language of scripts.
fn options(list: &[TcpOption]) -> String {
    let words: Vec<String> = list
        .iter()
        .map(|option| match option {
            TcpOption::Nop => "nop".into(),
            TcpOption::End => "eol".into(),
            TcpOption::Mss(mss) => format!("mss {mss}"),
            TcpOption::WindowScale(shift) => format!("wscale {shift}"),
            TcpOption::SackPermitted => "sackOK".into(),
            TcpOption::Sack(blocks) => {
                blocks.iter().fold("sack".into(), |text, (left, right)| format!("{text} {left}:{right}"))
            }
            TcpOption::Timestamps { value, echo } => format!("TS val {value} ecr {echo}"),
            TcpOption::Other(name, text) => format!("{name} {text}"),
        })
        .collect();
    if words.is_empty() { "none".into() } else { words.join(",") }
}

/// A packet as it is on the wire, in the language of scripts.
pub(super) fn describe(bytes: &[u8]) -> String {
    let packet = Wire::parse(usertcp_core::time::Instant::ZERO, bytes.to_vec().into());
    match packet.map(|packet| (packet.source, packet.content)) {
        Err(error) => format!("unsound packet: {error}"),
        Ok((_, Content::Tcp(segment))) => segment_text(&segment),
        Ok((_, Content::Udp { source, destination, len })) => format!("udp {source} > {destination} ({len})"),
        Ok((source, Content::Icmp { kind, code, .. })) => icmp::words(source.is_ipv6(), kind, code),
    }
}

impl When {
    /// How far `actual` is from what the script says.
    fn off(&self, actual: usertcp_core::time::Instant) -> Duration {
        match self.span {
            None => Duration::ZERO,
            Some((from, to)) => from.since(actual).max(actual.since(to)),
        }
    }
}
