//! The control calls: from socket to close.

use super::crew::Tally;
use super::demux::{FourTuple, wildcard};
use super::listener::Listener;
use super::ports::{Class, Hold};
use super::route::{endpoint, is_on_link};
use super::table::{Entry, Flow, Kind, Stage};
use super::workers::Letter;
use super::{Domain, LinkState, Shutdown, Stack};
use crate::buffer::{Cell, Interest, Life, SocketId};
use crate::error::{EndReason, Errno};
use crate::sync::Arc;
use crate::tcp::{Connection, Context, State};
use crate::time::Instant;
use crate::trace::Level;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// What close does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// As close(2): RST when data was left unread or SO_LINGER says so.
    Ordinary,
    /// The same, and data was left unread elsewhere.
    Unread,
    /// FIN in any case.
    Graceful,
    /// RST in any case.
    Abrupt(EndReason),
}

impl Stack {
    /// A new TCP socket. EMFILE at `Config::max_sockets`, ENETDOWN once the link is gone.
    pub fn socket(&mut self, domain: Domain) -> Result<(SocketId, Arc<Cell>), Errno> {
        if self.link == LinkState::Gone {
            return Err(Errno::ENETDOWN);
        }
        let settings = Arc::clone(&self.defaults);
        let id = self.add_socket(domain, settings).ok_or(Errno::EMFILE)?;
        let entry = self.table.get(id).ok_or(Errno::EMFILE)?;
        Ok((id, Arc::clone(&entry.cell)))
    }

    /// Gives a socket its own address; port 0 picks one. EADDRINUSE, EADDRNOTAVAIL (none of the stack's, and the socket has no
    /// IP_TRANSPARENT, or no host's), EINVAL if it has one, EAFNOSUPPORT, ENODEV (a link-local address of another link).
    pub fn bind(&mut self, id: SocketId, address: SocketAddr) -> Result<(), Errno> {
        let entry = self.table.get(id).ok_or(Errno::EBADF)?;
        if matches!(entry.kind, Kind::Datagram(_)) {
            return self.bind_datagram(id, address);
        }
        if Domain::of(address.ip()) != entry.domain {
            return Err(Errno::EAFNOSUPPORT);
        }
        if entry.local.is_some() || !matches!(entry.kind, Kind::Idle) {
            return Err(Errno::EINVAL);
        }
        if !is_on_link(address) {
            return Err(Errno::ENODEV);
        }
        let wanted = unmapped(address);
        if wanted.is_ipv4() && entry.domain == Domain::V6 && entry.settings.v6_only {
            return Err(Errno::EINVAL);
        }
        if !wanted.ip().is_unspecified() {
            self.may_be_at(entry, wanted.ip())?;
        }
        let hold = self.pick_port(entry.hold_on(wanted, Class::Bound))?;
        self.held(id, hold);
        let local = endpoint(hold.address, hold.port);
        let entry = self.table.get_mut(id).ok_or(Errno::EBADF)?;
        entry.bound = Some(local);
        entry.local = Some(local);
        // As in Linux: who has an address of IPv6 keeps away from IPv4.
        if local.is_ipv6() && !local.ip().is_unspecified() && !entry.settings.v6_only {
            entry.change(&mut self.shared, |settings| settings.v6_only = true);
        }
        Ok(())
    }

