//! A connection as the packets show it: two ends, and which incarnation they are at.

use crate::checker::Context;
use crate::options::TcpOptions;
use crate::packet::Segment;
use crate::rules::{self, Marks, Owed, Place, Reader, Series};
use crate::space::{Line, Ranges, Stream};
use crate::{Flow, Kind};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// A SYN that was seen.
#[derive(Clone, Debug)]
pub(crate) struct Syn {
    pub(crate) isn: u32,
    pub(crate) options: TcpOptions,
    window: u16,
}

impl Syn {
    /// What acknowledges it and no more.
    const fn answer(&self) -> u32 {
        self.isn.wrapping_add(1)
    }
}

/// One end. Positions are those of the sender's sequence space, `max` and `una` of its own, `ack` and `edge` of the other's.
#[derive(Clone, Debug, Default)]
pub(crate) struct End {
    /// Whether the capture was made here: what it sent and received is known.
    pub(crate) here: bool,
    pub(crate) judged: bool,
    pub(crate) syn: Option<Syn>,
    pub(crate) line: Option<Line>,

    /// Behind all that it sent.
    pub(crate) max: i64,
    /// What the other end has acknowledged.
    pub(crate) una: i64,
    /// Behind the payload that it sent.
    pub(crate) data: i64,
    pub(crate) stream: Stream,
    pub(crate) fin: Option<i64>,
    pub(crate) flow_label: Option<u32>,
    /// The oldest and the newest TSval.
    pub(crate) stamps: Option<(u32, u32)>,
    /// Behind the urgent data.
    pub(crate) urgent: Option<i64>,
    pub(crate) marks: Marks,
    /// Whether anything that it sent may have been lost.
    pub(crate) troubled: bool,
    pub(crate) series: Option<Series>,
    /// When it last sent a keep-alive.
    pub(crate) keep_alive: Option<u64>,

    /// The highest acknowledgement that it sent.
    pub(crate) ack: Option<i64>,
    /// The right edge of the window that it offered.
    pub(crate) edge: Option<i64>,
    /// All that has reached it.
    pub(crate) received: Ranges,
    /// What of that it has to have taken.
    pub(crate) taken: Ranges,
    /// Whether something came since its last ACK that it need not have taken: what it has is not known until it says so.
    pub(crate) unsure: bool,
    /// Behind what was in order when a gap was filled last.
    pub(crate) filled: i64,
    pub(crate) owed: VecDeque<Owed>,
    /// Whether it has acknowledged anything beside the SYN.
    pub(crate) speaks: bool,
    /// Whether what it takes is read.
    pub(crate) reader: Reader,
    /// Whether it has ended the connection by a RST.
    pub(crate) aborted: bool,

    /// Acknowledgements that reached it lately, and ends of what did not acknowledge: a RST may carry them.
    pub(crate) heard: VecDeque<u32>,
    /// Segments other than RST that came since it last sent, and were not answered by a RST.
    pub(crate) asked: u32,
    /// Sequence number, acknowledgement and window of the last segment it sent, if that was nothing but an ACK.
    pub(crate) bare: Option<(u32, u32, u16)>,
    /// ACKs in a row that said nothing new, and when the first was sent.
    pub(crate) repeated: (u32, u64),
}

impl End {
    /// What survives an incarnation.
    fn anew(&self) -> Self {
        Self { here: self.here, judged: self.judged, heard: self.heard.clone(), ..Self::default() }
    }

    fn begin(&mut self, syn: Syn) {
        self.line = Some(Line::new(syn.isn));
        self.edge = Some(1 + i64::from(syn.window));
        self.syn = Some(syn);
    }
}

/// What came last, from whom.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Last {
    pub(crate) time: u64,
    pub(crate) number: u64,
    pub(crate) rst: bool,
    /// Whether it said nothing that its sender had not said before.
    pub(crate) repeats: bool,
}

/// SYNs of one end with different sequence numbers, of which none was answered.
#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    /// Nanoseconds between the last two.
    interval: u64,
    /// How many intervals in a row were twice the one before.
    doubled: u32,
}

/// Intervals that double in a row: programs that try again seldom wait so, and their SYNs would be repeated meanwhile.
const DOUBLED: u32 = 2;

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) addresses: [SocketAddr; 2],
    pub(crate) ends: [End; 2],
    /// Whether it was open before the capture.
    pub(crate) mid: bool,
    /// A RST has ended it.
    pub(crate) over: bool,
    /// The last packet of each end.
    pub(crate) last: [Option<Last>; 2],
    /// A SYN of this end, of which is not known yet whether the other end takes it for a new connection.
    pending: Option<(usize, Syn)>,
    /// What the end here tried in vain.
    tries: Tries,
    /// Whether a SYN came since the last SYN/ACK.
    asked: bool,
    incarnations: u64,
}

