//! Tests of one connection, by state and by topic, on virtual time; here is what they share.

mod ack;
mod alive;
mod assembler;
mod challenge;
mod close;
mod congestion;
mod crossing;
mod cubic;
mod ecn;
mod flight;
mod flow;
mod hazards;
mod icmp;
mod input;
mod loops;
mod mtu_probe;
mod open;
mod options;
mod pace;
mod paws;
mod personality;
mod predict;
mod problems_2525;
mod rack;
mod recovery;
mod rtt;
mod sack;
mod selective;
mod shrink;
mod sizes;
mod slow_start;
mod table;
mod time_wait;
mod units;
mod urgent;
mod validation;

use super::*;
use crate::config::{Congestion, TcpConfig};
use crate::counters::Counters;
use crate::error::Errno;
use crate::time::Instant;
use std::collections::VecDeque;

/// Where the script's clock starts.
pub(super) const START: Instant = Instant::from_millis(1000);
/// Our ISS in scripts: close to the wrap.
pub(super) const ISS: u32 = 0xffff_fff0;
/// The peer's.
pub(super) const IRS: u32 = 0xffff_ff00;
/// MSS in scripts.
pub(super) const MSS: u32 = 1000;

/// A connection with everything around it.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) connection: Connection,
    pub(super) buffers: Buffers,
    pub(super) config: TcpConfig,
    pub(super) counters: Counters,
    pub(super) challenges: Challenges,
    pub(super) limits: Limits,
    pub(super) now: Instant,
}

pub(super) fn challenges() -> Challenges {
    Challenges::new(crate::rng::Rng::from_seed(7))
}

/// Options of a socket without any set.
pub(super) fn no_options() -> Options {
    Options::new(&plain())
}

pub(super) fn setup(iss: u32) -> Setup {
    Setup {
        local: "192.0.2.1:1000".parse().unwrap(),
        remote: "192.0.2.2:2000".parse().unwrap(),
        iss: SeqNum(iss),
        timestamp_offset: 0,
        mss: MSS as u16,
        options: no_options(),
    }
}

/// The script's settings: no option but MSS, so that numbers are round; quick ACKs off; timers that do what RFC 6298 says and nothing before.
pub(super) fn plain() -> TcpConfig {
    TcpConfig {
        timestamps: false,
        window_scaling: false,
        quick_acks: 0,
        tail_loss_probe: false,
        frto: false,
        rto_min_short: Duration::from_millis(200),
        // Its numbers are the ones that scripts count by.
        congestion: Congestion::Reno,
        ..TcpConfig::default()
    }
}

impl Host {
    pub(super) fn connecting(config: TcpConfig, setup: Setup) -> Self {
        Self::connecting_with(config, setup, 60_000)
    }

    pub(super) fn connecting_with(config: TcpConfig, setup: Setup, limit: usize) -> Self {
        let mut counters = Counters::default();
        let mut cx = Context { config: &config, counters: &mut counters, challenges: &mut challenges() };
        let connection = Connection::connect(START, setup, limit, &mut cx);
        Self::around(connection, config, counters, limit)
    }

    pub(super) fn accepting(config: TcpConfig, setup: Setup, syn: &Segment) -> Self {
        Self::accepting_with(config, setup, syn, 60_000)
    }

    pub(super) fn accepting_with(config: TcpConfig, setup: Setup, syn: &Segment, limit: usize) -> Self {
        let mut counters = Counters::default();
        let mut cx = Context { config: &config, counters: &mut counters, challenges: &mut challenges() };
        let connection = Connection::accept(START, setup, limit, syn, &mut cx);
        Self::around(connection, config, counters, limit)
    }

    fn around(connection: Connection, config: TcpConfig, counters: Counters, recv_limit: usize) -> Self {
        let buffers = Buffers { recv_limit, ..Buffers::default() };
        let limits = Limits { super_frame: 0, slices: 16, mss: u16::MAX, search: None };
        let challenges = challenges();
        Self { connection, buffers, config, counters, challenges, limits, now: START }
    }

    /// Established by active open: SND.NXT is ISS+1, RCV.NXT is IRS+1, the peer's window is 50000.
    pub(super) fn established_with(config: TcpConfig, setup: Setup) -> Self {
        let mut host = Self::connecting(config, setup);
        assert!(host.poll().unwrap().flags.has(Flags::SYN));
        host.deliver(segment(0, Some(1), Flags::SYN, b"").window(50_000).mss(MSS as u16));
        assert_eq!(host.connection.state(), State::Established);
        let ack = host.poll().unwrap();
        assert_eq!((ack.flags, ack.ack), (Flags::default(), Some(SeqNum(IRS) + 1)));
        host.silent();
        host
    }

    pub(super) fn established() -> Self {
        Self::established_with(plain(), setup(ISS))
    }

    /// The same, both sides agreeing on SACK.
    pub(super) fn selective() -> Self {
        Self::selective_with(plain())
    }

