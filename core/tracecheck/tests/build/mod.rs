//! Traces made by hand: a host here, judged, and its peer; timestamps, windows and checksums are right unless a test says otherwise.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv6Header, PacketBuilder, TcpHeader};
use std::net::IpAddr;
use std::time::Duration;
use usertcp_tracecheck::{Checker, Direction, Kind, Options, Report, Whom};

/// The ISN of the host here: its sequence numbers wrap soon.
pub const ISS: u32 = 0xffff_f000;
/// Its peer's.
pub const IRS: u32 = 0x7fff_f800;

/// A window that is small enough to be filled.
pub const WINDOW: u32 = 6400;

/// What a segment says of it when `taken` bytes of it are not read.
pub const fn left(taken: u32) -> u16 {
    ((WINDOW - taken) / 128) as u16
}

/// The segment size in traces, as timestamps leave it.
pub const FULL: usize = 1448;

pub const HERE: &str = "192.0.2.1";
pub const PEER: &str = "192.0.2.2";

/// A segment in the making. Numbers count from the ISNs.
#[derive(Clone, Debug)]
pub struct Seg {
    pub sent: bool,
    pub seq: u32,
    pub ack: Option<u32>,
    pub flags: &'static str,
    pub window: u16,
    pub options: Option<Vec<u8>>,
    pub sack: Vec<(u32, u32)>,
    pub echo: Option<u32>,
    pub stamp: Option<u32>,
    pub urgent: u16,
    pub payload: Vec<u8>,
    /// The ECN field of its IP header.
    pub ecn: u8,
}

impl Seg {
    pub fn ecn(self, ecn: u8) -> Self {
        Self { ecn, ..self }
    }
    pub fn window(self, window: u16) -> Self {
        Self { window, ..self }
    }
    pub fn options(self, options: &[u8]) -> Self {
        Self { options: Some(options.to_vec()), ..self }
    }
    pub fn flags(self, flags: &'static str) -> Self {
        Self { flags, ..self }
    }
    pub fn sack(self, sack: &[(u32, u32)]) -> Self {
        Self { sack: sack.to_vec(), ..self }
    }
}

/// A segment from here.
pub fn sent(seq: u32, ack: u32, bytes: usize) -> Seg {
    Seg { sent: true, ..received(seq, ack, bytes) }
}

/// A segment of the peer.
pub fn received(seq: u32, ack: u32, bytes: usize) -> Seg {
    let payload = (0..bytes).map(|offset| (seq as usize + offset) as u8).collect();
    Seg {
        sent: false,
        seq,
        ack: Some(ack),
        flags: "",
        window: 500,
        options: None,
        sack: Vec::new(),
        echo: None,
        stamp: None,
        urgent: 0,
        payload,
        ecn: 0,
    }
}

pub const SYN_OPTIONS: [u8; 20] = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7];

/// What a capture shows.
#[derive(Debug)]
pub struct Trace {
    pub now: u64,
    pub records: Vec<(u64, Direction, Vec<u8>)>,
    pub ends: [IpAddr; 2],
    pub ports: [u16; 2],
    pub isns: [u32; 2],
    /// Whether segments have timestamps.
    pub stamps: bool,
    /// The last TSval of each end: here, peer.
    last: [u32; 2],
    pub options: Options,
}

impl Default for Trace {
    fn default() -> Self {
        Self::new(HERE, PEER)
    }
}

impl Trace {
    pub fn new(here: &str, peer: &str) -> Self {
        let slack = Duration::ZERO;
        Self {
            now: 1_000_000_000,
            records: Vec::new(),
            ends: [here, peer].map(|text| text.parse().unwrap()),
            ports: [40_000, 80],
            isns: [ISS, IRS],
            stamps: true,
            last: [0; 2],
            options: Options { slack, whom: Whom::Capturing, ..Options::default() },
        }
    }

    pub fn wait(&mut self, millis: u64) -> &mut Self {
        self.now += millis * 1_000_000;
        self
    }

