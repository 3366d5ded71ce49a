//! The bytes that an end sends: the same twice, within the window, up to the FIN.

use super::Place;
use crate::Kind;
use crate::checker::Context;
use crate::connection::Connection;
use crate::packet::Segment;

pub(crate) fn stream(
    connection: &mut Connection,
    from: usize,
    segment: &Segment<'_>,
    place: Place,
    cx: &mut Context<'_>,
) {
    let flow = connection.flow(from);
    let mss = connection.mss(from);
    let (mid, over) = (connection.mid, connection.over);
    let edge = connection.ends[1 - from].edge;
    let end = &mut connection.ends[from];
    if segment.rst {
        return;
    }
    let bytes = segment.payload.len() as i64;
    let last = place.data + bytes;
    // A keep-alive may carry one octet of anything at SND.NXT-1.
    let garbage = bytes == 1 && place.end <= end.una;
    if bytes > 0
        && !garbage
        && !over
        && let Some(at) = end.stream.put(place.data, segment.payload)
    {
        cx.blame(Kind::DataChanged, flow, format!("at byte {}", at - 1));
    }
    match end.fin {
        Some(fin) if last > fin && (bytes > 0 || segment.fin) => {
            cx.blame(Kind::DataAfterFin, flow, format!("{} bytes behind the FIN", last - fin));
        }
        Some(fin) if segment.fin && last != fin => {
            cx.blame(Kind::FinMoved, flow, format!("from byte {} to byte {}", fin - 1, last - 1));
        }
        None if segment.fin && last < end.data => {
            cx.blame(Kind::FinMoved, flow, format!("before {} bytes that were sent", end.data - last));
        }
        _ => {}
    }
    let Some(edge) = edge.filter(|_| !mid && bytes > 0) else { return };
    let probe = bytes == 1 && place.data <= edge;
    if last > edge && !probe {
        cx.blame(Kind::BeyondWindow, flow, format!("{} bytes beyond its right edge", last - edge));
    }
    end.troubled |= place.end <= end.max;
    // Once anything was lost, the window follows other rules.
    let Some(mss) = mss.filter(|_| end.here && !end.troubled) else { return };
    let segments = i64::from(cx.options.initial_window);
    // RFC 6928 section 2.
    let initial = if segments == 10 { (10 * mss).min(14_600.max(2 * mss)) } else { segments * mss };
    let (una, acked) = (end.una.max(1), end.una.max(1) - 1);
    // One segment beyond the window may probe for the loss of the tail (RFC 8985 7.3).
    let (most, flight) = (initial + acked + mss, last - una);
    if flight > most && end.data - una <= most {
        let kind = if acked == 0 { Kind::InitialWindow } else { Kind::SlowStart };
        cx.blame(kind, flow, format!("{flight} bytes in flight, and {most} are allowed"));
    }
}
