//! Stacks with the habits of Linux and of FreeBSD, as a peer sees them on the wire and a program in its options, on virtual time.

use std::net::SocketAddr;
use usertcp_core::config::{Config, Personality};
use usertcp_core::error::Errno;
use usertcp_core::ip::{self, Envelope, Payload};
use usertcp_core::link::Capabilities;
use usertcp_core::stack::socket::options::{SOL_SOCKET, sol};
use usertcp_core::stack::socket::{self, Take};
use usertcp_core::stack::{Cell, Domain, SocketId, Stack};
use usertcp_core::sync::Arc;
use usertcp_core::time::{Duration, Instant};
use usertcp_core::trace::Log;
use usertcp_core::wire::tcp::{Flags, HEADER, TcpHeader, TcpOptions, parse};

const PEER_PORT: u16 = 4000;
const SYN: Flags = Flags::SYN;
const FIN: Flags = Flags::FIN;
const SIX: &str = "2001:db8::2";

/// A stack, and the peer that writes and reads its packets by hand.
struct Bench {
    stack: Stack,
    now: Instant,
    /// Own port of the connection.
    port: u16,
    /// Initial sequence number of the stack.
    iss: u32,
    six: bool,
}

/// A segment that was sent: what it says, and its options as bytes.
struct Sent {
    header: TcpHeader,
    raw: Vec<u8>,
}

impl Bench {
    fn new(personality: Personality, six: bool) -> Self {
        let config = Config {
            addresses: vec![
                "192.0.2.2/24".parse().expect("a prefix"),
                format!("{SIX}/64").parse().expect("too"),
            ],
            ..Config::of(personality)
        };
        let stack = Stack::new(config, Capabilities::plain(1500), Log::new(None)).expect("a stack");
        Self { stack, now: Instant::from_millis(5_000), port: 80, iss: 0, six }
    }

    fn names(&self) -> (SocketAddr, SocketAddr) {
        let (own, peer) = if self.six { (SIX, "2001:db8::1") } else { ("192.0.2.2", "192.0.2.1") };
        let name = |text: &str, port| SocketAddr::new(text.parse().expect("an address"), port);
        (name(own, self.port), name(peer, PEER_PORT))
    }

    /// The peer sends; numbers count from the initial ones, and its own is 0.
    fn send(&mut self, flags: Flags, seq: u32, ack: Option<u32>, options: TcpOptions, data: &[u8]) {
        let (own, peer) = self.names();
        let header = TcpHeader {
            source: peer.port(),
            destination: own.port(),
            seq,
            ack: ack.map_or(0, |ack| self.iss.wrapping_add(ack)),
            flags: if ack.is_some() { flags.with(Flags::ACK) } else { flags },
            window: 32_767,
            options,
            ..TcpHeader::default()
        };
        let mut chain = Payload::new();
        if !data.is_empty() {
            chain.push(data.to_vec().into());
        }
        let envelope = Envelope::new(peer.ip(), own.ip());
        let frame = ip::to_frame(&ip::tcp_transmit(&envelope, &header, chain, 0, &Capabilities::plain(1500)));
        self.stack.handle_frame(self.now, frame);
        self.stack.publish(self.now, &mut Vec::new());
    }

    /// The stack's next segment, or that there is none.
    fn next(&mut self) -> Option<Sent> {
        let transmit = self.stack.poll_transmit(self.now)?;
        let packet = ip::ingress(&ip::to_frame(&transmit)).expect("a sound packet");
        let (header, length) =
            parse(packet.source, packet.destination, &packet.payload, true).expect("a sound segment");
        Some(Sent { header, raw: packet.payload[HEADER..length].to_vec() })
    }

    #[track_caller]
    fn sent(&mut self) -> Sent {
        self.next().expect("a segment")
    }

    #[track_caller]
    fn silent(&mut self) {
        assert!(self.next().is_none());
    }

    fn socket(&mut self) -> (SocketId, Arc<Cell>) {
        let domain = if self.six { Domain::V6 } else { Domain::V4 };
        self.stack.socket(domain).expect("a socket")
    }

    fn listen(&mut self) -> (SocketId, Arc<Cell>) {
        let (id, cell) = self.socket();
        let (own, _) = self.names();
        self.stack.bind(id, own).expect("bind");
        self.stack.listen(self.now, id, 5).expect("listen");
        (id, cell)
    }

