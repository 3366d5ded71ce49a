//! Birth and end of connections: what has to happen around the protocol.

use super::demux::FourTuple;
use super::ports::Class;
use super::socket::ip;
use super::socket::options::Settings;
use super::table::{Entry, Flow, Kind, Over, Stage};
use super::{Domain, Stack};
use crate::buffer::{Cell, Interest, Life, SocketId};
use crate::error::{EndReason, Errno};
use crate::sync::Arc;
use crate::tcp::{Context, Setup, State, isn};
use crate::time::Instant;
use crate::trace::Level;
use std::net::{IpAddr, SocketAddr};

/// Bytes of IP and TCP headers without options.
const HEADERS_V4: u16 = 40;
const HEADERS_V6: u16 = 60;

/// Bytes of IP and TCP headers without options towards `remote`.
pub(super) const fn headers(remote: IpAddr) -> u16 {
    match remote {
        IpAddr::V4(_) => HEADERS_V4,
        //= https://www.rfc-editor.org/rfc/rfc8200#section-8.3
        //# When using TCP over IPv6, the MSS must be computed as the maximum packet size minus 60 octets (8200:8.3-2)
        IpAddr::V6(_) => HEADERS_V6,
    }
}

impl Stack {
    /// What packets of no socket are sent with, and those of a new one.
    pub(super) fn default_ip(&self) -> ip::Settings {
        ip::Settings::new(self.config.ip.hop_limit, self.config.ip.traffic_class)
    }

    /// A socket of no connection yet. `None` when no more are allowed.
    pub(super) fn add_socket(&mut self, domain: Domain, settings: Arc<Settings>) -> Option<SocketId> {
        let cell = Cell::new(settings.marks());
        self.add_entry(domain, settings, cell, Kind::Idle)
    }

    /// A socket of any kind. `None` when no more are allowed.
    pub(super) fn add_entry(
        &mut self,
        domain: Domain,
        settings: Arc<Settings>,
        cell: Arc<Cell>,
        kind: Kind,
    ) -> Option<SocketId> {
        let most = self.config.max_sockets;
        if !self.seat.as_ref().map_or(self.open < most, |seat| seat.open_one(most)) {
            return None;
        }
        let mut state = cell.lock();
        state.out_of_band = !settings.urgent_inline;
        state.gauge = Some(self.memory.gauge().clone());
        drop(state);
        self.open += 1;
        let id = self.insert_entry(domain, settings, cell, kind);
        if id.is_none() {
            self.close_one();
        }
        id
    }

    /// A socket that is counted nowhere, with a cell that may be another's.
    pub(super) fn insert_entry(
        &mut self,
        domain: Domain,
        settings: Arc<Settings>,
        cell: Arc<Cell>,
        kind: Kind,
    ) -> Option<SocketId> {
        self.table.insert(Entry {
            cell,
            domain,
            kind,
            settings,
            bound: None,
            local: None,
            peer: None,
            hold: None,
            orphan: false,
            handed_over: false,
            dirty: false,
            pending: false,
            listed: false,
            touched: false,
            armed: None,
        })
    }

    /// The socket of a connection that a peer opened, of the listener's family. It holds the port as its listener does.
    pub(super) fn add_accepted(
        &mut self,
        domain: Domain,
        flow: Flow,
        settings: Arc<Settings>,
    ) -> Option<SocketId> {
        let (local, remote) = (flow.local, flow.remote);
        let tuple = FourTuple::new(local, remote);
        if !self.write_down(tuple, &settings) {
            return None;
        }
        let Some(id) = self.add_socket(domain, settings) else {
            self.erase(&tuple);
            return None;
        };
        self.know_tuple(&tuple, local.ip(), id);
        let entry = self.table.get_mut(id)?;
        let hold = entry.hold_on(local, Class::Bound);
        entry.local = Some(local);
        entry.peer = Some(remote);
        entry.hold = Some(hold);
        entry.kind = Kind::Flow(Box::new(flow));
        self.commons.ports.with(|ports| ports.hold(hold));
        Some(id)
    }

