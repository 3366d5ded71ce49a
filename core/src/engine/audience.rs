//! What turns are like, one after the other: whom they wake, one thread or several, and how many frames they find.

use std::task::Waker;

/// A thread that alone is woken, turn after turn, does the stack's work best itself: nobody has to wake it. Where several are woken, one of them
/// would do it for the others, and leave them waiting when it goes about its own business: that is what the I/O thread is for.
#[derive(Debug)]
pub(super) struct Audience {
    last: Option<Waker>,
    /// How often it was woken since anybody else was.
    alike: u32,
}

/// Wakings in a row that make a thread the only one.
const ALIKE: u32 = 8;

impl Audience {
    /// Nobody has been woken.
    pub(super) const fn new() -> Self {
        Self { last: None, alike: ALIKE }
    }

    /// Takes note of whom a turn wakes.
    pub(super) fn note(&mut self, wakers: &[Waker]) {
        for waker in wakers {
            match &self.last {
                Some(last) if last.will_wake(waker) => self.alike = self.alike.saturating_add(1),
                Some(_) => {
                    self.last = Some(waker.clone());
                    self.alike = 0;
                }
                None => self.last = Some(waker.clone()),
            }
        }
    }

    /// Whether it is one thread, as far as it is known.
    pub(super) const fn is_one(&self) -> bool {
        self.alike >= ALIKE
    }
}

/// Whether a caller's turn reads the device until nothing is left. To find that out is a system call of its own, a twentieth of a request and its response; and where
/// each turn has found one small frame lately, the next will. So most turns stop there, and every eighth makes sure. What is left in the device
/// is seen by whoever sleeps on it next.
#[derive(Debug, Default)]
pub(super) struct Depth {
    /// Turns that stopped at one frame, in a row.
    shallow: u32,
    /// Turns to come that do not.
    deep: u32,
}

/// Turns that stop early before one that does not, and turns that do not after one that has found several frames.
const IN_A_ROW: u32 = 8;

impl Depth {
    /// Whether the next turn may stop after one small frame.
    pub(super) const fn is_shallow(&self) -> bool {
        self.deep == 0 && self.shallow < IN_A_ROW
    }

    /// What a turn found.
    pub(super) const fn found(&mut self, frames: u64, shallow: bool) {
        if frames > 1 {
            self.deep = IN_A_ROW;
        } else if shallow {
            self.shallow += frames as u32;
        } else if frames == 1 {
            self.deep = self.deep.saturating_sub(1);
            self.shallow = 0;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::socket::Sleeper;

    #[test]
    fn a_stranger_makes_a_crowd_for_a_while() {
        let ((_a, one), (_b, other)) = (Sleeper::new(), Sleeper::new());
        let mut audience = Audience::new();
        audience.note(&[]);
        audience.note(std::slice::from_ref(&one));
        assert!(audience.is_one());
        audience.note(&[one.clone(), other]);
        assert!(!audience.is_one());
        audience.note(std::slice::from_ref(&one));
        for _ in 0..ALIKE {
            assert!(!audience.is_one());
            audience.note(std::slice::from_ref(&one));
        }
        assert!(audience.is_one());
    }

    #[test]
    fn every_eighth_turn_reads_until_nothing_is_left() {
        let mut depth = Depth::default();
        let turns = |depth: &mut Depth, count: usize, frames: u64| -> String {
            let turn = |_| {
                let shallow = depth.is_shallow();
                depth.found(if shallow { 1 } else { frames }, shallow);
                if shallow { '.' } else { 'o' }
            };
            (0..count).map(turn).collect()
        };
        assert_eq!(turns(&mut depth, 20, 1), "........o........o..");
        assert_eq!(turns(&mut depth, 10, 2), "......oooo");
        assert_eq!(turns(&mut depth, 10, 1), "oooooooo..");
        depth.found(0, true);
        assert!(depth.is_shallow());
    }
}
