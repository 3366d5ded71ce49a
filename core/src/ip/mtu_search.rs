//! The search for what a path carries that nobody tells of: between what passes and what does not (RFC 4821 section 7, RFC 8899 section 5.3).

use crate::time::{Duration, Instant};

/// What a search goes by.
#[derive(Clone, Copy, Debug)]
pub struct SearchRules {
    /// A search ends when the next size would be less than this above the one known to pass, bytes.
    pub step: u16,
    /// A size does not pass when so many probes of it in a row were lost, and nothing else with them.
    pub probes: u8,
    /// Time after which a probe is no longer waited for.
    pub probe_timeout: Duration,
    /// Time after the end of a search in which it is not begun again.
    pub pause: Duration,
}

/// The length of packets on the first link of most paths (RFC 894); RFC 4821 7.3 names it.
const COMMON: u16 = 1500;

/// A search over one path. Sizes are those of IP packets, headers included.
///
/// ```text
///      passes             not known               does not
///   ------------->|.........................|------------------
///             `passes` (search_low)    `most` (search_high)
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// The largest size that may yet pass; the link's is never exceeded.
    most: u16,
    /// Nothing has spoken against `most` yet.
    open: bool,
    /// Probes of the present size that were lost.
    lost: u8,
    /// A probe is on its way, and waited for until then.
    probe_until: Option<Instant>,
    /// It is over, and begins again then.
    resumes: Option<Instant>,
}

impl Search {
    /// A search up to whatever the link carries.
    pub(super) const fn new() -> Self {
        Self { most: u16::MAX, open: true, lost: 0, probe_until: None, resumes: None }
    }

    /// The size to probe now on a path known to carry `passes` bytes, with a link that carries `link`.
    pub(super) fn wanted(
        &mut self,
        now: Instant,
        passes: u16,
        link: u16,
        rules: &SearchRules,
    ) -> Option<u16> {
        if self.resumes.is_some_and(|at| at <= now) {
            //= https://www.rfc-editor.org/rfc/rfc4821#section-7.3
            //# When the timer expires, search_high should be reset to its initial value (described above) so that probing can resume. (4821:7.3-2)
            *self = Self::new();
        }
        if self.resumes.is_some() || self.probe_until.is_some_and(|until| until > now) {
            return None;
        }
        let most = self.most.min(link);
        let size = next(passes, most, self.open, rules.step);
        if size.is_none() {
            self.end(now, rules);
        }
        size
    }

    /// A probe has been sent: no other is until it is known what became of it.
    pub(super) fn sent(&mut self, now: Instant, rules: &SearchRules) {
        self.probe_until = Some(now + rules.probe_timeout);
    }

    /// Nothing was learned from the probe.
    pub(super) const fn inconclusive(&mut self) {
        self.probe_until = None;
    }

    /// A probe has arrived; the path is known to carry it.
    pub(super) const fn passed(&mut self) {
        self.probe_until = None;
        self.lost = 0;
    }

    /// A probe of `size` was lost, and nothing with it, on a path known to carry `passes` bytes.
    pub(super) fn failed(&mut self, passes: u16, size: u16, rules: &SearchRules) {
        self.probe_until = None;
        if size <= passes {
            return;
        }
        self.lost = self.lost.saturating_add(1);
        // Against the whole speaks already what made the path look small.
        if self.open || self.lost >= rules.probes {
            //= https://www.rfc-editor.org/rfc/rfc4821#section-7.6.2
            //# In the absence of other indications, set search_high to the probe size minus one. (4821:7.6.2-2)
            (self.most, self.open, self.lost) = (self.most.min(size - 1), false, 0);
        }
    }

    /// A router says that the path carries `mtu` bytes, and it was known to carry `passes`.
    //= https://www.rfc-editor.org/rfc/rfc4821#section-7.6.2
    //# If an ICMP PTB message is received matching the probe packet, then search_high and eff_pmtu MAY be set from the MTU value indicated in the message. (4821:7.6.2-4)
    pub(super) fn told(&mut self, now: Instant, passes: u16, mtu: u16, rules: &SearchRules) {
        self.probe_until = None;
        if mtu > passes {
            // What the router says is the next size to look at.
            (self.most, self.open, self.lost) = (mtu, true, 0);
        } else {
            self.end(now, rules);
        }
    }

    fn end(&mut self, now: Instant, rules: &SearchRules) {
        self.resumes = Some(now + rules.pause);
    }
}

