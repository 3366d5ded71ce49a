//! What a traced connection tells: every segment with its reason, and after each input and output what has changed.
//!
//! A connection that is not traced has no tracer, and each site is one branch. What is asked often (state, figures, timers) is compared with
//! what was told last instead of being told where it changes, so that no change can be forgotten.

use super::congestion::{CurveFigures, Region};
use super::connection::{self, Common, Connection, Open};
use super::flight::Loss;
use super::output::{Reason, segments};
use super::phase::Phase;
use super::timer::Timer;
use super::timestamps::OPTION_LEN;
use super::undo::Needless;
use super::{Context, Outgoing, Segment, SeqNum};
use crate::counters::Drop;
use crate::time::Instant;
use crate::trace::event::{
    self, Change, Closed, Cubic, Dropped, Header, Lost, Metrics, Packet, Parameters, Raw, Started, Undone,
    What,
};
use crate::trace::{Event, Queue, Sink};
use crate::wire::tcp::{Flags, TcpOptions};

/// Remembers what was told of one connection, and keeps what is new until the stack takes it.
#[derive(Debug)]
pub struct Tracer {
    /// Number of the connection in the trace.
    number: u64,
    sink: Sink,
    /// What numbers count from: ISS and IRS.
    origins: (SeqNum, Option<SeqNum>),
    seen: Seen,
    events: Vec<(Instant, What)>,
    missed: u64,
}

/// What was told last.
#[derive(Debug, Default)]
struct Seen {
    state: &'static str,
    ended: bool,
    parameters: bool,
    journal: bool,
    congestion: Option<Phase>,
    /// A reduction was taken back since the connection was looked at.
    undone: bool,
    cubic: Option<Cubic>,
    metrics: Metrics,
    timers: [Option<Instant>; Timer::ALL.len()],
}

/// Events of one call; a segment may tell that a whole window is lost.
const CAPACITY: usize = 1 << 14;

impl Tracer {
    /// Where its events go.
    #[must_use]
    pub const fn sink(&self) -> &Sink {
        &self.sink
    }

    fn tell(&mut self, at: Instant, what: What) {
        if self.events.len() < CAPACITY {
            self.events.push((at, what));
        } else {
            self.missed += 1;
        }
    }

    /// Moves what is new to the queue.
    fn flush(&mut self, queue: &mut Queue) {
        for (at, what) in self.events.drain(..) {
            let (sink, connection) = (self.sink.clone(), Some(self.number));
            queue.push(Event { at, sink, connection, what });
        }
        queue.miss(std::mem::take(&mut self.missed));
    }

    /// Our numbers, from our SYN on.
    fn own(&self, seq: SeqNum) -> u32 {
        seq.since(self.origins.0)
    }

    /// The peer's.
    fn theirs(&self, seq: SeqNum) -> u32 {
        self.origins.1.map_or(0, |irs| seq.since(irs))
    }

    pub(super) fn sent(&mut self, now: Instant, outgoing: &Outgoing, shift: u8, trigger: &'static str) {
        let Outgoing { seq, ack, flags, window, options, payload, .. } = outgoing;
        let flags = if ack.is_some() { flags.with(Flags::ACK) } else { *flags };
        let header = Header {
            sequence_number: self.own(*seq),
            acknowledgment_number: ack.map(|ack| self.theirs(ack)),
            flags: flags.0,
            window: scaled(*window, shift, flags),
            sack: blocks(options, |edge| self.theirs(edge)),
            timestamps: options.timestamps,
        };
        let raw = Raw::payload(payload.iter().map(bytes::Bytes::len).sum());
        let segments = segments(outgoing);
        self.tell(now, What::Sent(Packet { header, raw, segments, trigger: Some(trigger) }));
    }

