//! Urgent data as programs see it: the mark where reads stop, and the byte behind it, in line or for MSG_OOB (RFC 6093, recv(2), sockatmark(3)).

use super::{Readiness, Take, Urgency};
use crate::buffer::{Cell, CellState, Life, OutOfBand, Urgent};
use crate::error::Errno;
use crate::tcp::UrgentMark;
use bytes::Buf;

/// The last byte of urgent data (MSG_OOB); never sleeps. `None` is the end of the stream. EINVAL: there is none, it has been taken, or it comes in
/// line; EAGAIN: it has been announced and is not there yet; ENOTCONN, EBADF.
pub fn recv_urgent(cell: &Cell, take: Take) -> Result<Option<u8>, Errno> {
    let mut state = cell.lock();
    match state.life {
        Life::Closed => return Err(Errno::EBADF),
        Life::Listening => return Err(Errno::ENOTCONN),
        Life::Idle | Life::Connecting | Life::Connected | Life::Ended => {}
    }
    let over = state.recv_end || state.recv_shut || state.life == Life::Ended;
    let out_of_band = state.out_of_band;
    let Some(urgent) = state.urgent.as_mut().filter(|_| out_of_band) else { return Err(Errno::EINVAL) };
    match urgent.byte {
        OutOfBand::Taken => Err(Errno::EINVAL),
        OutOfBand::Coming if over => Ok(None),
        OutOfBand::Coming => Err(Errno::EAGAIN),
        OutOfBand::Here(byte) => {
            if take == Take::Consume {
                urgent.byte = OutOfBand::Taken;
            }
            Ok(Some(byte))
        }
    }
}

/// Whether the next byte to read is the last urgent one (SIOCATMARK). EBADF.
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.5
//# The TCP implementation MUST (MUST-33) provide a way for the application to learn how much urgent data remains to be read from the connection, or at least to determine whether more urgent data remains to be read
pub fn at_mark(cell: &Cell) -> Result<bool, Errno> {
    let state = cell.lock();
    match state.life {
        Life::Closed => Err(Errno::EBADF),
        _ => Ok(is_at_mark(&state)),
    }
}

/// Takes over where the peer's urgent data ends; returns whether that is news. What the program has read past is none.
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.5
//# A TCP implementation MUST (MUST-32) inform the application layer asynchronously whenever it receives an urgent pointer and there was previously no pending urgent data, or whenever the urgent pointer advances in the data stream.
pub(in crate::stack) fn show_urgent(state: &mut CellState, mark: UrgentMark) -> bool {
    let UrgentMark { position, byte } = mark;
    if position < state.position {
        return false;
    }
    let known = state.urgent.filter(|urgent| urgent.position == position);
    if known.is_none() && hole(state) > 0 {
        // As in Linux: an urgent byte that was not asked for gives way to the next one.
        drop_front(state);
    }
    let byte = match (known.map(|urgent| urgent.byte), byte) {
        (Some(OutOfBand::Taken), _) => OutOfBand::Taken,
        (_, Some(byte)) => OutOfBand::Here(byte),
        (_, None) => OutOfBand::Coming,
    };
    let urgent = Some(Urgent { position, byte });
    std::mem::replace(&mut state.urgent, urgent) != urgent
}

/// The byte at the mark is gone; the holder hears of it as of any that was read.
fn drop_front(state: &mut CellState) {
    let Some(front) = state.inbox.front_mut() else { return };
    front.advance(1);
    if front.is_empty() {
        state.inbox.pop_front();
    }
    state.inbox_len -= 1;
    state.consumed += 1;
    state.position += 1;
}

/// Whether the next byte to read is the last urgent one.
pub(super) fn is_at_mark(state: &CellState) -> bool {
    distance(state) == Some(0)
}

/// Bytes that ordinary reads can return now, up to a mark whose byte is out of band.
#[must_use]
pub fn readable(state: &CellState) -> usize {
    let ahead = to_mark(state).filter(|_| state.out_of_band);
    ahead.map_or(state.inbox_len - hole(state), |bytes| bytes.min(state.inbox_len))
}

