//! Flags of one send or recv, in the kernel's numbers.

use super::Wait;
use crate::error::{Errno, Result};
use crate::stack::socket::{More, Urgency};

/// Flags of one send or recv; the numbers are the kernel's MSG_ ones.
///
/// Sending, OOB, DONTWAIT and MORE are obeyed. FASTOPEN is EOPNOTSUPP, since its data would go another way than asked for. Receiving, OOB, PEEK, TRUNC,
/// DONTWAIT and WAITALL are obeyed; ERRQUEUE is EAGAIN, since that queue is always empty.
/// All others are ignored, as Linux does with TCP: NOSIGNAL (nothing raises a signal), DONTROUTE and CONFIRM (there is no neighbour to ask), EOR (a
/// stream has no records), ZEROCOPY (without SO_ZEROCOPY), CMSG_CLOEXEC, and bits without a name.
///
/// With datagrams: sending, DONTWAIT is obeyed, OOB is EOPNOTSUPP, and so is MORE, since each datagram goes by itself. Receiving, PEEK, TRUNC and
/// DONTWAIT are obeyed and ERRQUEUE is EAGAIN. All others are ignored, as Linux does with UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct MessageFlags(pub i32);

impl MessageFlags {
    /// MSG_OOB: send: the last byte is urgent; recv: the last urgent byte, for a socket whose SO_OOBINLINE is off.
    pub const OOB: Self = Self(0x01);
    /// MSG_PEEK: what is received stays to be received again.
    pub const PEEK: Self = Self(0x02);
    /// MSG_TRUNC: what is received of a stream is thrown away; of a datagram the length is told, however much of it fits.
    pub const TRUNC: Self = Self(0x20);
    /// MSG_DONTWAIT.
    pub const DONTWAIT: Self = Self(0x40);
    /// MSG_WAITALL.
    pub const WAITALL: Self = Self(0x100);
    /// MSG_ERRQUEUE.
    pub const ERRQUEUE: Self = Self(0x2000);
    /// MSG_NOSIGNAL; nothing ever raises a signal, so it changes nothing.
    pub const NOSIGNAL: Self = Self(0x4000);
    /// MSG_MORE: more will be written at once, so that less than a segment waits for it, for as long as with TCP_CORK.
    pub const MORE: Self = Self(0x8000);
    /// MSG_FASTOPEN.
    pub const FASTOPEN: Self = Self(0x2000_0000);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Refuses what a send cannot do.
    pub(super) fn for_send(self) -> Result<Self> {
        if self.contains(Self::FASTOPEN) { Err(Errno::EOPNOTSUPP.into()) } else { Ok(self) }
    }

    /// Refuses what a recv cannot do.
    pub(super) fn for_recv(self) -> Result<Self> {
        if self.contains(Self::ERRQUEUE) { Err(Errno::EAGAIN.into()) } else { Ok(self) }
    }

    /// Refuses what sending a datagram cannot do.
    pub(super) fn for_send_to(self) -> Result<Self> {
        if self.0 & (Self::OOB.0 | Self::MORE.0) != 0 { Err(Errno::EOPNOTSUPP.into()) } else { Ok(self) }
    }

    /// How long the call may sleep.
    pub(super) const fn limit(self, wait: Wait) -> Wait {
        if self.contains(Self::DONTWAIT) { Wait::Never } else { wait }
    }

    pub(super) const fn urgency(self) -> Urgency {
        if self.contains(Self::OOB) { Urgency::Last } else { Urgency::None }
    }

    pub(super) const fn more(self) -> More {
        if self.contains(Self::MORE) { More::Follows } else { More::No }
    }
}
