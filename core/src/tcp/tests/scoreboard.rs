//! The scoreboard against octets in a list, as RFC 6675 speaks of them.

use super::*;
use crate::tcp::scoreboard::{Edges, Scoreboard};
use proptest::prelude::*;
use std::ops::Range;

const SMSS: u32 = 10;

/// One flag for each octet in flight.
#[derive(Debug, Default)]
struct Naive {
    held: Vec<bool>,
    una: usize,
    /// HighRxt, exclusive.
    rxt: usize,
}

impl Naive {
    fn ranges(&self) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for at in (self.una..self.held.len()).filter(|at| self.held[*at]) {
            match ranges.last_mut() {
                Some(range) if range.end == at => range.end = at + 1,
                _ => ranges.push(at..at + 1),
            }
        }
        ranges
    }

    fn is_lost(&self, at: usize) -> bool {
        let discontiguous = self.ranges().iter().filter(|range| range.start > at).count();
        let bytes = self.held[at + 1..].iter().filter(|held| **held).count();
        discontiguous >= 3 || bytes > 2 * SMSS as usize
    }

    fn open(&self) -> impl Iterator<Item = usize> {
        (self.una..self.held.len()).filter(|at| !self.held[*at])
    }

    fn pipe(&self) -> usize {
        self.open().map(|at| usize::from(!self.is_lost(at)) + usize::from(at < self.rxt)).sum()
    }

    fn next(&self, certain: bool) -> Option<usize> {
        let highest = self.held.iter().rposition(|held| *held).filter(|at| *at >= self.una)?;
        self.open().find(|at| *at >= self.rxt && *at < highest && (!certain || self.is_lost(*at)))
    }

    fn hole_at(&self, start: usize) -> usize {
        (start..self.held.len()).find(|at| self.held[*at]).unwrap_or(self.held.len())
    }
}

fn same(board: &Scoreboard, naive: &Naive) -> Result<(), TestCaseError> {
    let offset = |at: usize| (at - naive.una) as u32;
    let end = offset(naive.held.len());
    let sacked = naive.held[naive.una..].iter().filter(|held| **held).count();
    prop_assert_eq!(board.sacked() as usize, sacked);
    prop_assert_eq!(board.ranges(), naive.ranges().len());
    prop_assert_eq!(board.pipe(end, SMSS) as usize, naive.pipe());
    prop_assert_eq!(board.lost(SMSS) as usize, naive.open().filter(|at| naive.is_lost(*at)).count());
    let resent = naive.open().filter(|at| *at < naive.rxt).count();
    prop_assert_eq!(board.resent_unsacked() as usize, resent);
    let first = naive.open().next() == Some(naive.una);
    prop_assert_eq!(board.is_lost(SMSS) && first, first && naive.is_lost(naive.una));
    prop_assert_eq!(board.has_reneged(), naive.una < naive.held.len() && !first);
    for certain in [true, false] {
        let wanted = naive.next(certain).map(|at| offset(at)..offset(naive.hole_at(at)));
        prop_assert_eq!(board.next_hole(certain, SMSS), wanted);
    }
    let last = board.last_hole(end);
    match naive.open().last() {
        Some(at) => {
            let start = (naive.una..=at).rev().take_while(|at| !naive.held[*at]).last().unwrap_or(at);
            prop_assert_eq!(last, offset(start)..offset(at + 1));
        }
        None => prop_assert!(last.is_empty()),
    }
    for from in (naive.una..naive.held.len()).step_by(7) {
        let hole = board.hole(offset(from), end);
        match naive.open().find(|at| *at >= from) {
            Some(at) => prop_assert_eq!(hole, offset(at)..offset(naive.hole_at(at))),
            None => prop_assert!(hole.is_empty()),
        }
    }
    Ok(())
}

