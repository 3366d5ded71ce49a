//! RSTs, what comes behind them, and ACKs that only repeat.

use super::Place;
use crate::Kind;
use crate::checker::Context;
use crate::connection::{Connection, End};
use crate::packet::Segment;

/// Numbers of segments received that are kept: a RST answers one of the last.
const HEARD: usize = 256;

/// ACKs that say nothing new, and answer such, within a second: no exchange that ends has so many.
const REPEATS: u32 = 16;
const SECOND: u64 = 1_000_000_000;

/// What reached the other end of `from` is noted, for a RST that answers it.
pub(crate) fn heard(connection: &mut Connection, from: usize, segment: &Segment<'_>) {
    let end = &mut connection.ends[1 - from];
    end.asked += u32::from(!segment.rst);
    if end.heard.len() == HEARD {
        end.heard.pop_front();
    }
    end.heard.push_back(segment.ack.unwrap_or_else(|| segment.seq.wrapping_add(segment.len() as u32)));
}

pub(crate) fn reset(
    connection: &mut Connection,
    from: usize,
    segment: &Segment<'_>,
    place: Option<Place>,
    cx: &mut Context<'_>,
) {
    let flow = connection.flow(from);
    let (own, other) = (connection.last[from], connection.last[1 - from]);
    let (mid, over) = (connection.mid, connection.over);
    let both = connection.ends.iter().all(|end| end.fin.is_some());
    let end = &mut connection.ends[from];
    let asked = end.asked;
    end.asked = if segment.rst { asked.saturating_sub(1) } else { 0 };
    if !end.here {
        return;
    }
    if !segment.rst {
        // What waited for the link when the RST came still goes out.
        let told = other.filter(|other| other.rst).map_or(0, |other| other.time);
        let late = cx.now - told > u64::try_from(cx.options.slack.as_nanos()).unwrap_or(u64::MAX);
        if over && !segment.syn && (end.aborted || !both && late) {
            cx.blame(Kind::AfterReset, flow, "it goes on");
        }
        return;
    }
    let last = own.map_or(0, |last| last.number);
    // What came before it in one batch is answered behind it.
    if asked == 0
        && other.is_some_and(|other| other.rst && other.number > last)
        && (over || end.line.is_none())
    {
        cx.blame(Kind::ResetAnswered, flow, "the last that came was a RST");
    }
    let expected = place.is_some_and(|place| (end.una..=end.max).contains(&place.at));
    let answers = end.heard.contains(&segment.seq);
    // Who waits for a SYN/ACK looks at the acknowledgement only.
    let zero =
        (segment.seq == 0 || end.line.is_none()) && segment.ack.is_some_and(|ack| end.heard.contains(&ack));
    // Nothing that it could answer is known of what came before the capture.
    let blind = mid || end.heard.is_empty();
    if !blind && !expected && !answers && !zero {
        cx.blame(Kind::ResetInvalid, flow, format!("sequence number {}", segment.seq));
    }
}

/// A RST ends the connection, if it is one that counts.
pub(crate) fn end(sender: &mut End, receiver: &mut End, place: Place, over: &mut bool) {
    if sender.here && sender.speaks {
        sender.aborted = true;
        *over = true;
    }
    let exact = receiver.ack == Some(place.at) && receiver.received.end(1) == place.at;
    *over |= receiver.here && exact;
}

/// Whether two ends only repeat ACKs to each other.
pub(crate) fn repetition(
    connection: &mut Connection,
    from: usize,
    segment: &Segment<'_>,
    cx: &mut Context<'_>,
) {
    let flow = connection.flow(from);
    let (own, other) = (connection.last[from], connection.last[1 - from]);
    let end = &mut connection.ends[from];
    let bare = segment.ack.filter(|_| segment.is_bare()).map(|ack| (segment.seq, ack, segment.window));
    let again = bare.is_some() && bare == end.bare && segment.options.sack.is_empty();
    let answers = other.is_some_and(|other| other.repeats && other.number > own.map_or(0, |own| own.number));
    if !end.here || !again || !answers {
        end.repeated = (0, cx.now);
        return;
    }
    let (count, since) = end.repeated;
    end.repeated = if cx.now - since > SECOND { (1, cx.now) } else { (count + 1, since) };
    if end.repeated.0 > REPEATS {
        cx.blame(Kind::AckLoop, flow, format!("{REPEATS} within a second"));
        end.repeated = (0, cx.now);
    }
}
