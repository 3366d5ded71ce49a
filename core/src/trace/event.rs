//! What happens to a connection: the events of a trace, in qlog's vocabulary where it has a word. `docs/trace.md` describes them for readers.

use super::Sink;
use crate::error::EndReason;
use crate::time::{Duration, Instant};
use serde::{Serialize, Serializer};
use std::net::SocketAddr;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, on the stack's clock.
    pub at: Instant,
    /// Where it goes.
    pub sink: Sink,
    /// The connection, by its number in the stack; none: the stack itself.
    pub connection: Option<u64>,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum What {
    /// A connection began, or the trace of one that was there.
    Started(Started),
    /// The options of one side's SYN are in force.
    Parameters(Parameters),
    /// It moved from state to state (RFC 9293 3.3.2).
    State(Change),
    /// It is over.
    Closed(Closed),
    /// It sent a segment or super-frame.
    Sent(Packet),
    /// A segment or super-frame came.
    Received(Packet),
    /// What came was dropped.
    Dropped(Dropped),
    /// Figures of the sender have changed.
    Metrics(Metrics),
    /// Congestion control or the repair of losses entered another state.
    Congestion(Phase),
    /// CUBIC goes by another curve, or by another part of it.
    Cubic(Cubic),
    /// A timer was set, expired or was cleared.
    Timer(Timer),
    /// Something in flight is taken for lost.
    Lost(Lost),
    /// What was taken for a loss was none: the congestion window is as before.
    Undone(Undone),
    /// Events found the queue full.
    Missed(Missed),
}

impl What {
    /// Its name in the trace: category and type.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Started(_) => "connectivity:connection_started",
            Self::Parameters(_) => "transport:parameters_set",
            Self::State(_) => "connectivity:connection_state_updated",
            Self::Closed(_) => "connectivity:connection_closed",
            Self::Sent(_) => "transport:packet_sent",
            Self::Received(_) => "transport:packet_received",
            Self::Dropped(_) => "transport:packet_dropped",
            Self::Metrics(_) => "recovery:metrics_updated",
            Self::Congestion(_) => "recovery:congestion_state_updated",
            Self::Cubic(_) => "usertcp:cubic_updated",
            Self::Timer(_) => "recovery:loss_timer_updated",
            Self::Lost(_) => "recovery:packet_lost",
            Self::Undone(_) => "usertcp:congestion_undone",
            Self::Missed(_) => "usertcp:events_missed",
        }
    }
}

/// The names of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Started {
    /// `ipv4` or `ipv6`.
    pub ip_version: &'static str,
    /// Own address and port.
    #[serde(flatten)]
    pub source: Source,
    /// The peer's.
    #[serde(flatten)]
    pub destination: Destination,
    /// `tcp`.
    pub protocol: &'static str,
    /// State in which the trace finds it.
    pub state: &'static str,
    /// Which controller limits what is in flight, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub congestion_control: Option<&'static str>,
}

/// Own address and port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Address.
    #[serde(rename = "src_ip", serialize_with = "ip")]
    pub address: SocketAddr,
    /// Port.
    #[serde(rename = "src_port")]
    pub port: u16,
}

/// The peer's address and port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Destination {
    /// Address.
    #[serde(rename = "dst_ip", serialize_with = "ip")]
    pub address: SocketAddr,
    /// Port.
    #[serde(rename = "dst_port")]
    pub port: u16,
}

impl Started {
    /// The names of a connection between these two.
    #[must_use]
    pub const fn new(
        local: SocketAddr,
        remote: SocketAddr,
        state: &'static str,
        congestion_control: Option<&'static str>,
    ) -> Self {
        Self {
            ip_version: if local.is_ipv4() { "ipv4" } else { "ipv6" },
            source: Source { address: local, port: local.port() },
            destination: Destination { address: remote, port: remote.port() },
            protocol: "tcp",
            state,
            congestion_control,
        }
    }
}

