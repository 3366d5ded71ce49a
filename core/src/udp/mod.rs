//! UDP (RFC 768): what a datagram may be, where a socket stands, what an ICMP error means to it.

mod association;
mod icmp;
mod receive;

pub use association::Association;
pub use icmp::told;
pub use receive::{Received, receive};

use crate::wire::udp::HEADER;

/// Most bytes that an IP packet states: of all of it over IPv4, behind the fixed header over IPv6.
const LENGTH_MAX: usize = 65_535;
const IPV4_HEADER: usize = 20;

/// Most bytes that a datagram carries: 65507 over IPv4, 65527 over IPv6.
#[must_use]
pub const fn payload_max(six: bool) -> usize {
    if six { LENGTH_MAX - HEADER } else { LENGTH_MAX - IPV4_HEADER - HEADER }
}

/// Whether there can be a datagram of `payload` bytes at all.
#[must_use]
pub const fn fits(six: bool, payload: usize) -> bool {
    payload <= payload_max(six)
}