    /// What a connection is told at birth.
    pub(super) fn setup(
        &self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        settings: &Settings,
    ) -> Setup {
        let secret = &self.config.secret;
        //= https://www.rfc-editor.org/rfc/rfc1191#section-3.1
        //# hosts SHOULD no longer lower the value they send (1191:3.1-3)
        let allowed = self.link_mtu(remote.ip()).saturating_sub(headers(remote.ip()));
        Setup {
            local,
            remote,
            iss: isn::initial(secret, now, local, remote),
            timestamp_offset: isn::timestamp_offset(secret, local, remote),
            mss: self.config.tcp.mss.map_or(allowed, |mss| mss.min(allowed)),
            options: settings.protocol.clone(),
        }
    }

    /// After anything that touched a connection: it is queued to be asked for segments and to be published, and moves on if its state did.
    pub(super) fn settle(&mut self, id: SocketId) {
        let Some(entry) = self.table.get_mut(id) else { return };
        let Kind::Flow(flow) = &mut entry.kind else { return };
        flow.connection.flush_trace(&mut self.events);
        if self.memory.count(flow) {
            self.counters.memory_pressure = self.counters.memory_pressure.saturating_add(1);
        }
        let ended = flow.connection.ended();
        if let Some(reason) = ended {
            entry.cell.lock().end.get_or_insert(reason);
        }
        let told = entry.orphan && flow.connection.state() == State::FinWait2;
        let live = ended.is_none() && !told;
        match (std::mem::replace(&mut flow.live, live), live) {
            (false, true) => self.live += 1,
            (true, false) => {
                self.live = self.live.saturating_sub(1);
                self.cut |= ended.is_some_and(|reason| reason.is_cut());
            }
            (true, true) | (false, false) => {}
        }
        let orphaned = entry.orphan && ended.is_none();
        match (std::mem::replace(&mut flow.orphaned, orphaned), orphaned) {
            (false, true) => self.orphans += 1,
            (true, false) => self.orphans = self.orphans.saturating_sub(1),
            (true, true) | (false, false) => {}
        }
        let completed = match flow.stage {
            Stage::HalfOpen(listener) if flow.connection.established() => Some(listener),
            Stage::HalfOpen(_) | Stage::Open => None,
        };
        if !std::mem::replace(&mut entry.pending, true) {
            self.pending.push_back(id);
        }
        if completed.is_none() && entry.is_shown() && !std::mem::replace(&mut entry.dirty, true) {
            self.dirty.push_back(id);
        }
        entry.touched = true;
        if !entry.listed {
            self.table.touch(id);
        }
        if let Some(listener) = completed {
            self.complete(id, listener);
        }
    }

    /// Whether a connection was cut off since this was last asked.
    pub fn take_cut(&mut self) -> bool {
        std::mem::take(&mut self.cut)
    }

    /// Queues a socket to be published.
    pub(super) fn mark_dirty(&mut self, id: SocketId) {
        let Some(entry) = self.table.get_mut(id) else { return };
        if entry.is_shown() && !std::mem::replace(&mut entry.dirty, true) {
            self.dirty.push_back(id);
        }
    }

    /// Moves a connection whose handshake is complete from the SYN queue to the accept queue.
    fn complete(&mut self, id: SocketId, listener: SocketId) {
        if let Some(flow) = self.table.flow_mut(id) {
            flow.stage = Stage::Open;
            flow.held = None;
            let (local, remote) = (flow.local, flow.remote);
            self.log.record(self.clock, Level::Debug, || format!("{local} from {remote}: established"));
        }
        if let Some(queues) = self.table.listener_mut(listener) {
            queues.half_open.remove(&id);
            queues.push_ready(id);
        }
        self.mark_dirty(id);
        self.mark_dirty(listener);
    }

