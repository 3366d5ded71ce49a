//! Connecting to a host that has several addresses: the next is tried before the last has failed (RFC 8305, Happy Eyeballs).

use crate::error::Error;
use crate::time::{Duration, Instant};
use std::net::IpAddr;

/// How long the other family's addresses are waited for, if IPv4's come first (RFC 8305 section 3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// The race.
#[derive(Debug)]
pub struct Race {
    /// How long an attempt has before the next begins.
    delay: Duration,
    /// Addresses in the order in which they are tried, the first `begun` of them have been.
    addresses: Vec<IpAddr>,
    begun: usize,
    running: usize,
    /// When the next attempt begins, at the latest.
    next: Option<Instant>,
    /// Whether that is so because IPv6's addresses are waited for.
    held: bool,
    /// Whether more addresses may come.
    more: bool,
    failure: Option<Error>,
}

impl Race {
    /// A race in which attempts begin `delay` after each other, or when one fails.
    #[must_use]
    pub const fn new(delay: Duration) -> Self {
        let addresses = Vec::new();
        Self { delay, addresses, begun: 0, running: 0, next: None, held: false, more: true, failure: None }
    }

    /// Tells all addresses known so far, in the order of preference, and whether more may come. Those that were tried stay tried.
    pub fn offer(&mut self, now: Instant, ordered: &[IpAddr], more: bool) {
        let (tried, _) = self.addresses.split_at(self.begun.min(self.addresses.len()));
        let fresh: Vec<IpAddr> = ordered.iter().copied().filter(|address| !tried.contains(address)).collect();
        let mut addresses = tried.to_vec();
        let last = tried.last().map(IpAddr::is_ipv6);
        addresses.extend(interleaved(&fresh, last));
        self.addresses = addresses;
        // What comes first is IPv4's alone: IPv6's may be on its way.
        let waits = more && self.begun == 0 && !fresh.is_empty() && fresh.iter().all(IpAddr::is_ipv4);
        let begin = if waits { now + RESOLUTION_DELAY } else { now };
        if self.begun == 0 {
            self.next = self.next.filter(|_| self.held && waits).or(Some(begin));
            self.held = waits;
        }
        self.more = more;
    }

    /// The address to try now, if there is one.
    pub fn poll_start(&mut self, now: Instant) -> Option<IpAddr> {
        let due = self.next.is_none_or(|next| next <= now);
        let address = self.addresses.get(self.begun).copied().filter(|_| due)?;
        self.begun += 1;
        self.running += 1;
        self.next = Some(now + self.delay);
        Some(address)
    }

    /// When `poll_start` wants to be asked.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.addresses.get(self.begun).and(self.next)
    }

    /// An attempt has failed: the next may begin.
    pub fn on_failure(&mut self, now: Instant, error: Error) {
        self.running = self.running.saturating_sub(1);
        self.next = Some(now);
        self.failure = Some(error);
    }

    /// Why nobody will win, once that is so: the last failure; `None` in it if there was nobody to try.
    #[must_use]
    pub fn lost(&self) -> Option<Option<&Error>> {
        let over = self.running == 0 && !self.more && self.begun >= self.addresses.len();
        over.then_some(self.failure.as_ref())
    }
}

/// The families in turn, that of the first address first; or the other than `last`, which was tried before.
fn interleaved(ordered: &[IpAddr], last: Option<bool>) -> Vec<IpAddr> {
    let Some(first) = ordered.first() else { return Vec::new() };
    let leads = last.map_or(first.is_ipv6(), |last| !last);
    let of = |v6: bool| ordered.iter().copied().filter(move |address| address.is_ipv6() == v6);
    let (mut one, mut other) = (of(leads), of(!leads));
    let mut all = Vec::new();
    loop {
        match (one.next(), other.next()) {
            (None, None) => return all,
            (a, b) => all.extend(a.into_iter().chain(b)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn race() -> Race {
        Race::new(Duration::from_millis(250))
    }

    #[test]
    fn families_take_turns_a_quarter_of_a_second_apart() {
        let mut race = race();
        let all = addresses(&["2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2"]);
        race.offer(at(0), &all, false);
        let mut tried = Vec::new();
        let mut times = Vec::new();
        for millis in 0..2000 {
            while let Some(address) = race.poll_start(at(millis)) {
                tried.push(address);
                times.push(millis);
            }
        }
        let expected = ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"];
        assert_eq!(tried, addresses(&expected));
        assert_eq!(times, [0, 250, 500, 750, 1000]);
        assert_eq!(race.poll_timeout(), None);
        assert_eq!(race.lost(), None);
    }

    #[test]
    fn a_failure_begins_the_next_at_once_and_the_last_one_is_told() {
        let mut race = race();
        race.offer(at(0), &addresses(&["2001:db8::1", "192.0.2.1"]), false);
        assert!(race.poll_start(at(0)).is_some() && race.poll_start(at(9)).is_none());
        race.on_failure(at(10), Errno::ENETUNREACH.into());
        assert_eq!(race.poll_timeout(), Some(at(10)));
        assert!(race.poll_start(at(10)).is_some_and(|address| address.is_ipv4()));
        assert_eq!(race.lost(), None);
        race.on_failure(at(20), Errno::ECONNREFUSED.into());
        assert_eq!(race.lost(), Some(Some(&Errno::ECONNREFUSED.into())));
    }

    #[test]
    fn ipv4_waits_for_ipv6_but_not_for_long() {
        let mut race = race();
        let v4 = addresses(&["192.0.2.1"]);
        race.offer(at(0), &[], true);
        race.offer(at(5), &v4, true);
        assert_eq!(race.poll_start(at(5)), None);
        race.offer(at(30), &v4, true);
        assert_eq!(race.poll_timeout(), Some(at(55)));
        assert_eq!(race.poll_start(at(55)), Some(v4[0]));
        // Late, but not too late: it is the next.
        race.offer(at(60), &addresses(&["2001:db8::1", "192.0.2.1"]), false);
        assert_eq!(race.poll_timeout(), Some(at(305)));
        assert_eq!(race.poll_start(at(305)), Some(addresses(&["2001:db8::1"])[0]));
    }

    #[test]
    fn ipv6_in_time_is_the_first() {
        let mut race = race();
        race.offer(at(0), &addresses(&["192.0.2.1"]), true);
        race.offer(at(20), &addresses(&["2001:db8::1", "192.0.2.1"]), false);
        assert!(race.poll_start(at(20)).is_some_and(|address| address.is_ipv6()));
        let mut lone = self::race();
        lone.offer(at(0), &addresses(&["192.0.2.1"]), true);
        lone.offer(at(20), &addresses(&["192.0.2.1"]), false);
        assert!(lone.poll_start(at(20)).is_some(), "there is no IPv6: nothing to wait for");
    }

    #[test]
    fn without_addresses_nobody_wins() {
        let mut race = race();
        race.offer(at(0), &[], true);
        assert_eq!(race.lost(), None);
        race.offer(at(1), &[], false);
        assert_eq!(race.lost(), Some(None));
    }
}
