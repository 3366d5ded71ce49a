//! Values in few bytes: what is at rest is kept packed.
//!
//! A connection at rest is made of zeros, of options that are not there, of small numbers, and of numbers and times that are near each other. So
//! numbers are written seven bits at a time, sequence numbers and times as distances from the last, and of every eight bytes only those that are not
//! zero, behind one that tells which they are.
//!
//! ```text
//!  value --fields, in order--> 0 0 5 0 0 0 183 1 | 0 0 ... --> [0b1100_0100, 5, 183, 1] [0b...
//! ```
//! Both directions come from one list of fields ([`packed`]), which has to be complete to compile. Nothing packed leaves the process, so there is no
//! version of it, and what is unpacked was packed by the same program: bytes that are missing are zeros.

use crate::error::{EndReason, Errno, Timeout, Unreachable};
use crate::time::{Duration, Instant};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// A value that can be packed.
pub trait Pack: Sized {
    /// Writes it.
    fn pack(&self, to: &mut Packer);
    /// Reads what `pack` has written.
    fn unpack(from: &mut Unpacker<'_>) -> Self;
}

/// Packs a struct field by field, or an enum without data by the place of its variant in the list. What is not listed does not compile.
macro_rules! packed {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        impl $crate::pack::Pack for $name {
            fn pack(&self, to: &mut $crate::pack::Packer) {
                let Self { $($field),+ } = self;
                $($crate::pack::Pack::pack($field, to);)+
            }
            fn unpack(from: &mut $crate::pack::Unpacker<'_>) -> Self {
                Self { $($field: $crate::pack::Pack::unpack(from)),+ }
            }
        }
    };
    (enum $name:ident { $first:ident $(, $other:ident)* $(,)? }) => {
        impl $crate::pack::Pack for $name {
            fn pack(&self, to: &mut $crate::pack::Packer) {
                // Complete, or it does not compile.
                match self {
                    Self::$first $(| Self::$other)* => {}
                }
                let all = [Self::$first $(, Self::$other)*];
                let place = all.iter().position(|one| one == self).unwrap_or_default();
                to.number(place as u64);
            }
            fn unpack(from: &mut $crate::pack::Unpacker<'_>) -> Self {
                let place = from.number() as usize;
                [Self::$first $(, Self::$other)*].into_iter().nth(place).unwrap_or(Self::$first)
            }
        }
    };
}
pub(crate) use packed;

/// Bytes of a group that share a mask.
const GROUP: u8 = 8;

/// Writes packed values.
#[derive(Debug, Default)]
pub struct Packer {
    bytes: Vec<u8>,
    /// Where the mask of the present group stands, and bytes of the group so far.
    mask: usize,
    used: u8,
    last: Last,
}

/// Reads them.
#[derive(Debug)]
pub struct Unpacker<'a> {
    bytes: &'a [u8],
    /// What the mask says of the bytes to come, and how many of the group there are.
    mask: u8,
    left: u8,
    last: Last,
}

/// What distances count from.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    seq: u32,
    instant: u64,
}

impl Packer {
    /// Writes a byte.
    pub fn byte(&mut self, byte: u8) {
        if self.used == 0 {
            self.mask = self.bytes.len();
            self.bytes.push(0);
        }
        if byte != 0 {
            if let Some(mask) = self.bytes.get_mut(self.mask) {
                *mask |= 1 << self.used;
            }
            self.bytes.push(byte);
        }
        self.used = (self.used + 1) % GROUP;
    }

    /// Writes a number, in the fewer bytes the smaller it is.
    pub fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    /// Writes a sequence number, in the fewer bytes the nearer it is to the last.
    pub fn seq(&mut self, seq: u32) {
        let ahead = seq.wrapping_sub(self.last.seq) as i32;
        self.last.seq = seq;
        self.number(zigzag(ahead.into()));
    }

    fn instant(&mut self, nanos: u64) {
        let ahead = nanos.wrapping_sub(self.last.instant) as i64;
        self.last.instant = nanos;
        self.number(zigzag(ahead));
    }

    /// What was written; the next value begins anew.
    pub fn finish(&mut self) -> Box<[u8]> {
        let packed = Box::from(self.bytes.as_slice());
        self.clear();
        packed
    }

    /// Forgets what was written.
    pub fn clear(&mut self) {
        self.bytes.clear();
        (self.mask, self.used, self.last) = (0, 0, Last::default());
    }
}

impl<'a> Unpacker<'a> {
    /// Reads what [`Packer::finish`] gave.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, mask: 0, left: 0, last: Last::default() }
    }

    fn take(&mut self) -> u8 {
        match self.bytes {
            [first, rest @ ..] => {
                self.bytes = rest;
                *first
            }
            [] => 0,
        }
    }

    /// Reads a byte.
    pub fn byte(&mut self) -> u8 {
        if self.left == 0 {
            (self.mask, self.left) = (self.take(), GROUP);
        }
        let byte = if self.mask & 1 != 0 { self.take() } else { 0 };
        self.mask >>= 1;
        self.left -= 1;
        byte
    }

    /// Reads a number.
    pub fn number(&mut self) -> u64 {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte();
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    }

    /// Reads a sequence number.
    pub fn seq(&mut self) -> u32 {
        self.last.seq = self.last.seq.wrapping_add(unzigzag(self.number()) as u32);
        self.last.seq
    }

    fn instant(&mut self) -> u64 {
        self.last.instant = self.last.instant.wrapping_add(unzigzag(self.number()) as u64);
        self.last.instant
    }
}