    /// The packet of a segment, without being recorded.
    pub fn packet(&mut self, seg: &Seg) -> Vec<u8> {
        let (own, other) = if seg.sent { (0, 1) } else { (1, 0) };
        let mut tcp = TcpHeader::new(
            self.ports[own],
            self.ports[other],
            self.isns[own].wrapping_add(seg.seq),
            seg.window,
        );
        tcp.ack = seg.ack.is_some();
        tcp.acknowledgment_number = seg.ack.map_or(0, |ack| self.isns[other].wrapping_add(ack));
        tcp.syn = seg.flags.contains('S');
        tcp.fin = seg.flags.contains('F');
        tcp.rst = seg.flags.contains('R');
        tcp.ece = seg.flags.contains('E');
        tcp.cwr = seg.flags.contains('W');
        tcp.urg = seg.flags.contains('U');
        tcp.urgent_pointer = seg.urgent;
        let options = seg.options.clone().unwrap_or_else(|| self.options_of(seg, own, other));
        tcp.set_options_raw(&options).unwrap();
        let mut packet = Vec::new();
        match (self.ends[own], self.ends[other]) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut ip = Ipv4Header::new(0, 64, IpNumber::TCP, from.octets(), to.octets()).unwrap();
                ip.ecn = seg.ecn.try_into().unwrap();
                PacketBuilder::ip(etherparse::IpHeaders::Ipv4(ip, Default::default()))
                    .tcp_header(tcp)
                    .write(&mut packet, &seg.payload)
                    .unwrap();
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let ip = Ipv6Header {
                    source: from.octets(),
                    destination: to.octets(),
                    hop_limit: 64,
                    traffic_class: seg.ecn,
                    flow_label: 0x1234.try_into().unwrap(),
                    ..Ipv6Header::default()
                };
                PacketBuilder::ip(etherparse::IpHeaders::Ipv6(ip, Default::default()))
                    .tcp_header(tcp)
                    .write(&mut packet, &seg.payload)
                    .unwrap();
            }
            _ => unreachable!(),
        }
        packet
    }

    fn options_of(&mut self, seg: &Seg, own: usize, other: usize) -> Vec<u8> {
        let mut options = Vec::new();
        if seg.flags.contains('S') {
            options.extend(if self.stamps {
                &SYN_OPTIONS[..]
            } else {
                &[2, 4, 5, 180, 4, 2, 1, 1, 1, 3, 3, 7]
            });
        } else if self.stamps && !seg.flags.contains('R') {
            options.extend([1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
        if let Some(at) = options.windows(2).position(|w| w == [8, 10]).filter(|_| self.stamps) {
            let value = seg.stamp.unwrap_or((self.now / 1_000_000) as u32);
            let echo = seg.echo.unwrap_or(if seg.ack.is_some() { self.last[other] } else { 0 });
            options[at + 2..at + 6].copy_from_slice(&value.to_be_bytes());
            options[at + 6..at + 10].copy_from_slice(&echo.to_be_bytes());
            self.last[own] = value;
        }
        if !seg.sack.is_empty() {
            options.extend([1, 1, 5, 2 + 8 * seg.sack.len() as u8]);
            for edge in seg.sack.iter().flat_map(|(left, right)| [*left, *right]) {
                options.extend(self.isns[other].wrapping_add(edge).to_be_bytes());
            }
        }
        options
    }

    /// Records a segment as it is.
    pub fn put(&mut self, seg: Seg) -> &mut Self {
        let packet = self.packet(&seg);
        self.record(if seg.sent { Direction::Out } else { Direction::In }, packet)
    }

    pub fn record(&mut self, direction: Direction, packet: Vec<u8>) -> &mut Self {
        self.records.push((self.now, direction, packet));
        self
    }

    /// A round trip and the handshake of a connection that was opened here.
    pub fn open(&mut self) -> &mut Self {
        self.put(Seg { ack: None, ..sent(0, 0, 0).flags("S").window(64_000) });
        self.wait(10).put(received(0, 1, 0).flags("S").window(64_000));
        self.put(sent(1, 1, 0))
    }

    /// The same, both sides agreeing on ECN.
    pub fn open_marking(&mut self) -> &mut Self {
        self.put(Seg { ack: None, ..sent(0, 0, 0).flags("SEW").window(64_000) });
        self.wait(10).put(received(0, 1, 0).flags("SE").window(64_000));
        self.put(sent(1, 1, 0))
    }

    /// The handshake of a connection that the peer opened.
    pub fn accept(&mut self) -> &mut Self {
        self.put(Seg { ack: None, ..received(0, 0, 0).flags("S").window(64_000) });
        self.put(sent(0, 1, 0).flags("S").window(64_000));
        self.wait(10).put(received(1, 1, 0))
    }

    /// A connection of the peer into a window of [`WINDOW`], of which `bytes` are taken and not read.
    pub fn take(&mut self, bytes: u32) -> &mut Self {
        self.put(Seg { ack: None, ..received(0, 0, 0).flags("S") });
        self.put(sent(0, 1, 0).flags("S").window(WINDOW as u16)).wait(10).put(received(1, 1, 0));
        self.put(sent(1, 1, 1).window(left(0))).wait(10).put(received(1, 2, 0));
        self.isns[0] = self.isns[0].wrapping_add(1);
        let mut done = 0;
        while done < bytes {
            let size = FULL.min((bytes - done) as usize);
            self.wait(1).put(received(1 + done, 1, size));
            done += size as u32;
            self.put(sent(1, 1 + done, 0).window(left(done)));
        }
        self
    }

    /// Probes of a window that stays shut, ten seconds apart.
    pub fn probe(&mut self, seq: u32, ack: u32, count: usize) -> &mut Self {
        for _ in 0..count {
            self.wait(10_000).put(received(ack, seq, 1)).put(sent(seq, ack, 0).window(0));
        }
        self
    }

    pub fn report(&self) -> Report {
        let mut checker = Checker::new(self.options.clone());
        for (time, direction, packet) in &self.records {
            checker.packet(*time, *direction, packet);
        }
        checker.passed(self.now);
        checker.finish()
    }

    /// The kinds that are found, each once.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.report().violations.iter().map(|v| v.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    #[track_caller]
    pub fn clean_but_for_damage(&self) {
        let found: Vec<String> = self.report().violations.iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[track_caller]
    pub fn clean(&self) {
        self.clean_but_for_damage();
        let report = self.report();
        assert_eq!((report.packets, report.damaged, report.skipped), (self.records.len() as u64, 0, 0));
    }
}

/// A packet that is not TCP, from here.
pub fn datagram(payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).udp(1, 2).write(&mut packet, payload).unwrap();
    packet
}

/// A piece of a packet that carries an experiment.
pub fn piece(identification: u16, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let (from, to) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let mut ip = Ipv4Header::new(payload.len() as u16, 64, IpNumber(253), from, to).unwrap();
    ip.identification = identification;
    ip.dont_fragment = false;
    ip.more_fragments = more;
    ip.fragment_offset = IpFragOffset::try_new(offset).unwrap();
    ip.header_checksum = ip.calc_header_checksum();
    let mut packet = ip.to_bytes().to_vec();
    packet.extend_from_slice(payload);
    packet
}