    /// Connects, and returns the SYN.
    fn connect(&mut self) -> (SocketId, Arc<Cell>, Sent) {
        let (id, cell) = self.socket();
        let (_, peer) = self.names();
        let _ = self.stack.connect(self.now, id, peer);
        let syn = self.sent();
        (self.port, self.iss) = (syn.header.source, syn.header.seq);
        (id, cell, syn)
    }

    /// The answer to a SYN with these options.
    fn answer(&mut self, options: TcpOptions, data: &[u8]) -> Sent {
        self.send(SYN, 0, None, options, data);
        let answer = self.sent();
        self.iss = answer.header.seq;
        answer
    }

    fn receive_buffer(&mut self, id: SocketId) -> i32 {
        let bytes = self.stack.option(id, SOL_SOCKET, sol::SO_RCVBUF).expect("an option");
        i32::from_ne_bytes(bytes.try_into().expect("a number"))
    }
}

fn read(cell: &Cell) -> Result<Vec<u8>, Errno> {
    let (slices, _) = socket::recv(cell, 1000, Take::Consume, None)?;
    Ok(slices.iter().flatten().copied().collect())
}

/// MSS and SACK permitted, as most peers of these tests have them.
fn plain(mss: u16) -> TcpOptions {
    TcpOptions { mss: Some(mss), sack_permitted: true, ..TcpOptions::default() }
}

/// Everything that a SYN may offer.
fn rich(mss: u16) -> TcpOptions {
    TcpOptions { window_scale: Some(6), timestamps: Some((100, 0)), ..plain(mss) }
}

/// The bytes of options without the values of timestamps.
fn shape(sent: &Sent) -> Vec<u8> {
    let mut raw = sent.raw.clone();
    if sent.header.options.timestamps.is_some() {
        let at = raw.windows(2).position(|kind| kind == [8, 10]).expect("timestamps") + 2;
        raw.drain(at..at + 8);
    }
    raw
}

const LINUX: Personality = Personality::Linux;
const FREEBSD: Personality = Personality::FreeBsd;

#[test]
fn the_options_of_a_syn_and_its_answer() {
    let cases: [(_, [&[u8]; 3]); 2] = [
        (
            LINUX,
            [
                &[2, 4, 5, 180, 4, 2, 8, 10, 1, 3, 3, 10],
                &[2, 4, 5, 180, 4, 2, 8, 10, 1, 3, 3, 10],
                &[2, 4, 5, 180, 1, 1, 4, 2],
            ],
        ),
        (
            FREEBSD,
            [
                &[2, 4, 5, 180, 1, 3, 3, 6, 4, 2, 8, 10],
                &[2, 4, 5, 180, 1, 3, 3, 6, 4, 2, 8, 10],
                &[2, 4, 5, 180, 4, 2, 0, 0],
            ],
        ),
    ];
    for (personality, [syn, answer_rich, answer_plain]) in cases {
        let sent = Bench::new(personality, false).connect().2;
        assert_eq!((shape(&sent), sent.header.window), (syn.to_vec(), 65_535), "{personality}");
        for (offered, wanted) in [(rich(1460), answer_rich), (plain(1460), answer_plain)] {
            let mut bench = Bench::new(personality, false);
            bench.listen();
            let sent = bench.answer(offered, b"");
            assert_eq!((shape(&sent), sent.header.window), (wanted.to_vec(), 65_535), "{personality}");
        }
    }
}

#[test]
fn segments_have_the_same_options_under_both() {
    for personality in [LINUX, FREEBSD] {
        let mut bench = Bench::new(personality, false);
        bench.listen();
        bench.answer(plain(1460), b"");
        bench.send(Flags::default(), 1, Some(1), TcpOptions::default(), b"");
        bench.send(Flags::default(), 11, Some(1), TcpOptions::default(), &[0; 10]);
        assert_eq!(bench.sent().raw, [1, 1, 5, 10, 0, 0, 0, 11, 0, 0, 0, 21]);
        let mut bench = Bench::new(personality, false);
        bench.connect();
        bench.send(SYN, 0, Some(1), rich(1460), b"");
        assert_eq!(shape(&bench.sent()), [1, 1, 8, 10]);
    }
}

