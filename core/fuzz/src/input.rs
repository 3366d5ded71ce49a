//! The fuzzer's bytes, read as numbers; zeroes behind their end.

/// What is left of an input.
#[derive(Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `count` bytes, or what is left.
    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) fn u8(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    /// A number that is mostly small and sometimes large, of either sign.
    pub(crate) fn delta(&mut self) -> u32 {
        let kind = self.u8();
        let small = self.u8() as i8 as i32 as u32;
        match kind >> 5 {
            0..=2 => 0,
            3 | 4 => small,
            5 => small.wrapping_mul(1460),
            6 => small.wrapping_mul(65_536),
            _ => small.wrapping_mul(16_777_216),
        }
    }
}
