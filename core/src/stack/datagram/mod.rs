//! Datagram sockets: the control calls of UDP, and what the stack keeps for them.
//!
//! A datagram goes straight from the packet into the cell, and from the cell into the packet: there is nothing in between that a turn
//! would publish. Ports are apart from those of TCP.

pub(super) mod options;
mod receivers;
mod transit;

pub(super) use receivers::Receivers;

use super::control::unmapped;
use super::ports::{Class, Hold};
use super::route::{endpoint, is_on_link};
use super::socket::ip::{Discovery, Family};
use super::socket::options::{IPPROTO_TCP, SOL_SOCKET, Settings, sol};
use super::table::{Entry, Kind};
use super::{Domain, LinkState, Shutdown, Stack, demux, route, socket};
use crate::buffer::{Cell, Datagram, Datagrams, Handling, Interest, SocketId};
use crate::error::Errno;
use crate::sync::Arc;
use crate::time::Instant;
use crate::udp::{self, Association};
use crate::wire::protocol;
use bytes::Bytes;
use options::DatagramOptions;
use std::net::{IpAddr, SocketAddr};
use std::task::Waker;

/// A datagram socket beside its cell.
#[derive(Debug, Default)]
pub(super) struct DatagramSocket {
    pub association: Association,
    pub options: DatagramOptions,
    /// The port that it keeps from others.
    hold: Option<Hold>,
}

impl Stack {
    /// A new UDP socket. Errors as [`Stack::socket`].
    pub fn datagram_socket(&mut self, domain: Domain) -> Result<(SocketId, Arc<Cell>), Errno> {
        if self.link == LinkState::Gone {
            return Err(Errno::ENETDOWN);
        }
        let (receive, send) = (self.config.udp.receive, self.config.udp.send);
        let settings = Settings::new(&self.config);
        let mut settings = Settings { send, send_max: send, ip: settings.ip.with_ecn(), ..settings };
        settings.fix_receive(receive);
        let cell = Cell::of_datagrams(settings.marks(), Datagrams::new(domain == Domain::V6, receive));
        let kind = Kind::Datagram(Box::default());
        let id = self.add_entry(domain, Arc::new(settings), Arc::clone(&cell), kind).ok_or(Errno::EMFILE)?;
        Ok((id, cell))
    }

    /// Sends a datagram by way of the stack, where [`socket::send_to`] says that it has to be asked: about a host for the first time, about the
    /// path MTU, or for a port. ENODEV (a link-local address of another link), EAGAIN, EDESTADDRREQ, EMSGSIZE, EINVAL (port 0, a loopback source towards the link), EAFNOSUPPORT, ENETUNREACH, ENETDOWN, EACCES
    /// (broadcast), EPIPE, EBADF, or the pending error.
    pub fn send_datagram(
        &mut self,
        now: Instant,
        id: SocketId,
        payload: &Bytes,
        destination: Option<SocketAddr>,
        waker: Option<&Waker>,
    ) -> Result<(), Errno> {
        self.send_datagram_with(now, id, payload, destination, Handling::default(), waker)
    }

    /// The same for one that is to be handled otherwise than the socket's options say. EINVAL as well: it is to come from an address that is not the
    /// stack's and the socket has no IP_TRANSPARENT, or of the other family.
    pub fn send_datagram_with(
        &mut self,
        now: Instant,
        id: SocketId,
        payload: &Bytes,
        destination: Option<SocketAddr>,
        handling: Handling,
        waker: Option<&Waker>,
    ) -> Result<(), Errno> {
        self.begin(now);
        let Handling { source, hops, class } = handling;
        let source = source.map(|source| unmapped(SocketAddr::new(source, 0)).ip());
        let (entry, socket) = self.datagram(id)?;
        let asked = socket::addressee(&entry.cell.lock(), payload.len(), destination)?;
        let remote = self.destination_of(entry, socket, asked)?;
        let may_be = |own: &IpAddr| own.is_ipv6() == remote.is_ipv6() && self.may_be_at(entry, *own).is_ok();
        let own = source.filter(may_be);
        if own != source {
            return Err(Errno::EINVAL);
        }
        self.source_towards(remote.ip(), own.or(socket.association.source()))?;
        let fits = udp::fits(remote.is_ipv6(), payload.len())
            && (!wants_whole(entry, remote.ip())
                || self.fits_path(now, remote.ip(), payload.len(), &entry.settings.ip));
        if !fits {
            //= https://www.rfc-editor.org/rfc/rfc6864#section-4.3
            //# IPv4 datagrams whose DF=1 MUST NOT be fragmented. (6864:4.3-2)
            //= https://www.rfc-editor.org/rfc/rfc8201#section-5.2
            //# when an attempt is made to SEND a packet that is larger than the PMTU estimate, the SEND function should fail and return a suitable error indication. (8201:5.2-8)
            return Err(Errno::EMSGSIZE);
        }
        let unbound = socket.association.local().is_none();
        let ask_again = is_careful(entry) || remote.ip() != asked.ip();
        if unbound {
            self.find_port(id)?;
        }
        let (entry, _) = self.datagram(id)?;
        let mut state = entry.cell.lock();
        if let Some(datagrams) = state.datagrams.as_mut().filter(|_| !ask_again) {
            datagrams.approve(remote.ip());
        }
        let local = own.unwrap_or(demux::wildcard(remote.ip()));
        let datagram = Datagram { peer: remote, local, hops, class, payload: payload.clone() };
        // Whether or not a kick is on its way: this is the holder.
        let _ = socket::enqueue(&mut state, datagram, waker)?;
        drop(state);
        self.pend(id);
        Ok(())
    }