    /// Makes a socket listen; again only to change the backlog. An unbound one gets a port. EINVAL if connected, EADDRINUSE, EOPNOTSUPP (no stream).
    pub fn listen(&mut self, now: Instant, id: SocketId, backlog: u32) -> Result<(), Errno> {
        let backlog = backlog.min(self.config.tcp.backlog_max) as usize;
        let entry = self.table.get_mut(id).ok_or(Errno::EBADF)?;
        match &mut entry.kind {
            Kind::Flow(_) | Kind::Asleep(_) | Kind::Over(_) | Kind::Interceptor(_) => {
                return Err(Errno::EINVAL);
            }
            Kind::Datagram(_) => return Err(Errno::EOPNOTSUPP),
            Kind::Listener(listener) => {
                listener.backlog = backlog;
                self.release_held(now, id);
                self.post_listener(id);
                return Ok(());
            }
            Kind::Idle => {}
        }
        if self.link == LinkState::Gone {
            return Err(Errno::ENETDOWN);
        }
        if entry.local.is_none() {
            let any = SocketAddr::new(wildcard(super::route::loopback(entry.domain)), 0);
            self.bind(id, any)?;
        }
        let entry = self.table.get_mut(id).ok_or(Errno::EBADF)?;
        let local = entry.local.ok_or(Errno::EINVAL)?;
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.1
        //# Every passive OPEN call either creates a new connection record in LISTEN state, or it returns an error; it MUST NOT affect any previously created connection record (MUST-41).
        self.exclude_listeners(id)?;
        let dual = self.table.get(id).is_some_and(|entry| entry.is_dual(local));
        self.demux.add_listener(local, dual, id);
        self.stand_at(local.ip());
        let entry = self.table.get_mut(id).ok_or(Errno::EBADF)?;
        let coming = self.seat.as_ref().map(|_| Tally::default());
        entry.kind = Kind::Listener(Box::new(Listener { coming, ..Listener::new(backlog) }));
        let mut state = entry.cell.lock();
        state.life = Life::Listening;
        state.take_wakers(Interest::Read, &mut self.woken);
        drop(state);
        self.post_listener(id);
        Ok(())
    }

    /// Starts connecting: the outcome shows in the cell. EISCONN, EALREADY, EADDRNOTAVAIL, ENETUNREACH, ENETDOWN, EAFNOSUPPORT, EADDRINUSE,
    /// EINVAL (a loopback source towards the link, another host's towards the stack itself), ENODEV (a link-local address of another link). The unspecified address stands for loopback, as in Linux.
    /// A datagram socket is connected at once, and may be again; EACCES (broadcast).
    pub fn connect(&mut self, now: Instant, id: SocketId, peer: SocketAddr) -> Result<(), Errno> {
        self.begin(now);
        if matches!(self.table.get(id), Some(Entry { kind: Kind::Datagram(_), .. })) {
            return self.connect_datagram(id, peer);
        }
        self.may_connect(id, peer)?;
        let remote = self.destination(id, peer)?;
        let local = self.local_for(id, remote)?;
        let tuple = FourTuple::new(local, remote);
        let entry = self.table.get(id).ok_or(Errno::EBADF)?;
        let settings = entry.settings.clone();
        if !self.write_down(tuple, &settings) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let setup = self.setup(now, local, remote, &settings);
        let first = self.first_window(remote);
        let mut cx = Context {
            config: &self.config.tcp,
            counters: &mut self.counters,
            challenges: &mut self.challenges,
        };
        let connection = Connection::connect(now, setup, settings.receive_limit().min(first), &mut cx);
        let flow = Flow::new(connection, settings.buffers(), (local, remote), Stage::Open);
        self.know_tuple(&tuple, local.ip(), id);
        self.log.record(now, Level::Debug, || format!("{local} to {remote}: connecting"));
        let entry = self.table.get_mut(id).ok_or(Errno::EBADF)?;
        entry.kind = Kind::Flow(Box::new(flow));
        entry.local = Some(local);
        entry.peer = Some(remote);
        let mut state = entry.cell.lock();
        if state.life != Life::Closed {
            state.life = Life::Connecting;
        }
        state.error = None;
        state.end = None;
        (state.position, state.written, state.urgent, state.urging) = (0, 0, None, None);
        drop(state);
        self.begin_trace(now, id, None);
        self.settle(id);
        Ok(())
    }