/// Whether a SYN concerns the connection as it is.
#[derive(PartialEq, Eq)]
enum Begin {
    Usual,
    Stale,
}

impl Connection {
    pub(crate) fn new(addresses: [SocketAddr; 2]) -> Self {
        Self {
            addresses,
            ends: [End::default(), End::default()],
            mid: false,
            over: false,
            last: [None; 2],
            pending: None,
            tries: Tries::default(),
            asked: false,
            incarnations: 1,
        }
    }

    pub(crate) fn seen(&self) -> bool {
        self.last.iter().any(Option::is_some)
    }

    /// Connections that it has been.
    pub(crate) const fn count(&self) -> u64 {
        self.incarnations
    }

    /// How an end stands to the capture.
    pub(crate) fn stand(&mut self, end: usize, here: bool, judged: bool) {
        self.ends[end].here = here;
        self.ends[end].judged = judged;
    }

    pub(crate) fn flow(&self, from: usize) -> Flow {
        Flow { from: self.addresses[from], to: self.addresses[1 - from] }
    }

    /// The shift of this end's window outside of SYNs, if it is known.
    pub(crate) fn scale(&self, end: usize) -> Option<u32> {
        let shifts = self.ends.each_ref().map(|end| end.syn.as_ref().map(|syn| syn.options.scale));
        match (shifts[end]?, shifts[1 - end]?) {
            (Some(own), Some(_)) => Some(u32::from(own.min(14))),
            _ => Some(0),
        }
    }

    /// Whether both SYNs had timestamps, if both were seen.
    pub(crate) fn stamped(&self) -> Option<bool> {
        let both = self.ends.each_ref().map(|end| end.syn.as_ref().map(|s| s.options.timestamps.is_some()));
        Some(both[0]? && both[1]?)
    }

    /// What the other end of `from` takes in a segment, options and all, if its SYN was seen.
    pub(crate) fn mss(&self, from: usize) -> Option<i64> {
        let default = if self.addresses[from].is_ipv4() { 536 } else { 1220 };
        let syn = self.ends[1 - from].syn.as_ref()?;
        Some(i64::from(syn.options.mss.unwrap_or(default)))
    }

    /// Answers that are overdue.
    pub(crate) fn overdue(&mut self, cx: &mut Context<'_>) {
        for end in 0..2 {
            let flow = self.flow(end);
            rules::overdue(&mut self.ends[end], flow, cx);
        }
    }

    /// Nothing comes any more.
    pub(crate) fn end(&mut self, cx: &mut Context<'_>) {
        cx.found.extend(self.ends.iter_mut().filter_map(|end| end.reader.end()));
    }

    /// A segment of `from`, in a packet of `length` bytes.
    pub(crate) fn segment(
        &mut self,
        from: usize,
        segment: &Segment<'_>,
        length: usize,
        flow_label: Option<u32>,
        cx: &mut Context<'_>,
    ) {
        self.overdue(cx);
        let begun = segment.syn && !segment.rst && self.begin(from, segment, cx) == Begin::Stale;
        let judged = self.ends[from].judged;
        if begun {
            if judged {
                rules::flags(self, from, segment, cx);
            }
            rules::heard(self, from, segment);
        } else {
            self.usual(from, segment, length, flow_label, cx);
        }
        let bare = segment.ack.filter(|_| segment.is_bare()).map(|ack| (segment.seq, ack, segment.window));
        let repeats = bare.is_some() && bare == self.ends[from].bare;
        self.ends[from].bare = bare;
        self.last[from] = Some(Last { time: cx.now, number: cx.number, rst: segment.rst, repeats });
    }

