//! What an end acknowledges, reports by SACK, and offers as window.

use super::Place;
use crate::Kind;
use crate::checker::Context;
use crate::connection::Connection;
use crate::packet::Segment;

pub(crate) fn acks(
    connection: &Connection,
    from: usize,
    segment: &Segment<'_>,
    place: Place,
    cx: &mut Context<'_>,
) {
    let flow = connection.flow(from);
    let (end, other) = (&connection.ends[from], &connection.ends[1 - from]);
    let Some(ack) = place.ack.filter(|_| !segment.rst && !connection.mid) else { return };
    if ack > other.max {
        let what = format!("{} bytes beyond what was received", ack - other.max);
        cx.blame(Kind::AckOfUnsent, flow, what);
        return;
    }
    if !end.here {
        return;
    }
    if let Some(old) = end.ack.filter(|old| ack < *old) {
        cx.blame(Kind::AckBackwards, flow, format!("by {} bytes", old - ack));
        return;
    }
    // Nothing comes behind the FIN: the window says nothing any more.
    if other.fin.is_some_and(|fin| ack > fin) {
        return;
    }
    let scale = if segment.syn { Some(0) } else { connection.scale(from) };
    if let (Some(scale), Some(edge)) = (scale, end.edge.filter(|_| end.ack.is_some())) {
        let right = ack + (i64::from(segment.window) << scale);
        // The window is rounded down to what can be told (RFC 7323 2.4).
        if right + (1 << scale) <= edge {
            cx.blame(Kind::WindowShrunk, flow, format!("by {} bytes", edge - right));
        }
    }
}

pub(crate) fn selective(
    connection: &Connection,
    from: usize,
    segment: &Segment<'_>,
    place: Option<Place>,
    cx: &mut Context<'_>,
) {
    let blocks = &segment.options.sack;
    if blocks.is_empty() || segment.rst {
        return;
    }
    let flow = connection.flow(from);
    let (end, other) = (&connection.ends[from], &connection.ends[1 - from]);
    if other.syn.as_ref().is_some_and(|syn| !syn.options.sack_permitted) {
        cx.blame(Kind::SackUnpermitted, flow, "the peer's SYN had no SACK-permitted");
    }
    let (Some(line), Some(ack)) = (other.line, place.and_then(|place| place.ack)) else { return };
    for (index, (left, right)) in blocks.iter().map(|(l, r)| (line.at(*l), line.at(*r))).enumerate() {
        if left >= right {
            cx.blame(Kind::SackInvalid, flow, format!("block {} of {} bytes", index + 1, right - left));
        } else if index > 0 && left <= ack {
            cx.blame(Kind::SackBelowAck, flow, format!("block {}, {} bytes", index + 1, ack - left));
        } else if !connection.mid && (right > other.max || end.here && !end.received.contains(left, right)) {
            let what = format!("block {}, bytes {} to {}", index + 1, left - 1, right - 1);
            cx.blame(Kind::SackOfUnsent, flow, what);
        }
    }
}