    /// Takes the peer of a datagram socket away, as connect(2) to AF_UNSPEC does; a port that it found by itself is lost with it. EOPNOTSUPP.
    pub fn dissolve(&mut self, id: SocketId) -> Result<(), Errno> {
        self.datagram(id)?;
        let mut lost = false;
        self.associate(id, |association| lost = association.dissolve());
        if lost {
            self.release_port(id);
        }
        Ok(())
    }

    pub(super) fn bind_datagram(&mut self, id: SocketId, address: SocketAddr) -> Result<(), Errno> {
        let (entry, socket) = self.datagram(id)?;
        if Domain::of(address.ip()) != entry.domain {
            return Err(Errno::EAFNOSUPPORT);
        }
        if !is_on_link(address) {
            return Err(Errno::ENODEV);
        }
        let wanted = unmapped(address);
        let wrong_family = wanted.is_ipv4() && entry.domain == Domain::V6 && entry.settings.v6_only;
        if socket.association.local().is_some() || wrong_family {
            return Err(Errno::EINVAL);
        }
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
        //# When a host sends any datagram, the IP source address MUST be one of its own IP addresses (but not a broadcast or multicast address). (1122:3.2.1.3-9)
        if !wanted.ip().is_unspecified() {
            self.may_be_at(entry, wanted.ip())?;
        }
        let local = self.take_port(id, wanted)?;
        //= https://www.rfc-editor.org/rfc/rfc768#page-2
        //# A user interface should allow the creation of new receive ports, receive operations on the receive ports that return the data octets and an indication of source port and source address, and an operation that allows a datagram to be sent, specifying the data, source and destination ports and addresses to be sent. (768:page-2-5)
        self.associate(id, |association| association.bind(local));
        Ok(())
    }

    pub(super) fn connect_datagram(&mut self, id: SocketId, peer: SocketAddr) -> Result<(), Errno> {
        let (entry, socket) = self.datagram(id)?;
        if Domain::of(peer.ip()) != entry.domain {
            return Err(Errno::EAFNOSUPPORT);
        }
        let remote = self.destination_of(entry, socket, peer)?;
        let source = self.source_towards(remote.ip(), socket.association.bound_source())?;
        if socket.association.local().is_none() {
            self.find_port(id).map_err(|_| Errno::EAGAIN)?;
        }
        self.associate(id, |association| association.connect(source, remote));
        Ok(())
    }

    /// Linux shuts down both kinds of socket, connected or not, and says ENOTCONN all the same to the latter.
    pub(super) fn shutdown_datagram(&mut self, id: SocketId, how: Shutdown) -> Result<(), Errno> {
        let Some(Entry { cell, kind: Kind::Datagram(socket), .. }) = self.table.get(id) else {
            return Err(Errno::EBADF);
        };
        let mut state = cell.lock();
        state.recv_shut |= how != Shutdown::Write;
        state.send_shut |= how != Shutdown::Read;
        state.take_wakers(Interest::Read, &mut self.woken);
        state.take_wakers(Interest::Write, &mut self.woken);
        socket.association.peer().map(|_| ()).ok_or(Errno::ENOTCONN)
    }

    /// The program lets go: what it has written is still sent, what it has not read is forgotten.
    pub(super) fn close_datagram(&mut self, id: SocketId) {
        let Some(entry) = self.table.get(id) else { return };
        let Kind::Datagram(socket) = &entry.kind else { return };
        if entry.orphan {
            // It was closed before, and what was written is still to go.
            return;
        }
        let (association, dual) = (socket.association, is_dual(entry));
        self.commons.receivers.with(|receivers| receivers.remove(&association, dual, id));
        association.local().into_iter().for_each(|local| self.leave(local.ip()));
        if let Some(datagrams) = &mut entry.cell.lock().datagrams {
            datagrams.inbox.clear();
        }
        self.release_port(id);
        self.orphan(id);
        self.pend(id);
    }

