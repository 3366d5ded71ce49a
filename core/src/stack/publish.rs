//! Between the private queues of connections and the cells: once a turn each way, under the leaf lock, by swapping.

use super::socket;
use super::socket::options::Settings;
use super::table::{Flow, Kind};
use super::{LinkState, Stack};
use crate::buffer::{Accepted, CellState, Interest, Life, Pressure, SendShare, SocketId};
use crate::error::{EndReason, Errno};
use crate::time::Instant;
use std::task::Waker;

impl Stack {
    /// A data call on this socket's cell asked for attention: it wrote, read past the edge, or accepted.
    pub fn handle_kick(&mut self, now: Instant, id: SocketId) {
        self.begin(now);
        let Some(entry) = self.table.get_mut(id) else { return };
        match &mut entry.kind {
            Kind::Flow(_) => {
                self.take_written(now, id);
            }
            Kind::Listener(_) => {
                let mut state = entry.cell.lock();
                state.kicked = false;
                if self.seat.is_some() {
                    state.consumed_edge = 0;
                }
                drop(state);
                self.release_held(now, id);
                self.post_room(id);
            }
            Kind::Datagram(_) => self.pend(id),
            Kind::Interceptor(_) => entry.cell.lock().kicked = false,
            Kind::Idle | Kind::Asleep(_) | Kind::Over(_) => discard_written(&mut entry.cell.lock()),
        }
    }

    /// Moves what the program wrote into the send queue, and tells the connection of what it read. Returns the bytes left unread;
    /// an urgent one that ordinary reads pass over is none.
    pub(super) fn take_written(&mut self, now: Instant, id: SocketId) -> usize {
        let Some(entry) = self.table.get_mut(id) else { return 0 };
        let Kind::Flow(flow) = &mut entry.kind else { return 0 };
        let Flow { connection, buffers, .. } = &mut **flow;
        let mut state = entry.cell.lock();
        state.kicked = false;
        let before = buffers.send.len();
        state.outbox.drain(..).for_each(|slice| buffers.send.push(slice));
        if !state.outbox_tail.is_empty() {
            buffers.send.push(state.outbox_tail.split().freeze());
        }
        let urging = state.urging.take();
        let written = buffers.send.len().saturating_sub(before);
        state.outbox_len = state.outbox_len.saturating_sub(written);
        state.unacked = state.unacked.saturating_add(written);
        state.unsent = state.unsent.saturating_add(written);
        buffers.send_awaited = state.waits(Interest::Write);
        let consumed = std::mem::take(&mut state.consumed);
        let more = state.more;
        let unread = (state.inbox_len - socket::hole(&state)).saturating_add(buffers.recv.len());
        drop(state);
        if written > 0 {
            connection.expect_more(more);
            connection.on_written(now);
        }
        if let Some(end) = urging {
            connection.urge(now, end);
        }
        if consumed > 0 {
            buffers.recv_held = buffers.recv_held.saturating_sub(consumed);
            connection.on_read(now, buffers);
        }
        self.settle(id);
        unread
    }

    /// Shows the programs what this turn brought: data, room, states and errors go into the cells. The wakers to wake after unlocking are appended.
    pub fn publish(&mut self, _now: Instant, wakers: &mut Vec<Waker>) {
        while let Some(id) = self.dirty.pop_front() {
            let Some(entry) = self.table.get_mut(id) else { continue };
            match entry.kind {
                Kind::Listener(_) => self.publish_listener(id),
                Kind::Flow(_) => self.publish_flow(id),
                _ => entry.dirty = false,
            }
        }
        self.table.lull(self.config.buffers.awake_connections);
        wakers.append(&mut self.woken);
    }