/// What the SYN of one side said and is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parameters {
    /// Whose SYN: `local` or `remote`.
    pub owner: &'static str,
    /// ISS or IRS: what the numbers of packets in the trace count from.
    pub initial_sequence_number: u32,
    /// Most bytes of data in a segment to the other side: options are taken off already; `local` is what the peer may send.
    pub max_segment_size: u32,
    /// Shift of the windows that this side offers.
    pub window_scale: u8,
    /// Both sides speak SACK (RFC 2018).
    pub selective_acknowledgements: bool,
    /// Both sides send timestamps (RFC 7323).
    pub timestamps: bool,
}

/// From one state to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The state before, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<&'static str>,
    /// The state now.
    pub new: &'static str,
}

/// From one phase of congestion control to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// The phase before, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<&'static str>,
    /// The phase now.
    pub new: &'static str,
    /// What led from the one to the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<&'static str>,
}

/// What CUBIC goes by (RFC 9438).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cubic {
    /// W_max, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub w_max: Option<u32>,
    /// The window before the last reduction, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwnd_prior: Option<u32>,
    /// K.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_millis")]
    pub k: Option<Duration>,
    /// W_est, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub w_est: Option<u32>,
    /// What leads the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<&'static str>,
}

impl Cubic {
    /// Whether it is told anew after `before`: W_est grows all the time, and is told with the rest.
    #[must_use]
    pub fn differs(&self, before: Option<&Self>) -> bool {
        before.is_none_or(|before| *self != Self { w_est: self.w_est, ..*before })
    }
}

/// The end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Closed {
    /// Who ended it: `local` or `remote`; none: both, or the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<&'static str>,
    /// Why.
    pub trigger: &'static str,
    /// Why, in a sentence.
    #[serde(serialize_with = "sentence")]
    pub reason: EndReason,
    /// The error that the program is told, by its number; none: an orderly end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
}

impl Closed {
    /// An end for this reason.
    #[must_use]
    pub fn new(reason: EndReason) -> Self {
        let (owner, trigger) = match reason {
            EndReason::Finished => (None, "clean"),
            EndReason::Reset { .. } => (Some("remote"), "reset"),
            EndReason::TimedOut { .. } => (Some("local"), "timeout"),
            EndReason::Unreachable(_) => (None, "unreachable"),
            EndReason::Aborted => (Some("local"), "aborted"),
            EndReason::Unread => (Some("local"), "unread"),
            EndReason::Limit => (Some("local"), "limit"),
            EndReason::LinkGone => (None, "link_gone"),
            EndReason::StackClosed => (Some("local"), "stack_closed"),
        };
        Self { owner, trigger, reason, errno: reason.errno().map(|errno| errno.0) }
    }
}

/// A segment, or a super-frame of several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Packet {
    /// What its header says.
    pub header: Header,
    /// Its bytes.
    pub raw: Raw,
    /// Segments of a super-frame; 1: a single segment.
    pub segments: u32,
    /// Why it was sent; none of one that came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<&'static str>,
}

/// What the header of a segment says; numbers count from those of the SYNs, and wrap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Header {
    /// The first number of the segment, from the sender's SYN on.
    pub sequence_number: u32,
    /// The next number that is expected, from the SYN of the other side on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledgment_number: Option<u32>,
    /// Control bits.
    #[serde(serialize_with = "flags")]
    pub flags: u8,
    /// The window offered, bytes.
    pub window: u32,
    /// Blocks acknowledged selectively, from and to, like the acknowledgement number.
    #[serde(skip_serializing_if = "Blocks::is_empty")]
    pub sack: Blocks,
    /// TSval and TSecr.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamps: Option<(u32, u32)>,
}

/// SACK blocks of one segment.
pub type Blocks = arrayvec::ArrayVec<(u32, u32), 4>;

/// Bytes of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Raw {
    /// Bytes of the whole packet, where only that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// Bytes of payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_length: Option<usize>,
}

impl Raw {
    /// This many bytes of payload.
    #[must_use]
    pub const fn payload(bytes: usize) -> Self {
        Self { length: None, payload_length: Some(bytes) }
    }
}

