//! Explicit congestion notification (RFC 3168): who may set which of its bits, and when.

use super::Place;
use crate::Kind;
use crate::checker::Context;
use crate::connection::{Connection, both};
use crate::packet::Segment;

/// The codepoint of a packet that met congestion.
const CE: u8 = 3;

/// What is known of one end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    /// Whether each of its SYNs agreed, once there was one.
    agrees: Option<bool>,
    /// A marked packet has come, or pieces of which one may have been.
    may_echo: bool,
    /// Behind marked data that it has to have taken once it acknowledges so far; until it is told that the window was reduced.
    must_echo: Option<i64>,
}

/// Whether the SYNs agreed; unknown if not both were seen.
fn agreed(connection: &Connection) -> Option<bool> {
    let [one, other] = connection.ends.each_ref().map(|end| end.marks.agrees);
    Some(one? && other?)
}

fn agrees(segment: &Segment<'_>) -> bool {
    segment.ece && segment.cwr == segment.ack.is_none()
}

/// What a judged end sets.
pub(crate) fn marks(
    connection: &Connection,
    from: usize,
    segment: &Segment<'_>,
    place: Option<Place>,
    cx: &mut Context<'_>,
) {
    let flow = connection.flow(from);
    let (end, other) = (&connection.ends[from], &connection.ends[1 - from]);
    if !end.here || segment.rst {
        return;
    }
    let marked = segment.ecn.is_some_and(|ecn| ecn != 0);
    if segment.syn {
        if marked {
            cx.blame(Kind::EctUnagreed, flow, "on a SYN");
        }
        if segment.ack.is_some() && agrees(segment) && other.marks.agrees == Some(false) {
            cx.blame(Kind::EcnUnasked, flow, "a SYN had not both flags");
        }
        return;
    }
    if marked && agreed(connection) == Some(false) {
        cx.blame(Kind::EctUnagreed, flow, "not every SYN agreed");
    }
    if segment.ece && !end.marks.may_echo && !connection.mid {
        cx.blame(Kind::EchoUnmarked, flow, "nothing marked has come");
    }
    let Some(place) = place else { return };
    let probe = other.edge.is_some_and(|edge| place.end > edge);
    let new = !segment.payload.is_empty() && place.at >= end.max && !probe;
    if marked && !new && !connection.mid {
        cx.blame(Kind::EctOnOld, flow, format!("{} bytes", segment.payload.len()));
    }
    if segment.cwr && !new && !connection.mid {
        cx.blame(Kind::CwrOnOld, flow, format!("{} bytes", segment.payload.len()));
    }
    if let (Some(marked), Some(ack), false) = (end.marks.must_echo, place.ack, segment.ece)
        && ack >= marked
    {
        cx.blame(Kind::MarkNotEchoed, flow, format!("{} bytes behind the marked one", ack - marked));
    }
}

/// What a segment changes.
pub(crate) fn marked(connection: &mut Connection, from: usize, segment: &Segment<'_>, place: Option<Place>) {
    if segment.rst {
        return;
    }
    if segment.syn {
        let known = connection.ends[from].marks.agrees.unwrap_or(true);
        connection.ends[from].marks.agrees = Some(known && agrees(segment));
        return;
    }
    let both_agree = agreed(connection) == Some(true) && !connection.mid;
    let (_, receiver) = both(&mut connection.ends, from);
    let marks = &mut receiver.marks;
    // Sent again, as it never is with a mark: perhaps what was marked was not taken.
    let again = |marked: &i64| place.is_none_or(|place| place.at >= *marked || segment.payload.is_empty());
    marks.must_echo = marks.must_echo.filter(|marked| !segment.cwr && again(marked));
    marks.may_echo |= segment.ecn.is_none_or(|ecn| ecn == CE);
    let Some(place) = place.filter(|_| segment.ecn == Some(CE) && both_agree && receiver.here) else {
        return;
    };
    let inside =
        receiver.ack.is_some_and(|ack| place.at >= ack) && receiver.edge.is_some_and(|e| place.end <= e);
    if inside && !segment.payload.is_empty() {
        receiver.marks.must_echo.get_or_insert(place.end);
    }
}
