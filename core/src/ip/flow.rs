//! What tells packets and flows apart on the wire: identification (RFC 6864) and flow label (RFC 6437), keyed hashes of who talks to whom.

use crate::rng::Rng;
use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

/// Counters of identifications: paths share one only if their hashes fall together, and even then they count from different places.
const COUNTERS: usize = 1024;

/// Bits of a flow label.
const LABEL: u64 = 0xf_ffff;

/// Names for the packets and flows of one host, which nobody can guess or tell other hosts' from.
#[derive(Clone, Debug)]
pub struct Flows {
    label: [u8; 16],
    place: [u8; 16],
    counters: Vec<u32>,
}

impl Flows {
    /// Keyed by `rng`.
    #[must_use]
    pub fn new(rng: &Rng) -> Self {
        let mut rng = rng.fork("flows");
        //= https://www.rfc-editor.org/rfc/rfc6437#section-2
        //# third parties should be unlikely to be able to guess the next value that a source of flow labels will choose. (6437:2-1)
        Self { label: rng.next_key(), place: rng.next_key(), counters: Vec::new() }
    }

    /// The flow label of packets of `protocol` between two endpoints: the same for all of them, never 0.
    //= https://www.rfc-editor.org/rfc/rfc6437#section-3
    //# To enable Flow-Label-based classification, source nodes SHOULD assign each unrelated transport connection and application data stream to a new flow. (6437:3-1)
    #[must_use]
    pub fn label(&self, local: SocketAddr, remote: SocketAddr, protocol: u8) -> u32 {
        let mut hasher = SipHasher13::new_with_key(&self.label);
        //= https://www.rfc-editor.org/rfc/rfc6437#section-3
        //# It is therefore RECOMMENDED that source hosts support the flow label by setting the flow label field for all packets of a given flow to the same value chosen from an approximation to a discrete uniform distribution. (6437:3-2)
        (local.ip(), local.port(), remote.ip(), remote.port(), protocol).hash(&mut hasher);
        //= https://www.rfc-editor.org/rfc/rfc6437#section-3
        //# The algorithm SHOULD ensure that the resulting flow label values are unique with high probability. (6437:3-3)
        ((hasher.finish() & LABEL) as u32).max(1)
    }

    /// The first of `count` identifications in a row for packets of `protocol` that may be cut into fragments. IPv4 has room for the low 16 bits.
    //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
    //# The Identification must be different than that of any other fragmented packet sent recently* with the same Source Address and Destination Address. (8200:4.5-1)
    //= https://www.rfc-editor.org/rfc/rfc6864#section-4.3
    //# Sources emitting non-atomic datagrams MUST NOT repeat IPv4 ID values within one MDL for a given source address/destination address/protocol tuple. (6864:4.3-1)
    pub fn identify(&mut self, source: IpAddr, destination: IpAddr, protocol: u8, count: u32) -> u32 {
        let mut hasher = SipHasher13::new_with_key(&self.place);
        //= https://www.rfc-editor.org/rfc/rfc8504#section-5.1
        //# nodes SHOULD avoid using predictable Fragment Identification values in Fragment headers (8504:5.1-2)
        (source, destination, protocol).hash(&mut hasher);
        let hash = hasher.finish();
        self.counters.resize(COUNTERS, 0);
        let Some(counter) = self.counters.get_mut((hash >> 32) as usize % COUNTERS) else {
            return hash as u32;
        };
        let first = *counter;
        *counter = first.wrapping_add(count);
        (hash as u32).wrapping_add(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn ip(host: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, host])
    }

    fn end(port: u16) -> SocketAddr {
        SocketAddr::new("2001:db8::1".parse().unwrap(), port)
    }

    //= https://www.rfc-editor.org/rfc/rfc6437#section-3
    //= type=test
    //# To enable Flow-Label-based classification, source nodes SHOULD assign each unrelated transport connection and application data stream to a new flow. (6437:3-1)
    //= https://www.rfc-editor.org/rfc/rfc6437#section-3
    //= type=test
    //# It is therefore RECOMMENDED that source hosts support the flow label by setting the flow label field for all packets of a given flow to the same value chosen from an approximation to a discrete uniform distribution. (6437:3-2)
    #[test]
    fn a_flow_keeps_its_label_and_flows_have_different_ones() {
        let flows = Flows::new(&Rng::from_seed(7));
        let labels: HashSet<u32> = (1..=1000).map(|port| flows.label(end(port), end(80), 6)).collect();
        //= https://www.rfc-editor.org/rfc/rfc6437#section-3
        //= type=test
        //# The algorithm SHOULD ensure that the resulting flow label values are unique with high probability. (6437:3-3)
        assert!(labels.len() > 990 && labels.iter().all(|label| (1..=0xf_ffff).contains(label)));
        assert!((1..=1000).all(|port| labels.contains(&flows.label(end(port), end(80), 6))));
        assert_ne!(flows.label(end(1), end(80), 6), flows.label(end(1), end(80), 17));
        let other = Flows::new(&Rng::from_seed(8));
        //= https://www.rfc-editor.org/rfc/rfc6437#section-2
        //= type=test
        //# third parties should be unlikely to be able to guess the next value that a source of flow labels will choose. (6437:2-1)
        assert_ne!(flows.label(end(1), end(80), 6), other.label(end(1), end(80), 6), "another host's");
    }

    //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
    //= type=test
    //# The Identification must be different than that of any other fragmented packet sent recently* with the same Source Address and Destination Address. (8200:4.5-1)
    //= https://www.rfc-editor.org/rfc/rfc6864#section-4.3
    //= type=test
    //# Sources emitting non-atomic datagrams MUST NOT repeat IPv4 ID values within one MDL for a given source address/destination address/protocol tuple. (6864:4.3-1)
    #[test]
    fn identifications_do_not_repeat_and_do_not_tell_of_one_another() {
        let mut flows = Flows::new(&Rng::from_seed(7));
        let mut seen = HashSet::new();
        for count in [1, 44, 1].into_iter().cycle().take(3000) {
            let first = flows.identify(ip(1), ip(2), 6, count);
            assert!((0..count).all(|n| seen.insert(first.wrapping_add(n) as u16)), "{first}");
            flows.identify(ip(1), ip(3), 6, 1);
        }
        let mut fresh = || flows.identify(ip(1), ip(9), 17, 1);
        assert_eq!(fresh().wrapping_add(1), fresh(), "each path counts by itself");
        //= https://www.rfc-editor.org/rfc/rfc8504#section-5.1
        //= type=test
        //# nodes SHOULD avoid using predictable Fragment Identification values in Fragment headers (8504:5.1-2)
        let others: HashSet<u32> = (10..100).map(|host| flows.identify(ip(1), ip(host), 17, 1)).collect();
        assert!(others.len() > 85);
    }
}
