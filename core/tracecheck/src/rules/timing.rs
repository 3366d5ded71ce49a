//! When an end sends again, or merely asks. Known only of the end that the capture was made at.

use super::Place;
use crate::Kind;
use crate::checker::Context;
use crate::connection::Connection;
use crate::packet::Segment;
use std::time::Duration;

/// What comes within this many nanoseconds comes at once.
const AT_ONCE: u64 = 1_000_000;

/// Retransmissions of one sequence number with nothing heard in between: only time-outs can have caused them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Series {
    at: i64,
    syn: bool,
    /// The last of them.
    time: u64,
    number: u64,
    /// Nanoseconds between the last two.
    interval: Option<u64>,
    /// How many there were.
    count: u32,
    /// Bytes sent from the last one on.
    since: i64,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn timing(
    connection: &mut Connection,
    from: usize,
    segment: &Segment<'_>,
    place: Place,
    cx: &mut Context<'_>,
) {
    if !connection.ends[from].here || segment.rst {
        return;
    }
    keep_alive(connection, from, segment, place, cx);
    let heard = connection.last[1 - from].map_or(0, |last| last.number).max(cx.icmp);
    let flow = connection.flow(from);
    let mss = connection.mss(from);
    let end = &mut connection.ends[from];
    if place.end == place.at {
        return;
    }
    // A keep-alive with an octet of garbage is no retransmission.
    let again = place.at < end.max && place.end > end.una;
    let first = segment.syn && end.series.is_none();
    let fresh = Series {
        at: place.at,
        syn: segment.syn,
        time: cx.now,
        number: cx.number,
        interval: None,
        count: 0,
        since: 0,
    };
    let Some(series) = end.series.as_mut().filter(|series| series.number > heard) else {
        end.series = (again || first).then_some(fresh);
        return;
    };
    if series.at != place.at {
        series.since += segment.payload.len() as i64;
        let (since, timeouts) = (series.since, series.count);
        if let Some(mss) = mss.filter(|mss| timeouts > 0 && !series.syn && since > *mss) {
            cx.blame(Kind::TimeoutBurst, flow, format!("{since} bytes, and a segment holds {mss}"));
            end.series = None;
        }
        return;
    }
    let (slack, interval) = (nanos(cx.options.slack), cx.now - series.time);
    // Two rules may want the same segment sent again (RFC 6675 section 4, NextSeg 3 and 4): no time-out is as short.
    if !again || interval < AT_ONCE {
        return;
    }
    let millis = |nanos: u64| nanos / 1_000_000;
    if series.syn && series.count == 0 && interval + slack < nanos(cx.options.rto_initial) {
        cx.blame(Kind::SynRtoTooLow, flow, format!("after {} ms", millis(interval)));
    }
    if let Some(before) = series.interval {
        let most = nanos(cx.options.rto_max);
        let least = before.saturating_mul(2).min(most.max(before));
        // The grain of the timers, and a tenth.
        if interval.saturating_add(slack).saturating_add(least / 10) < least {
            let what = format!(
                "{} ms after the last, which came {} ms after the one before",
                millis(interval),
                millis(before)
            );
            cx.blame(Kind::RtoNotBackedOff, flow, what);
        }
    }
    let count = series.count + 1;
    *series = Series { interval: Some(interval), count, since: segment.payload.len() as i64, ..fresh };
}

fn keep_alive(
    connection: &mut Connection,
    from: usize,
    segment: &Segment<'_>,
    place: Place,
    cx: &mut Context<'_>,
) {
    let flow = connection.flow(from);
    let last = connection.last;
    let heard = last[1 - from].map_or(0, |last| last.time);
    let own = last[from].map_or(0, |last| last.time);
    let mid = connection.mid || connection.over;
    let open = connection.ends[1 - from].edge;
    let end = &mut connection.ends[from];
    let probes = place.at == end.max - 1 && place.end <= end.max && !segment.syn && !segment.fin;
    let all = end.una == end.max && end.speaks && open.is_some_and(|edge| edge > end.max);
    if mid || !probes || !all || segment.payload.len() > 1 {
        return;
    }
    let slack = nanos(cx.options.slack);
    let before = end.keep_alive;
    let unanswered = before.is_some_and(|time| heard <= time);
    let (since, least) = match before {
        Some(time) if unanswered => (time, cx.options.keep_alive_interval),
        _ => (heard.max(own), cx.options.keep_alive),
    };
    let since = cx.now - since;
    if since + slack < nanos(least) {
        cx.blame(Kind::KeepAliveTooSoon, flow, format!("after {} ms", since / 1_000_000));
    }
    end.keep_alive = Some(cx.now);
}