    /// A connection is over for the protocol too: its four-tuple and port are free, and what the program may still ask for is kept.
    pub(super) fn reap(&mut self, id: SocketId) {
        self.publish_flow(id);
        let Some(entry) = self.table.get_mut(id) else { return };
        let Kind::Flow(flow) = &mut entry.kind else { return };
        flow.connection.flush_trace(&mut self.events);
        let (local, remote, stage) = (flow.local, flow.remote, flow.stage);
        self.memory.release(flow);
        self.queue.forget(&mut flow.recent);
        if flow.live {
            self.live = self.live.saturating_sub(1);
        }
        if flow.orphaned {
            self.orphans = self.orphans.saturating_sub(1);
        }
        let over = Over {
            established: flow.connection.established(),
            info: flow.connection.info(self.clock, &flow.buffers),
        };
        let orphan = entry.orphan;
        let reason = flow.connection.ended();
        let quiet = orphan || matches!(reason, None | Some(EndReason::Finished | EndReason::Aborted));
        let level = if quiet { Level::Debug } else { Level::Info };
        self.log.record(self.clock, level, || match reason {
            Some(reason) => format!("{local} to {remote}: over: {reason}"),
            None => format!("{local} to {remote}: over"),
        });
        entry.kind = Kind::Over(Box::new(over));
        if let Some(hold) = entry.hold.take() {
            self.commons.ports.with(|ports| ports.release(hold));
        }
        self.forget_tuple(local, remote, id);
        match stage {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.5
            //# a TCP implementation MUST keep track of whether a connection has reached SYN-RECEIVED state as the result of a passive OPEN or an active OPEN (MUST-11).
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
            //# If this connection was initiated with a passive OPEN (i.e., came from the LISTEN state), then return this connection to LISTEN state and return. The user need not be informed (SM-7).
            Stage::HalfOpen(listener) => {
                self.forget_half_open(listener, id);
                self.remove(id);
            }
            Stage::Open if orphan => self.remove(id),
            Stage::Open => {}
        }
    }

    fn forget_half_open(&mut self, listener: SocketId, id: SocketId) {
        if let Some(queues) = self.table.listener_mut(listener) {
            queues.half_open.remove(&id);
        }
    }

    /// Takes a socket out of the table.
    pub(super) fn remove(&mut self, id: SocketId) {
        let Some(mut entry) = self.table.remove(id) else { return };
        if let Kind::Flow(flow) = &mut entry.kind {
            self.memory.release(flow);
            self.queue.forget(&mut flow.recent);
        }
        if !entry.orphan {
            self.close_one();
        }
        if let Some(hold) = entry.hold {
            self.commons.ports.with(|ports| ports.release(hold));
        }
    }

    /// A deadline, as it was armed, has come.
    pub(super) fn on_deadline(&mut self, now: Instant, id: SocketId) {
        // What was armed once and is not meant any more does not wake who sleeps.
        if let Some(until) = self.table.get(id).and_then(Entry::asleep_until)
            && until.is_none_or(|due| due > now)
        {
            until.into_iter().for_each(|due| self.deadlines.arm(&mut self.table, id, due));
            return;
        }
        let Some(flow) = self.table.flow_mut(id) else { return };
        let Some(due) = flow.connection.poll_timeout() else { return };
        if due > now {
            self.deadlines.arm(&mut self.table, id, due);
            return;
        }
        let Flow { connection, buffers, .. } = flow;
        let mut cx = Context {
            config: &self.config.tcp,
            counters: &mut self.counters,
            challenges: &mut self.challenges,
        };
        connection.on_timeout(now, buffers, &mut cx);
        if connection.take_advice() {
            self.on_advice(now, id);
        }
        self.settle(id);
    }

    /// A peer has not answered for a while. This stack has one way to it: whoever reads the log and the figures is told.
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
    //# TCP implementations SHOULD inform the application of the delivery problem (unless such information has been disabled by the application; see the "Asynchronous Reports" section (Section 3.9.1.8)), when R1 is reached and before R2 (SHLD-9).
    fn on_advice(&mut self, now: Instant, id: SocketId) {
        let Some(flow) = self.table.flow_mut(id) else { return };
        let (local, remote) = (flow.local, flow.remote);
        self.counters.tcp_delivery_problems += 1;
        self.log
            .record(now, Level::Info, || format!("{local} to {remote}: what is sent is not acknowledged"));
    }