    fn received(&mut self, now: Instant, segment: &Segment, shift: u8) {
        let told = &segment.header;
        if told.flags.has(Flags::SYN) {
            self.origins.1.get_or_insert(SeqNum(told.seq));
        }
        let header = Header {
            sequence_number: self.theirs(SeqNum(told.seq)),
            acknowledgment_number: told.flags.has(Flags::ACK).then(|| self.own(SeqNum(told.ack))),
            flags: told.flags.0,
            window: scaled(told.window, shift, told.flags),
            sack: blocks(&told.options, |edge| self.own(edge)),
            timestamps: told.options.timestamps,
        };
        let bytes = segment.payload.len();
        let segments = match usize::from(segment.gso_size) {
            0 => 1,
            each => bytes.div_ceil(each).max(1),
        };
        let raw = Raw::payload(bytes);
        let segments = u32::try_from(segments).unwrap_or(u32::MAX);
        self.tell(now, What::Received(Packet { header, raw, segments, trigger: None }));
    }

    /// What came last is dropped.
    pub(super) fn dropped(&mut self, now: Instant, reason: Drop) {
        let last = self.events.iter().rev().find_map(|(_, what)| match what {
            What::Received(packet) => Some((packet.header.clone(), packet.raw)),
            _ => None,
        });
        let (header, raw) = last.unzip();
        let raw = raw.unwrap_or_default();
        self.tell(now, What::Dropped(Dropped { header, raw, trigger: reason.name() }));
    }

    /// What was taken for lost since this was asked last.
    fn losses(&mut self, now: Instant, losses: Vec<Loss>) {
        for Loss { from, length, cause } in losses {
            let sequence_number = self.own(from);
            self.tell(now, What::Lost(Lost { sequence_number, length, trigger: cause.name() }));
        }
    }

    /// Tells what is new in an open connection.
    fn look_at(&mut self, now: Instant, open: &Open, announced: u16) {
        if !std::mem::replace(&mut self.seen.parameters, true) {
            self.parameters(now, open, announced);
        }
        let figures = open.congestion.figures(now);
        let phase = Phase::of(open, &figures);
        // Slow start ends by what delays say only while there is no threshold.
        let left = figures.left.filter(|_| self.seen.metrics.ssthresh == Some(u32::MAX));
        let metrics = metrics(open);
        if let Some(changed) = metrics.changed_from(&self.seen.metrics) {
            self.seen.metrics = metrics;
            self.tell(now, What::Metrics(changed));
        }
        let undone = std::mem::take(&mut self.seen.undone);
        let old = self.seen.congestion.replace(phase);
        if old != Some(phase) {
            let trigger = old.map(|old| phase.trigger(old, left, undone));
            self.tell(
                now,
                What::Congestion(event::Phase { old: old.map(Phase::name), new: phase.name(), trigger }),
            );
        }
        if let Some(curve) = figures.curve.map(cubic).filter(|new| new.differs(self.seen.cubic.as_ref())) {
            self.seen.cubic = Some(curve);
            self.tell(now, What::Cubic(curve));
        }
    }

    fn parameters(&mut self, now: Instant, open: &Open, announced: u16) {
        let (selective, stamped) = (open.rcv.sack.is_some(), open.timestamps.is_some());
        let irs = open.rcv.nxt - 1 - open.rcv.position as u32 - u32::from(open.rcv.fin_reached);
        self.origins.1 = Some(irs);
        let options = if stamped { OPTION_LEN } else { 0 };
        let side = |owner, number: SeqNum, max_segment_size, window_scale| {
            What::Parameters(Parameters {
                owner,
                initial_sequence_number: number.0,
                max_segment_size,
                window_scale,
                selective_acknowledgements: selective,
                timestamps: stamped,
            })
        };
        let takes = u32::from(announced.saturating_sub(options));
        let local = side("local", self.origins.0, takes, open.rcv.scale.shift());
        let remote = side("remote", irs, open.snd.mss_most, open.snd.scale.shift());
        self.tell(now, local);
        self.tell(now, remote);
    }

