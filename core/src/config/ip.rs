//! Settings of IP.

use crate::time::Duration;

/// IP settings.
#[derive(Clone, Debug)]
pub struct IpConfig {
    /// Time to live, hop limit, at least 1. Default 64 (RFC 1122 3.2.1.7, RFC 8200 section 3).
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.7
    //# When a fixed TTL value is used, it MUST be configurable. (1122:3.2.1.7-4)
    pub hop_limit: u8,
    /// Type of service, traffic class. Default 0.
    pub traffic_class: u8,
    /// Give each flow over IPv6 a label that routers can spread load by (RFC 6437). Default true; false: 0.
    pub flow_label: bool,
    /// IPV6_V6ONLY of a new socket of AF_INET6. Default false, as in Linux: on the wildcard it takes connections over IPv4 too (RFC 3493 3.7).
    pub bind_v6_only: bool,
    /// Answer echo requests, ICMP (RFC 1122 3.2.2.6) and ICMPv6 (RFC 4443 4.2). Default true.
    pub answer_echo: bool,
    /// Most ICMP messages a second that the stack sends of its own. Default 1000 (RFC 4443 2.4 f).
    pub icmp_rate: u32,
    /// Most ICMP errors a second to one destination. Default 1, as in Linux (RFC 1812 4.3.2.8, RFC 4443 2.4 f).
    //= https://www.rfc-editor.org/rfc/rfc4443#section-2.4
    //# The rate-limiting parameters SHOULD be configurable. (4443:2.4-13)
    pub icmp_error_rate: u32,
    /// Most of them at once. Default 6, as in Linux; 0: none is ever sent.
    //= https://www.rfc-editor.org/rfc/rfc4443#section-3.1
    //# it is recommended that implementations SHOULD allow sending of ICMP destination unreachable messages to be disabled, preferably on a per-interface basis. (4443:3.1-6)
    pub icmp_error_burst: u32,
    /// Time that the fragments of an IPv4 packet have to arrive in. Default 60 s (RFC 1122 3.3.2: 60 to 120 s; Linux has 30 s).
    pub reassembly_timeout_v4: Duration,
    /// The same over IPv6. Default 60 s (RFC 8200 4.5).
    pub reassembly_timeout_v6: Duration,
    /// Most bytes of fragments that wait for others, at least 65536. Default 4 MiB, as in Linux. The oldest packet makes room.
    pub reassembly_bytes: usize,
    /// Most packets whose fragments wait for others. Default 1024.
    pub reassembly_packets: usize,
    /// Most fragments of one packet. Default 256.
    pub reassembly_fragments: usize,
    /// Least path MTU taken from ICMP over IPv4, bytes. Default 552, as in Linux (RFC 1191 section 3: never below 68); over IPv6 it is 1280.
    pub path_mtu_min: u16,
    /// Time after which a path is tried with larger packets again. Default 10 min (RFC 1191 section 6.3, RFC 8201 section 4).
    //= https://www.rfc-editor.org/rfc/rfc8201#section-5.3
    //# an implementation should provide a means for changing the timeout duration, including setting it to "infinity". (8201:5.3-3)
    pub path_mtu_lifetime: Duration,
    /// Most destinations whose path MTU is kept, at least 1. Default 4096.
    pub path_mtus: usize,
    /// Packets that a path which swallows larger ones is expected to carry, bytes; over IPv6 at least 1280. Default 1200 (RFC 8899 5.1.2).
    //= https://www.rfc-editor.org/rfc/rfc4821#section-7.2
    //# The initial value for search_low SHOULD be configurable. (4821:7.2-4)
    pub path_mtu_base: u16,
    /// The search for what a path carries ends when there is no more than this to gain, bytes. Default 8, as tcp_probe_threshold of Linux.
    pub path_mtu_step: u16,
    /// Probes of one size that are lost, and nothing with them, before it is taken for too large. Default 3, MAX_PROBES of RFC 8899 5.1.2.
    pub path_mtu_probes: u8,
    /// Time after which nobody waits for a probe any more that another connection sent, at least 1 s. Default 20 s, PROBE_TIMER of RFC 8899 5.1.1.
    pub path_mtu_probe_timeout: Duration,
}

impl Default for IpConfig {
    fn default() -> Self {
        Self {
            hop_limit: 64,
            traffic_class: 0,
            flow_label: true,
            bind_v6_only: false,
            answer_echo: true,
            icmp_rate: 1000,
            icmp_error_rate: 1,
            icmp_error_burst: 6,
            //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.2
            //# There MUST be a reassembly timeout. The reassembly timeout value SHOULD be a fixed value, not set from the remaining TTL. It is recommended that the value lie between 60 seconds and 120 seconds. (1122:3.3.2-4)
            reassembly_timeout_v4: Duration::from_secs(60),
            reassembly_timeout_v6: Duration::from_secs(60),
            reassembly_bytes: 4 << 20,
            reassembly_packets: 1024,
            reassembly_fragments: 256,
            path_mtu_min: 552,
            //= https://www.rfc-editor.org/rfc/rfc8201#section-5.3
            //# When a PMTU value has not been decreased for a while (on the order of 10 minutes), it should probe to find if a larger PMTU is supported. (8201:5.3-2)
            path_mtu_lifetime: Duration::from_secs(600),
            path_mtus: 4096,
            //= https://www.rfc-editor.org/rfc/rfc8899#section-5.1.2
            //# a default BASE_PLPMTU of 1200 bytes is RECOMMENDED. (8899:5.1.2-1)
            //= https://www.rfc-editor.org/rfc/rfc4821#section-7.2
            //# It is RECOMMENDED that search_low be initially set to an MTU size that is likely to work over a very wide range of environments. (4821:7.2-3)
            path_mtu_base: 1200,
            path_mtu_step: 8,
            path_mtu_probes: 3,
            //= https://www.rfc-editor.org/rfc/rfc8899#section-5.1.1
            //# This value MUST NOT be smaller than 1 second and SHOULD be larger than 15 seconds. (8899:5.1.1-1)
            path_mtu_probe_timeout: Duration::from_secs(20),
        }
    }
}