    fn usual(
        &mut self,
        from: usize,
        segment: &Segment<'_>,
        length: usize,
        flow_label: Option<u32>,
        cx: &mut Context<'_>,
    ) {
        if !segment.rst {
            self.join(from, segment);
        }
        let place = self.place(from, segment);
        if self.ends[from].judged {
            rules::flags(self, from, segment, cx);
            rules::header(self, from, segment, cx);
            rules::selective(self, from, segment, place, cx);
            rules::length(self, from, segment, length, cx);
            rules::urgent(self, from, segment, place, cx);
            rules::marks(self, from, segment, place, cx);
            rules::reset(self, from, segment, place, cx);
            rules::repetition(self, from, segment, cx);
            if let Some(place) = place {
                rules::acks(self, from, segment, place, cx);
                rules::stream(self, from, segment, place, cx);
                rules::timing(self, from, segment, place, cx);
                rules::closing(self, from, segment, place, cx);
            }
            let known = self.ends[from].flow_label;
            if let (Some(old), Some(new), true) = (known, flow_label, self.ends[from].here)
                && old != new
            {
                cx.blame(Kind::FlowLabelChanged, self.flow(from), format!("{new:#x} behind {old:#x}"));
            }
        }
        if !segment.rst {
            self.ends[from].flow_label = flow_label;
        }
        rules::marked(self, from, segment, place);
        if let Some(place) = place {
            rules::serve(&mut self.ends[from], segment, place);
            rules::owe(self, from, segment, place, cx);
            self.note(from, segment, place);
        } else if segment.rst && segment.ack == self.ends[1 - from].syn.as_ref().map(Syn::answer) {
            // A SYN is refused.
            self.over = true;
        }
        rules::heard(self, from, segment);
    }

    /// Takes up a connection that was open before the capture.
    fn join(&mut self, from: usize, segment: &Segment<'_>) {
        if self.ends[from].line.is_none() && !segment.syn {
            self.ends[from].line = Some(Line::new(segment.seq));
            self.mid = true;
        }
        if let (None, Some(ack)) = (self.ends[1 - from].line, segment.ack) {
            // Whoever answers a SYN that was not seen acknowledges it.
            let base = if segment.syn { ack.wrapping_sub(1) } else { ack };
            self.ends[1 - from].line = Some(Line::new(base));
            self.mid = true;
        }
    }

    fn place(&self, from: usize, segment: &Segment<'_>) -> Option<Place> {
        let at = self.ends[from].line?.at(segment.seq);
        let ack = self.ends[1 - from].line.zip(segment.ack).map(|(line, ack)| line.at(ack));
        let data = at + i64::from(segment.syn);
        Some(Place { at, data, end: at + segment.len(), ack })
    }

    /// What a SYN means for the connection.
    fn begin(&mut self, from: usize, segment: &Segment<'_>, cx: &mut Context<'_>) -> Begin {
        let syn = Syn { isn: segment.seq, options: segment.options.clone(), window: segment.window };
        let known = self.ends[from].syn.as_ref().map(|syn| syn.isn);
        let Some(ack) = segment.ack else {
            self.asked |= !self.ends[from].here;
            return self.open(from, syn, known, cx);
        };
        let to = 1 - from;
        let answers = |syn: &Syn| syn.answer() == ack;
        if self.pending.as_ref().is_some_and(|(end, syn)| *end == to && answers(syn)) {
            let Some((_, asking)) = self.pending.take() else { return Begin::Stale };
            self.renew(cx);
            self.ends[to].begin(asking);
            self.ends[to].max = 1;
            self.start(from, syn, cx);
            return Begin::Usual;
        }
        match &self.ends[to].syn {
            Some(asking) if answers(asking) => {}
            None if self.ends[to].line.is_none() => {
                self.start(from, syn, cx);
                return Begin::Usual;
            }
            _ => return Begin::Stale,
        }
        let here = self.ends[from].here;
        let asked = self.asked;
        self.asked &= !here;
        match known {
            Some(isn) if isn == segment.seq => Begin::Usual,
            None => {
                self.start(from, syn, cx);
                Begin::Usual
            }
            Some(_) if !here && self.ends[to].speaks => Begin::Stale,
            Some(isn) => {
                if here && !asked && self.ends[from].judged {
                    let what = format!("{} was {isn} before, and no SYN came in between", segment.seq);
                    cx.blame(Kind::SynChanged, self.flow(from), what);
                }
                let asking = self.ends[to].syn.take();
                self.renew(cx);
                if let Some(asking) = asking {
                    self.ends[to].begin(asking);
                    self.ends[to].max = 1;
                }
                self.start(from, syn, cx);
                Begin::Usual
            }
        }
    }

    /// A SYN without ACK.
    fn open(&mut self, from: usize, syn: Syn, known: Option<u32>, cx: &mut Context<'_>) -> Begin {
        if known == Some(syn.isn) && !self.over {
            self.tries = Tries::default();
            return Begin::Usual;
        }
        if self.ends[from].line.is_none() {
            self.start(from, syn, cx);
            return Begin::Usual;
        }
        if !self.ends[from].here {
            self.pending = Some((from, syn));
            return Begin::Stale;
        }
        if let Some(isn) = known
            && self.ends[from].judged
            && (syn.isn.wrapping_sub(isn) as i32) < 0
            && self.last[from].is_some_and(|last| cx.now - last.time < 60_000_000_000)
        {
            let what = format!("{} behind {isn}", syn.isn);
            cx.blame(Kind::IsnBackwards, self.flow(from), what);
        }
        if self.tried(from, cx) && self.ends[from].judged {
            let what = format!("{} for a SYN that was not answered, each time after twice as long", syn.isn);
            cx.blame(Kind::SynChanged, self.flow(from), what);
        }
        self.renew(cx);
        self.start(from, syn, cx);
        Begin::Usual
    }

