//! Flags, options and their timestamps, lengths, the urgent pointer.

use super::Place;
use crate::Kind;
use crate::checker::Context;
use crate::connection::Connection;
use crate::packet::Segment;

/// What can be said of the segment alone.
pub(crate) fn flags(connection: &Connection, from: usize, segment: &Segment<'_>, cx: &mut Context<'_>) {
    let flow = connection.flow(from);
    let options = &segment.options;
    if segment.syn && (segment.fin || segment.rst) {
        cx.blame(Kind::Flags, flow, "SYN with FIN or RST");
    }
    if segment.ack.is_none() && !segment.syn && !segment.rst {
        cx.blame(Kind::Flags, flow, "neither ACK nor SYN nor RST");
    }
    if options.malformed {
        cx.blame(Kind::MalformedOptions, flow, "a length does not fit");
    }
    if !segment.syn && (options.mss.is_some() || options.scale.is_some() || options.sack_permitted) {
        cx.blame(Kind::SynOnlyOption, flow, format!("{options:?}"));
    }
    if let Some(shift) = options.scale.filter(|shift| *shift > 14) {
        cx.blame(Kind::ScaleTooLarge, flow, format!("a shift of {shift}"));
    }
    if let (None, Some((_, echo @ 1..))) = (segment.ack, options.timestamps)
        && !segment.rst
    {
        cx.blame(Kind::TsecrWithoutAck, flow, format!("TSecr {echo}"));
    }
}

/// What depends on what the SYNs agreed on.
pub(crate) fn header(connection: &Connection, from: usize, segment: &Segment<'_>, cx: &mut Context<'_>) {
    let flow = connection.flow(from);
    let (end, other) = (&connection.ends[from], &connection.ends[1 - from]);
    let options = &segment.options;
    if let (true, Some(_), Some(asking)) = (segment.syn, segment.ack, &other.syn) {
        if options.scale.is_some() && asking.options.scale.is_none() {
            cx.blame(Kind::ScaleUnasked, flow, "the SYN had no window scale");
        }
        if options.timestamps.is_some() && asking.options.timestamps.is_none() {
            cx.blame(Kind::TimestampsUnasked, flow, "the SYN had none");
        }
    }
    if !segment.syn && !segment.rst && !connection.over {
        match (connection.stamped(), options.timestamps) {
            (Some(true), None) => cx.blame(Kind::TimestampsMissing, flow, "both SYNs had them"),
            (Some(false), Some(_)) => cx.blame(Kind::TimestampsUnasked, flow, "not both SYNs had them"),
            _ => {}
        }
    }
    let Some((value, echo)) = options.timestamps.filter(|_| !segment.rst) else { return };
    if let (true, Some((_, last))) = (end.here, end.stamps)
        && (value.wrapping_sub(last) as i32) < 0
    {
        cx.blame(Kind::TsvalBackwards, flow, format!("{value} behind {last}"));
    }
    if let (Some(_), Some((first, last)), false) = (segment.ack, other.stamps, connection.mid)
        && echo.wrapping_sub(first) > last.wrapping_sub(first)
    {
        cx.blame(Kind::TsecrUnknown, flow, format!("{echo}, and {first} to {last} was sent"));
    }
}

/// Whether the peer takes so much.
pub(crate) fn length(
    connection: &Connection,
    from: usize,
    segment: &Segment<'_>,
    length: usize,
    cx: &mut Context<'_>,
) {
    let Some(mss) = connection.mss(from) else { return };
    let (payload, options) = (segment.payload.len() as i64, segment.option_bytes as i64);
    if payload == 0 || payload + options <= mss || cx.options.super_frames == Some(true) {
        return;
    }
    let flow = connection.flow(from);
    // More than a segment holds even without options is no slip with the options: the link cuts it, or it is told that it cannot.
    if payload > mss && cx.options.super_frames.is_none() {
        cx.cutting.insert(flow.from.ip());
        return;
    }
    let what = format!("{payload} bytes and {options} of options in {length}, and the peer's MSS is {mss}");
    cx.blame(Kind::TooLarge, flow, what);
}

/// Where the urgent data ends.
pub(crate) fn urgent(
    connection: &mut Connection,
    from: usize,
    segment: &Segment<'_>,
    place: Option<Place>,
    cx: &mut Context<'_>,
) {
    let (Some(pointer), Some(place)) = (segment.urgent, place) else { return };
    let flow = connection.flow(from);
    let end = &mut connection.ends[from];
    if !end.here || segment.rst {
        return;
    }
    let mark = place.at + i64::from(pointer);
    match end.urgent {
        _ if pointer == 0 => cx.blame(Kind::UrgentPointer, flow, "it is zero"),
        // The largest pointer stands for everything beyond it.
        Some(old) if mark < old && pointer < u16::MAX => {
            cx.blame(Kind::UrgentPointer, flow, format!("{} bytes back", old - mark));
        }
        old => end.urgent = Some(old.map_or(mark, |old| old.max(mark))),
    }
}