    /// The link is gone.
    pub(super) fn end_datagram(&mut self, id: SocketId, error: Errno) {
        if let Some(entry) = self.table.get(id)
            && let Some(datagrams) = &mut entry.cell.lock().datagrams
        {
            datagrams.outbox.clear();
        }
        self.fail(id, error);
        self.pend(id);
    }

    /// A datagram socket, or what a call for datagrams says to others: EBADF, be it that one that is closed still sends, EOPNOTSUPP.
    fn datagram(&self, id: SocketId) -> Result<(&Entry, &DatagramSocket), Errno> {
        let entry = self.table.get(id).filter(|entry| !entry.orphan).ok_or(Errno::EBADF)?;
        let Kind::Datagram(socket) = &entry.kind else { return Err(Errno::EOPNOTSUPP) };
        Ok((entry, socket))
    }

    /// Changes where a socket stands, and with it who finds it.
    fn associate(&mut self, id: SocketId, change: impl FnOnce(&mut Association)) {
        let Some(entry) = self.table.get_mut(id) else { return };
        let before = is_dual(entry);
        let Kind::Datagram(socket) = &mut entry.kind else { return };
        let former = socket.association;
        change(&mut socket.association);
        let association = socket.association;
        // As in Linux: who has an address of IPv6 keeps away from IPv4.
        if association.bound_source().is_some_and(|own| own.is_ipv6()) && !entry.settings.v6_only {
            entry.change(&mut self.shared, |settings| settings.v6_only = true);
        }
        let dual = is_dual(entry);
        self.commons.receivers.with(|receivers| {
            receivers.remove(&former, before, id);
            receivers.add(&association, dual, id);
        });
        let at = |association: &Association| association.local().map(|local| local.ip());
        let (left, taken) = (at(&former), at(&association));
        let peer = association.peer().map(|peer| entry.shown(peer));
        if let Some(datagrams) = &mut entry.cell.lock().datagrams {
            datagrams.peer = peer;
            datagrams.revoke();
        }
        taken.into_iter().for_each(|address| self.stand_at(address));
        left.into_iter().for_each(|address| self.leave(address));
    }

    /// A port for a socket that sends before it was bound. EADDRNOTAVAIL: none is free. (EAGAIN in Linux, which is what would be waited for here.)
    fn find_port(&mut self, id: SocketId) -> Result<(), Errno> {
        let (entry, _) = self.datagram(id)?;
        let any = SocketAddr::new(demux::wildcard(route::loopback(entry.domain)), 0);
        let local = self.take_port(id, any).map_err(|_| Errno::EADDRNOTAVAIL)?;
        self.associate(id, |association| association.settle(local));
        Ok(())
    }

    /// Holds the port of `address`, or a free one (RFC 6056) for port 0. EADDRINUSE.
    fn take_port(&mut self, id: SocketId, address: SocketAddr) -> Result<SocketAddr, Errno> {
        let (first, last) = (self.config.udp.port_first, self.config.udp.port_last);
        let (entry, _) = self.datagram(id)?;
        let mut hold = entry.hold_on(address, Class::Bound);
        let found = self.commons.datagram_ports.with(|ports| {
            if hold.port == 0 {
                hold.port = ports.for_bind(hold, first, last)?;
            } else if !ports.is_free(hold) {
                return None;
            }
            ports.hold(hold);
            Some(())
        });
        found.ok_or(Errno::EADDRINUSE)?;
        self.release_port(id);
        if let Some(Entry { kind: Kind::Datagram(socket), .. }) = self.table.get_mut(id) {
            socket.hold = Some(hold);
        }
        Ok(endpoint(hold.address, hold.port))
    }

    fn release_port(&mut self, id: SocketId) {
        let Some(Entry { kind: Kind::Datagram(socket), .. }) = self.table.get_mut(id) else { return };
        if let Some(hold) = socket.hold.take() {
            self.commons.datagram_ports.with(|ports| ports.release(hold));
        }
    }

