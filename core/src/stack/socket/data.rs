//! The data calls: bytes, connections and errors in and out of a cell.

use super::{Kick, More, Take, Urgency, urgent};
use crate::buffer::{Accepted, Cell, CellState, Interest, Life, PausedSyn, Pressure, Slices};
use crate::error::Errno;
use bytes::{Buf, Bytes};
use std::task::Waker;

/// Smallest and largest chunk that small writes are gathered in.
const CHUNK_MIN: usize = 512;
const CHUNK_MAX: usize = 64 << 10;

/// Up to `most` bytes in order, as slices to be copied outside the lock; an empty chain is the end of the stream.
/// EAGAIN, ENOTCONN, EBADF (closed before), ECANCELED (closed while asleep is told by the sleeper), or the pending error.
pub fn recv(cell: &Cell, most: usize, take: Take, waker: Option<&Waker>) -> Result<(Slices, Kick), Errno> {
    let mut state = cell.lock();
    match state.life {
        Life::Closed => return Err(Errno::EBADF),
        Life::Listening => return Err(Errno::ENOTCONN),
        Life::Idle => return Err(state.error.take().unwrap_or(Errno::ENOTCONN)),
        Life::Connecting | Life::Connected | Life::Ended => {}
    }
    if most == 0 {
        return Ok((Slices::new(), Kick::No));
    }
    let hole = urgent::hole(&state);
    if state.inbox_len > hole {
        let most = urgent::to_mark(&state).map_or(most, |bytes| most.min(bytes));
        return Ok(match take {
            Take::Peek => (peek(&state, hole, most), Kick::No),
            Take::Consume => consume(&mut state, hole, most),
        });
    }
    if state.recv_end {
        return Ok((Slices::new(), Kick::No));
    }
    if let Some(error) = state.error.take() {
        return Err(error);
    }
    if state.recv_shut || state.life == Life::Ended {
        return Ok((Slices::new(), Kick::No));
    }
    Err(would_block(&mut state, Interest::Read, waker))
}

/// SO_RCVLOWAT.
pub fn receive_low(cell: &Cell) -> usize {
    cell.lock().marks.receive_low
}

/// Promises room for up to `want` bytes, at least one, which [`commit`] or [`cancel`] must follow.
/// EAGAIN, EPIPE (shut down, over, or never connected, as in Linux), EBADF or the pending error. Nothing is promised for `want` 0.
pub fn reserve(cell: &Cell, want: usize, waker: Option<&Waker>) -> Result<usize, Errno> {
    let mut state = cell.lock();
    let count = room(&mut state, want, waker)?;
    state.outbox_len += count;
    Ok(count)
}

/// The same for a piece of a write that goes on behind it: it ends where a super-frame does, so that none is sent that is not full.
pub fn reserve_piece(cell: &Cell, want: usize, waker: Option<&Waker>) -> Result<usize, Errno> {
    let mut state = cell.lock();
    let mut count = room(&mut state, want, waker)?;
    if state.write_step > 0 {
        let waiting = state.outbox_len.saturating_add(state.unsent);
        let beyond = waiting.saturating_add(count) % state.write_step;
        if beyond < count {
            count -= beyond;
        }
    }
    state.outbox_len += count;
    Ok(count)
}

/// Queues bytes that were promised by [`reserve`]; they are lost, as those in flight are, if the connection ended meanwhile. EBADF or EPIPE: another thread
/// has closed the socket or shut it down since, and they are not sent.
pub fn commit(cell: &Cell, bytes: Bytes, more: More, urgency: Urgency) -> Result<Kick, Errno> {
    let mut state = cell.lock();
    if state.send_shut || state.life != Life::Connected {
        state.outbox_len = state.outbox_len.saturating_sub(bytes.len());
        return match state.life {
            Life::Closed => Err(Errno::EBADF),
            _ if state.send_shut => Err(Errno::EPIPE),
            _ => Ok(Kick::No),
        };
    }
    if !state.outbox_tail.is_empty() {
        let tail = state.outbox_tail.split().freeze();
        state.outbox.push_back(tail);
    }
    urgent::written(&mut state, bytes.len(), urgency);
    state.outbox.push_back(bytes);
    state.more = more == More::Follows;
    Ok(kick(&mut state))
}

/// Bytes that were written and not acknowledged, as last published.
pub fn under_way(cell: &Cell) -> usize {
    let state = cell.lock();
    state.outbox_len.saturating_add(state.unacked)
}

/// Gives back `count` promised bytes that will not be committed. Wakes whoever waits for room.
pub fn cancel(cell: &Cell, count: usize, wakers: &mut Vec<Waker>) {
    let mut state = cell.lock();
    state.outbox_len = state.outbox_len.saturating_sub(count);
    state.take_wakers(Interest::Write, wakers);
}

