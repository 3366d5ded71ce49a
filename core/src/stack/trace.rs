//! The event trace: which sockets are traced, and what the stack itself tells.

use super::Stack;
use super::table::Kind;
use crate::buffer::SocketId;
use crate::counters::Drop;
use crate::error::Errno;
use crate::tcp::{Outgoing, Segment, Tracer};
use crate::time::Instant;
use crate::trace::event::{Dropped, Header, Packet, Raw, What};
use crate::trace::{Queue, Sink};
use crate::wire::tcp::Flags;

impl Stack {
    /// Tells what happens to every connection that has no sink of its own, those that live already and the stack itself; `None`: no more.
    pub fn trace(&mut self, now: Instant, sink: Option<Sink>) {
        let before = self.events.all().cloned();
        self.events.set_all(sink);
        for id in self.table.ids() {
            let Some(entry) = self.table.get(id) else { continue };
            if entry.settings.trace.is_none() {
                self.retrace(now, id, before.as_ref());
            }
        }
    }

    /// Tells what happens to one connection, or to those that a listener accepts from now on; `None`: what [`Stack::trace`] says. EOPNOTSUPP for
    /// a datagram socket.
    pub fn trace_socket(&mut self, now: Instant, id: SocketId, sink: Option<Sink>) -> Result<(), Errno> {
        let entry = self.table.get_mut(id).ok_or(Errno::EBADF)?;
        if matches!(entry.kind, Kind::Datagram(_)) {
            return Err(Errno::EOPNOTSUPP);
        }
        let before = entry.settings.trace.clone();
        entry.change(&mut self.shared, |settings| settings.trace = sink);
        self.retrace(now, id, before.as_ref());
        self.post_listener(id);
        Ok(())
    }

    /// Events, to drain.
    pub fn events(&mut self) -> &mut Queue {
        &mut self.events
    }

    /// A packet that the stack sent went no further, for this reason.
    pub fn trace_refused(&mut self, now: Instant, bytes: usize, trigger: &'static str) {
        self.events.record(now, || dropped(bytes, trigger));
    }

    /// The stack itself answers a segment that it has no connection for.
    pub(super) fn trace_answer(&mut self, now: Instant, answer: &Outgoing, trigger: &'static str) {
        self.events.record(now, || {
            let flags = if answer.ack.is_some() { answer.flags.with(Flags::ACK) } else { answer.flags };
            let header = Header {
                sequence_number: answer.seq.0,
                acknowledgment_number: answer.ack.map(|ack| ack.0),
                flags: flags.0,
                window: u32::from(answer.window),
                timestamps: answer.options.timestamps,
                ..Header::default()
            };
            What::Sent(Packet { header, raw: Raw::payload(0), segments: 1, trigger: Some(trigger) })
        });
    }

    /// A packet that came is dropped.
    pub(super) fn drop_packet(&mut self, now: Instant, bytes: usize, reason: Drop) {
        self.counters.drop(reason);
        self.events.record(now, || dropped(bytes, reason.name()));
    }

    /// A connection has begun, by this segment if a peer began it.
    pub(super) fn begin_trace(&mut self, now: Instant, id: SocketId, segment: Option<&Segment>) {
        let Some(entry) = self.table.get_mut(id) else { return };
        let Some(sink) = entry.settings.trace.as_ref().or_else(|| self.events.all()).cloned() else { return };
        let Kind::Flow(flow) = &mut entry.kind else { return };
        flow.connection.trace(now, self.events.number(), sink, segment);
        flow.connection.flush_trace(&mut self.events);
    }

    /// Another sink is asked for than `before`.
    fn retrace(&mut self, now: Instant, id: SocketId, before: Option<&Sink>) {
        let Some(flow) = self.table.flow_mut(id) else { return };
        flow.connection.flush_trace(&mut self.events);
        let told_there = flow.connection.tracer().map(Tracer::sink) == before;
        if told_there {
            flow.connection.trace_no_more();
            self.begin_trace(now, id, None);
        }
    }
}

fn dropped(bytes: usize, trigger: &'static str) -> What {
    let raw = Raw { length: Some(bytes), payload_length: None };
    What::Dropped(Dropped { header: None, raw, trigger })
}