    /// Nobody holds this socket any more.
    pub(super) fn orphan(&mut self, id: SocketId) {
        let Some(entry) = self.table.get_mut(id) else { return };
        if !std::mem::replace(&mut entry.orphan, true) {
            self.close_one();
        }
    }

    /// One handle less.
    fn close_one(&mut self) {
        self.open = self.open.saturating_sub(1);
        if let Some(seat) = &self.seat {
            seat.close_one();
        }
    }

    /// Tells whoever sleeps on a socket, watches it or has it in a poll set that the link is down.
    pub(super) fn interrupt_sleepers(&mut self) {
        for id in self.table.ids() {
            let Some(entry) = self.table.get(id) else { continue };
            if self.is_local(entry) {
                continue;
            }
            let mut state = entry.cell.lock();
            if state.is_heard_of() {
                state.error = state.error.or(Some(Errno::ENETDOWN));
                state.take_wakers(Interest::Read, &mut self.woken);
                state.take_wakers(Interest::Write, &mut self.woken);
            }
        }
    }

    /// Whether a socket never meets the link.
    fn is_local(&self, entry: &Entry) -> bool {
        match &entry.kind {
            Kind::Flow(_) | Kind::Asleep(_) => entry.peer.is_some_and(|peer| self.route.owns(peer.ip())),
            Kind::Listener(_) => entry.local.is_some_and(|local| local.ip().is_loopback()),
            Kind::Datagram(socket) => self.datagram_is_local(socket),
            Kind::Idle | Kind::Interceptor(_) | Kind::Over(_) => false,
        }
    }

    /// The link is gone: everything ends with ENETDOWN, and nothing is sent about it.
    pub(super) fn end_all(&mut self, now: Instant) {
        self.cutting = None;
        self.outgoing.clear();
        self.loopback.clear();
        for id in self.table.ids() {
            self.end(now, id);
        }
    }

    /// Ends a socket whose link is gone here and now, without a word to the peer.
    fn end(&mut self, now: Instant, id: SocketId) {
        let Some(entry) = self.table.get_mut(id) else { return };
        match &mut entry.kind {
            Kind::Idle | Kind::Asleep(_) | Kind::Over(_) => {}
            Kind::Datagram(_) => self.end_datagram(id, Errno::ENETDOWN),
            Kind::Interceptor(_) => {
                self.stop_intercepting(id);
                self.fail(id, Errno::ENETDOWN);
            }
            Kind::Listener(_) => {
                self.unlisten(now, id);
                self.fail(id, Errno::ENETDOWN);
            }
            Kind::Flow(flow) => {
                let over = flow.connection.ended().is_some();
                if !over {
                    flow.connection.abandon(now, EndReason::LinkGone);
                    entry.cell.lock().end = Some(EndReason::LinkGone);
                }
                self.publish_flow(id);
                self.reap(id);
                if !over {
                    self.fail(id, Errno::ENETDOWN);
                }
            }
        }
    }

    /// Shows an end and its error in a cell.
    pub(super) fn fail(&mut self, id: SocketId, error: Errno) {
        let Some(entry) = self.table.get(id) else { return };
        let mut state = entry.cell.lock();
        if state.life != Life::Closed {
            state.life = Life::Ended;
            state.error = Some(error);
        }
        state.take_wakers(Interest::Read, &mut self.woken);
        state.take_wakers(Interest::Write, &mut self.woken);
    }

    /// Shows in the cell of every socket that nothing works any more. The wakers to wake.
    pub fn give_up(&mut self, error: Errno) -> Vec<std::task::Waker> {
        for id in self.table.ids() {
            self.fail(id, error);
        }
        std::mem::take(&mut self.woken)
    }

    /// The address to use towards `remote`. ENETUNREACH.
    pub fn source_for(&self, remote: IpAddr) -> Result<IpAddr, Errno> {
        self.route.source(remote).ok_or(Errno::ENETUNREACH)
    }
}