/// Queues a write below [`crate::buffer::SMALL`] bytes under one lock, as much of it as there is room for. Errors as [`reserve`].
pub fn send_small(
    cell: &Cell,
    bytes: &[u8],
    more: More,
    urgency: Urgency,
    waker: Option<&Waker>,
) -> Result<(usize, Kick), Errno> {
    send_small_pieces(cell, bytes.len(), std::iter::once(bytes), more, urgency, waker)
}

/// The same for a write of `size` bytes in several pieces.
pub fn send_small_pieces<'a>(
    cell: &Cell,
    size: usize,
    pieces: impl Iterator<Item = &'a [u8]>,
    more: More,
    urgency: Urgency,
    waker: Option<&Waker>,
) -> Result<(usize, Kick), Errno> {
    let mut state = cell.lock();
    let count = room(&mut state, size, waker)?;
    if count == 0 {
        return Ok((0, Kick::No));
    }
    if state.outbox_tail.capacity() - state.outbox_tail.len() < count {
        grow_tail(&mut state, count);
    }
    let mut left = count;
    for piece in pieces {
        let taken = piece.get(..left).unwrap_or(piece);
        state.outbox_tail.extend_from_slice(taken);
        left -= taken.len();
    }
    state.more = more == More::Follows;
    state.outbox_len += count;
    urgent::written(&mut state, count, urgency);
    Ok((count, kick(&mut state)))
}

/// The oldest SYN that an interceptor has for its program. EAGAIN, EINVAL (no interceptor), EBADF, ENETDOWN.
pub fn next_syn(cell: &Cell, waker: Option<&Waker>) -> Result<PausedSyn, Errno> {
    let mut state = cell.lock();
    let life = state.life;
    let Some(syns) = state.syns.as_mut().filter(|_| life != Life::Closed) else {
        return Err(if life == Life::Closed { Errno::EBADF } else { Errno::EINVAL });
    };
    let (syn, rest) = (syns.pop(), !syns.is_empty());
    if !rest {
        state.dip(Interest::Read);
    }
    if let Some(syn) = syn {
        return Ok(syn);
    }
    match (state.error.take(), life) {
        (Some(error), _) => Err(error),
        (None, Life::Ended) => Err(Errno::EINVAL),
        (None, _) => Err(would_block(&mut state, Interest::Read, waker)),
    }
}

/// The oldest connection of a listener. EAGAIN, EINVAL (not listening), EOPNOTSUPP (no stream), EBADF, ENETDOWN.
pub fn accept(cell: &Cell, waker: Option<&Waker>) -> Result<(Accepted, Kick), Errno> {
    let mut state = cell.lock();
    match state.life {
        Life::Closed => return Err(Errno::EBADF),
        _ if state.datagrams.is_some() || state.syns.is_some() => return Err(Errno::EOPNOTSUPP),
        // A connection that has ended keeps its error for those who ask for that.
        Life::Ended if state.end.is_none() => return Err(state.error.take().unwrap_or(Errno::EINVAL)),
        Life::Idle | Life::Connecting | Life::Connected | Life::Ended => return Err(Errno::EINVAL),
        Life::Listening => {}
    }
    if let Some(accepted) = state.accept.pop_front() {
        if state.accept.is_empty() {
            state.dip(Interest::Read);
        }
        let kick = if state.consumed_edge > 0 { kick(&mut state) } else { Kick::No };
        return Ok((accepted, kick));
    }
    if let Some(error) = state.error.take() {
        return Err(error);
    }
    Err(would_block(&mut state, Interest::Read, waker))
}

/// The outcome of connect: `Ok` when connected, EAGAIN while it is under way, then its error once.
/// ENOTCONN when connect was never called, EINVAL on a listener, EBADF.
pub fn connected(cell: &Cell, waker: Option<&Waker>) -> Result<(), Errno> {
    let mut state = cell.lock();
    match state.life {
        Life::Closed => Err(Errno::EBADF),
        Life::Idle => Err(state.error.take().unwrap_or(Errno::ENOTCONN)),
        Life::Listening => Err(Errno::EINVAL),
        Life::Connected => Ok(()),
        Life::Ended => Err(state.error.take().unwrap_or(Errno::ECONNABORTED)),
        Life::Connecting => match state.error.take() {
            Some(error) => Err(error),
            None => Err(would_block(&mut state, Interest::Write, waker)),
        },
    }
}

/// Takes the pending error (SO_ERROR), or what the network said last of data in flight. No other call fails for the latter: who does not ask is not told.
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.8
//# an application program that does not want to receive such ERROR_REPORT calls SHOULD be able to effectively disable these calls (SHLD-20).
pub fn take_error(cell: &Cell) -> Option<Errno> {
    let mut state = cell.lock();
    state.error.take().or_else(|| state.soft_error.take())
}

