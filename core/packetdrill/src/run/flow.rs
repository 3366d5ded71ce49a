//! Connections as a script sees them: which ports they are on, and what its numbers are on the wire.

use super::wire::{self, SYN, Segment};
use crate::script::TcpOption;
use std::collections::HashMap;

/// The first port that a peer connects from, if the script says none.
const PEER_PORT: u16 = 53_055;

/// One connection, or what a script takes for one.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// The stack's port.
    pub(super) local: u16,
    /// The peer's port.
    pub(super) remote: u16,
    /// The stack's initial sequence number: in the script, on the wire.
    isn: Option<(u32, u32)>,
    /// The peer's initial sequence number, in the script as on the wire.
    irs: Option<u32>,
    /// The stack has sent more than a SYN.
    begun: bool,
    /// A SYN has come since then: the next one of the stack may begin a new connection.
    reopened: bool,
    /// The stack's first timestamp: in the script, on the wire.
    first_stamp: Option<(u32, u32)>,
    /// Timestamps of the stack by what the script calls them.
    stamps: HashMap<u32, u32>,
    /// The last flow label: in the script, on the wire.
    label: Option<(u32, u32)>,
}

impl Flow {
    fn new(local: u16, remote: u16) -> Self {
        let (begun, reopened) = (false, false);
        let stamps = HashMap::new();
        let (isn, irs, first_stamp, label) = (None, None, None, None);
        Self { local, remote, isn, irs, begun, reopened, first_stamp, stamps, label }
    }

    /// What has to be added to a number of the stack's in the script to have it on the wire. As tcpdump writes them, numbers of a segment with SYN are
    /// absolute, and all others count from the initial one.
    pub(super) fn offset(&self, flags: u8) -> u32 {
        let counted =
            |(script, wire): (u32, u32)| if flags & SYN == 0 { wire } else { wire.wrapping_sub(script) };
        self.isn.map_or(0, counted)
    }

    /// The same of the peer's numbers, which are on the wire as in the script.
    pub(super) fn peer_offset(&self, flags: u8) -> u32 {
        if flags & SYN == 0 { self.irs.unwrap_or(0) } else { 0 }
    }

    /// Where in the stack's stream a sequence number of the wire lies; none before there is a connection.
    pub(super) fn position(&self, wire: u32) -> Option<u32> {
        self.isn.map(|(_, isn)| wire.wrapping_sub(isn).wrapping_sub(1))
    }

    /// What has to be added to a timestamp of the stack's in the script to have it on the wire.
    fn stamp_offset(&self) -> u32 {
        self.first_stamp.map_or(0, |(script, wire)| wire.wrapping_sub(script))
    }

    /// The wire's form of a timestamp of the stack's that the peer echoes.
    pub(super) fn stamp_on_wire(&self, script: u32) -> u32 {
        let guess = script.wrapping_add(self.stamp_offset());
        self.stamps.get(&script).copied().unwrap_or(if script == 0 { 0 } else { guess })
    }

    /// The script's form of a timestamp of the stack's.
    pub(super) fn stamp_in_script(&self, wire: u32) -> u32 {
        wire.wrapping_sub(self.stamp_offset())
    }

    /// Where in the peer's stream a sequence number lies.
    pub(super) fn peer_position(&self, wire: u32) -> u32 {
        wire.wrapping_sub(self.irs.unwrap_or(0)).wrapping_sub(1)
    }

    /// Whether a label on the wire may be what the script calls `script`: the same as long as that is, and another one when that is.
    pub(super) fn labels(&mut self, script: u32, wire: u32) -> bool {
        let fits = match self.label {
            _ if wire == 0 => false,
            None => true,
            Some((known, live)) => (known == script) == (live == wire),
        };
        if fits {
            self.label = Some((script, wire));
        }
        fits
    }

    /// A SYN arrives.
    pub(super) fn reopen(&mut self, seq: u32) {
        self.irs.get_or_insert(seq);
        self.reopened = self.begun;
    }

    /// A line of the script stands for `segment`: learns what both call the same thing.
    pub(super) fn learn(&mut self, script_seq: u32, absolute: bool, stamp: Option<u32>, segment: &Segment) {
        if segment.flags & SYN != 0 && !absolute && (self.isn.is_none() || self.reopened) {
            self.isn = Some((script_seq, segment.seq));
            self.first_stamp = None;
            (self.begun, self.reopened) = (false, false);
        }
        self.begun |= segment.flags & SYN == 0;
        let live = segment.options.iter().find_map(|option| match option {
            TcpOption::Timestamps { value, .. } => Some(*value),
            _ => None,
        });
        if let (Some(script), Some(live)) = (stamp, live) {
            self.first_stamp.get_or_insert((script, live));
            self.stamps.insert(script, live);
        }
    }
}

/// What an inbound SYN without ports belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// A listener on this port, or a socket that is bound and does not even listen.
    Port(u16),
    /// The flow that lines without ports belong to.
    Flow,
}

/// All flows of a script.
#[derive(Debug)]
pub(super) struct Flows {
    flows: Vec<Flow>,
    current: Option<usize>,
    subject: Subject,
    next_peer: u16,
}

impl Flows {
    /// None yet; what no call has said goes to `local`.
    pub(super) fn new(local: u16) -> Self {
        Self { flows: Vec::new(), current: None, subject: Subject::Port(local), next_peer: PEER_PORT }
    }

    /// A socket was bound or listens: a SYN opens a new flow.
    pub(super) fn bound(&mut self, local: u16) {
        self.subject = Subject::Port(local);
    }

    /// The flow that lines without ports belong to.
    pub(super) fn current(&self) -> Option<&Flow> {
        self.flows.get(self.current?)
    }

