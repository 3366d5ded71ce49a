//! Path MTU discovery (RFC 1191, RFC 8201, RFC 4821): what is known of the paths to destinations.

use super::Report;
use super::mtu_search::{Search, SearchRules};
use crate::counters::Drop;
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Least MTU of an IPv6 link (RFC 8200 section 5).
const V6_MIN: u32 = 1280;

/// Lengths of packets that links have, from RFC 1191 section 7: where a router does not say its MTU, the next below the packet's length is tried.
const PLATEAUS: [u32; 10] = [65_535, 32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296];

/// The path MTU that a report of a packet too big makes known: at least `least` over IPv4, at most what `link` carries. [`Drop::IcmpMtu`] when no
/// router can have meant it.
pub fn believed(report: &Report, mtu: u32, link: u16, least: u16) -> Result<u16, Drop> {
    let length = u32::try_from(report.length).unwrap_or(u32::MAX);
    //= https://www.rfc-editor.org/rfc/rfc1191#section-3
    //# Hosts MUST be able to deal with Datagram Too Big messages that do not include the next-hop MTU, since it is not feasible to upgrade all the routers in the Internet in any finite time. (1191:3-7)
    let claimed = if mtu == 0 { plateau_below(length) } else { mtu };
    //= https://www.rfc-editor.org/rfc/rfc8201#section-4
    //# If a node receives a Packet Too Big message reporting a next-hop MTU that is less than the IPv6 minimum link MTU, it must discard it. (8201:4-2)
    if report.local.is_ipv6() && claimed < V6_MIN {
        return Err(Drop::IcmpMtu);
    }
    //= https://www.rfc-editor.org/rfc/rfc1191#section-3
    //# A host MUST never reduce its estimate of the Path MTU below 68 octets. (1191:3-8)
    let mtu = claimed.max(u32::from(least));
    if mtu >= length || mtu >= u32::from(link) {
        return Err(Drop::IcmpMtu);
    }
    u16::try_from(mtu).map_err(|_| Drop::IcmpMtu)
}

fn plateau_below(length: u32) -> u32 {
    PLATEAUS.into_iter().find(|plateau| *plateau < length).unwrap_or(0)
}

/// Path MTUs by destination: a bounded number of them, each for a limited time.
#[derive(Debug)]
pub struct PathMtus {
    most: usize,
    rules: SearchRules,
    //= https://www.rfc-editor.org/rfc/rfc8201#section-5.2
    //# a node must associate a PMTU value with some local representation of a path. (8201:5.2-1)
    paths: BTreeMap<IpAddr, Path>,
    /// The same by age.
    ages: BTreeSet<(Instant, IpAddr)>,
}

#[derive(Clone, Copy, Debug)]
struct Path {
    mtu: u16,
    until: Instant,
    /// How more is found out where nobody tells; without it the path is tried whole once it is forgotten, as somebody does.
    search: Option<Search>,
    /// The least that a router has told of; silence tells nothing for sure.
    told: Option<u16>,
    /// What was known before packets vanished, as long as nothing has shown that their size was to blame.
    before: Option<Before>,
}

#[derive(Clone, Copy, Debug)]
enum Before {
    Nothing,
    Carried { mtu: u16, search: Option<Search>, told: Option<u16> },
}

/// What is known of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// What it carries, bytes.
    pub mtu: u16,
    /// The size of packets to try next, if any is worth it.
    pub probe: Option<u16>,
}

impl Path {
    const fn of(mtu: u16) -> Self {
        Self { mtu, until: Instant::ZERO, search: None, told: None, before: None }
    }
}

impl PathMtus {
    /// Keeps at most `most` paths, each for the pause of `rules` after the last message about it, and twice as long where a search finds out.
    #[must_use]
    pub const fn new(most: usize, rules: SearchRules) -> Self {
        Self { most, rules, paths: BTreeMap::new(), ages: BTreeSet::new() }
    }

    /// The path MTU to `destination`, where it is known to be smaller than the link's.
    #[must_use]
    pub fn mtu(&self, now: Instant, destination: IpAddr) -> Option<u16> {
        if self.paths.is_empty() {
            return None;
        }
        //= https://www.rfc-editor.org/rfc/rfc8201#section-5.3
        //# an implementation should "age" cached values. (8201:5.3-1)
        self.paths.get(&destination).filter(|path| path.until > now).map(|path| path.mtu)
    }

