//! What came of a scenario, in whole numbers.

use crate::counters::Counters;
use crate::link::impair::Statistics;
use crate::tcp::TcpInfo;
use crate::time::Duration;

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// From the start of the first flow to the end.
    pub took: Duration,
    /// What came of each flow.
    pub flows: Vec<FlowReport>,
    /// What the link did to the packets with data.
    pub data_way: Statistics,
    /// What it did to those that acknowledge.
    pub ack_way: Statistics,
    /// What the hosts counted, the client first.
    pub counters: [Counters; 2],
    /// The figures over time, if they were asked for.
    pub samples: Vec<Sample>,
}

/// What came of one flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowReport {
    /// When it started, from the start of the first.
    pub started: Duration,
    /// From its start to its end: to its last byte where the length is one of bytes.
    pub took: Duration,
    /// Bytes that the program has received.
    pub received: u64,
    /// Those of the second half of the run; 0 where the length is one of bytes.
    pub received_late: u64,
    /// Segments of data sent, again or not.
    pub sent: u64,
    /// Segments sent again.
    pub retransmitted: u64,
    /// Segments that arrived with nothing that had not come before: sent again for nothing, or doubled by the link.
    pub twice: u64,
    /// Segments of data that arrived.
    pub arrived: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
}

/// The figures of a flow's sender at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// From the start of the first flow.
    pub at: Duration,
    /// Whose they are.
    pub flow: usize,
    /// Congestion window, segments.
    pub cwnd: u32,
    /// Slow start threshold, segments; `None`: none yet.
    pub ssthresh: Option<u32>,
    /// Smoothed round-trip time, microseconds.
    pub srtt: u32,
    /// Segments in flight, as far as the sender knows.
    pub in_flight: u32,
    /// What it makes of the path, as `tcpi_ca_state` of Linux: 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss.
    pub state: u8,
    /// Segments sent again so far.
    pub retransmitted: u32,
    /// Bytes acknowledged so far.
    pub acknowledged: u64,
}

impl Sample {
    /// What `info` says.
    pub(super) fn of(at: Duration, flow: usize, info: &TcpInfo) -> Self {
        // A connection that is not open yet has none, nor one that has lost nothing.
        let ssthresh = Some(info.snd_ssthresh).filter(|threshold| (1..i32::MAX as u32).contains(threshold));
        let gone = info.sacked.saturating_add(info.lost);
        Self {
            at,
            flow,
            cwnd: info.snd_cwnd,
            ssthresh,
            srtt: info.rtt,
            in_flight: info.unacked.saturating_add(info.retrans).saturating_sub(gone),
            state: info.ca_state,
            retransmitted: info.total_retrans,
            acknowledged: info.bytes_acked,
        }
    }

    /// Whether it shows anything that `other` does not, but for its time and the bytes acknowledged.
    pub(super) fn differs(&self, other: &Self) -> bool {
        let Self { at: _, flow, cwnd, ssthresh, srtt, in_flight, state, retransmitted, acknowledged: _ } =
            *self;
        (flow, cwnd, ssthresh, srtt) != (other.flow, other.cwnd, other.ssthresh, other.srtt)
            || (in_flight, state, retransmitted) != (other.in_flight, other.state, other.retransmitted)
    }
}

impl FlowReport {
    /// Bits a second that the program has received.
    #[must_use]
    pub fn goodput(&self) -> u64 {
        rate(self.received, self.took)
    }
}

impl Report {
    /// Bits a second of all flows together, from the start of the first.
    #[must_use]
    pub fn goodput(&self) -> u64 {
        rate(self.sum(|flow| flow.received), self.took)
    }

    /// The sum of a figure over the flows.
    pub fn sum(&self, figure: impl FnMut(&FlowReport) -> u64) -> u64 {
        self.flows.iter().map(figure).sum()
    }

    /// Jain's index of the flows' goodput in ten-thousandths: 10000 if all have the same, 10000 / n if one of n has it all.
    #[must_use]
    pub fn fairness(&self) -> u64 {
        jain(self.flows.iter().map(FlowReport::goodput))
    }

    /// The same over the second half of the run, when the flows have found each other.
    #[must_use]
    pub fn late_fairness(&self) -> u64 {
        jain(self.flows.iter().map(|flow| flow.received_late))
    }

    /// Parts of `whole` in ten-thousandths.
    #[must_use]
    pub fn share(part: u64, whole: u64) -> u64 {
        u64::try_from(u128::from(part) * 10_000 / u128::from(whole.max(1))).unwrap_or(u64::MAX)
    }
}

fn rate(bytes: u64, time: Duration) -> u64 {
    let bits = u128::from(bytes) * 8 * 1_000_000_000;
    u64::try_from(bits / time.as_nanos().max(1)).unwrap_or(u64::MAX)
}

/// (sum x)^2 / (n sum x^2), in ten-thousandths (Jain, Chiu, Hawe 1984); 10000 where all are 0.
fn jain(values: impl ExactSizeIterator<Item = u64>) -> u64 {
    let count = values.len() as u128;
    let (sum, squares) = values.fold((0u128, 0u128), |(sum, squares), value| {
        // What a terabit a second is has 40 bits: neither sum can overflow.
        (sum + u128::from(value), squares + u128::from(value) * u128::from(value))
    });
    let index = (sum * sum * 10_000).checked_div(count * squares);
    index.map_or(10_000, |index| u64::try_from(index).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jain_of_equals_is_one_and_of_a_winner_the_share_of_one() {
        assert_eq!(jain([5u64; 7].into_iter()), 10_000);
        assert_eq!(jain([9u64, 0, 0, 0].into_iter()), 2_500);
        assert_eq!(jain([1u64, 2].into_iter()), 9_000);
        assert_eq!(jain([0u64; 3].into_iter()), 10_000);
        assert_eq!(rate(1_000_000, Duration::from_millis(500)), 16_000_000);
    }
}