    /// Where a datagram to `peer` goes: the unspecified address stands for loopback, an IPv4-mapped one for IPv4, as in Linux.
    fn destination_of(
        &self,
        entry: &Entry,
        socket: &DatagramSocket,
        peer: SocketAddr,
    ) -> Result<SocketAddr, Errno> {
        let local = socket.association.local().filter(|local| !entry.is_dual(*local));
        let own = local.map(|local| Domain::of(local.ip()));
        if !is_on_link(peer) {
            return Err(Errno::ENODEV);
        }
        let wanted = unmapped(peer);
        let ip = match wanted.ip() {
            ip if ip.is_unspecified() && wanted == peer => route::loopback(own.unwrap_or(entry.domain)),
            ip if ip.is_unspecified() => route::loopback(Domain::of(ip)),
            ip => ip,
        };
        let mapped = ip.is_ipv4() && entry.domain == Domain::V6;
        let foreign = own.is_some_and(|own| own != Domain::of(ip)) || !self.route.leads_to(ip);
        if mapped && entry.settings.v6_only || foreign {
            return Err(Errno::ENETUNREACH);
        }
        if self.route.is_group(ip) && !ip.is_multicast() && !socket.options.broadcast {
            return Err(Errno::EACCES);
        }
        self.need_link(self.route.owns(ip))?;
        Ok(endpoint(ip, peer.port()))
    }

    /// The address to send from: the socket's own, or one that suits.
    //= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.5
    //# An application program MUST be able to specify the IP source address to be used for sending a UDP datagram or to leave it unspecified (in which case the networking software will choose an appropriate source address). (1122:4.1.3.5-2)
    fn source_towards(&self, remote: IpAddr, own: Option<IpAddr>) -> Result<IpAddr, Errno> {
        let source = own.map_or_else(|| self.source_for(remote), Ok)?;
        self.may_reach(source, remote)?;
        Ok(source)
    }

    /// Options that a datagram socket answers otherwise than a stream. ENOPROTOOPT for those of TCP.
    pub(super) fn datagram_option(entry: &Entry, level: i32, name: i32) -> Result<Option<i32>, Errno> {
        let Kind::Datagram(socket) = &entry.kind else { return Ok(None) };
        let six = entry.domain == Domain::V6;
        let number = match (level, name) {
            (SOL_SOCKET, sol::SO_TYPE) => options::SOCK_DGRAM,
            (SOL_SOCKET, sol::SO_PROTOCOL) => i32::from(protocol::UDP),
            (IPPROTO_TCP, _) => return Err(Errno::ENOPROTOOPT),
            _ => return Ok(socket.options.value(six, level, name)),
        };
        Ok(Some(number))
    }

    /// Queues a socket to be asked for datagrams.
    pub(super) fn pend(&mut self, id: SocketId) {
        let Some(entry) = self.table.get_mut(id) else { return };
        if !std::mem::replace(&mut entry.pending, true) {
            self.pending.push_back(id);
        }
    }

    /// Whether a datagram socket never meets the link.
    pub(super) fn datagram_is_local(&self, socket: &DatagramSocket) -> bool {
        let peer = socket.association.peer().is_some_and(|peer| self.route.owns(peer.ip()));
        peer || socket.association.local().is_some_and(|local| local.ip().is_loopback())
    }

    /// What a data call needs to know of options that were set.
    pub(super) fn settle_datagram(&mut self, id: SocketId) {
        let Some(Entry { cell, settings, kind: Kind::Datagram(socket), .. }) = self.table.get_mut(id) else {
            return;
        };
        if let Some(hold) = &mut socket.hold {
            self.commons.datagram_ports.with(|ports| ports.release(*hold));
            hold.reuse = settings.reuse();
            self.commons.datagram_ports.with(|ports| ports.hold(*hold));
        }
        if let Some(datagrams) = &mut cell.lock().datagrams {
            datagrams.receive_limit = settings.receive;
            datagrams.revoke();
        }
    }
}

/// Whether nothing that a socket sends to `remote` is to be cut.
fn wants_whole(entry: &Entry, remote: IpAddr) -> bool {
    let ip = &entry.settings.ip;
    let family = if remote.is_ipv4() { ip.v4 } else { ip.v6 };
    matches!(family.discovery, Discovery::Do | Discovery::Probe)
}

/// Whether the stack is to be asked about every datagram: it may be too long for its path.
fn is_careful(entry: &Entry) -> bool {
    let whole = |family: &Family| matches!(family.discovery, Discovery::Do | Discovery::Probe);
    [entry.settings.ip.v4, entry.settings.ip.v6].iter().any(whole)
}

/// Whether a socket is bound to the wildcards of both families.
fn is_dual(entry: &Entry) -> bool {
    let Kind::Datagram(socket) = &entry.kind else { return false };
    socket.association.local().is_some_and(|local| entry.is_dual(local))
}