    pub(super) fn selective_with(config: TcpConfig) -> Self {
        let mut host = Self::connecting(config, setup(ISS));
        let syn = host.poll().unwrap();
        assert!(syn.flags.has(Flags::SYN) && syn.options.sack_permitted);
        host.deliver(segment(0, Some(1), Flags::SYN, b"").window(50_000).mss(MSS as u16).permit());
        host.poll().unwrap();
        host.silent();
        host
    }

    pub(super) fn deliver(&mut self, segment: Segment) {
        let mut cx =
            Context { config: &self.config, counters: &mut self.counters, challenges: &mut self.challenges };
        self.connection.on_segment(self.now, segment, &mut self.buffers, &mut cx);
    }

    /// What the connection sends. One that says it is done is asked once more.
    pub(super) fn poll(&mut self) -> Option<Outgoing> {
        let mut cx =
            Context { config: &self.config, counters: &mut self.counters, challenges: &mut self.challenges };
        let outgoing = self.connection.poll_transmit(self.now, &self.buffers, &self.limits, &mut cx);
        if !self.connection.is_stirred() {
            let wake = self.connection.poll_timeout();
            let more = self.connection.poll_transmit(self.now, &self.buffers, &self.limits, &mut cx);
            assert!(more.is_none(), "{more:?} after {outgoing:?}");
            assert_eq!(self.connection.poll_timeout(), wake);
        }
        outgoing
    }

    pub(super) fn polls(&mut self) -> Vec<Outgoing> {
        let all: Vec<_> = std::iter::from_fn(|| self.poll()).take(1000).collect();
        assert!(all.len() < 1000, "output never ends");
        all
    }

    #[track_caller]
    pub(super) fn silent(&mut self) {
        let sent = self.poll();
        assert!(sent.is_none(), "unexpected {sent:?}");
    }

    /// Moves the clock to the next deadline, and runs it.
    #[track_caller]
    pub(super) fn timeout(&mut self) -> Duration {
        self.silent();
        let at = self.connection.poll_timeout().expect("a deadline");
        assert!(at > self.now, "a deadline in the past: {at:?} at {:?}", self.now);
        let waited = at.since(self.now);
        self.now = at;
        self.run_timers();
        waited
    }

    pub(super) fn run_timers(&mut self) {
        let mut cx =
            Context { config: &self.config, counters: &mut self.counters, challenges: &mut self.challenges };
        self.connection.on_timeout(self.now, &mut self.buffers, &mut cx);
    }

    pub(super) fn after(&mut self, millis: u64) -> &mut Self {
        self.now += Duration::from_millis(millis);
        self.run_timers();
        self
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.buffers.send.push(Bytes::copy_from_slice(bytes));
        self.connection.on_written(self.now);
    }

    pub(super) fn write_zeros(&mut self, count: usize) {
        self.write(&vec![0; count]);
    }

    /// What the program can read, taken.
    pub(super) fn read(&mut self) -> Vec<u8> {
        let mut out = VecDeque::new();
        self.buffers.recv.drain_into(&mut out);
        let bytes = out.into_iter().flatten().collect();
        self.connection.on_read(self.now, &self.buffers);
        bytes
    }

    /// Shows the program what has come; it reads nothing.
    pub(super) fn publish(&mut self) {
        let mut out = VecDeque::new();
        self.buffers.recv_held += self.buffers.recv.len();
        self.buffers.recv.drain_into(&mut out);
    }

    /// The program reads `count` bytes of what it was shown.
    pub(super) fn consume(&mut self, count: usize) {
        self.buffers.recv_held -= count;
        self.connection.on_read(self.now, &self.buffers);
    }

    /// What the connection timed out waiting for.
    pub(super) fn timed_out(&self) -> Option<Timeout> {
        match self.connection.ended()? {
            EndReason::TimedOut { timer, .. } => Some(timer),
            _ => None,
        }
    }

    pub(super) fn close(&mut self) {
        self.connection.close(self.now);
    }

    pub(super) fn state(&self) -> State {
        self.connection.state()
    }

    pub(super) fn info(&self) -> TcpInfo {
        self.connection.info(self.now, &self.buffers)
    }
}

/// A segment of the peer: `seq` counts from IRS, `ack` from our ISS.
pub(super) fn segment(seq: u32, ack: Option<u32>, flags: Flags, payload: &[u8]) -> Segment {
    let header = TcpHeader {
        source: 2000,
        destination: 1000,
        seq: (SeqNum(IRS) + seq).0,
        ack: ack.map_or(0, |ack| (SeqNum(ISS) + ack).0),
        flags: if ack.is_some() { flags.with(Flags::ACK) } else { flags },
        window: 50_000,
        ..TcpHeader::default()
    };
    Segment { header, payload: Bytes::copy_from_slice(payload), gso_size: 0, ecn: Codepoint::NotEct }
}

