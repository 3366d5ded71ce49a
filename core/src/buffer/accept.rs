//! The accept queue in the cell of a listener: nothing but a pointer in all other cells.

use super::{Cell, SocketId};
use crate::sync::Arc;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// An established connection in a listener's accept queue.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The stack's name for the connection.
    pub socket: SocketId,
    /// Its cell.
    pub cell: Arc<Cell>,
    /// Its own address.
    pub local: SocketAddr,
    /// The peer's address.
    pub peer: SocketAddr,
}

/// Established connections, oldest first.
#[derive(Debug, Default)]
#[allow(clippy::box_collection, reason = "few cells have any")]
pub struct AcceptQueue(Option<Box<VecDeque<Accepted>>>);

impl AcceptQueue {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.len())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the youngest.
    pub fn push_back(&mut self, accepted: Accepted) {
        self.0.get_or_insert_default().push_back(accepted);
    }

    /// Takes the oldest.
    pub fn pop_front(&mut self) -> Option<Accepted> {
        self.0.as_mut()?.pop_front()
    }

    /// Adds the youngest ones in order.
    pub fn extend(&mut self, accepted: impl IntoIterator<Item = Accepted>) {
        let mut accepted = accepted.into_iter().peekable();
        if accepted.peek().is_some() {
            self.0.get_or_insert_default().extend(accepted);
        }
    }

    /// Takes all of them.
    pub fn take(&mut self) -> VecDeque<Accepted> {
        self.0.take().map(|queue| *queue).unwrap_or_default()
    }
}
