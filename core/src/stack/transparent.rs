//! Addresses that are none of the stack's, and what of their packets is taken in: connections that an interceptor accepted, and sockets with
//! IP_TRANSPARENT, which may be bound to any host's address, listen on it and connect from it.
//!
//! Nothing leads there but what the link brings: a socket on every address has to do with the stack's own alone.

use super::demux::FourTuple;
use super::route::Way;
use super::table::Entry;
use super::{Domain, Stack};
use crate::buffer::SocketId;
use crate::counters::Drop;
use crate::error::Errno;
use crate::ip::{self, Heard, Packet};
use crate::time::Instant;
use crate::wire::protocol;
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};

impl Stack {
    /// Whether a socket may have `address` for its own. EADDRNOTAVAIL.
    //= https://www.rfc-editor.org/rfc/rfc6724#section-4
    //# if the application or upper layer specifies a source address that is not in the candidate set for the destination, then the network layer MUST treat this as an error. (6724:4-3)
    pub(super) fn may_be_at(&self, entry: &Entry, address: IpAddr) -> Result<(), Errno> {
        let stands_in = || entry.settings.ip.transparent && self.is_a_hosts(address);
        if self.route.owns(address) || stands_in() { Ok(()) } else { Err(Errno::EADDRNOTAVAIL) }
    }

    /// Whether what `remote` answers to `source` comes here. EINVAL: a loopback address is everybody's own, and what the stack itself answers to another
    /// host leaves by the link.
    pub(super) fn may_reach(&self, source: IpAddr, remote: IpAddr) -> Result<(), Errno> {
        let inside = self.route.owns(remote);
        let wrong = source.is_loopback() && !inside || self.is_foreign(source) && inside;
        if wrong { Err(Errno::EINVAL) } else { Ok(()) }
    }

    /// Whether an address of a socket is none of the stack's.
    pub(super) fn is_foreign(&self, address: IpAddr) -> bool {
        !address.is_unspecified() && !self.route.owns(address)
    }

    /// Whether a host may have this address. Links keep to their own addresses.
    fn is_a_hosts(&self, address: IpAddr) -> bool {
        let no_hosts = match address {
            IpAddr::V4(v4) => v4.octets()[0] == 0,
            IpAddr::V6(v6) => {
                v6.is_unspecified() || v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some()
            }
        };
        !no_hosts && !self.route.is_group(address)
    }

    /// One more has to do with `address`: packets for others are let in as long as there are any.
    pub(super) fn stand_at(&self, address: IpAddr) {
        if self.is_foreign(address) {
            self.commons.foreign.add();
        }
    }

    /// One less has.
    pub(super) fn leave(&self, address: IpAddr) {
        if self.is_foreign(address) {
            self.commons.foreign.take(1);
        }
    }

    /// Brings a connection's four-tuple into use.
    pub(super) fn know_tuple(&mut self, tuple: &FourTuple, local: IpAddr, id: SocketId) {
        self.demux.add_connection(tuple, id);
        self.stand_at(local);
    }

    /// Takes the four-tuple of a connection out of use.
    pub(super) fn forget_tuple(&mut self, local: SocketAddr, remote: SocketAddr, id: SocketId) {
        let tuple = FourTuple::new(local, remote);
        self.demux.remove_connection(&tuple, id);
        self.leave(local.ip());
        self.erase(&tuple);
    }

    /// Whether a packet is taken in: for this stack, or for an address that it has some business of.
    pub(super) fn admit_any(&mut self, names: (IpAddr, IpAddr), way: Way) -> Result<(), Drop> {
        if names == self.admitted && way == Way::Link {
            return Ok(());
        }
        let (source, destination) = names;
        let admitted = self.admit(source, destination, way);
        if admitted.is_ok() && way == Way::Link {
            self.admitted = names;
        }
        if admitted != Err(Drop::IpNotOurs) || way != Way::Link || !self.may_stand_in(destination) {
            return admitted;
        }
        if self.route.owns(source) { Err(Drop::IpLand) } else { Ok(()) }
    }

    /// Whether a host that the stack is not may have sockets here, or come to have some.
    fn may_stand_in(&self, address: IpAddr) -> bool {
        let near = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        !near && (self.commons.foreign.count() > 0 || self.interceptors.cover(address))
    }

    /// A packet other than of TCP for an address that is none of the stack's: datagrams for sockets that stand just there, and reports. Others are told
    /// nothing.
    pub(super) fn on_foreign(&mut self, now: Instant, packet: &Packet, bytes: &Bytes) -> Result<(), Drop> {
        let icmp = matches!(
            (packet.protocol, Domain::of(packet.destination)),
            (protocol::ICMP, Domain::V4) | (protocol::ICMPV6, Domain::V6)
        );
        if packet.protocol == protocol::UDP {
            let nobody = |reason| if reason == Drop::UdpNoSocket { Drop::IpNotOurs } else { reason };
            return self.on_udp(now, packet, bytes).map_err(nobody);
        }
        match ip::hear(packet) {
            Ok(Heard::Report(report)) if icmp => match report.protocol {
                protocol::TCP => self.on_report(now, &report),
                protocol::UDP => self.on_datagram_report(now, &report),
                _ => Err(Drop::IpNotOurs),
            },
            _ => Err(Drop::IpNotOurs),
        }
    }
}