#[test]
fn the_receive_buffer_is_whole_segments_once_the_peer_is_known() {
    for (six, mss, whole) in [(false, 1460, 65_700), (true, 1440, 66_240)] {
        let mut bench = Bench::new(FREEBSD, six);
        let (id, ..) = bench.connect();
        assert_eq!(bench.receive_buffer(id), 65_536);
        bench.send(SYN, 0, Some(1), rich(mss), b"");
        assert_eq!(bench.sent().header.window, if six { 1035 } else { 1027 });
        assert_eq!(bench.receive_buffer(id), whole);

        let mut bench = Bench::new(FREEBSD, six);
        let (listener, cell) = bench.listen();
        assert_eq!(bench.answer(plain(mss), b"").header.window, 65_535);
        bench.send(Flags::default(), 1, Some(1), TcpOptions::default(), b"");
        let accepted = socket::accept(&cell, None).expect("a connection").0;
        assert_eq!(bench.receive_buffer(accepted.socket), whole);
        assert_eq!(bench.receive_buffer(listener), 65_536);
        bench.send(Flags::default(), 2, Some(1), TcpOptions::default(), b"x");
        assert_eq!(bench.sent().header.window, 65_535);
    }
    let mut bench = Bench::new(LINUX, false);
    let (id, ..) = bench.connect();
    bench.send(SYN, 0, Some(1), rich(1460), b"");
    assert_eq!(bench.receive_buffer(id), 128 << 10);
}

#[test]
fn acknowledgements_are_quick_at_the_start_or_never() {
    for (personality, quick) in [(LINUX, true), (FREEBSD, false)] {
        let mut bench = Bench::new(personality, false);
        bench.listen();
        bench.answer(plain(1460), b"");
        bench.send(Flags::default(), 1, Some(1), TcpOptions::default(), b"");
        bench.send(Flags::default(), 1, Some(1), TcpOptions::default(), &[0; 10]);
        if quick {
            bench.sent();
            continue;
        }
        bench.silent();
        let before = bench.now;
        bench.now = bench.stack.poll_timeout().expect("a deadline");
        assert_eq!(bench.now.since(before), Duration::from_millis(40));
        bench.stack.handle_timeout(bench.now);
        assert_eq!(bench.sent().header.ack, 11);
    }
}

#[test]
fn a_listener_acknowledges_the_syn_alone() {
    for personality in [LINUX, FREEBSD] {
        let mut bench = Bench::new(personality, false);
        let (_, cell) = bench.listen();
        assert_eq!(bench.answer(plain(1460), b"abc").header.ack, 1);
        bench.send(Flags::default(), 1, Some(1), TcpOptions::default(), b"abcd");
        let accepted = socket::accept(&cell, None).expect("a connection").0;
        assert_eq!(read(&accepted.cell), Ok(b"abcd".to_vec()));
    }
}

#[test]
fn data_of_a_syn_that_crosses_ours_is_kept_or_comes_again() {
    for (personality, kept) in [(LINUX, false), (FREEBSD, true)] {
        let mut bench = Bench::new(personality, false);
        let (_, cell, _) = bench.connect();
        bench.send(SYN.with(FIN), 0, None, plain(1460), b"abc");
        assert_eq!(bench.sent().header.ack, 1);
        assert_eq!(read(&cell), Err(Errno::EAGAIN));
        bench.send(Flags::default(), 4, Some(1), TcpOptions::default(), b"");
        assert_eq!(read(&cell), if kept { Ok(b"abc".to_vec()) } else { Err(Errno::EAGAIN) });
    }
}

#[test]
fn what_a_program_read_without_a_window_update_is_in_the_next_window() {
    for personality in [LINUX, FREEBSD] {
        let mut bench = Bench::new(personality, false);
        let mut config = Config::of(personality);
        config.buffers.receive = 20_000;
        bench.stack.reconfigure(&config).expect("sound settings");
        let (_, cell) = bench.listen();
        bench.answer(plain(1000), b"");
        bench.send(Flags::default(), 1, Some(1), TcpOptions::default(), b"");
        let accepted = socket::accept(&cell, None).expect("a connection").0;
        let window_after = |bench: &mut Bench, segments: std::ops::Range<u32>| {
            let mut last = None;
            for number in segments {
                let seq = 1 + number * 1000;
                bench.send(Flags::default(), seq, Some(1), TcpOptions::default(), &[0; 1000]);
                while let Some(sent) = bench.next() {
                    last = Some((sent.header.ack - 1, sent.header.window));
                }
            }
            last
        };
        assert_eq!(window_after(&mut bench, 0..10), Some((10_000, 10_000)), "{personality:?}");
        let (slices, kick) = socket::recv(&accepted.cell, 3000, Take::Consume, None).expect("data");
        assert_eq!((slices.concat().len(), kick), (3000, socket::Kick::No), "{personality:?}");
        bench.silent();
        assert_eq!(window_after(&mut bench, 10..12), Some((12_000, 11_000)), "{personality:?}");
    }
}