    /// Whether a router has told of `least` bytes or fewer on the path to `destination`, and nothing larger has passed since.
    #[must_use]
    pub fn told_narrow(&self, now: Instant, destination: IpAddr, least: u16) -> bool {
        let path = self.paths.get(&destination).filter(|path| path.until > now);
        path.is_some_and(|path| path.mtu <= least && path.told.is_some_and(|told| told <= least))
    }

    /// What is known of the path to `destination` for who may probe, over a link that carries `link` bytes. What was found out is kept for as long as it
    /// is asked for: the search begins again by itself, so that it does not have to be forgotten for something larger to be tried.
    pub fn known(&mut self, now: Instant, destination: IpAddr, link: u16) -> Option<Known> {
        if self.paths.is_empty() {
            return None;
        }
        let path = self.paths.get_mut(&destination).filter(|path| path.until > now)?;
        let search = path.search.as_mut();
        let probe = search.and_then(|search| search.wanted(now, path.mtu, link, &self.rules));
        let (renewed, later) = (now + self.rules.pause, now + self.rules.pause + self.rules.pause);
        if path.search.is_some() && path.until < renewed {
            self.ages.remove(&(path.until, destination));
            path.until = later;
            self.ages.insert((later, destination));
        }
        Some(Known { mtu: path.mtu, probe })
    }

    /// The same where nothing is known yet, of a path that is taken to carry `base` bytes. Nothing is kept of it until a probe is sent.
    #[must_use]
    pub fn unknown(&self, now: Instant, base: u16, link: u16) -> Known {
        Known { mtu: base, probe: Search::new().wanted(now, base, link, &self.rules) }
    }

    /// The path to `destination` carries `mtu` bytes, a router says. Whether that is news: it never raises what is known.
    //= https://www.rfc-editor.org/rfc/rfc8201#section-4
    //# A node must not increase its estimate of the Path MTU in response to the contents of a Packet Too Big message. (8201:4-9)
    pub fn learn(&mut self, now: Instant, destination: IpAddr, mtu: u16) -> bool {
        let known = self.take(now, destination);
        let least = known.map_or(mtu, |path| path.mtu.min(mtu));
        let search = known.and_then(|path| {
            let mut search = path.search?;
            search.told(now, path.mtu, mtu, &self.rules);
            Some(search)
        });
        //= https://www.rfc-editor.org/rfc/rfc8201#section-4
        //# When a node receives a Packet Too Big message, it must reduce its estimate of the PMTU for the relevant path, based on the value of the MTU field in the message. (8201:4-4)
        let told = known.and_then(|path| path.told).map_or(mtu, |told| told.min(mtu));
        self.put(now, destination, Path { search, told: Some(told), ..Path::of(least) });
        known.is_none_or(|path| mtu < path.mtu)
    }

    /// Packets of more than `mtu` bytes to `destination` vanish, or are not known to pass: what does is searched for from there on.
    pub fn shrink(&mut self, now: Instant, destination: IpAddr, mtu: u16) {
        let known = self.take(now, destination);
        let least = known.map_or(mtu, |path| path.mtu.min(mtu));
        let before = known.map_or(Before::Nothing, |Path { mtu, search, told, before, .. }| {
            before.unwrap_or(Before::Carried { mtu, search, told })
        });
        let told = known.and_then(|path| path.told);
        let search = Some(Search::new());
        self.put(now, destination, Path { search, told, before: Some(before), ..Path::of(least) });
    }

    /// Packets to `destination` vanished whatever their size, and pass again: what was known before they did holds.
    pub fn restore(&mut self, now: Instant, destination: IpAddr) {
        let Some(path) = self.take(now, destination) else { return };
        match path.before {
            Some(Before::Nothing) => {}
            Some(Before::Carried { mtu, search, told }) => {
                self.put(now, destination, Path { search, told, ..Path::of(mtu) });
            }
            None => self.put(now, destination, path),
        }
    }

    /// A probe has been sent, over a path that is taken to carry `base` bytes if nothing is known of it: no other connection sends one until it is known
    /// what became of it.
    pub fn probing(&mut self, now: Instant, destination: IpAddr, base: u16) {
        let rules = self.rules;
        if self.mtu(now, destination).is_none() {
            self.shrink(now, destination, base);
        }
        self.search(now, destination, |_, search| search.sent(now, &rules));
    }

    /// A probe of `size` bytes has arrived.
    pub fn passed(&mut self, now: Instant, destination: IpAddr, size: u16) {
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.6.1
        //# Set search_low to the probe size. If the probe size is larger than the eff_pmtu, raise eff_pmtu to the probe size. (4821:7.6.1-1)
        self.search(now, destination, |mtu, search| {
            *mtu = size.max(*mtu);
            search.passed();
        });
        self.settle(destination);
    }

