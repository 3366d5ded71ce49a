//! Events as lines of JSON, in the structure of qlog (draft-ietf-quic-qlog-main-schema-02: qlog_version 0.3, format NDJSON): a header, then a line
//! for each event.

use super::event::{Missed, What, millis};
use super::{Drained, Event};
use crate::time::Instant;
use serde::Serialize;

/// Turns events into lines. Text is made here and nowhere else, so it belongs to whoever delivers.
#[derive(Debug)]
pub struct Writer {
    /// What times count from.
    start: Instant,
}

/// The first line.
#[derive(Serialize)]
struct Head<'a> {
    qlog_version: &'a str,
    qlog_format: &'a str,
    title: &'a str,
    trace: Trace<'a>,
}

#[derive(Serialize)]
struct Trace<'a> {
    vantage_point: VantagePoint<'a>,
    common_fields: CommonFields<'a>,
}

#[derive(Serialize)]
struct VantagePoint<'a> {
    name: &'a str,
    r#type: &'a str,
}

#[derive(Serialize)]
struct CommonFields<'a> {
    protocol_type: [&'a str; 1],
    time_format: &'a str,
    reference_time: f64,
}

#[derive(Serialize)]
struct Line<'a> {
    time: f64,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<u64>,
    data: &'a What,
}

impl Writer {
    /// A trace called `title` of what is seen at `vantage` that begins at `start`, which is `reference` for its readers: nanoseconds since
    /// 1970, or of whatever clock there is. Appends the header.
    #[must_use]
    pub fn begin(title: &str, vantage: &str, start: Instant, reference: u64, out: &mut Vec<u8>) -> Self {
        let head = Head {
            qlog_version: "0.3",
            qlog_format: "NDJSON",
            title,
            trace: Trace {
                vantage_point: VantagePoint { name: vantage, r#type: "unknown" },
                common_fields: CommonFields {
                    protocol_type: ["TCP"],
                    time_format: "relative",
                    reference_time: reference as f64 / 1e6,
                },
            },
        };
        line(&head, out);
        Self { start }
    }

    /// Appends an event.
    pub fn write(&self, event: &Event, out: &mut Vec<u8>) {
        self.write_at(event.at, event.connection, &event.what, out);
    }

    /// Appends everything that a queue had.
    pub fn write_all(&self, drained: &mut Drained, out: &mut Vec<u8>) {
        let mut last = self.start;
        for event in drained.events.drain(..) {
            last = event.at;
            self.write(&event, out);
        }
        let count = std::mem::take(&mut drained.missed);
        if count > 0 {
            self.write_at(last, None, &What::Missed(Missed { count }), out);
        }
    }

    /// Appends what happened to a connection, or to the stack.
    pub fn write_at(&self, at: Instant, connection: Option<u64>, what: &What, out: &mut Vec<u8>) {
        let time = millis(at.since(self.start));
        line(&Line { time, name: what.name(), group_id: connection, data: what }, out);
    }
}

/// Appends a line. What is serialized here has no keys that are no text and does no input or output: it cannot fail.
fn line(value: &impl Serialize, out: &mut Vec<u8>) {
    if serde_json::to_writer(&mut *out, value).is_ok() {
        out.push(b'\n');
    }
}