proptest! {
    //= https://www.rfc-editor.org/rfc/rfc6675#section-4
    //= type=test
    //# each octet that is cumulatively ACKed or SACKed should be marked accordingly in the scoreboard data structure, and the total number of octets SACKed should be recorded (6675:4-2).
    //= https://www.rfc-editor.org/rfc/rfc6675#section-4
    //= type=test
    //# The routine returns true when either DupThresh discontiguous SACKed sequences have arrived above 'SeqNum' or more than (DupThresh - 1) * SMSS bytes with sequence numbers greater than 'SeqNum' have been SACKed (6675:4-4).
    //= https://www.rfc-editor.org/rfc/rfc6675#section-4
    //= type=test
    //# MUST set the "pipe" variable to an estimate of the number of octets that are currently in transit between the TCP sender and the TCP receiver (6675:4-5).
    #[test]
    fn agrees_with_a_list_of_octets(steps in prop::collection::vec((0u8..12, 0usize..250, 1usize..35), 1..60)) {
        let mut board = Scoreboard::new(1000);
        let mut naive = Naive { held: vec![false; 100], ..Naive::default() };
        for (what, at, length) in steps {
            match what {
                0 => naive.held.resize(naive.held.len() + length, false),
                1 => {
                    let to = (naive.una + at % 40).min(naive.held.len());
                    board.advance((to - naive.una) as u32);
                    naive.una = to;
                    naive.rxt = naive.rxt.max(to);
                }
                2 => {
                    let to = (naive.una + at).min(naive.held.len());
                    board.resent((to - naive.una) as u32);
                    naive.rxt = naive.rxt.max(to);
                }
                3 if at < 30 => {
                    board.clear();
                    naive.held.fill(false);
                    naive.rxt = naive.una;
                }
                4 if at < 60 => {
                    board.forget_resent();
                    naive.rxt = naive.una;
                }
                _ => {
                    let start = naive.una + 1 + at;
                    let span = start..(start + length).min(naive.held.len());
                    if span.is_empty() {
                        continue;
                    }
                    let new = naive.held[span.clone()].iter().filter(|held| !**held).count();
                    let offsets = (span.start - naive.una) as u32..(span.end - naive.una) as u32;
                    prop_assert_eq!(board.mark(offsets), Some(new as u64));
                    naive.held[span].fill(true);
                }
            }
            same(&board, &naive)?;
        }
    }

    /// Whatever a peer sends: what is kept stays within bounds, and within what is in flight.
    #[test]
    fn any_blocks_are_survived(
        acks in prop::collection::vec(
            (any::<u32>(), prop::collection::vec((any::<u32>(), any::<u32>()), 0..4), any::<bool>()),
            1..60,
        ),
        una: u32,
        flight in 0u32..100_000,
    ) {
        let edges = Edges { una: SeqNum(una), nxt: SeqNum(una) + flight };
        let mut board = Scoreboard::new(8);
        for (ack, blocks, near) in acks {
            let put = |edge: u32| if near { una.wrapping_add(edge % (flight + 50)).wrapping_sub(20) } else { edge };
            let blocks: Vec<_> = blocks.into_iter().map(|(left, right)| (put(left), put(right))).collect();
            let update = board.update(edges, SeqNum(put(ack)), &blocks);
            prop_assert!(update.ignored as usize <= blocks.len() && update.new <= u64::from(flight));
            prop_assert!(board.ranges() <= 8 && board.sacked() <= flight && !board.has_reneged());
            prop_assert!(board.pipe(flight, 1000) <= flight);
        }
    }
}

#[test]
fn a_full_scoreboard_still_lets_ranges_grow() {
    let mut board = Scoreboard::new(2);
    assert_eq!(board.mark(10..20), Some(10));
    assert_eq!(board.mark(30..40), Some(10));
    assert_eq!(board.mark(50..60), None);
    assert_eq!(board.mark(40..50), Some(10));
    assert_eq!(board.mark(15..35), Some(10));
    assert_eq!((board.ranges(), board.sacked()), (1, 40));
    assert_eq!(board.mark(55..60), Some(5));
}