    /// A probe of `size` bytes was lost, and nothing with it.
    pub fn failed(&mut self, now: Instant, destination: IpAddr, size: u16) {
        let rules = self.rules;
        self.search(now, destination, |mtu, search| search.failed(*mtu, size, &rules));
        self.settle(destination);
    }

    /// A probe has told of the path's size: what was believed before packets vanished is no longer of use.
    fn settle(&mut self, destination: IpAddr) {
        if let Some(path) = self.paths.get_mut(&destination) {
            path.before = None;
        }
    }

    /// A probe was lost among others, or its connection is over.
    pub fn inconclusive(&mut self, now: Instant, destination: IpAddr) {
        self.search(now, destination, |_, search| search.inconclusive());
    }

    fn search(&mut self, now: Instant, destination: IpAddr, change: impl FnOnce(&mut u16, &mut Search)) {
        let Some(Path { search: Some(_), .. }) = self.paths.get(&destination) else { return };
        let Some(mut path) = self.take(now, destination) else { return };
        if let Some(search) = &mut path.search {
            change(&mut path.mtu, search);
        }
        self.put(now, destination, path);
    }

    /// Takes out what is known of a path, and what is too old, or the oldest if another needs the room.
    fn take(&mut self, now: Instant, destination: IpAddr) -> Option<Path> {
        while let Some(&(until, oldest)) = self.ages.first()
            && (until <= now
                || self.paths.len() >= self.most.max(1) && !self.paths.contains_key(&destination))
        {
            self.ages.remove(&(until, oldest));
            self.paths.remove(&oldest);
        }
        let known = self.paths.remove(&destination);
        if let Some(path) = known {
            self.ages.remove(&(path.until, destination));
        }
        known
    }

    fn put(&mut self, now: Instant, destination: IpAddr, path: Path) {
        //= https://www.rfc-editor.org/rfc/rfc8201#section-4
        //# An attempt to detect an increase (by sending a packet larger than the current estimate) must not be done less than 5 minutes after a Packet Too Big message has been received for the given path. (8201:4-8)
        let mut until = now + self.rules.pause;
        if path.search.is_some() {
            // The search begins again before everything is forgotten.
            until += self.rules.pause;
        }
        self.paths.insert(destination, Path { until, ..path });
        self.ages.insert((until, destination));
    }

    /// Paths that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::Cause;
    use crate::time::Duration;
    use std::net::SocketAddr;

    const RULES: SearchRules = SearchRules {
        step: 8,
        probes: 1,
        probe_timeout: Duration::from_secs(20),
        pause: Duration::from_secs(600),
    };

