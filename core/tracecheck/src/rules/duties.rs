//! Acknowledgements that are owed, and when they are late. Known only of the end that the capture was made at.

use super::Place;
use crate::checker::Context;
use crate::connection::{Connection, End, both};
use crate::packet::Segment;
use crate::space::Ranges;
use crate::{Flow, Kind, Violation};

/// The longest delay of an ACK (RFC 9293 3.8.6.3, MUST-40).
const DELAY: u64 = 500_000_000;

/// Answers that are kept in mind for one end.
const OWED_MAX: usize = 1024;

/// An answer that an end owes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owed {
    /// What it has to acknowledge; none: anything serves.
    need: Option<i64>,
    /// When it is late.
    by: u64,
    kind: Kind,
    /// The packet that it answers, and its time.
    packet: u64,
    time: u64,
}

/// A segment of this end serves what it owes.
pub(crate) fn serve(end: &mut End, segment: &Segment<'_>, place: Place) {
    if segment.rst {
        end.owed.clear();
    } else if let Some(ack) = place.ack {
        end.owed.retain(|owed| owed.need.is_some_and(|need| ack < need));
        // An ACK says what it has: if that is less than it might have, the rest was not taken.
        if end.taken.end(ack) > ack {
            end.taken = Ranges::default();
        }
        end.taken.add(1, ack);
        end.unsure = false;
    }
}

/// Whatever should have been answered before now.
pub(crate) fn overdue(end: &mut End, flow: Flow, cx: &mut Context<'_>) {
    let now = cx.now;
    if end.owed.iter().all(|owed| owed.by >= now) {
        return;
    }
    for owed in end.owed.iter().filter(|owed| owed.by < now) {
        let Owed { kind, packet, time, .. } = *owed;
        let what = format!("no answer for {} ms", (now - time) / 1_000_000);
        cx.found.push(Violation { kind, packet, time, flow, what });
    }
    // One omission is one violation, however much waits behind it.
    end.owed.clear();
}

/// What a segment of `from` makes the other end owe.
pub(crate) fn owe(
    connection: &mut Connection,
    from: usize,
    segment: &Segment<'_>,
    place: Place,
    cx: &mut Context<'_>,
) {
    let segment_size = connection.mss(from).unwrap_or(i64::MAX / 4);
    let stamped = connection.stamped() == Some(true);
    let usual = !connection.mid && !connection.over;
    let flow = connection.flow(1 - from);
    let (sender, receiver) = both(&mut connection.ends, from);
    if segment.rst {
        receiver.owed.clear();
        sender.owed.clear();
        return;
    }
    let open = usual && receiver.here && receiver.judged && receiver.speaks && !receiver.aborted;
    let (Some(edge), Some(acked), Some(ack)) = (receiver.edge, receiver.ack, place.ack) else { return };
    if !open || segment.syn || place.end == place.at {
        return;
    }
    if !believed(sender, receiver, segment, ack, stamped) {
        receiver.unsure = true;
        return;
    }
    let slack = u64::try_from(cx.options.slack.as_nanos()).unwrap_or(u64::MAX);
    let at_once = cx.now.saturating_add(slack);
    let later = at_once.saturating_add(DELAY);
    let next = receiver.taken.end(1);
    let beyond = receiver.taken.beyond(next);
    receiver.taken.add(place.at, place.end.min(edge));
    let (need, by, kind) = if place.end <= next {
        if sender.fin.is_some() && receiver.fin.is_some() {
            return;
        }
        (None, later, Kind::DuplicateNotAcked)
    } else if place.at > next {
        if place.end > edge {
            return;
        }
        (None, at_once, Kind::OutOfOrderNotAcked)
    } else {
        let end = place.end.min(edge);
        if end <= next {
            return;
        }
        let unacked = end - acked;
        // What is left of the batch before may be one segment and a piece.
        let batch = cx.options.batch.map_or(i64::MAX, |batch| i64::from(batch) + 2 * segment_size);
        // What filled a gap made all that waited behind it arrive at once.
        let unanswered = next - acked.max(receiver.filled);
        if unanswered > batch && !receiver.unsure {
            let what = format!("{unanswered} bytes arrived before this, and none was acknowledged");
            cx.blame(Kind::StretchAck, flow, what);
        }
        if beyond {
            receiver.filled = receiver.taken.end(1);
            (Some(end), at_once, Kind::GapFillNotAcked)
        } else if unacked >= 2 * segment_size {
            (Some(end), at_once, Kind::StretchAck)
        } else {
            (Some(end), later, Kind::AckDelayed)
        }
    };
    let sure = !receiver.unsure || kind == Kind::DuplicateNotAcked;
    if sure && receiver.owed.len() < OWED_MAX {
        receiver.owed.push_back(Owed { need, by, kind, packet: cx.number, time: cx.now });
    }
}

/// Whether nothing but its place decides on the segment.
fn believed(sender: &End, receiver: &End, segment: &Segment<'_>, ack: i64, stamped: bool) -> bool {
    let old =
        |(value, _): (u32, u32)| sender.stamps.is_some_and(|(_, last)| (value.wrapping_sub(last) as i32) < 0);
    let stamps = match segment.options.timestamps {
        None => !stamped,
        Some(stamps) => !stamped || !old(stamps),
    };
    !segment.pieced && stamps && ack <= receiver.max && ack >= receiver.una
}