    /// The flow of an inbound segment; `ports` are those of the peer and of the stack.
    pub(super) fn inbound(&mut self, ports: Option<(u16, u16)>, flags: u8, seq: u32) -> &mut Flow {
        let index = match (ports, self.subject, self.current) {
            (Some((remote, local)), ..) => self.find_or_add(local, remote),
            (None, Subject::Flow, Some(current)) => current,
            (None, Subject::Port(local), current) => {
                let syn = flags & (SYN | wire::ACK) == SYN;
                let stray = current.filter(|index| !syn && self.flows[*index].local == local);
                if syn {
                    self.subject = Subject::Flow;
                }
                match stray {
                    Some(index) => index,
                    None => {
                        let remote = self.next_peer;
                        self.next_peer = self.next_peer.wrapping_add(1).max(1024);
                        self.find_or_add(local, remote)
                    }
                }
            }
            (None, Subject::Flow, None) => self.find_or_add(0, PEER_PORT),
        };
        self.current = Some(index);
        let flow = &mut self.flows[index];
        if flags & SYN != 0 {
            flow.reopen(seq);
        }
        flow
    }

    /// The flow of an outbound segment, if the line may stand for it: of the ports that it names, or of the current one, or new.
    pub(super) fn outbound(&mut self, ports: Option<(u16, u16)>, segment: &Segment) -> Result<usize, String> {
        let (local, remote) = (segment.source, segment.destination);
        if let Some(named) = ports {
            if named != (local, remote) {
                return Err(format!("ports {} > {}", named.0, named.1));
            }
            let index = self.find_or_add(local, remote);
            self.current = Some(index);
            return Ok(index);
        }
        if let Some(known) = self.flows.iter().position(|flow| (flow.local, flow.remote) == (local, remote)) {
            if self.current == Some(known) {
                return Ok(known);
            }
        } else if segment.flags & (SYN | wire::ACK) == SYN {
            let index = self.find_or_add(local, remote);
            self.current = Some(index);
            self.subject = Subject::Flow;
            return Ok(index);
        }
        Err(match self.current() {
            Some(flow) => format!("ports {} > {}", flow.local, flow.remote),
            None => "no connection yet".into(),
        })
    }

    pub(super) fn get_mut(&mut self, index: usize) -> &mut Flow {
        &mut self.flows[index]
    }

    fn find_or_add(&mut self, local: u16, remote: u16) -> usize {
        if let Some(index) = self.flows.iter().position(|flow| (flow.local, flow.remote) == (local, remote)) {
            return index;
        }
        self.flows.push(Flow::new(local, remote));
        self.flows.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn segment(flags: u8, seq: u32, stamp: u32) -> Segment {
        Segment {
            source: 8080,
            destination: PEER_PORT,
            seq,
            ack: 0,
            flags,
            window: 0,
            urgent: 0,
            options: vec![TcpOption::Timestamps { value: stamp, echo: 0 }],
            payload: Bytes::new(),
        }
    }

    #[test]
    fn numbers_are_counted_from_what_the_first_syn_said() {
        let mut flows = Flows::new(8080);
        let flow = flows.inbound(None, SYN, 0);
        assert_eq!((flow.local, flow.remote, flow.offset(SYN)), (8080, PEER_PORT, 0));
        flow.learn(0, false, Some(100), &segment(SYN | wire::ACK, 7000, 5100));
        assert_eq!((flow.offset(SYN), flow.stamp_on_wire(100), flow.stamp_on_wire(101)), (7000, 5100, 5101));
        flow.learn(0, false, Some(100), &segment(SYN | wire::ACK, 9000, 5200));
        assert_eq!(flow.offset(SYN), 7000, "a SYN that comes again is the same");
        assert_eq!((flow.stamp_on_wire(100), flow.stamp_in_script(5200)), (5200, 200));
        flow.reopen(0);
        flow.learn(0, false, None, &segment(SYN, 9000, 0));
        assert_eq!(flow.offset(SYN), 7000, "a SYN from both sides does not change it");
        flow.learn(1, false, None, &segment(wire::ACK, 7001, 0));
        flow.reopen(0);
        flow.learn(10, false, None, &segment(SYN, 9000, 0));
        assert_eq!(flow.offset(SYN), 8990, "a new connection on the same ports has a new one");
    }

    #[test]
    fn numbers_of_the_peer_count_from_its_syn() {
        let mut flows = Flows::new(8080);
        let flow = flows.inbound(None, SYN, 500);
        assert_eq!(
            (flow.peer_offset(SYN), flow.peer_offset(wire::ACK), flow.peer_position(501)),
            (0, 500, 0)
        );
        flow.reopen(9000);
        assert_eq!(flow.peer_offset(0), 500, "one that comes later changes nothing");
    }

    #[test]
    fn a_label_is_the_same_as_long_as_it_is_in_the_script() {
        let mut flow = Flow::new(1, 2);
        assert!(!flow.labels(1, 0) && flow.labels(1, 77) && flow.labels(1, 77));
        assert!(!flow.labels(1, 78) && !flow.labels(2, 77) && flow.labels(2, 78));
    }

    #[test]
    fn a_syn_opens_a_flow_where_a_socket_listens_and_what_follows_belongs_to_it() {
        let mut flows = Flows::new(8080);
        assert_eq!(flows.inbound(None, wire::ACK, 0).remote, PEER_PORT, "to nobody");
        assert_eq!(flows.inbound(None, SYN, 0).remote, PEER_PORT + 1);
        assert_eq!(flows.inbound(None, SYN, 0).remote, PEER_PORT + 1, "the same again");
        flows.bound(8080);
        assert_eq!(flows.inbound(None, SYN, 0).remote, PEER_PORT + 2);
        assert_eq!(flows.inbound(Some((PEER_PORT, 8080)), 0, 0).remote, PEER_PORT);
    }
}