    /// Shuts down one or both halves. ENOTCONN. A listener stops listening if its reading half is; a connection attempt is given up.
    pub fn shutdown(&mut self, now: Instant, id: SocketId, how: Shutdown) -> Result<(), Errno> {
        self.begin(now);
        let entry = self.table.get_mut(id).ok_or(Errno::EBADF)?;
        let flow = match &mut entry.kind {
            Kind::Idle | Kind::Asleep(_) | Kind::Over(_) | Kind::Interceptor(_) => {
                return Err(Errno::ENOTCONN);
            }
            Kind::Datagram(_) => return self.shutdown_datagram(id, how),
            Kind::Listener(_) if how == Shutdown::Write => return Ok(()),
            Kind::Listener(_) => {
                self.unlisten(now, id);
                return Ok(());
            }
            Kind::Flow(flow) => flow,
        };
        if flow.connection.state() == State::SynSent {
            flow.connection.abort(now, EndReason::Aborted);
            self.settle(id);
            self.fail(id, Errno::ECONNRESET);
            return Ok(());
        }
        if flow.connection.ended().is_some() {
            return Err(Errno::ENOTCONN);
        }
        if how != Shutdown::Write {
            let mut state = entry.cell.lock();
            state.recv_shut = true;
            state.take_wakers(Interest::Read, &mut self.woken);
        }
        if how != Shutdown::Read {
            self.shut_write(now, id);
        }
        Ok(())
    }

    /// The program lets go: FIN, or RST when data was left unread; a listener resets what nobody accepted. The cell is marked by the caller.
    pub fn close(&mut self, now: Instant, id: SocketId) {
        self.begin(now);
        self.close_in(now, id, Manner::Ordinary);
    }

    /// The same of a connection whose program left data unread that it had been given.
    pub fn close_unread(&mut self, now: Instant, id: SocketId) {
        self.begin(now);
        self.close_in(now, id, Manner::Unread);
    }

    /// Ends the connection with RST. ENOTCONN. The handle stays open and reports ECONNABORTED.
    pub fn abort(&mut self, now: Instant, id: SocketId) -> Result<(), Errno> {
        self.begin(now);
        let entry = self.table.get_mut(id).ok_or(Errno::EBADF)?;
        let Kind::Flow(flow) = &mut entry.kind else { return Err(Errno::ENOTCONN) };
        if flow.connection.ended().is_some() {
            return Err(Errno::ENOTCONN);
        }
        flow.connection.abort(now, EndReason::Aborted);
        self.settle(id);
        self.fail(id, Errno::ECONNABORTED);
        Ok(())
    }

    /// Closes every socket gracefully: listeners at once, connections with FIN behind what is queued. Those that were handed over are
    /// closed by whoever has them.
    pub fn close_all(&mut self, now: Instant) {
        self.begin(now);
        let held = |id: &SocketId| self.table.get(*id).is_some_and(|entry| !entry.handed_over);
        let ids: Vec<_> = self.table.ids().into_iter().filter(held).collect();
        ids.into_iter().for_each(|id| self.close_in(now, id, Manner::Graceful));
    }

    /// Closes one socket gracefully, whatever it was handed over to.
    pub fn finish(&mut self, now: Instant, id: SocketId) {
        self.begin(now);
        self.close_in(now, id, Manner::Graceful);
    }

    /// Resets whatever still lives.
    pub fn abort_all(&mut self, now: Instant) {
        self.begin(now);
        self.table
            .ids()
            .into_iter()
            .for_each(|id| self.close_in(now, id, Manner::Abrupt(EndReason::StackClosed)));
    }

    fn close_in(&mut self, now: Instant, id: SocketId, manner: Manner) {
        let Some(entry) = self.table.get(id) else { return };
        let mut state = entry.cell.lock();
        state.life = Life::Closed;
        state.take_wakers(Interest::Read, &mut self.woken);
        state.take_wakers(Interest::Write, &mut self.woken);
        drop(state);
        match &entry.kind {
            Kind::Idle | Kind::Over(_) => self.remove(id),
            Kind::Datagram(_) => self.close_datagram(id),
            Kind::Interceptor(_) => {
                self.stop_intercepting(id);
                self.remove(id);
            }
            Kind::Listener(_) => {
                self.unlisten(now, id);
                self.remove(id);
            }
            Kind::Flow(_) | Kind::Asleep(_) => self.close_flow(now, id, manner),
        }
    }