    fn timers(&mut self, now: Instant, timers: [Option<Instant>; Timer::ALL.len()]) {
        for (index, timer) in Timer::ALL.into_iter().enumerate() {
            let (Some(before), Some(after)) = (self.seen.timers.get(index), timers.get(index)) else {
                return;
            };
            let (before, after) = (*before, *after);
            if before == after {
                continue;
            }
            let told = |event_type, delta| event::Timer { timer_type: timer.name(), event_type, delta };
            let expired = before.is_some_and(|at| at <= now);
            if expired {
                self.tell(now, What::Timer(told("expired", None)));
            }
            match after {
                Some(at) => self.tell(now, What::Timer(told("set", Some(at.since(now))))),
                None if expired => {}
                None => self.tell(now, What::Timer(told("cancelled", None))),
            }
        }
        self.seen.timers = timers;
    }
}

impl Connection {
    /// Tells what happens from now on, beginning with what it is, and with the peer's SYN if it has just begun by that.
    pub fn trace(&mut self, now: Instant, number: u64, sink: Sink, syn: Option<&Segment>) {
        let setup = &self.common.setup;
        let (state, congestion) = match &self.phase {
            connection::Phase::Open(open) => (open.state().name(), Some(open.congestion.name())),
            connection::Phase::Opening(_) | connection::Phase::Closed(_) => (self.state().name(), None),
        };
        let started = Started::new(setup.local, setup.remote, state, congestion);
        let mut tracer = Tracer {
            number,
            sink,
            origins: (setup.iss, None),
            seen: Seen { state, ..Seen::default() },
            events: Vec::new(),
            missed: 0,
        };
        tracer.tell(now, What::Started(started));
        if let Some(syn) = syn {
            tracer.received(now, syn, 0);
        }
        self.common.trace = Some(Box::new(tracer));
        self.observe(now);
    }

    /// Tells nothing any more.
    pub fn trace_no_more(&mut self) {
        self.common.trace = None;
        if let connection::Phase::Open(open) = &mut self.phase {
            open.snd.flight.keep_journal(false);
        }
    }

    /// Its tracer, if it has one.
    #[must_use]
    pub fn tracer(&self) -> Option<&Tracer> {
        self.common.trace.as_deref()
    }

    /// Moves what is new to the queue.
    #[inline]
    pub fn flush_trace(&mut self, queue: &mut Queue) {
        if let Some(tracer) = &mut self.common.trace {
            tracer.flush(queue);
        }
    }

    /// A segment has come.
    pub(super) fn observe_segment(&mut self, now: Instant, segment: &Segment) {
        let shift = match &self.phase {
            connection::Phase::Open(open) => open.snd.scale.shift(),
            connection::Phase::Opening(_) | connection::Phase::Closed(_) => 0,
        };
        if let Some(tracer) = &mut self.common.trace {
            tracer.received(now, segment, shift);
        }
    }

    /// A segment goes.
    #[inline]
    pub(super) fn observe_sent(&mut self, now: Instant, outgoing: &Outgoing, reason: Reason) {
        let shift = match &self.phase {
            connection::Phase::Open(open) => open.rcv.scale.shift(),
            connection::Phase::Opening(_) | connection::Phase::Closed(_) => 0,
        };
        if let Some(tracer) = &mut self.common.trace {
            tracer.sent(now, outgoing, shift, reason.name());
        }
    }

    /// Tells what has changed.
    #[inline]
    pub(super) fn observe(&mut self, now: Instant) {
        if self.common.trace.is_some() {
            self.look_over(now);
        }
    }

