//! Every socket of a stack as it is at one moment: what `ss` shows of a kernel's.

use super::table::{Entry, Kind, Stage};
use super::{SocketId, Stack};
use crate::config::Congestion;
use crate::error::EndReason;
use crate::tcp::TcpInfo;
use crate::time::Instant;
use std::net::SocketAddr;

/// One socket, whoever holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    #[doc(hidden)]
    pub id: SocketId,
    /// What it carries: TCP, or else UDP.
    pub stream: bool,
    /// Its state by the numbers of `TCP_INFO`: 1 established, 7 closed, 10 listening. A socket of UDP is established when it is connected, else closed.
    pub state: u8,
    /// Its own address, once it has one.
    pub local: Option<SocketAddr>,
    /// The peer's, once there is one.
    pub remote: Option<SocketAddr>,
    /// A program has it, or may take it from a listener's queue; not what is half open, or closed and not over.
    pub held: bool,
    /// Bytes that wait to be read; of a listener connections that wait to be accepted, of an interceptor SYNs that nobody has decided about.
    pub receive_queue: usize,
    /// Bytes that the peer has not acknowledged, sent or not; of a listener the most connections that may wait, of an interceptor the most SYNs.
    pub send_queue: usize,
    /// Who decides how much of a stream may be in flight.
    pub congestion: Congestion,
    /// The figures of a connection, its last ones once it is over.
    pub info: Option<TcpInfo>,
    /// Why it is over, once it is.
    pub end: Option<EndReason>,
}

impl Stack {
    /// The sockets in `most` slots from slot number `from` on, and the number of the next slot, if there are any more.
    #[must_use]
    pub fn snapshots(&self, now: Instant, from: u32, most: u32) -> (Vec<Snapshot>, Option<u32>) {
        let slots = self.table.indices();
        let begin = slots.start.saturating_add(from);
        let end = begin.saturating_add(most).min(slots.end);
        let some = (begin..end).filter_map(|index| self.table.at(index));
        let some = some.filter_map(|(id, entry)| self.snapshot(now, id, entry)).collect();
        (some, (end < slots.end).then(|| end - slots.start))
    }

    /// `None`: it stands in for the listener of another worker.
    fn snapshot(&self, now: Instant, id: SocketId, entry: &Entry) -> Option<Snapshot> {
        let state = entry.cell.lock();
        let mut snapshot = Snapshot {
            id,
            stream: true,
            state: CLOSED,
            local: entry.local,
            remote: entry.peer,
            held: !entry.orphan,
            receive_queue: state.inbox_len,
            send_queue: state.outbox_len.saturating_add(state.unacked),
            congestion: entry.settings.protocol.congestion,
            info: None,
            end: state.end,
        };
        if let Some(datagrams) = &state.datagrams {
            snapshot.receive_queue = datagrams.inbox.charge();
            snapshot.send_queue = datagrams.outbox.charge();
        }
        drop(state);
        match &entry.kind {
            Kind::Idle => {}
            Kind::Datagram(socket) => {
                snapshot.stream = false;
                (snapshot.local, snapshot.remote) = (socket.association.local(), socket.association.peer());
                snapshot.state = if snapshot.remote.is_some() { ESTABLISHED } else { CLOSED };
            }
            kind if kind.stands_in() => return None,
            Kind::Interceptor(interceptor) => {
                let info = self.tcp_info(now, id).ok()?;
                snapshot.state = info.state;
                snapshot.receive_queue = info.unacked as usize;
                snapshot.send_queue = interceptor.limit();
            }
            Kind::Listener(listener) => {
                let info = self.tcp_info(now, id).ok()?;
                snapshot.state = info.state;
                snapshot.receive_queue = info.unacked as usize;
                snapshot.send_queue = listener.backlog;
            }
            Kind::Flow(_) | Kind::Asleep(_) | Kind::Over(_) => {
                snapshot.held &= entry.flow().is_none_or(|flow| flow.stage == Stage::Open);
                let info = self.tcp_info(now, id).ok()?;
                snapshot.state = info.state;
                snapshot.info = Some(info);
            }
        }
        Some(snapshot)
    }
}

/// As `TCP_INFO` numbers them.
const ESTABLISHED: u8 = 1;
const CLOSED: u8 = 7;