    fn close_flow(&mut self, now: Instant, id: SocketId, manner: Manner) {
        let unread = self.take_written(now, id);
        let crowded = self.orphans >= self.config.tcp.orphans_max;
        self.orphan(id);
        let Some(entry) = self.table.get_mut(id) else { return };
        let Kind::Flow(flow) = &mut entry.kind else { return };
        let mut state = entry.cell.lock();
        state.inbox.clear();
        state.inbox_len = 0;
        drop(state);
        let no_linger = entry.settings.linger.is_some_and(|time| time.is_zero());
        let reset = match manner {
            Manner::Ordinary | Manner::Unread if flow.connection.ended().is_some() => None,
            Manner::Unread => Some(EndReason::Unread),
            Manner::Ordinary if unread > 0 => Some(EndReason::Unread),
            Manner::Ordinary if no_linger => Some(EndReason::Aborted),
            Manner::Ordinary => crowded.then_some(EndReason::Limit),
            Manner::Graceful => None,
            Manner::Abrupt(reason) => Some(reason),
        };
        if reset == Some(EndReason::Unread) {
            // What the program has written before may go first, as where send(2) has sent it already.
            flow.unread = true;
        } else if let Some(reason) = reset {
            self.counters.tcp_orphans_reset += u64::from(reason == EndReason::Limit);
            flow.connection.abort(now, reason);
        } else {
            flow.connection.close(now);
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.6.1
            //# A host MAY implement a "half-duplex" TCP close sequence, so that an application that has called CLOSE cannot continue to read data from the connection (MAY-1).
            flow.connection.orphan(now);
        }
        self.settle(id);
    }

    fn shut_write(&mut self, now: Instant, id: SocketId) {
        if let Some(entry) = self.table.get(id) {
            entry.cell.lock().send_shut = true;
        }
        self.take_written(now, id);
        let Some(entry) = self.table.get_mut(id) else { return };
        let Kind::Flow(flow) = &mut entry.kind else { return };
        flow.connection.close(now);
        entry.cell.lock().take_wakers(Interest::Write, &mut self.woken);
        self.settle(id);
    }

    /// Stops listening: whatever is in the queues is reset, and the socket is as it was before listen.
    pub(super) fn unlisten(&mut self, now: Instant, id: SocketId) {
        let Some(entry) = self.table.get_mut(id) else { return };
        let Kind::Listener(_) = entry.kind else { return };
        let Kind::Listener(mut listener) = std::mem::replace(&mut entry.kind, Kind::Idle) else { return };
        let ready = listener.take_ready();
        let Listener { half_open, original, .. } = *listener;
        let local = entry.local.map(|local| (local, entry.is_dual(local)));
        let mut accepted = VecDeque::new();
        // The cell of a stand-in is that of its listener.
        if original.is_none() {
            let mut state = entry.cell.lock();
            accepted = state.accept.take();
            if state.life != Life::Closed {
                state.life = Life::Idle;
            }
            state.take_wakers(Interest::Read, &mut self.woken);
        }
        if let Some((local, dual)) = local {
            self.demux.remove_listener(local, dual, id);
            if original.is_none() {
                self.leave(local.ip());
            }
        }
        let published = accepted.into_iter().map(|accepted| accepted.socket);
        for child in half_open.into_iter().chain(ready).chain(published) {
            self.reset_unaccepted(now, child);
        }
        match original {
            Some(listener) => self.dismiss(listener, id),
            None => {
                self.hold_as(id, Class::Bound);
                self.post_left(id);
            }
        }
    }

    /// Resets a connection that no program will accept, whichever worker has it.
    pub(super) fn reset_unaccepted(&mut self, now: Instant, child: SocketId) {
        if !self.post_to_worker_of(child, || Letter::Reset(child)) {
            self.close_in(now, child, Manner::Abrupt(EndReason::Aborted));
        }
    }

