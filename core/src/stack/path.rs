//! What the path of a connection carries: the stack keeps it by destination, connections find it out and are told.

use super::Stack;
use super::lifecycle::headers;
use super::output::LOOPBACK;
use super::route::Way;
use super::socket::ip::{Discovery, Settings};
use crate::config::{IpConfig, MtuProbing};
use crate::ip::SearchRules;
use crate::tcp::{MtuSearch, PathNews};
use crate::time::Instant;
use std::net::IpAddr;

/// What every path of IPv6 carries (RFC 8200 section 5).
pub(super) const V6_MTU_MIN: u16 = 1280;

/// What searches go by.
pub(super) const fn rules(config: &IpConfig) -> SearchRules {
    SearchRules {
        step: config.path_mtu_step,
        probes: config.path_mtu_probes,
        probe_timeout: config.path_mtu_probe_timeout,
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.3
        //# The value for this timer MUST NOT be less than 5 minutes and is recommended to be 10 minutes (4821:7.3-3)
        pause: config.path_mtu_lifetime,
    }
}

impl Stack {
    /// What the path to `remote`, by `way`, carries for a stream with these options, bytes, and how its connections find out more, where they may.
    pub(super) fn stream_path(
        &mut self,
        now: Instant,
        remote: IpAddr,
        way: Way,
        ip: &Settings,
    ) -> (u16, Option<MtuSearch>) {
        if way == Way::Loopback {
            return (LOOPBACK.mtu, None);
        }
        let mode = self.search_mode(remote, ip);
        if mode == MtuProbing::Off {
            return (self.path_mtu(now, remote, ip), None);
        }
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.2
        //# The initial value for search_high SHOULD be the largest possible packet that might be supported by the flow. (4821:7.2-1)
        //= https://www.rfc-editor.org/rfc/rfc4821#section-4
        //# There SHOULD be per-protocol and per-route limits on the initial effective Path MTU (eff_pmtu) and the upper searching limit (search_high). (4821:4-12)
        let link = self.link_mtu(remote);
        let (base, floor) = self.base(remote);
        let begins = mode == MtuProbing::Always && base < link;
        let known = self.paths.known(now, remote, link);
        let known = known.or_else(|| begins.then(|| self.paths.unknown(now, base, link)));
        let less = |mtu: u16| mtu.saturating_sub(headers(remote));
        let probe = known.and_then(|known| known.probe).map(less);
        let mtu = known.map_or(link, |known| known.mtu.min(link));
        (mtu, Some(MtuSearch { base: less(base), floor: less(floor), probe }))
    }

    /// What a path to `remote` that swallows larger packets is expected to carry, and the least that it is ever taken to carry, bytes.
    fn base(&self, remote: IpAddr) -> (u16, u16) {
        let config = &self.config.ip;
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.7
        //# with a lower bound of 68 bytes for IPv4 and 1280 bytes for IPv6. (4821:7.7-4)
        // Who believes no router that tells of less believes silence no more.
        let floor = if remote.is_ipv6() { V6_MTU_MIN } else { config.path_mtu_min };
        (config.path_mtu_base.max(floor), floor)
    }

    /// What the path to `remote` carries for a stream with these options, bytes. Streams probe by themselves: what others have found holds for
    /// one of IP_PMTUDISC_PROBE as well.
    pub(super) fn stream_mtu(&self, now: Instant, remote: IpAddr, ip: &Settings) -> u16 {
        if self.paths.mtu(now, remote).is_none()
            && let Some(base) = self.begins(remote, ip)
        {
            return base;
        }
        let mut ip = *ip;
        for family in [&mut ip.v4, &mut ip.v6] {
            if family.discovery == Discovery::Probe {
                family.discovery = Discovery::Do;
            }
        }
        self.path_mtu(now, remote, &ip)
    }

    /// How streams with these options find out what a path that begins at the link carries.
    fn search_mode(&self, remote: IpAddr, ip: &Settings) -> MtuProbing {
        match if remote.is_ipv6() { ip.v6.discovery } else { ip.v4.discovery } {
            // Where routers may cut packets, the size of those that arrive tells nothing.
            Discovery::Dont => MtuProbing::Off,
            Discovery::Probe => MtuProbing::Always,
            Discovery::Want | Discovery::Do => self.config.tcp.mtu_probing,
        }
    }

    /// What streams with these options begin with on a path of which nothing is known, bytes, where that is less than what the link carries.
    fn begins(&self, remote: IpAddr, ip: &Settings) -> Option<u16> {
        let (base, _) = self.base(remote);
        let small = self.search_mode(remote, ip) == MtuProbing::Always
            && self.route.way(remote) == Way::Link
            && base < self.link_mtu(remote);
        small.then_some(base)
    }

    /// A connection to `remote` has found out something.
    pub(super) fn on_path_news(&mut self, now: Instant, remote: IpAddr, news: PathNews) {
        let size = |carried: u16| carried.saturating_add(headers(remote));
        //= https://www.rfc-editor.org/rfc/rfc4821#section-5.2
        //# The observed PMTU (eff_pmtu in Section 7.1) MAY be shared between different flows with a common path representation. (4821:5.2-1)
        //= https://www.rfc-editor.org/rfc/rfc4821#section-4
        //# all Packetization Layer sessions that share the path representation (as described in Section 5.2) SHOULD be notified to make use of the new MTU (4821:4-8)
        match news {
            PathNews::BlackHole(carried) => self.paths.shrink(now, remote, size(carried)),
            PathNews::NotSize => self.paths.restore(now, remote),
            PathNews::Probing => self.paths.probing(now, remote, self.base(remote).0),
            PathNews::Passed(carried) => self.paths.passed(now, remote, size(carried)),
            PathNews::Failed(carried) => self.paths.failed(now, remote, size(carried)),
            PathNews::Inconclusive => self.paths.inconclusive(now, remote),
        }
    }
}