    /// Whether `publish` has anything to do.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.dirty.is_empty() || !self.woken.is_empty()
    }

    /// Brings the cell of a connection up to date.
    pub(super) fn publish_flow(&mut self, id: SocketId) {
        let Some(entry) = self.table.get_mut(id) else { return };
        entry.dirty = false;
        let Kind::Flow(flow) = &mut entry.kind else { return };
        if entry.orphan || matches!(flow.stage, super::table::Stage::HalfOpen(_)) {
            return;
        }
        let mut state = entry.cell.lock();
        let changed =
            show(self.clock, flow, &mut state, &entry.settings, self.memory.pressure(), &mut self.sending);
        self.memory.count(flow);
        if changed.read {
            state.take_wakers(Interest::Read, &mut self.woken);
        }
        if changed.write {
            state.take_wakers(Interest::Write, &mut self.woken);
        }
    }

    /// The peer's SYN is there: the receive buffer becomes a multiple of the segment size, where the stack is set to that.
    pub(super) fn fit_receive(&mut self, id: SocketId) {
        if !self.config.tcp.receive_whole_segments {
            return;
        }
        let Some(entry) = self.table.get_mut(id) else { return };
        let Kind::Flow(flow) = &mut entry.kind else { return };
        let segment = flow.connection.agreed_mss().map_or(0, |mss| mss as usize);
        if segment > 0 && entry.settings.receive > segment {
            let fit = |settings: &mut Settings| settings.receive = settings.receive.next_multiple_of(segment);
            entry.change(&mut self.shared, fit);
            entry.cell.lock().marks = entry.settings.marks();
            let Kind::Flow(flow) = &mut entry.kind else { return };
            flow.buffers.recv_limit = entry.settings.resized(flow.buffers.recv_limit);
        }
    }

    /// Moves connections that are ready to be accepted into the listener's cell.
    fn publish_listener(&mut self, id: SocketId) {
        let Some(listener) = self.table.listener_mut(id) else { return };
        let ready = listener.take_ready();
        for child in &ready {
            self.publish_flow(*child);
        }
        let accepted: Vec<Accepted> = ready.iter().filter_map(|child| self.accepted(*child)).collect();
        let Some(entry) = self.table.get_mut(id) else { return };
        entry.dirty = false;
        let Kind::Listener(listener) = &mut entry.kind else { return };
        let mut state = entry.cell.lock();
        if state.life != Life::Listening && self.seat.is_some() {
            // Another worker has ended it, and this one has not heard of it.
            drop(state);
            accepted.iter().for_each(|child| self.reset_unaccepted(self.clock, child.socket));
            return;
        }
        let news = !accepted.is_empty();
        state.accept.extend(accepted);
        listener.published = state.accept.len();
        if news {
            state.take_wakers(Interest::Read, &mut self.woken);
        }
    }

    fn accepted(&self, id: SocketId) -> Option<Accepted> {
        let entry = self.table.get(id)?;
        let cell = crate::sync::Arc::clone(&entry.cell);
        Some(Accepted { socket: id, cell, local: entry.shown(entry.local?), peer: entry.shown(entry.peer?) })
    }

    /// Refuses what needs a link while there is none.
    pub(super) fn need_link(&self, local: bool) -> Result<(), Errno> {
        match self.link {
            LinkState::Up => Ok(()),
            LinkState::Down if local => Ok(()),
            LinkState::Down | LinkState::Gone => Err(Errno::ENETDOWN),
        }
    }
}

/// Which sides of a cell have news for sleepers.
#[derive(Clone, Copy, Debug)]
struct Changed {
    read: bool,
    write: bool,
}

/// Takes note of what the program has read since, so that windows offered now tell of it. A kick that is on its way does so itself.
pub(super) fn take_read(flow: &mut Flow, state: &mut CellState) {
    if state.kicked {
        return;
    }
    let Flow { connection, buffers, .. } = flow;
    let consumed = std::mem::take(&mut state.consumed);
    buffers.recv_held = buffers.recv_held.saturating_sub(consumed);
    state.consumed_edge = connection.read_edge(buffers);
}