    /// Whether SYNs with different sequence numbers come in the manner of retransmissions.
    fn tried(&mut self, from: usize, cx: &Context<'_>) -> bool {
        let Some(last) = self.last[from] else { return false };
        let alone = self.ends[from].ack.is_none() && !self.ends[1 - from].speaks && !self.over;
        let unheard = self.last[1 - from].is_none_or(|other| other.number < last.number);
        if !alone || !unheard || cx.icmp > last.number {
            self.tries = Tries::default();
            return false;
        }
        let (interval, twice) = (cx.now - last.time, 2 * self.tries.interval);
        let slack = u64::try_from(cx.options.slack.as_nanos()).unwrap_or(u64::MAX);
        let doubles = twice > 0 && interval.abs_diff(twice) <= slack.saturating_add(twice / 10);
        self.tries = Tries { interval, doubled: if doubles { self.tries.doubled + 1 } else { 0 } };
        self.tries.doubled >= DOUBLED
    }

    fn start(&mut self, from: usize, syn: Syn, cx: &mut Context<'_>) {
        let host = self.addresses[from].ip();
        let judged = self.ends[from].judged && self.ends[from].here;
        if judged && cx.hosts.guessed(cx.now, syn.isn, self.addresses, host) {
            let what = format!("{} is close to those of the connections before", syn.isn);
            cx.blame(Kind::IsnPredictable, self.flow(from), what);
        }
        self.ends[from].begin(syn);
    }

    fn renew(&mut self, cx: &mut Context<'_>) {
        self.end(cx);
        self.ends = self.ends.each_ref().map(End::anew);
        self.mid = false;
        self.over = false;
        self.pending = None;
        self.incarnations += 1;
    }

    /// What the segment changes.
    fn note(&mut self, from: usize, segment: &Segment<'_>, place: Place) {
        let scale = if segment.syn { Some(0) } else { self.scale(from) };
        let (sender, receiver) = both(&mut self.ends, from);
        if segment.rst {
            rules::end(sender, receiver, place, &mut self.over);
            if self.over {
                self.ends.iter_mut().for_each(|end| end.stream = Stream::default());
            }
            return;
        }
        // What lies beyond the window is cut off by whoever receives it.
        let most =
            receiver.edge.filter(|_| !sender.here && !self.mid).map_or(i64::MAX, |edge| edge.max(1) + 1);
        let end = place.end.min(most);
        if place.at < most {
            sender.max = sender.max.max(end);
            sender.data = sender.data.max(end - i64::from(segment.fin));
            if segment.fin && place.end <= most {
                sender.fin.get_or_insert(place.end - 1);
            }
            if receiver.here {
                receiver.received.add(place.at, end);
            }
        }
        let near = sender.max;
        sender.line.iter_mut().for_each(|line| line.advance(near));
        if let Some((value, _)) = segment.options.timestamps {
            let (first, last) = sender.stamps.unwrap_or((value, value));
            let older = (value.wrapping_sub(first) as i32) < 0;
            let newer = (value.wrapping_sub(last) as i32) > 0;
            sender.stamps = Some((if older { value } else { first }, if newer { value } else { last }));
        }
        let Some(ack) = place.ack else { return };
        if self.mid {
            receiver.max = receiver.max.max(ack);
        }
        if ack > receiver.max {
            return;
        }
        let repeated = segment.len() == 0 && ack == receiver.una && receiver.max > ack;
        receiver.troubled |= repeated || !segment.options.sack.is_empty();
        receiver.una = receiver.una.max(ack);
        receiver.stream.acknowledged(receiver.una);
        sender.ack = Some(sender.ack.map_or(ack, |old| old.max(ack)));
        sender.speaks |= !segment.syn;
        if let Some(scale) = scale {
            let right = ack + (i64::from(segment.window) << scale);
            sender.edge = Some(sender.edge.map_or(right, |old| old.max(right)));
        }
    }
}

/// The two ends, the sender's first.
pub(crate) fn both(ends: &mut [End; 2], from: usize) -> (&mut End, &mut End) {
    let [first, second] = ends;
    if from == 0 { (first, second) } else { (second, first) }
}