    fn ip(host: u16) -> IpAddr {
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host])
    }

    fn report(v6: bool, length: usize) -> Report {
        let local: SocketAddr = if v6 { "[2001:db8::1]:9" } else { "192.0.2.1:9" }.parse().unwrap();
        Report {
            kind: 0,
            code: 0,
            from: local.ip(),
            cause: Cause::TooBig { mtu: 0 },
            protocol: 6,
            local,
            remote: local,
            seq: 0,
            length,
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc8201#section-4
    //= type=test
    //# When a node receives a Packet Too Big message, it must reduce its estimate of the PMTU for the relevant path, based on the value of the MTU field in the message. (8201:4-4)
    //= https://www.rfc-editor.org/rfc/rfc8201#section-4
    //= type=test
    //# An attempt to detect an increase (by sending a packet larger than the current estimate) must not be done less than 5 minutes after a Packet Too Big message has been received for the given path. (8201:4-8)
    //= https://www.rfc-editor.org/rfc/rfc8201#section-4
    //= type=test
    //# A node must not increase its estimate of the Path MTU in response to the contents of a Packet Too Big message. (8201:4-9)
    //= https://www.rfc-editor.org/rfc/rfc8201#section-5.2
    //= type=test
    //# a node must associate a PMTU value with some local representation of a path. (8201:5.2-1)
    //= https://www.rfc-editor.org/rfc/rfc8201#section-5.3
    //= type=test
    //# an implementation should "age" cached values. (8201:5.3-1)
    #[test]
    fn a_path_ages_and_is_never_raised() {
        let mut paths = PathMtus::new(8, RULES);
        let at = Instant::from_millis;
        assert!(paths.learn(at(0), ip(1), 1400));
        assert!(!paths.learn(at(1000), ip(1), 1400), "no news");
        assert!(!paths.learn(at(1000), ip(1), 1450), "never higher");
        assert_eq!((paths.mtu(at(1000), ip(1)), paths.mtu(at(1000), ip(2))), (Some(1400), None));
        assert!(paths.learn(at(100_000), ip(1), 1300), "lower, and kept for longer");
        assert_eq!(paths.mtu(at(699_999), ip(1)), Some(1300));
        assert_eq!(paths.mtu(at(700_000), ip(1)), None);
        assert!(paths.learn(at(700_000), ip(1), 1400), "found out anew");
        assert_eq!(paths.len(), 1);
        assert!(!paths.learn(at(1_200_000), ip(1), 1400), "no news, but a message");
        assert_eq!(paths.mtu(at(1_799_999), ip(1)), Some(1400), "nothing larger is tried for a while");
        assert_eq!((paths.mtu(at(1_800_000), ip(1)), paths.len(), paths.ages.len()), (None, 1, 1));
    }

    //= https://www.rfc-editor.org/rfc/rfc8201#section-5.3
    //= type=test
    //# an implementation should provide a means for changing the timeout duration, including setting it to "infinity". (8201:5.3-3)
    #[test]
    fn a_path_may_be_kept_for_ever() {
        let mut paths = PathMtus::new(8, SearchRules { pause: Duration::MAX, ..RULES });
        assert!(paths.learn(Instant::from_millis(1), ip(1), 1400));
        assert_eq!(paths.mtu(Instant::from_millis(u64::MAX / 2_000_000), ip(1)), Some(1400));
    }

    #[test]
    fn a_path_that_swallows_packets_is_searched_and_kept_for_others() {
        let mut paths = PathMtus::new(8, RULES);
        let at = |seconds: u64| Instant::from_millis(seconds * 1000);
        let known = |paths: &mut PathMtus, now| paths.known(at(now), ip(1), 1500).map(|k| (k.mtu, k.probe));
        paths.passed(at(0), ip(1), 1400);
        assert_eq!(known(&mut paths, 0), None, "nobody probes what nobody has lowered");
        paths.shrink(at(0), ip(1), 1280);
        assert_eq!(known(&mut paths, 0), Some((1280, Some(1500))));
        paths.probing(at(1), ip(1), 552);
        assert_eq!(known(&mut paths, 1), Some((1280, None)));
        paths.failed(at(1), ip(1), 1500);
        assert_eq!(known(&mut paths, 1), Some((1280, Some(1390))));
        paths.passed(at(2), ip(1), 1390);
        assert_eq!((known(&mut paths, 2), paths.mtu(at(2), ip(1))), (Some((1390, Some(1445))), Some(1390)));
        // A router tells after all.
        assert!(!paths.learn(at(3), ip(1), 1400));
        assert_eq!(known(&mut paths, 3), Some((1390, Some(1400))));
        paths.passed(at(3), ip(1), 1400);
        assert_eq!(known(&mut paths, 3), Some((1400, None)));
        assert_eq!(known(&mut paths, 602), Some((1400, None)));
        assert_eq!(known(&mut paths, 603), Some((1400, Some(1500))));
        // It gets smaller yet, and is forgotten when nobody has cared for long.
        paths.shrink(at(700), ip(1), 1300);
        assert_eq!(known(&mut paths, 1299), Some((1300, Some(1500))));
        assert_eq!(known(&mut paths, 1899), Some((1300, Some(1500))), "somebody cares");
        assert_eq!((paths.mtu(at(3098), ip(1)), paths.ages.len()), (Some(1300), 1));
        assert_eq!(known(&mut paths, 3099), None);
        assert_eq!(paths.ages.len(), paths.len());
    }

    #[test]
    fn a_search_takes_no_room_before_its_first_probe() {
        let mut paths = PathMtus::new(8, RULES);
        let now = Instant::from_millis(1000);
        assert_eq!(paths.unknown(now, 1200, 1500), Known { mtu: 1200, probe: Some(1500) });
        assert_eq!(paths.unknown(now, 1500, 1500), Known { mtu: 1500, probe: None });
        assert!(paths.is_empty());
        paths.probing(now, ip(1), 1200);
        assert_eq!(paths.known(now, ip(1), 1500), Some(Known { mtu: 1200, probe: None }));
        paths.passed(now, ip(1), 1500);
        paths.probing(now, ip(1), 1200);
        assert_eq!(paths.mtu(now, ip(1)), Some(1500), "what is known stays");
    }

    #[test]
    fn only_a_router_makes_a_path_narrow() {
        let mut paths = PathMtus::new(8, RULES);
        let at = |seconds: u64| Instant::from_millis(seconds * 1000);
        paths.shrink(at(0), ip(1), 552);
        assert!(!paths.told_narrow(at(0), ip(1), 552), "silence tells nothing");
        paths.learn(at(1), ip(1), 552);
        assert!(paths.told_narrow(at(1), ip(1), 552));
        paths.shrink(at(2), ip(1), 552);
        assert!(paths.told_narrow(at(2), ip(1), 552), "still told");
        paths.passed(at(3), ip(1), 700);
        assert!(!paths.told_narrow(at(3), ip(1), 552), "more has passed");
        assert!(!paths.told_narrow(at(9999), ip(1), 552), "forgotten");
    }

    #[test]
    fn what_was_known_before_packets_vanished_comes_back() {
        let mut paths = PathMtus::new(8, RULES);
        let at = |seconds: u64| Instant::from_millis(seconds * 1000);
        paths.shrink(at(0), ip(1), 1200);
        paths.shrink(at(1), ip(1), 552);
        paths.restore(at(2), ip(1));
        assert_eq!((paths.mtu(at(2), ip(1)), paths.len(), paths.ages.len()), (None, 0, 0));
        // What a router has told is kept.
        paths.learn(at(3), ip(1), 1400);
        paths.shrink(at(4), ip(1), 1200);
        paths.restore(at(5), ip(1));
        assert_eq!(paths.mtu(at(5), ip(1)), Some(1400));
        // Where it tells in between, or probes do, that holds.
        paths.shrink(at(6), ip(1), 1200);
        paths.learn(at(7), ip(1), 1300);
        paths.restore(at(8), ip(1));
        assert_eq!(paths.mtu(at(8), ip(1)), Some(1200));
        paths.failed(at(9), ip(1), 1500);
        paths.restore(at(9), ip(1));
        assert_eq!((paths.mtu(at(9), ip(1)), paths.ages.len()), (Some(1200), 1));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut paths = PathMtus::new(3, RULES);
        (0..50).for_each(|n| assert!(paths.learn(Instant::from_millis(u64::from(n)), ip(n), 1300)));
        let now = Instant::from_millis(50);
        assert_eq!((paths.len(), paths.ages.len()), (3, 3));
        assert!((47..50).all(|n| paths.mtu(now, ip(n)) == Some(1300)));
        assert!(paths.learn(now, ip(48), 1290), "one that is kept takes no other's room");
        assert_eq!(paths.mtu(now, ip(47)), Some(1300));
    }

    //= https://www.rfc-editor.org/rfc/rfc8201#section-4
    //= type=test
    //# If a node receives a Packet Too Big message reporting a next-hop MTU that is less than the IPv6 minimum link MTU, it must discard it. (8201:4-2)
    #[test]
    fn what_no_router_can_have_meant_is_not_believed() {
        let v4 = |length, mtu| believed(&report(false, length), mtu, 1500, 552);
        assert_eq!((v4(1500, 1400), v4(1401, 1400)), (Ok(1400), Ok(1400)));
        assert_eq!(
            (v4(1400, 1400), v4(40, 1400), v4(9000, 1500)),
            (Err(Drop::IcmpMtu), Err(Drop::IcmpMtu), Err(Drop::IcmpMtu))
        );
        //= https://www.rfc-editor.org/rfc/rfc1191#section-3
        //= type=test
        //# A host MUST never reduce its estimate of the Path MTU below 68 octets. (1191:3-8)
        assert_eq!((v4(1500, 68), v4(552, 68)), (Ok(552), Err(Drop::IcmpMtu)));
        //= https://www.rfc-editor.org/rfc/rfc1191#section-3
        //= type=test
        //# Hosts MUST be able to deal with Datagram Too Big messages that do not include the next-hop MTU, since it is not feasible to upgrade all the routers in the Internet in any finite time. (1191:3-7)
        // Routers that do not say.
        assert_eq!((v4(1500, 0), v4(1492, 0), v4(1006, 0)), (Ok(1492), Ok(1006), Ok(552)));
        let v6 = |length, mtu| believed(&report(true, length), mtu, 1500, 552);
        assert_eq!((v6(1500, 1280), v6(1500, 1279), v6(1500, 0)), (Ok(1280), Err(Drop::IcmpMtu), Ok(1492)));
        assert_eq!(v6(1500, u32::MAX), Err(Drop::IcmpMtu));
    }
}
