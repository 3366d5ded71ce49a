//! What a closed program leaves unread. Known only of the end that the capture was made at.
//!
//! A segment does not tell a close from a shutdown of sending, but whoever reads makes room. A window too small for a segment, with two
//! and more acknowledged since it last grew, holds what nobody has read (RFC 2525 2.17, "How to detect"). If that is so from the FIN on,
//! for longer than a program is likely to pause, until the connection or the capture ends, the program is gone, and a RST is missing.
//!
//! ```text
//!   room was made            now
//!        ack                 ack    edge
//! --------|===================|------|------
//!          two segments or more  less than one
//! ```
//!
//! Behind the peer's FIN a reader need not make room: what it has read by then is not known.

use super::Place;
use crate::checker::Context;
use crate::connection::Connection;
use crate::packet::Segment;
use crate::{Kind, Violation};

/// What the window of an end tells of its reader.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader {
    /// Right edge and acknowledgement when the window last grew.
    grown: Option<(i64, i64)>,
    /// From the FIN on.
    closing: Option<Closing>,
    /// Whether the window tells nothing any more: data was read after the FIN, or the peer's FIN or a RST came.
    settled: bool,
}

/// An end that has sent its FIN.
#[derive(Clone, Debug)]
struct Closing {
    kind: Kind,
    /// When the window was first seen to be shut.
    shut: Option<u64>,
    found: Option<Violation>,
}

impl Reader {
    /// What is left to be said when nothing comes any more.
    pub(crate) fn end(&mut self) -> Option<Violation> {
        self.closing.take()?.found
    }
}

pub(crate) fn closing(
    connection: &mut Connection,
    from: usize,
    segment: &Segment<'_>,
    place: Place,
    cx: &mut Context<'_>,
) {
    let flow = connection.flow(from);
    let (scale, size) = (connection.scale(from), connection.mss(1 - from));
    let ended = connection.ends[1 - from].fin;
    let mid = connection.mid;
    let end = &mut connection.ends[from];
    let reader = &mut end.reader;
    if segment.rst {
        *reader = Reader { settled: true, ..Reader::default() };
    }
    let (Some(scale), Some(size), Some(ack)) = (scale, size, place.ack) else { return };
    if mid || !end.here || segment.syn || reader.settled || end.ack.is_some_and(|old| ack < old) {
        return;
    }
    let window = i64::from(segment.window) << scale;
    let (edge, acked) = *reader.grown.get_or_insert((ack + window, ack));
    let grows = ack + window >= edge + (1 << scale);
    if grows {
        reader.grown = Some((ack + window, ack));
    }
    if reader.closing.is_some() && grows {
        *reader = Reader { settled: true, ..Reader::default() };
        return;
    }
    let shut = !grows && window < size && ack - acked >= 2 * size;
    if reader.closing.is_none() && segment.fin {
        let kind = if shut { Kind::UnreadAtClose } else { Kind::DataAfterClose };
        reader.closing = Some(Closing { kind, shut: None, found: None });
    }
    reader.settled = ended.is_some_and(|fin| ack > fin);
    let Some(closing) = reader.closing.as_mut().filter(|_| shut) else { return };
    let since = cx.now - *closing.shut.get_or_insert(cx.now);
    let patience = u64::try_from(cx.options.patience.as_nanos()).unwrap_or(u64::MAX);
    if since >= patience && end.fin.is_some_and(|fin| end.una > fin) && closing.found.is_none() {
        let what = format!(
            "{} bytes were acknowledged since the window last grew, and it stays at {window} for {} s",
            ack - acked,
            since / 1_000_000_000
        );
        let (packet, time) = (cx.number, cx.now);
        closing.found = Some(Violation { kind: closing.kind, packet, time, flow, what });
    }
}
