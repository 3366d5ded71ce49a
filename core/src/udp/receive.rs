//! From the payload of a packet to a datagram.

use crate::counters::{Counters, Drop};
use crate::wire::udp::{UdpHeader, parse};
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};

/// A sound datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Where it came to.
    pub local: SocketAddr,
    //= https://www.rfc-editor.org/rfc/rfc768#page-1
    //# If not used, a value of zero is inserted. (768:page-1-1)
    /// Where it came from; port 0: no answer is wanted.
    pub remote: SocketAddr,
    /// What it carries, a slice of the packet.
    pub payload: Bytes,
}

/// Reads and verifies the datagram from `source` to `destination`; `verify` asks for the checksum.
pub fn receive(
    source: IpAddr,
    destination: IpAddr,
    bytes: &Bytes,
    verify: bool,
    counters: &mut Counters,
) -> Result<Received, Drop> {
    let (UdpHeader { source: from, destination: to, checksum, .. }, payload) =
        parse(source, destination, bytes, verify)?;
    if checksum == 0 {
        counters.udp_without_checksum = counters.udp_without_checksum.saturating_add(1);
    }
    //= https://www.rfc-editor.org/rfc/rfc768#page-3
    //# The UDP module must be able to determine the source and destination internet addresses and the protocol field from the internet header. (768:page-3-1)
    Ok(Received {
        local: SocketAddr::new(destination, to),
        remote: SocketAddr::new(source, from),
        payload: bytes.slice(payload),
    })
}