/// Puts back an error of the connection that a call took and did not tell, having something better to return: the next one tells it.
pub fn untold(cell: &Cell, error: Errno) {
    let mut state = cell.lock();
    let lasting = matches!(
        error,
        Errno::ECONNRESET | Errno::ECONNABORTED | Errno::ETIMEDOUT | Errno::ENETDOWN | Errno::EHOSTUNREACH
    );
    if lasting && state.error.is_none() {
        state.error = Some(error);
    }
}

/// Marks the cell closed and takes every waker. False if it was closed before.
///
/// The accept queue of a listener and whatever was written stay in the cell, out of reach of every call, until `Stack::close` takes them.
pub fn close(cell: &Cell, wakers: &mut Vec<Waker>) -> bool {
    let mut state = cell.lock();
    if state.life == Life::Closed {
        return false;
    }
    state.life = Life::Closed;
    state.take_wakers(Interest::Read, wakers);
    state.take_wakers(Interest::Write, wakers);
    true
}

/// How much of `want` may be queued now, or why nothing may.
fn room(state: &mut CellState, want: usize, waker: Option<&Waker>) -> Result<usize, Errno> {
    if state.life == Life::Closed {
        return Err(Errno::EBADF);
    }
    if let Some(error) = state.error.take() {
        return Err(error);
    }
    match state.life {
        Life::Connecting => return Err(would_block(state, Interest::Write, waker)),
        Life::Connected if !state.send_shut => {}
        _ => return Err(Errno::EPIPE),
    }
    let used = state.outbox_len.saturating_add(state.unacked);
    let mut count = state.send_limit().saturating_sub(used).min(want);
    if state.marks.unsent != usize::MAX {
        // As Linux: what the last super-frame lacks is taken in any case, and another one where less than the mark waits.
        let whole = state.write_step.max(1);
        let begun = state.outbox_len.saturating_add(state.unsent) % whole;
        let rest = if begun > 0 || state.below_unsent_mark() { whole - begun } else { 0 };
        count = count.min(rest);
    }
    if count == 0 && want > 0 {
        return Err(would_block(state, Interest::Write, waker));
    }
    if count < want {
        state.dip(Interest::Write);
    }
    Ok(count)
}

pub(super) fn would_block(state: &mut CellState, interest: Interest, waker: Option<&Waker>) -> Errno {
    state.dip(interest);
    if let Some(waker) = waker {
        state.register(interest, waker);
    }
    Errno::EAGAIN
}

/// Sets the flag that keeps later calls from kicking again.
pub(super) fn kick(state: &mut CellState) -> Kick {
    if std::mem::replace(&mut state.kicked, true) { Kick::No } else { Kick::Yes }
}

fn peek(state: &CellState, skip: usize, most: usize) -> Slices {
    let mut out = Slices::new();
    let (mut skip, mut left) = (skip, most);
    for slice in &state.inbox {
        if left == 0 {
            break;
        }
        let from = skip.min(slice.len());
        let count = (slice.len() - from).min(left);
        if count > 0 {
            out.push(slice.slice(from..from + count));
        }
        skip -= from;
        left -= count;
    }
    out
}

fn consume(state: &mut CellState, skip: usize, most: usize) -> (Slices, Kick) {
    let mut out = Slices::new();
    let most = most.saturating_add(skip);
    let mut left = most;
    while left > 0 {
        let Some(front) = state.inbox.front_mut() else { break };
        if front.len() > left {
            out.push(front.split_to(left));
            left = 0;
            break;
        }
        left -= front.len();
        out.extend(state.inbox.pop_front());
    }
    let taken = most - left;
    drop_front(&mut out, skip);
    state.inbox_len = state.inbox_len.saturating_sub(taken);
    state.consumed = state.consumed.saturating_add(taken);
    state.position += taken as u64;
    urgent::passed(state);
    if !urgent::worth_reading(state) {
        state.dip(Interest::Read);
    }
    // Where room is scarce, the holder is told of all there is.
    let enough = state.consumed >= state.consumed_edge || state.pressure() != Pressure::None;
    let reopens = state.life == Life::Connected && enough;
    let kick = if reopens { kick(state) } else { Kick::No };
    (out, kick)
}

/// Cuts off the first `count` bytes, which the first slice has.
fn drop_front(slices: &mut Slices, count: usize) {
    let Some(front) = slices.first_mut().filter(|_| count > 0) else { return };
    front.advance(count);
    if front.is_empty() {
        slices.remove(0);
    }
}

/// Makes room for `count` more bytes of small writes without moving those that are there.
fn grow_tail(state: &mut CellState, count: usize) {
    if !state.outbox_tail.is_empty() {
        let full = state.outbox_tail.split().freeze();
        state.outbox.push_back(full);
    }
    let chunk = state.outbox_len.clamp(CHUNK_MIN, CHUNK_MAX);
    state.outbox_tail.reserve(chunk.max(count));
}