pub(super) trait Dress: Sized {
    fn window(self, field: u16) -> Self;
    fn mss(self, mss: u16) -> Self;
    fn scale(self, shift: u8) -> Self;
    fn stamp(self, tsval: u32, tsecr: u32) -> Self;
    fn merged(self, each: u16) -> Self;
    fn permit(self) -> Self;
    fn urgent(self, pointer: u16) -> Self;
    fn sack<const N: usize>(self, blocks: [(u32, u32); N]) -> Self;
    fn ecn(self, codepoint: Codepoint) -> Self;
}

impl Dress for Segment {
    fn window(mut self, field: u16) -> Self {
        self.header.window = field;
        self
    }
    fn mss(mut self, mss: u16) -> Self {
        self.header.options.mss = Some(mss);
        self
    }
    fn scale(mut self, shift: u8) -> Self {
        self.header.options.window_scale = Some(shift);
        self
    }
    fn stamp(mut self, tsval: u32, tsecr: u32) -> Self {
        self.header.options.timestamps = Some((tsval, tsecr));
        self
    }
    fn merged(mut self, each: u16) -> Self {
        self.gso_size = each;
        self
    }
    fn permit(mut self) -> Self {
        self.header.options.sack_permitted = true;
        self
    }
    fn ecn(mut self, codepoint: Codepoint) -> Self {
        self.ecn = codepoint;
        self
    }
    fn urgent(mut self, pointer: u16) -> Self {
        self.header.flags = self.header.flags.with(Flags::URG);
        self.header.urgent = pointer;
        self
    }
    fn sack<const N: usize>(mut self, blocks: [(u32, u32); N]) -> Self {
        let seq = |at: u32| (SeqNum(ISS) + at).0;
        self.header.options.sack = blocks.map(|(left, right)| (seq(left), seq(right))).into_iter().collect();
        self
    }
}

/// Lets a segment of the peer arrive; numbers count from the initial ones.
/// `send!(host, seq 1, ack 1, flag FIN, data b"data"; window(100))`: whatever is left out is ordinary.
macro_rules! send {
    ($host:expr, seq $seq:expr $(, ack $ack:expr)? $(, flag $flag:ident)* $(, data $data:expr)? $(; $method:ident ( $($arg:expr),* ))*) => {{
        #[allow(unused_mut, unused_assignments)]
        let (mut ack, mut flags, mut data): (Option<u32>, Flags, &[u8]) = (None, Flags::default(), b"");
        $(ack = Some($ack);)?
        $(flags = flags.with(Flags::$flag);)*
        $(data = $data;)?
        let segment = crate::tcp::tests::segment($seq, ack, flags, data)$(.$method($($arg),*))*;
        $host.deliver(segment);
    }};
}

/// Takes the next segment sent and compares the fields named; numbers count from the initial ones.
macro_rules! recv {
    ($host:expr $(, $field:ident $value:expr)*) => {{
        let sent = $host.poll().expect("a segment");
        $(crate::tcp::tests::expected!(sent, $field, $value);)*
        sent
    }};
}

/// One field of a segment sent.
macro_rules! expected {
    ($sent:ident, seq, $value:expr) => {
        assert_eq!($sent.seq.since(SeqNum(crate::tcp::tests::ISS)), $value, "seq of {:?}", $sent)
    };
    ($sent:ident, ack, $value:expr) => {
        let ack = $sent.ack.map(|ack| ack.since(SeqNum(crate::tcp::tests::IRS)));
        assert_eq!(ack, Some($value), "ack of {:?}", $sent)
    };
    ($sent:ident, flags, $value:expr) => {
        assert_eq!(format!("{:?}", $sent.flags), $value, "flags of {:?}", $sent)
    };
    ($sent:ident, len, $value:expr) => {
        assert_eq!($sent.payload.iter().map(Bytes::len).sum::<usize>(), $value, "length of {:?}", $sent)
    };
    ($sent:ident, win, $value:expr) => {
        assert_eq!($sent.window, $value, "window of {:?}", $sent)
    };
    ($sent:ident, sack, $value:expr) => {
        let number = |edge: u32| SeqNum(edge).since(SeqNum(crate::tcp::tests::IRS));
        let blocks = $sent.options.sack.iter().map(|(left, right)| (number(*left), number(*right)));
        let wanted: &[(u32, u32)] = &$value;
        assert_eq!(blocks.collect::<Vec<_>>(), wanted, "SACK blocks of {:?}", $sent)
    };
    ($sent:ident, urg, $value:expr) => {
        assert_eq!($sent.urgent, $value, "urgent pointer of {:?}", $sent)
    };
    ($sent:ident, ecn, $value:expr) => {
        assert_eq!($sent.ecn, $value, "ECN field of {:?}", $sent)
    };
    ($sent:ident, gso, $value:expr) => {
        assert_eq!($sent.gso_size, $value, "gso size of {:?}", $sent)
    };
}
pub(super) use {expected, recv, send};
