//! Why a packet is refused, and what its source may be told about it.

use crate::counters::Drop;

/// What is wrong with a packet, as ICMP and ICMPv6 have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody has the port that it is for; TCP says so by RST.
    PortUnreachable,
    /// The protocol is not spoken here. ICMPv6 points at the field that names it: at byte `pointer` of the packet.
    ProtocolUnreachable {
        /// Offset of the protocol number in an IPv6 packet.
        pointer: u32,
    },
    /// A field cannot be; ICMP's one code, the ICMPv6 code for an erroneous header field.
    ParameterProblem {
        /// Offset of the field.
        pointer: u32,
    },
    /// An IPv6 option that is unknown and asks for its source to be told.
    UnknownOption {
        /// Offset of the option.
        pointer: u32,
        /// Told even if the packet was for a multicast group.
        groups: bool,
    },
    /// The first fragment of an IPv6 packet does not hold all of its headers (RFC 7112).
    HeaderChain,
    /// The next link carries packets of `mtu` bytes only.
    TooBig {
        /// The link's MTU.
        mtu: u16,
    },
    /// The other fragments of the packet did not come in time.
    ReassemblyTimeout,
}

impl Fault {
    /// Type, code and second word of the ICMP message.
    #[must_use]
    pub fn v4(self) -> (u8, u8, [u8; 4]) {
        let problem = |pointer| (12, 0, [u8::try_from(pointer).unwrap_or(0), 0, 0, 0]);
        match self {
            //= https://www.rfc-editor.org/rfc/rfc792#page-2
            //# Any field labeled "unused" is reserved for later extensions and must be zero when sent, but receivers should not use these fields (except to include them in the checksum). (792:page-2-1)
            Self::PortUnreachable => (3, 3, [0; 4]),
            Self::ProtocolUnreachable { .. } => (3, 2, [0; 4]),
            Self::ParameterProblem { pointer } | Self::UnknownOption { pointer, .. } => problem(pointer),
            Self::HeaderChain => problem(0),
            Self::TooBig { mtu } => (3, 4, u32::from(mtu).to_be_bytes()),
            Self::ReassemblyTimeout => (11, 1, [0; 4]),
        }
    }

    /// Type, code and second word of the ICMPv6 message.
    #[must_use]
    pub fn v6(self) -> (u8, u8, [u8; 4]) {
        match self {
            //= https://www.rfc-editor.org/rfc/rfc4443#section-3.1
            //# It must be initialized to zero by the originator and ignored by the receiver. (4443:3.1-1)
            Self::PortUnreachable => (1, 4, [0; 4]),
            Self::ParameterProblem { pointer } => (4, 0, pointer.to_be_bytes()),
            Self::ProtocolUnreachable { pointer } => (4, 1, pointer.to_be_bytes()),
            Self::UnknownOption { pointer, .. } => (4, 2, pointer.to_be_bytes()),
            //= https://www.rfc-editor.org/rfc/rfc7112#section-5
            //# then the ICMPv6 error message MUST be Type 4 ("Parameter Problem") and MUST use Code 3 ("First Fragment has incomplete IPv6 Header Chain"). The Pointer field contained by the ICMPv6 Parameter Problem message MUST be set to zero. (7112:5-3)
            Self::HeaderChain => (4, 3, [0; 4]),
            Self::TooBig { mtu } => (2, 0, u32::from(mtu).to_be_bytes()),
            Self::ReassemblyTimeout => (3, 1, [0; 4]),
        }
    }
}

/// A packet that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The reason.
    pub reason: Drop,
    /// What its source is told, within the rules of RFC 1122 3.2.2 and RFC 4443 2.4.
    pub fault: Option<Fault>,
}

impl Refused {
    /// Refused for `reason`, and its source is told.
    pub(crate) const fn told(reason: Drop, fault: Fault) -> Self {
        Self { reason, fault: Some(fault) }
    }
}

/// Refused silently.
impl From<Drop> for Refused {
    fn from(reason: Drop) -> Self {
        Self { reason, fault: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= https://www.rfc-editor.org/rfc/rfc4443#section-3.1
    //= type=test
    //# It must be initialized to zero by the originator and ignored by the receiver. (4443:3.1-1)
    //= https://www.rfc-editor.org/rfc/rfc792#page-2
    //= type=test
    //# Any field labeled "unused" is reserved for later extensions and must be zero when sent, but receivers should not use these fields (except to include them in the checksum). (792:page-2-1)
    #[test]
    fn each_fault_has_its_message() {
        let pointer = 0x01_02;
        let table = [
            (Fault::PortUnreachable, (3, 3, [0; 4]), (1, 4, [0; 4])),
            (Fault::ProtocolUnreachable { pointer }, (3, 2, [0; 4]), (4, 1, [0, 0, 1, 2])),
            (Fault::ParameterProblem { pointer: 7 }, (12, 0, [7, 0, 0, 0]), (4, 0, [0, 0, 0, 7])),
            (Fault::UnknownOption { pointer, groups: true }, (12, 0, [0; 4]), (4, 2, [0, 0, 1, 2])),
            (Fault::HeaderChain, (12, 0, [0; 4]), (4, 3, [0; 4])),
            (Fault::TooBig { mtu: 1280 }, (3, 4, [0, 0, 5, 0]), (2, 0, [0, 0, 5, 0])),
            (Fault::ReassemblyTimeout, (11, 1, [0; 4]), (3, 1, [0; 4])),
        ];
        for (fault, four, six) in table {
            assert_eq!((fault.v4(), fault.v6()), (four, six), "{fault:?}");
        }
    }
}
