//! The readiness descriptors of a stack's sockets.

use super::{Engine, Phase};
use crate::buffer::{Cell, SocketId};
use crate::error::Result;
use crate::socket::{Descriptor, try_descriptors};
use crate::sync::{Arc, Ordering, TaskArc, lock};
use std::collections::BTreeMap;

/// Those of open sockets whose programs asked for one; the end of the stack shows in each of them.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    /// The kernel has been asked whether it shows every state.
    tried: bool,
    open: BTreeMap<SocketId, TaskArc<Descriptor>>,
}

impl Engine {
    /// The readiness descriptor of a socket, made when it is asked for the first time. EBADF when the socket is closed, EOPNOTSUPP when the
    /// kernel does not show what it has to, EMFILE.
    pub(crate) fn descriptor(&self, id: SocketId, cell: &Arc<Cell>) -> Result<TaskArc<Descriptor>> {
        self.check()?;
        let mut descriptors = lock(&self.descriptors);
        if let Some(known) = descriptors.open.get(&id) {
            return Ok(known.clone());
        }
        if !descriptors.tried {
            try_descriptors()?;
            descriptors.tried = true;
        }
        let made = Descriptor::new(cell)?;
        descriptors.open.insert(id, made.clone());
        drop(descriptors);
        self.tell_end(&made);
        Ok(made)
    }

    /// Takes the descriptor of a socket that is closed, or becomes something else.
    pub(crate) fn take_descriptor(&self, id: SocketId) -> Option<TaskArc<Descriptor>> {
        lock(&self.descriptors).open.remove(&id)
    }

    /// Puts back what `take_descriptor` took.
    pub(crate) fn return_descriptor(&self, id: SocketId, descriptor: TaskArc<Descriptor>) {
        lock(&self.descriptors).open.insert(id, descriptor.clone());
        self.tell_end(&descriptor);
    }

    /// Has a descriptor that was put in behind the back of the stack's end show it.
    fn tell_end(&self, descriptor: &Descriptor) {
        if self.phase.load(Ordering::Acquire) > Phase::Open as u32 {
            descriptor.give_up();
        }
    }

    /// Has every descriptor show that the stack has ended.
    pub(super) fn give_up_descriptors(&self) {
        let all: Vec<_> = lock(&self.descriptors).open.values().cloned().collect();
        all.iter().for_each(|descriptor| descriptor.give_up());
    }
}