/// The size after `passes`, up to `most`: the most at once while it is `open`, as what has made a path look small is more often gone than not; then
/// what most links carry; then halves.
//= https://www.rfc-editor.org/rfc/rfc8899#section-5.3.2
//# Implementations SHOULD select the set of probe packet sizes to maximize the gain in PLPMTU from each search step. (8899:5.3.2-1)
//= https://www.rfc-editor.org/rfc/rfc4821#section-7.1
//# When transmitting probes, the Packetization Layer MUST select a probe size that is larger than search_low and smaller than or equal to search_high. (4821:7.1-2)
fn next(passes: u16, most: u16, open: bool, step: u16) -> Option<u16> {
    let span = most.checked_sub(passes).filter(|span| *span > 0)?;
    if open {
        return Some(most);
    }
    //= https://www.rfc-editor.org/rfc/rfc4821#section-7.3
    //# Each Packetization Layer MUST determine when probing has converged, that is, when the probe size range is small enough that further probing is no longer worth its cost. (4821:7.3-1)
    if span < step.max(1) {
        return None;
    }
    let common = passes.saturating_add(step) <= COMMON && COMMON < most;
    Some(if common { COMMON } else { passes + span.div_ceil(2) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: SearchRules = SearchRules {
        step: 8,
        probes: 3,
        probe_timeout: Duration::from_secs(20),
        pause: Duration::from_secs(600),
    };

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    /// Searches a path that carries `path` bytes; the sizes probed, and where it ended.
    fn search(passes: u16, path: u16, link: u16, rules: &SearchRules) -> (Vec<u16>, u16) {
        let (mut search, mut passes, mut sizes) = (Search::new(), passes, Vec::new());
        while let Some(size) = search.wanted(at(0), passes, link, rules) {
            assert!(size > passes && size <= link, "{size} of {passes} to {link}");
            sizes.push(size);
            search.sent(at(0), rules);
            assert_eq!(search.wanted(at(1), passes, link, rules), None, "one at a time");
            if size <= path {
                passes = size;
                search.passed();
            } else {
                search.failed(passes, size, rules);
            }
        }
        (sizes, passes)
    }

    //= https://www.rfc-editor.org/rfc/rfc8899#section-5.3.2
    //= type=test
    //# Implementations SHOULD select the set of probe packet sizes to maximize the gain in PLPMTU from each search step. (8899:5.3.2-1)
    #[test]
    fn the_whole_link_first_then_common_sizes_then_halves() {
        let once = SearchRules { probes: 1, ..RULES };
        assert_eq!(search(1200, 1500, 1500, &RULES), (vec![1500], 1500));
        assert_eq!(search(1200, 1500, 9000, &once).0[..3], [9000, 1500, 5250]);
        let (sizes, found) = search(1200, 1400, 1500, &once);
        assert_eq!((&sizes[..4], found), (&[1500, 1350, 1425, 1387][..], 1396));
        assert_eq!(search(1200, 1200, 1500, &RULES).0[..5], [1500, 1350, 1350, 1350, 1275]);
    }

    #[test]
    fn a_lost_probe_is_sent_again_before_it_is_believed() {
        let mut search = Search::new();
        search.failed(1200, 1500, &RULES);
        for _ in 0..3 {
            assert_eq!(search.wanted(at(0), 1200, 1500, &RULES), Some(1350));
            search.failed(1200, 1350, &RULES);
            search.inconclusive();
        }
        assert_eq!(search.wanted(at(0), 1200, 1500, &RULES), Some(1275));
    }

    //= https://www.rfc-editor.org/rfc/rfc4821#section-7.3
    //= type=test
    //# The value for this timer MUST NOT be less than 5 minutes and is recommended to be 10 minutes (4821:7.3-3)
    #[test]
    fn a_search_that_is_over_begins_again_after_its_pause() {
        let once = SearchRules { probes: 1, ..RULES };
        let mut search = Search::new();
        let mut passes = 1200;
        while let Some(size) = search.wanted(at(0), passes, 1500, &once) {
            if size <= 1400 { passes = size } else { search.failed(passes, size, &once) }
        }
        assert_eq!(search.wanted(at(599), passes, 1500, &once), None);
        assert_eq!(search.wanted(at(600), passes, 1500, &once), Some(1500));
    }

    //= https://www.rfc-editor.org/rfc/rfc8899#section-5.1.1
    //= type=test
    //# This value MUST NOT be smaller than 1 second and SHOULD be larger than 15 seconds. (8899:5.1.1-1)
    #[test]
    fn a_probe_that_is_never_heard_of_is_not_waited_for_for_ever() {
        let mut search = Search::new();
        search.sent(at(0), &RULES);
        assert_eq!(search.wanted(at(19), 1200, 1500, &RULES), None);
        assert_eq!(search.wanted(at(20), 1200, 1500, &RULES), Some(1500));
    }

    #[test]
    fn what_a_router_says_is_looked_at_next_and_less_ends_the_search() {
        let mut search = Search::new();
        search.sent(at(0), &RULES);
        search.told(at(0), 1200, 1400, &RULES);
        assert_eq!(search.wanted(at(0), 1200, 1500, &RULES), Some(1400));
        search.told(at(1), 1200, 1000, &RULES);
        assert_eq!(search.wanted(at(600), 1000, 1500, &RULES), None);
        assert_eq!(search.wanted(at(601), 1000, 1500, &RULES), Some(1500));
    }

    proptest! {
        /// Whatever the path, the search finds it to within a step from below, in few probes.
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.1
        //= type=test
        //# When transmitting probes, the Packetization Layer MUST select a probe size that is larger than search_low and smaller than or equal to search_high. (4821:7.1-2)
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.3
        //= type=test
        //# Each Packetization Layer MUST determine when probing has converged, that is, when the probe size range is small enough that further probing is no longer worth its cost. (4821:7.3-1)
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.6.2
        //= type=test
        //# In the absence of other indications, set search_high to the probe size minus one. (4821:7.6.2-2)
        #[test]
        fn a_search_ends_within_a_step_below_the_path(
            (passes, path, link) in (68u16..9000).prop_flat_map(|low| {
                (low..=9000).prop_flat_map(move |path| (Just(low), Just(path), path..=9216))
            }),
            step in 1u16..64,
            probes in 1u8..4,
        ) {
            let rules = SearchRules { step, probes, ..RULES };
            let (sizes, found) = search(passes, path, link, &rules);
            prop_assert!(found <= path && path - found < step, "{found} of {path}");
            prop_assert!(sizes.len() <= 17 * usize::from(probes), "{} probes", sizes.len());
        }
    }
}