    /// Whether this socket may connect to such a peer at all.
    fn may_connect(&self, id: SocketId, peer: SocketAddr) -> Result<(), Errno> {
        let entry = self.table.get(id).ok_or(Errno::EBADF)?;
        match &entry.kind {
            Kind::Listener(_) => return Err(Errno::EISCONN),
            Kind::Over(over) if over.established => return Err(Errno::EISCONN),
            Kind::Over(_) => untold(entry)?,
            Kind::Flow(flow) if flow.connection.established() => return Err(Errno::EISCONN),
            Kind::Asleep(_) => return Err(Errno::EISCONN),
            Kind::Flow(_) => return Err(Errno::EALREADY),
            Kind::Datagram(_) | Kind::Interceptor(_) => return Err(Errno::EOPNOTSUPP),
            Kind::Idle => {}
        }
        if Domain::of(peer.ip()) != entry.domain {
            return Err(Errno::EAFNOSUPPORT);
        }
        if peer.port() == 0 {
            return Err(Errno::EADDRNOTAVAIL);
        }
        if !is_on_link(peer) {
            return Err(Errno::ENODEV);
        }
        Ok(())
    }

    /// The address that a connect to `peer` goes to. The unspecified address is loopback, of the family that the socket is bound in.
    fn destination(&self, id: SocketId, peer: SocketAddr) -> Result<SocketAddr, Errno> {
        let entry = self.table.get(id).ok_or(Errno::EBADF)?;
        let bound = entry.bound.map(|bound| Domain::of(bound.ip()));
        let wanted = unmapped(peer);
        if wanted.is_ipv4() && entry.domain == Domain::V6 && entry.settings.v6_only {
            return Err(Errno::ENETUNREACH);
        }
        let ip = match wanted.ip() {
            ip if ip.is_unspecified() && wanted == peer => {
                //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
                //# (a) { 0, 0 } This host on this network. MUST NOT be sent, except as a source address as part of an initialization procedure by which the host learns its own IP address. (1122:3.2.1.3-1)
                super::route::loopback(bound.unwrap_or(entry.domain))
            }
            ip if ip.is_unspecified() => super::route::loopback(Domain::V4),
            ip if ip.is_ipv6() && bound == Some(Domain::V4) => return Err(Errno::EAFNOSUPPORT),
            ip => ip,
        };
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.1
        //# A TCP implementation MUST reject as an error a local OPEN call for an invalid remote IP address (e.g., a broadcast or multicast address) (MUST-46).
        //= https://www.rfc-editor.org/rfc/rfc791#section-3.3
        //# On unsuccessful returns, a reasonable report must be made as to the cause of the problem, but the details of such reports are up to individual implementations. (791:3.3-1)
        if self.route.is_group(ip) || !self.route.leads_to(ip) {
            return Err(Errno::ENETUNREACH);
        }
        self.need_link(self.route.owns(ip))?;
        Ok(endpoint(ip, peer.port()))
    }

