//! Sequence numbers: a circle, not a line, hence no `Ord` (RFC 9293 3.4).

use crate::pack::{Pack, Packer, Unpacker};
use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// A sequence number. Wraps; comparisons hold for numbers less than 2^31 apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNum(pub u32);

impl SeqNum {
    /// `self` < `other` on the circle.
    #[must_use]
    pub const fn before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// `self` > `other` on the circle.
    #[must_use]
    pub const fn after(self, other: Self) -> bool {
        other.before(self)
    }

    /// `self` <= `other` on the circle.
    #[must_use]
    pub const fn at_or_before(self, other: Self) -> bool {
        !other.before(self)
    }

    /// `self` >= `other` on the circle.
    #[must_use]
    pub const fn at_or_after(self, other: Self) -> bool {
        !self.before(other)
    }

    /// Bytes from `earlier` up to `self`, wrapping.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// The later of the two.
    #[must_use]
    pub const fn latest(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }
}

impl Add<u32> for SeqNum {
    type Output = Self;
    fn add(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }
}

impl Sub<u32> for SeqNum {
    type Output = Self;
    fn sub(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }
}

impl AddAssign<u32> for SeqNum {
    fn add_assign(&mut self, count: u32) {
        *self = *self + count;
    }
}

impl fmt::Debug for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl Pack for SeqNum {
    fn pack(&self, to: &mut Packer) {
        to.seq(self.0);
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Self(from.seq())
    }
}