/// Copies the state of a connection into its cell.
fn show(
    now: Instant,
    flow: &mut Flow,
    state: &mut CellState,
    settings: &Settings,
    pressure: Pressure,
    sending: &mut SendShare,
) -> Changed {
    let Flow { buffers, .. } = &mut *flow;
    let fresh = buffers.recv.len();
    if fresh > 0 {
        buffers.recv.drain_into(&mut state.inbox);
        buffers.recv_held = buffers.recv_held.saturating_add(fresh);
        state.inbox_len = state.inbox_len.saturating_add(fresh);
    }
    flow.buffers.pressure = pressure;
    take_read(flow, state);
    let Flow { connection, buffers, .. } = flow;
    let life = match (state.life, connection.ended()) {
        (Life::Closed, _) => Life::Closed,
        (_, Some(_)) => Life::Ended,
        (Life::Ended, None) => Life::Ended,
        (_, None) if connection.established() => Life::Connected,
        (_, None) => Life::Connecting,
    };
    let moved = std::mem::replace(&mut state.life, life) != life;
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.6
    //# the local application MUST be informed whether it closed normally or was aborted (MUST-12).
    let end = match connection.ended() {
        None | Some(EndReason::Finished) => connection.receive_ended(),
        Some(_) => state.recv_end,
    };
    let ended = std::mem::replace(&mut state.recv_end, end) != end;
    let urged = connection.urgent().is_some_and(|mark| socket::show_urgent(state, mark));
    let error = connection.take_error();
    if let Some(soft) = connection.soft_error() {
        state.soft_error = soft;
    }
    let failed = error.is_some();
    state.error = error.or(state.error);
    let unacked = buffers.send.len();
    let waiting = connection.unsent(buffers);
    // What was sent for the first time makes room below TCP_NOTSENT_LOWAT, whether or not anything was acknowledged.
    let relieved = state.marks.unsent != usize::MAX && waiting.bytes < state.unsent;
    (state.unsent, state.fin_unsent, state.fin_unacked) =
        (waiting.bytes, waiting.fin_unsent, waiting.fin_unacked);
    state.write_step = waiting.step;
    buffers.send_awaited = state.waits(Interest::Write);
    let widened = size_send(now, flow, state, settings, pressure, sending);
    let released = std::mem::replace(&mut state.unacked, unacked) > unacked || relieved || widened;
    if life == Life::Ended {
        discard_written(state);
    }
    Changed {
        read: fresh > 0 || moved || ended || failed || urged,
        write: moved || failed || (released && state.has_room()),
    }
}

/// How much the program may write: what the connection can send, and less again only where it has to share; under pressure no more than before. Whether that
/// is more than before.
fn size_send(
    now: Instant,
    flow: &mut Flow,
    state: &mut CellState,
    settings: &Settings,
    pressure: Pressure,
    sending: &mut SendShare,
) -> bool {
    let (allowed, trip) = (flow.connection.flight_allowed(), flow.connection.least_trip());
    let buffers = &mut flow.buffers;
    let progress = (buffers.send.acknowledged(), buffers.send.len());
    let room = buffers.send_size.room(now, sending, progress, allowed, trip);
    let before = state.marks.send;
    state.marks.send = match pressure {
        Pressure::None => before.max(room.wanted.min(settings.send_max)).min(room.most.max(settings.send)),
        Pressure::High | Pressure::Full => before,
    };
    state.marks.send > before
}

/// Forgets what can no longer be sent; what writers still copy is forgotten when they commit it.
fn discard_written(state: &mut CellState) {
    let queued: usize = state.outbox.iter().map(bytes::Bytes::len).sum::<usize>() + state.outbox_tail.len();
    state.outbox_len = state.outbox_len.saturating_sub(queued);
    state.urging = None;
    state.outbox.clear();
    state.outbox_tail.clear();
    state.kicked = false;
}