/// Small distances in either direction are small numbers.
const fn zigzag(distance: i64) -> u64 {
    (distance << 1 ^ distance >> 63) as u64
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

macro_rules! numbers {
    ($($name:ty),+) => {$(
        impl Pack for $name {
            fn pack(&self, to: &mut Packer) {
                to.number(*self as u64);
            }
            fn unpack(from: &mut Unpacker<'_>) -> Self {
                from.number() as Self
            }
        }
    )+};
}

numbers!(u8, u16, u32, u64, usize);

impl Pack for bool {
    fn pack(&self, to: &mut Packer) {
        to.byte(u8::from(*self));
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        from.byte() != 0
    }
}

impl Pack for f64 {
    /// Whole numbers end in zeros, which are not written.
    fn pack(&self, to: &mut Packer) {
        self.to_le_bytes().into_iter().for_each(|byte| to.byte(byte));
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Self::from_le_bytes(std::array::from_fn(|_| from.byte()))
    }
}

impl<T: Pack> Pack for Option<T> {
    fn pack(&self, to: &mut Packer) {
        to.byte(u8::from(self.is_some()));
        if let Some(value) = self {
            value.pack(to);
        }
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        (from.byte() != 0).then(|| T::unpack(from))
    }
}

impl<A: Pack, B: Pack> Pack for (A, B) {
    fn pack(&self, to: &mut Packer) {
        self.0.pack(to);
        self.1.pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        (A::unpack(from), B::unpack(from))
    }
}

impl<T: Pack, const N: usize> Pack for [T; N] {
    fn pack(&self, to: &mut Packer) {
        self.iter().for_each(|value| value.pack(to));
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        std::array::from_fn(|_| T::unpack(from))
    }
}

impl<T: Pack> Pack for VecDeque<T> {
    fn pack(&self, to: &mut Packer) {
        to.number(self.len() as u64);
        self.iter().for_each(|value| value.pack(to));
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        (0..from.number()).map(|_| T::unpack(from)).collect()
    }
}

impl Pack for Duration {
    fn pack(&self, to: &mut Packer) {
        to.number(self.as_secs());
        to.number(self.subsec_nanos().into());
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let seconds = from.number();
        Self::from_secs(seconds).saturating_add(Self::from_nanos(from.number()))
    }
}

impl Pack for Instant {
    fn pack(&self, to: &mut Packer) {
        to.instant(self.as_nanos());
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Self::from_nanos(from.instant())
    }
}

impl Pack for IpAddr {
    fn pack(&self, to: &mut Packer) {
        to.byte(u8::from(self.is_ipv6()));
        match self {
            Self::V4(v4) => v4.octets().pack(to),
            Self::V6(v6) => v6.octets().pack(to),
        }
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        match from.byte() {
            0 => Self::V4(Ipv4Addr::from(<[u8; 4]>::unpack(from))),
            _ => Self::V6(Ipv6Addr::from(<[u8; 16]>::unpack(from))),
        }
    }
}

impl Pack for SocketAddr {
    fn pack(&self, to: &mut Packer) {
        self.ip().pack(to);
        self.port().pack(to);
        if let Self::V6(v6) = self {
            v6.flowinfo().pack(to);
            v6.scope_id().pack(to);
        }
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let ip = IpAddr::unpack(from);
        let port = u16::unpack(from);
        match ip {
            IpAddr::V4(v4) => Self::V4(SocketAddrV4::new(v4, port)),
            IpAddr::V6(v6) => {
                let flowinfo = u32::unpack(from);
                Self::V6(SocketAddrV6::new(v6, port, flowinfo, u32::unpack(from)))
            }
        }
    }
}

impl Pack for Errno {
    fn pack(&self, to: &mut Packer) {
        to.number(zigzag(self.0.into()));
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Self(unzigzag(from.number()) as i32)
    }
}

packed!(
    enum Timeout {
        Handshake,
        Retransmission,
        Probe,
        User,
        KeepAlive,
        FinWait2,
    }
);
packed!(Unreachable { errno, kind, code, from });

impl Pack for EndReason {
    fn pack(&self, to: &mut Packer) {
        match self {
            Self::Finished => to.byte(0),
            Self::Reset { seq, errno } => {
                to.byte(1);
                seq.pack(to);
                errno.pack(to);
            }
            Self::TimedOut { timer, network } => {
                to.byte(2);
                timer.pack(to);
                network.pack(to);
            }
            Self::Unreachable(told) => {
                to.byte(3);
                told.pack(to);
            }
            Self::Aborted => to.byte(4),
            Self::Unread => to.byte(5),
            Self::Limit => to.byte(6),
            Self::LinkGone => to.byte(7),
            Self::StackClosed => to.byte(8),
        }
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        match from.byte() {
            0 => Self::Finished,
            1 => Self::Reset { seq: Pack::unpack(from), errno: Pack::unpack(from) },
            2 => Self::TimedOut { timer: Pack::unpack(from), network: Pack::unpack(from) },
            3 => Self::Unreachable(Pack::unpack(from)),
            4 => Self::Aborted,
            5 => Self::Unread,
            6 => Self::Limit,
            7 => Self::LinkGone,
            _ => Self::StackClosed,
        }
    }
}

#[cfg(test)]
mod tests;
