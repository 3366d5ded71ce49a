//! Where PSH belongs within what is queued: behind some of the super-frames that a program's writes fill, as Linux counts them.
//!
//! ```text
//!   sent        tail                      written
//!    |-----------|-------------|-------------|
//!      a frame     the frame that is filled
//! ```
//! RFC 9293 3.9.1.2 asks for PSH where the queue ends, and leaves open where else. What is not sent while it is written waits in frames of half of the
//! largest window that the peer has offered at most. A frame is pushed if more than that half has been written since the last push, or if a write ended
//! with it. What goes as one super-frame has PSH anyway, so that no mark cuts one in two: marks show where segments go one by one.

use super::SeqNum;
use crate::pack::packed;
use std::collections::VecDeque;

/// The marks of a connection.
#[derive(Debug)]
pub(super) struct PushMarks {
    /// Behind everything written.
    written: SeqNum,
    /// Where the frame begins that is filled.
    tail: SeqNum,
    /// That frame is to be pushed, wherever it ends.
    tail_pushed: bool,
    /// What was written when a frame was pushed last.
    pushed: SeqNum,
    /// Ends of frames that are to be pushed and not sent yet.
    marks: VecDeque<SeqNum>,
}

/// What the connection can send as a write begins, and in what pieces. Bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlook {
    /// Where sending goes on.
    pub(super) sent: SeqNum,
    /// What both windows leave.
    pub(super) room: u32,
    /// Effective send MSS.
    pub(super) mss: u32,
    /// Most of one super-frame now.
    pub(super) most: u32,
    /// Most of one that waits.
    pub(super) step: u32,
    /// Half of the largest window that the peer has offered.
    pub(super) half: u32,
}

impl PushMarks {
    /// Of a connection whose first byte has the number `first`.
    pub(super) const fn new(first: SeqNum) -> Self {
        Self { written: first, tail: first, tail_pushed: false, pushed: first, marks: VecDeque::new() }
    }

    /// Behind everything written, as far as is known here.
    pub(super) const fn written(&self) -> SeqNum {
        self.written
    }

    /// Everything before `end` is written; `more`: the program has said that more follows at once.
    ///
    /// A frame that is full goes while the next bytes are written, as far as the windows let it; what is left of it is filled up again.
    pub(super) fn write(&mut self, end: SeqNum, more: bool, outlook: Outlook) {
        let Outlook { mut sent, mut room, mss, most, step, half } = outlook;
        // In a window of a few segments nothing is gathered: PSH is where the queue ends.
        if step < 2 * mss {
            (self.written, self.tail, self.tail_pushed, self.pushed) = (end, end, false, end);
            return;
        }
        let (mut at, mut tail) = (self.written, self.tail.latest(sent));
        // Its end is no end of a write any more, unless it is full.
        self.tail_pushed &= at.since(tail) >= step;
        while at.before(end) {
            if at == tail || at.since(tail) >= step {
                if std::mem::take(&mut self.tail_pushed) {
                    self.marks.push_back(at);
                }
                tail = at;
            }
            at += end.since(at).min(step - at.since(tail));
            if at.since(tail) < step {
                break;
            }
            let goes = if at.since(self.pushed) > half {
                (self.tail_pushed, self.pushed) = (true, at);
                room
            } else if tail == sent {
                room.min(most)
            } else {
                0
            };
            let goes = goes.min(at.since(sent));
            let goes = goes - goes % mss;
            room -= goes;
            sent += goes;
            tail = tail.latest(sent);
        }
        if !more || end.since(self.pushed) > half {
            (self.tail_pushed, self.pushed) = (true, end);
        }
        (self.written, self.tail) = (end, tail);
    }

    /// Everything before `end` is sent. Whether something that was sent with it is to be pushed.
    pub(super) fn sent(&mut self, end: SeqNum) -> bool {
        let mut pushed = false;
        while self.marks.pop_front_if(|mark| mark.at_or_before(end)).is_some() {
            pushed = true;
        }
        pushed
    }
}

packed!(PushMarks { written, tail, tail_pushed, pushed, marks });

#[cfg(test)]
mod tests {
    use super::*;

    const OUTLOOK: Outlook =
        Outlook { sent: SeqNum(2001), room: 2000, mss: 1000, most: 1000, step: 16_000, half: 16_448 };

    fn marks(writes: &[(u32, bool)], outlook: Outlook) -> Vec<u32> {
        let mut push = PushMarks::new(SeqNum(2001));
        for (end, more) in writes {
            push.write(SeqNum(*end), *more, outlook);
        }
        push.marks.iter().map(|mark| mark.0).collect()
    }

    /// 200000 bytes written with a congestion window of two segments; the marks are those of Linux 6.18 with windows of 32896, 76800 and 256000.
    #[test]
    fn a_large_write_is_pushed_where_linux_does() {
        let write = [(202_001, false)];
        let linux = [20_001, 36_001, 68_001, 100_001, 132_001, 164_001, 196_001];
        assert_eq!(marks(&write, OUTLOOK), linux);
        let wider = Outlook { step: 38_000, half: 38_400, ..OUTLOOK };
        assert_eq!(marks(&write, wider), [42_001, 80_001, 156_001]);
        let wide = Outlook { step: 65_000, half: 128_000, ..OUTLOOK };
        assert_eq!(marks(&write, wide), [134_001]);
    }

    #[test]
    fn a_full_frame_at_the_end_of_a_write_is_pushed_and_one_that_grows_is_not() {
        let shut = Outlook { room: 0, ..OUTLOOK };
        assert_eq!(marks(&[(18_001, false), (20_001, false)], shut), [18_001]);
        assert_eq!(marks(&[(18_001, true), (20_001, false)], shut), [0u32; 0]);
        assert_eq!(marks(&[(10_001, false), (20_001, true)], shut), [0u32; 0]);
        assert_eq!(marks(&[(10_001, false), (18_001, false), (20_001, false)], shut), [18_001]);
    }

    #[test]
    fn a_window_of_a_few_segments_gathers_nothing() {
        let small = Outlook { step: 1000, half: 1500, ..OUTLOOK };
        assert_eq!(marks(&[(8001, false), (12_001, false)], small), [0u32; 0]);
    }

    #[test]
    fn a_mark_is_told_once() {
        let mut push = PushMarks::new(SeqNum(2001));
        push.write(SeqNum(202_001), false, OUTLOOK);
        assert_eq!(
            [20_000, 20_001, 21_001, 68_001].map(|end| push.sent(SeqNum(end))),
            [false, true, false, true]
        );
    }
}
