//! A connection that leaves its handle and lives on as a stream of the system.

use super::Stack;
use super::table::Kind;
use crate::buffer::{Cell, CellState, Life, Marks, SocketId};
use crate::error::Errno;
use crate::sync::Arc;

impl Stack {
    /// Gives a connection a cell of its own, with all that was in the old one, which is closed: whoever sleeps there is woken. From now on
    /// whoever asked for it closes the socket; `close_all` leaves it alone.
    ///
    /// EINVAL for a listener, ENOTCONN for what has not been connected, and the pending error of a connection that is over with nothing
    /// to read; EOPNOTSUPP for a datagram socket, EBADF.
    pub fn hand_over(&mut self, id: SocketId) -> Result<Arc<Cell>, Errno> {
        let entry = self.table.get_mut(id).ok_or(Errno::EBADF)?;
        let mut state = entry.cell.lock();
        may_leave(&mut state)?;
        let fresh = Cell::new(Marks::default());
        *fresh.lock() = state.move_out(&mut self.woken);
        drop(state);
        entry.cell = Arc::clone(&fresh);
        entry.handed_over = true;
        Ok(fresh)
    }

    /// Notes that a connection, whose cell no program has had, is in other hands: `close_all` leaves it alone.
    pub fn handed_over(&mut self, id: SocketId) {
        if let Some(entry) = self.table.get_mut(id) {
            entry.handed_over = true;
        }
    }

    /// How many connections may wait at a listener. EINVAL for what is none, EBADF.
    pub fn backlog(&self, id: SocketId) -> Result<usize, Errno> {
        match &self.table.get(id).ok_or(Errno::EBADF)?.kind {
            Kind::Listener(listener) => Ok(listener.backlog),
            _ => Err(Errno::EINVAL),
        }
    }
}

fn may_leave(state: &mut CellState) -> Result<(), Errno> {
    match state.life {
        _ if state.datagrams.is_some() => Err(Errno::EOPNOTSUPP),
        Life::Connected => Ok(()),
        Life::Ended if state.inbox_len > 0 || state.recv_end => Ok(()),
        Life::Closed => Err(Errno::EBADF),
        Life::Listening => Err(Errno::EINVAL),
        Life::Idle | Life::Connecting | Life::Ended => Err(state.error.take().unwrap_or(Errno::ENOTCONN)),
    }
}