    /// Own address and port for a connection to `remote`, its port held.
    fn local_for(&mut self, id: SocketId, remote: SocketAddr) -> Result<SocketAddr, Errno> {
        let entry = self.table.get(id).ok_or(Errno::EBADF)?;
        let bound = entry.bound;
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.1
        //# The optional "local IP address" parameter MUST be supported to allow the specification of the local IP address (MUST-43).
        //# If an application on a multihomed host does not specify the local IP address when actively opening a TCP connection, then the TCP implementation MUST ask the IP layer to select a local IP address before sending the (first) SYN (MUST-44).
        let ip = match bound {
            //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.4.2
            //# An application MUST be able to explicitly specify the source address for initiating a connection or a request. (1122:3.3.4.2-2)
            //= https://www.rfc-editor.org/rfc/rfc6724#section-1
            //# The selection rules specified in this document MUST NOT be construed to override an application or upper layer's explicit choice of a legal destination or source address. (6724:1-1)
            Some(bound) if !bound.ip().is_unspecified() => bound.ip(),
            _ => self.source_for(remote.ip())?,
        };
        self.may_reach(ip, remote.ip())?;
        let table = &self.table;
        let Self { demux, seat, commons, .. } = self;
        let unused = |port: u16| {
            let local = endpoint(ip, port);
            local != remote && demux.connection(table, &FourTuple::new(local, remote)).is_none()
        };
        let Some(bound) = bound else {
            let (first, last) = (self.config.tcp.port_first, self.config.tcp.port_last);
            // One whose connection is this worker's.
            let own = |port: u16| {
                let tuple = || FourTuple::new(endpoint(ip, port), remote);
                unused(port) && seat.as_ref().is_none_or(|seat| seat.may_begin(&tuple()))
            };
            let held = commons.ports.with(|ports| {
                let port = ports.for_connect(ip, remote, first, last, own)?;
                let hold = entry.hold_on(endpoint(ip, port), Class::Automatic);
                ports.hold(hold);
                Some(hold)
            });
            let hold = held.ok_or(Errno::EADDRNOTAVAIL)?;
            self.held(id, hold);
            return Ok(endpoint(ip, hold.port));
        };
        if !unused(bound.port()) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        if entry.hold.is_none() {
            let hold = entry.hold_on(bound, Class::Bound);
            let free = commons.ports.with(|ports| {
                let free = ports.is_free(hold);
                if free {
                    ports.hold(hold);
                }
                free
            });
            if !free {
                return Err(Errno::EADDRINUSE);
            }
            self.held(id, hold);
        }
        Ok(endpoint(ip, bound.port()))
    }

    /// Holds the port that bind asked for, or for port 0 a free one; [`Stack::held`] follows.
    fn pick_port(&mut self, wanted: Hold) -> Result<Hold, Errno> {
        let (first, last) = (self.config.tcp.port_first, self.config.tcp.port_last);
        let picked = self.commons.ports.with(|ports| {
            let hold = match wanted.port {
                0 => Hold { port: ports.for_bind(wanted, first, last)?, ..wanted },
                _ => wanted,
            };
            if wanted.port != 0 && !ports.is_free(hold) {
                return None;
            }
            ports.hold(hold);
            Some(hold)
        });
        picked.ok_or(Errno::EADDRINUSE)
    }

    pub(super) fn hold(&mut self, id: SocketId, hold: Hold) {
        if self.table.get(id).is_some() {
            self.commons.ports.with(|ports| ports.hold(hold));
            self.held(id, hold);
        }
    }

    /// Notes what a socket holds, in the place of what it held before.
    fn held(&mut self, id: SocketId, hold: Hold) {
        let Some(entry) = self.table.get_mut(id) else { return };
        if let Some(old) = entry.hold.replace(hold) {
            self.commons.ports.with(|ports| ports.release(old));
        }
    }

    /// Turns the hold of a bound socket into that of a listener. EADDRINUSE when another listens there that does not share.
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.1
    //# MUST provide an OPEN call that will functionally allow an application to LISTEN on a port while a connection block with the same local port is in SYN-SENT or SYN-RECEIVED state (MUST-42).
    fn exclude_listeners(&mut self, id: SocketId) -> Result<(), Errno> {
        let Some(old) = self.table.get(id).and_then(|entry| entry.hold) else { return Ok(()) };
        let new = Hold { class: Class::Listening, ..old };
        let free = self.commons.ports.with(|ports| {
            ports.release(old);
            let free = ports.is_free(new);
            ports.hold(if free { new } else { old });
            free
        });
        if !free {
            return Err(Errno::EADDRINUSE);
        }
        let Some(entry) = self.table.get_mut(id) else { return Err(Errno::EBADF) };
        entry.hold = Some(new);
        Ok(())
    }

    /// Goes on holding the port as a socket of `class`.
    fn hold_as(&mut self, id: SocketId, class: Class) {
        if let Some(old) = self.table.get(id).and_then(|entry| entry.hold) {
            self.hold(id, Hold { class, ..old });
        }
    }
}

/// The address of IPv4 that an IPv4-mapped one stands for; others as they are.
pub(super) fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The error of an earlier attempt, which another one has to tell before it begins, as in Linux.
fn untold(entry: &Entry) -> Result<(), Errno> {
    match entry.cell.lock().error.take() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