    fn look_over(&mut self, now: Instant) {
        let Some(mut tracer) = self.common.trace.take() else { return };
        let mut timers = [None; Timer::ALL.len()];
        match &mut self.phase {
            connection::Phase::Open(open) => {
                if !std::mem::replace(&mut tracer.seen.journal, true) {
                    open.snd.flight.keep_journal(true);
                }
                tracer.losses(now, open.snd.flight.take_journal());
                tracer.look_at(now, open, self.common.stats.announced);
                timers = open.timers.all();
            }
            connection::Phase::Opening(opening) => {
                if let Some(timer) = timers.first_mut() {
                    *timer = opening.retransmit_at;
                }
            }
            connection::Phase::Closed(_) => {}
        }
        tracer.timers(now, timers);
        let state = self.state().name();
        let old = std::mem::replace(&mut tracer.seen.state, state);
        if old != state {
            tracer.tell(now, What::State(Change { old: Some(old), new: state }));
        }
        if let Some(reason) = self.common.ended.filter(|_| !tracer.seen.ended) {
            tracer.seen.ended = true;
            tracer.tell(now, What::Closed(Closed::new(reason)));
        }
        self.common.trace = Some(tracer);
    }
}

impl Common {
    /// What came last is dropped, for this reason.
    pub(super) fn dropped(&mut self, now: Instant, reason: Drop, cx: &mut Context<'_>) {
        cx.counters.drop(reason);
        if let Some(tracer) = &mut self.trace {
            tracer.dropped(now, reason);
        }
    }
}

impl Common {
    /// A reduction of the congestion window was for nothing.
    pub(super) fn undone(&mut self, now: Instant, needless: Needless) {
        if let Some(tracer) = &mut self.trace {
            tracer.seen.undone = true;
            tracer.tell(now, What::Undone(Undone { trigger: needless.name() }));
        }
    }
}

impl Reason {
    /// Its name in a trace.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Reply(_) => "reset_reply",
            Self::Syn => "syn",
            Self::Duplicate => "duplicate_ack",
            Self::Head => "head_retransmission",
            Self::Hole { .. } => "hole_retransmission",
            Self::TailNew { .. } => "tail_loss_probe",
            Self::TailAgain { .. } => "tail_loss_probe_retransmission",
            Self::Data { .. } => "data",
            Self::MtuProbe { .. } => "mtu_probe",
            Self::Probe => "window_probe",
            Self::KeepAlive => "keep_alive",
            Self::Early(_) => "early_ack",
            Self::Ack(cause) => cause.name(),
        }
    }
}

/// A window field in bytes.
fn scaled(window: u16, shift: u8, flags: Flags) -> u32 {
    if flags.has(Flags::SYN) { u32::from(window) } else { u32::from(window) << shift.min(14) }
}

/// The blocks of a segment, relative.
fn blocks(options: &TcpOptions, relative: impl Fn(SeqNum) -> u32) -> crate::trace::event::Blocks {
    options.sack.iter().map(|(from, to)| (relative(SeqNum(*from)), relative(SeqNum(*to)))).collect()
}

/// The figures of the sender.
fn metrics(open: &Open) -> Metrics {
    let (snd, rtt) = (&open.snd, &open.rtt);
    Metrics {
        min_rtt: rtt.least(),
        smoothed_rtt: rtt.smoothed(),
        latest_rtt: rtt.latest(),
        rtt_variance: rtt.smoothed().map(|_| rtt.variation()),
        retransmission_timeout: Some(open.rto()),
        pto_count: Some(rtt.backoff()),
        congestion_window: Some(open.congestion.window()),
        ssthresh: Some(open.congestion.threshold()),
        bytes_in_flight: Some(open.pipe()),
        bytes_unacknowledged: Some(snd.outstanding()),
        send_window: Some(snd.wnd),
        receive_window: Some(open.rcv.window()),
        max_segment_size: Some(snd.mss),
    }
}

/// What CUBIC goes by.
fn cubic(curve: CurveFigures) -> Cubic {
    let CurveFigures { most, prior, k, estimate, region } = curve;
    Cubic { w_max: most, cwnd_prior: prior, k, w_est: estimate, region: region.map(Region::name) }
}
