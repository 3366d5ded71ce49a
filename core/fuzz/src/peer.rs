//! The other end of the stack under test: what it has seen, and segments that follow on from there.

use crate::packet::{ACK, RST, SYN, Tcp};

/// The byte at sequence number, or stream position, `at`: whoever moves, doubles or drops one is found out.
pub(crate) const fn pattern(at: u32) -> u8 {
    (at.wrapping_mul(0x9e37_79b1) >> 24) as u8
}

/// One pair of ports, through all the connections that it carries.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) v6: bool,
    /// The stack's side has an address that is none of the stack's.
    pub(crate) away: bool,
    /// Port of the fuzzer.
    pub(crate) peer: u16,
    /// Port of the stack; 0 until it connects.
    pub(crate) stack: u16,
    /// The next sequence number of the fuzzer.
    pub(crate) next: u32,
    /// Behind the last byte seen of the stack.
    pub(crate) seen: u32,
    /// The last segment of the stack that has not been answered.
    pub(crate) unanswered: Option<Tcp>,
    /// First sequence numbers of the streams that the stack has started here.
    starts: Vec<u32>,
}

impl Flow {
    pub(crate) const fn new(v6: bool, peer: u16, stack: u16, next: u32) -> Self {
        Self { v6, away: false, peer, stack, next, seen: 0, unanswered: None, starts: Vec::new() }
    }

    /// The same with another address of the stack's side.
    pub(crate) fn away(self) -> Self {
        Self { away: true, ..self }
    }

    /// Whether `segment`, sent by the stack, belongs here.
    pub(crate) fn carries(&self, segment: &Tcp) -> bool {
        let stack = self.stack == segment.source || self.stack == 0;
        (self.v6, self.away) == (segment.v6, segment.away) && self.peer == segment.destination && stack
    }

    /// Takes note of a segment of the stack, and checks that its payload is what the program wrote.
    pub(crate) fn see(&mut self, segment: Tcp) {
        self.stack = segment.source;
        if segment.flags & SYN != 0 {
            self.starts.push(segment.seq.wrapping_add(1));
            self.seen = segment.seq;
        }
        if segment.flags & RST == 0 && !segment.payload.is_empty() {
            let written = |start: &u32| {
                let from = segment.seq.wrapping_sub(*start);
                segment.payload.iter().zip(0u32..).all(|(byte, i)| *byte == pattern(from.wrapping_add(i)))
            };
            let Tcp { seq, flags, .. } = segment;
            let length = segment.payload.len();
            assert!(
                self.starts.iter().any(written),
                "sent what nobody wrote: {length} bytes at {seq}, flags {flags:#x}"
            );
        }
        let end = segment.seq.wrapping_add(segment.span());
        if (end.wrapping_sub(self.seen) as i32) > 0 {
            self.seen = end;
        }
        if segment.span() > 0 && segment.flags & RST == 0 {
            self.unanswered = Some(segment);
        }
    }

    /// A segment from here to the stack, `seq` and `ack` beside what would be right. The payload is a function of its sequence numbers.
    pub(crate) fn segment(&self, flags: u8, seq: u32, ack: u32, length: usize) -> Tcp {
        let seq = self.next.wrapping_add(seq);
        let first = seq.wrapping_add(u32::from(flags & SYN != 0));
        Tcp {
            v6: self.v6,
            away: self.away,
            source: self.peer,
            destination: self.stack,
            seq,
            ack: if flags & ACK != 0 { self.seen.wrapping_add(ack) } else { 0 },
            flags,
            window: 65_535,
            urgent: 0,
            options: Vec::new(),
            payload: (0..length as u32).map(|i| pattern(first.wrapping_add(i))).collect(),
        }
    }

    /// What a well-behaved peer answers to what it has seen.
    pub(crate) fn answer(&mut self) -> Option<Tcp> {
        let segment = self.unanswered.take()?;
        let open = segment.flags & SYN != 0 && segment.flags & ACK == 0;
        Some(self.segment(if open { SYN | ACK } else { ACK }, 0, 0, 0))
    }
}