/// A packet that was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// What its header said, where it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// Its bytes.
    pub raw: Raw,
    /// Why: the name of the counter.
    pub trigger: &'static str,
}

/// Figures of the sender; those that have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Metrics {
    /// Least round-trip time.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_millis")]
    pub min_rtt: Option<Duration>,
    /// SRTT.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_millis")]
    pub smoothed_rtt: Option<Duration>,
    /// The last measurement.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_millis")]
    pub latest_rtt: Option<Duration>,
    /// RTTVAR.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_millis")]
    pub rtt_variance: Option<Duration>,
    /// RTO, with its backoff.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_millis")]
    pub retransmission_timeout: Option<Duration>,
    /// Timeouts in a row without progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pto_count: Option<u32>,
    /// The congestion window, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub congestion_window: Option<u32>,
    /// The slow start threshold, bytes; 4294967295: none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssthresh: Option<u32>,
    /// Bytes believed to be on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_in_flight: Option<u32>,
    /// Bytes sent and not acknowledged, whatever became of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_unacknowledged: Option<u32>,
    /// The window that the peer offers, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_window: Option<u32>,
    /// The window offered, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_window: Option<u32>,
    /// Data in a full segment, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_segment_size: Option<u32>,
}

impl Metrics {
    /// Of `self` what is not as in `before`; none: everything is.
    #[must_use]
    pub fn changed_from(&self, before: &Self) -> Option<Self> {
        fn news<T: Copy + PartialEq>(now: Option<T>, before: Option<T>) -> Option<T> {
            now.filter(|_| now != before)
        }
        if self == before {
            return None;
        }
        let changed = Self {
            min_rtt: news(self.min_rtt, before.min_rtt),
            smoothed_rtt: news(self.smoothed_rtt, before.smoothed_rtt),
            latest_rtt: news(self.latest_rtt, before.latest_rtt),
            rtt_variance: news(self.rtt_variance, before.rtt_variance),
            retransmission_timeout: news(self.retransmission_timeout, before.retransmission_timeout),
            pto_count: news(self.pto_count, before.pto_count),
            congestion_window: news(self.congestion_window, before.congestion_window),
            ssthresh: news(self.ssthresh, before.ssthresh),
            bytes_in_flight: news(self.bytes_in_flight, before.bytes_in_flight),
            bytes_unacknowledged: news(self.bytes_unacknowledged, before.bytes_unacknowledged),
            send_window: news(self.send_window, before.send_window),
            receive_window: news(self.receive_window, before.receive_window),
            max_segment_size: news(self.max_segment_size, before.max_segment_size),
        };
        (changed != Self::default()).then_some(changed)
    }
}

/// What became of a timer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timer {
    /// Which.
    pub timer_type: &'static str,
    /// `set`, `expired` or `cancelled`.
    pub event_type: &'static str,
    /// How long it runs from now, when it was set.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_millis")]
    pub delta: Option<Duration>,
}

/// A loss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The first number of what is lost, from our SYN on.
    pub sequence_number: u32,
    /// Numbers from there on.
    pub length: u32,
    /// What told of it.
    pub trigger: &'static str,
}

/// A loss that was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Undone {
    /// What told of it.
    pub trigger: &'static str,
}

/// Events that found the queue full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Missed {
    /// How many.
    pub count: u64,
}

fn ip<S: Serializer>(address: &SocketAddr, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&address.ip())
}

fn sentence<S: Serializer>(reason: &EndReason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(reason)
}

fn flags<S: Serializer>(flags: &u8, serializer: S) -> Result<S::Ok, S::Error> {
    const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
    serializer
        .collect_seq(NAMES.iter().enumerate().filter(|(bit, _)| flags & (1 << bit) != 0).map(|(_, n)| n))
}

/// Milliseconds, as everywhere in qlog.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

#[allow(clippy::ref_option, reason = "the signature that serde calls")]
fn some_millis<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.serialize_f64(millis(*time)),
        None => serializer.serialize_none(),
    }
}
