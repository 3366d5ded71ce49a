//! The window field and its scale (RFC 7323 section 2).

use crate::pack::{Pack, Packer, Unpacker};

/// A shift count of the window scale option, 0 to 14.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct WindowScale(u8);

/// Largest shift (RFC 7323 2.3).
//= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
//# the shift count MUST be limited to 14 (7323:2.3-7).
const SHIFT_MAX: u8 = 14;

impl WindowScale {
    pub(super) const fn from_wire(shift: u8) -> Self {
        //= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
        //# MUST use 14 instead of the specified value (7323:2.3-9).
        if Self::is_cut(shift) { Self(SHIFT_MAX) } else { Self(shift) }
    }

    /// Whether a shift count is one that `from_wire` cuts.
    pub(super) const fn is_cut(shift: u8) -> bool {
        shift > SHIFT_MAX
    }

    /// The smallest scale whose largest window reaches `limit` bytes.
    pub(super) fn for_limit(limit: usize) -> Self {
        let fits = |shift: &u8| (0xffff_usize << shift) >= limit;
        Self((0..SHIFT_MAX).find(fits).unwrap_or(SHIFT_MAX))
    }

    /// The shift count.
    pub(super) const fn shift(self) -> u8 {
        self.0
    }

    /// Bytes that one step of the field stands for.
    pub(super) const fn unit(self) -> u32 {
        1 << self.0
    }

    /// Bytes that a received field stands for.
    pub(super) const fn bytes(self, field: u16) -> u32 {
        (field as u32) << self.0
    }

    /// The largest window that can be expressed.
    pub(super) const fn largest(self) -> u32 {
        self.bytes(u16::MAX)
    }

    /// The field for `bytes`, rounded down.
    pub(super) fn field_floor(self, bytes: u32) -> u16 {
        u16::try_from(bytes >> self.0).unwrap_or(u16::MAX)
    }

    /// The field for `bytes`, rounded up.
    pub(super) fn field_ceil(self, bytes: u32) -> u16 {
        self.field_floor(bytes.saturating_add(self.unit() - 1))
    }
}

impl Pack for WindowScale {
    fn pack(&self, to: &mut Packer) {
        self.0.pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Self(u8::unpack(from))
    }
}