/// Bytes up to the mark.
fn distance(state: &CellState) -> Option<usize> {
    let bytes = state.urgent?.position.checked_sub(state.position)?;
    Some(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// Whether there is as much to read as SO_RCVLOWAT asks for; the urgent byte at the mark, if it is out of band, does not count, as in Linux.
pub(super) fn worth_reading(state: &CellState) -> bool {
    state.inbox_len >= state.marks.receive_low.max(1).saturating_add(hole(state))
}

/// Bytes that one read may return; `None`: there is no mark ahead.
pub(super) fn to_mark(state: &CellState) -> Option<usize> {
    distance(state).filter(|bytes| *bytes > 0)
}

/// Bytes at the front that are not for ordinary reads: the urgent one at the mark, if it is out of band.
pub(in crate::stack) fn hole(state: &CellState) -> usize {
    usize::from(state.out_of_band && state.inbox_len > 0 && distance(state) == Some(0))
}

/// The program has read on.
pub(super) fn passed(state: &mut CellState) {
    let position = state.position;
    state.urgent = state.urgent.filter(|urgent| urgent.position >= position);
}

/// `count` bytes were written.
pub(super) fn written(state: &mut CellState, count: usize, urgency: Urgency) {
    state.written += count as u64;
    if urgency == Urgency::Last && count > 0 {
        state.urging = Some(state.written);
    }
}

/// PRI: in line from the notice on (RFC 9293 MUST-32), out of band while the byte is there, as Linux has it.
pub(super) fn pending(state: &CellState) -> Readiness {
    let pending = state.urgent.is_some_and(|urgent| match urgent.byte {
        OutOfBand::Here(_) => true,
        OutOfBand::Coming | OutOfBand::Taken => !state.out_of_band,
    });
    if pending { Readiness::PRI } else { Readiness::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::{Marks, Slices};
    use crate::stack::socket::{Kick, More, Observed, observe, readiness, recv, send_small};
    use crate::sync::Arc;
    use bytes::Bytes;

    /// A connected cell: what has come and not been read, and what the notice says.
    fn cell(inline: bool, text: &'static [u8], position: u64) -> Arc<Cell> {
        let cell = Cell::new(Marks { send: 1000, ..Marks::default() });
        let mut state = cell.lock();
        state.life = Life::Connected;
        state.out_of_band = !inline;
        feed(&mut state, text);
        let byte = text.get(position as usize).copied();
        assert!(show_urgent(&mut state, UrgentMark { position, byte }));
        assert!(!show_urgent(&mut state, UrgentMark { position, byte }), "no news");
        drop(state);
        cell
    }

    fn feed(state: &mut CellState, text: &'static [u8]) {
        state.inbox.push_back(Bytes::from_static(text));
        state.inbox_len += text.len();
    }

    fn text(cell: &Cell, most: usize, take: Take) -> Result<Vec<u8>, Errno> {
        recv(cell, most, take, None).map(|(slices, _): (Slices, Kick)| slices.concat())
    }

    fn priority(cell: &Cell) -> bool {
        readiness(cell, Readiness::PRI, None).any(Readiness::PRI)
    }

    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.5
    //= type=test
    //# The TCP implementation MUST (MUST-33) provide a way for the application to learn how much urgent data remains to be read from the connection, or at least to determine whether more urgent data remains to be read
    #[test]
    fn in_line_a_read_stops_at_the_mark() {
        let cell = cell(true, b"abCd", 2);
        assert!(priority(&cell));
        assert_eq!(text(&cell, 9, Take::Peek), Ok(b"ab".to_vec()));
        assert_eq!((text(&cell, 1, Take::Consume), at_mark(&cell)), (Ok(b"a".to_vec()), Ok(false)));
        assert_eq!((text(&cell, 9, Take::Consume), at_mark(&cell)), (Ok(b"b".to_vec()), Ok(true)));
        assert!(priority(&cell));
        assert_eq!(recv_urgent(&cell, Take::Consume), Err(Errno::EINVAL), "it comes in line");
        assert_eq!(text(&cell, 9, Take::Peek), Ok(b"Cd".to_vec()));
        assert_eq!((text(&cell, 9, Take::Consume), at_mark(&cell)), (Ok(b"Cd".to_vec()), Ok(false)));
        assert!(!priority(&cell));
    }

    #[test]
    fn out_of_band_the_byte_is_passed_over() {
        for taken in [true, false] {
            let cell = cell(false, b"abCd", 2);
            assert!(priority(&cell));
            if taken {
                assert_eq!(recv_urgent(&cell, Take::Peek), Ok(Some(b'C')));
                assert_eq!(recv_urgent(&cell, Take::Consume), Ok(Some(b'C')));
                assert_eq!(recv_urgent(&cell, Take::Consume), Err(Errno::EINVAL), "once only");
                assert!(!priority(&cell));
            }
            assert_eq!((text(&cell, 9, Take::Consume), at_mark(&cell)), (Ok(b"ab".to_vec()), Ok(true)));
            assert_eq!(text(&cell, 9, Take::Peek), Ok(b"d".to_vec()));
            assert_eq!(at_mark(&cell), Ok(true));
            assert_eq!((text(&cell, 9, Take::Consume), at_mark(&cell)), (Ok(b"d".to_vec()), Ok(false)));
            assert_eq!(cell.lock().consumed, 4, "the window reopens by the byte passed over, too");
            assert_eq!(recv_urgent(&cell, Take::Consume), Err(Errno::EINVAL));
            assert!(!priority(&cell));
        }
    }

    #[test]
    fn a_byte_out_of_band_alone_is_nothing_to_read() {
        let cell = cell(false, b"X", 0);
        assert!(!readiness(&cell, Readiness::IN, None).any(Readiness::IN));
        assert_eq!(text(&cell, 9, Take::Consume), Err(Errno::EAGAIN));
        assert_eq!(at_mark(&cell), Ok(true));
        feed(&mut cell.lock(), b"yz");
        assert!(readiness(&cell, Readiness::IN, None).any(Readiness::IN));
        assert_eq!(text(&cell, usize::MAX, Take::Peek), Ok(b"yz".to_vec()));
        assert_eq!(text(&cell, usize::MAX, Take::Consume), Ok(b"yz".to_vec()));
        let state = cell.lock();
        assert_eq!((state.position, state.inbox_len), (3, 0));
    }

    #[test]
    fn the_low_mark_does_not_count_the_byte_out_of_band() {
        let ready = |cell: &Cell| readiness(cell, Readiness::IN, None).any(Readiness::IN);
        let cell = cell(false, b"Xab", 0);
        cell.lock().marks.receive_low = 3;
        assert!(!ready(&cell));
        feed(&mut cell.lock(), b"cd");
        assert!(ready(&cell));
        let _ = observe(&cell);
        assert_eq!(text(&cell, 2, Take::Consume), Ok(b"ab".to_vec()));
        let Observed { ready, dipped } = observe(&cell);
        assert!(!ready.any(Readiness::IN) && dipped.any(Readiness::IN), "who waits for a change is owed one");
    }

    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.5
    //= type=test
    //# A TCP implementation MUST (MUST-32) inform the application layer asynchronously whenever it receives an urgent pointer and there was previously no pending urgent data, or whenever the urgent pointer advances in the data stream.
    #[test]
    fn a_notice_ahead_of_its_byte() {
        for inline in [true, false] {
            let cell = cell(inline, b"ab", 3);
            assert_eq!(priority(&cell), inline, "out of band there is nothing to take yet");
            let expected = if inline { Errno::EINVAL } else { Errno::EAGAIN };
            assert_eq!(recv_urgent(&cell, Take::Consume), Err(expected));
            assert_eq!(text(&cell, 9, Take::Consume), Ok(b"ab".to_vec()));
            let mut state = cell.lock();
            feed(&mut state, b"cD");
            assert!(show_urgent(&mut state, UrgentMark { position: 3, byte: Some(b'D') }));
            drop(state);
            assert!(priority(&cell));
            assert_eq!(text(&cell, 9, Take::Consume), Ok(b"c".to_vec()));
            assert_eq!(at_mark(&cell), Ok(true));
        }
        let cell = cell(false, b"", 3);
        cell.lock().recv_end = true;
        assert_eq!(recv_urgent(&cell, Take::Consume), Ok(None), "it will never come");
    }

    #[test]
    fn a_later_notice_takes_the_place_of_an_earlier_one() {
        let show = |cell: &Cell, position, byte| {
            show_urgent(&mut cell.lock(), UrgentMark { position, byte: Some(byte) })
        };
        let at_front = cell(false, b"Abc", 0);
        assert!(show(&at_front, 2, b'c'));
        assert_eq!(text(&at_front, 9, Take::Consume), Ok(b"b".to_vec()), "the unwanted byte is gone");
        let alone = cell(false, b"A", 0);
        assert_eq!(recv_urgent(&alone, Take::Consume), Ok(Some(b'A')));
        assert!(show_urgent(&mut alone.lock(), UrgentMark { position: 2, byte: None }));
        assert_eq!(text(&alone, 9, Take::Consume), Err(Errno::EAGAIN), "what was taken does not come again");
        feed(&mut alone.lock(), b"bC");
        assert_eq!(text(&alone, 9, Take::Consume), Ok(b"b".to_vec()));
        assert_eq!(at_mark(&alone), Ok(true));
        let ahead = cell(false, b"aBc", 1);
        assert!(show(&ahead, 2, b'c'));
        assert_eq!(text(&ahead, 9, Take::Consume), Ok(b"aB".to_vec()), "it is ordinary data again");
        let inline = cell(true, b"Abc", 0);
        assert!(show(&inline, 2, b'c'));
        assert_eq!(text(&inline, 9, Take::Consume), Ok(b"Ab".to_vec()));
        assert_eq!(text(&inline, 9, Take::Consume), Ok(b"c".to_vec()));
        assert!(!show(&inline, 2, b'c'), "it has been read");
        assert_eq!(at_mark(&inline), Ok(false));
    }

    #[test]
    fn asking_for_urgent_data_where_none_is() {
        let table = [
            (Life::Idle, Errno::EINVAL),
            (Life::Connecting, Errno::EINVAL),
            (Life::Connected, Errno::EINVAL),
            (Life::Ended, Errno::EINVAL),
            (Life::Listening, Errno::ENOTCONN),
            (Life::Closed, Errno::EBADF),
        ];
        for (life, errno) in table {
            let cell = Cell::new(Marks { send: 1000, ..Marks::default() });
            cell.lock().life = life;
            cell.lock().out_of_band = true;
            assert_eq!(recv_urgent(&cell, Take::Consume), Err(errno), "{life:?}");
            let marked = if life == Life::Closed { Err(Errno::EBADF) } else { Ok(false) };
            assert_eq!(at_mark(&cell), marked);
        }
    }

    #[test]
    fn the_last_byte_of_an_urgent_write_is_urgent() {
        let cell = Cell::new(Marks { send: 1000, ..Marks::default() });
        cell.lock().life = Life::Connected;
        let send =
            |bytes: &[u8], urgency| send_small(&cell, bytes, More::No, urgency, None).map(|(count, _)| count);
        assert_eq!(send(b"abc", Urgency::None), Ok(3));
        assert_eq!(cell.lock().urging, None);
        assert_eq!(send(b"de", Urgency::Last), Ok(2));
        assert_eq!(send(b"", Urgency::Last), Ok(0));
        assert_eq!(send(b"f", Urgency::None), Ok(1));
        let state = cell.lock();
        assert_eq!((state.urging, state.written), (Some(5), 6));
    }
}
