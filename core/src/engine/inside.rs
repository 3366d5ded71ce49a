//! Whether a call comes from inside a stack's own callbacks, where it could only wait for itself.

use super::crew::Crew;
use super::{Conductor, Engine};
use std::cell::Cell;
use std::ptr;

/// The worker that a thread works for, and what it has in common with others, if it does: its crew or its network.
type Inside = (*const Engine, *const ());

const NOBODY: Inside = (ptr::null(), ptr::null());

#[cfg(not(loom))]
thread_local! {
    static STACK: Cell<Inside> = const { Cell::new(NOBODY) };
}

// The threads of a model are one of the system's.
#[cfg(loom)]
loom::thread_local! {
    static STACK: Cell<Inside> = Cell::new(NOBODY);
}

/// From now on this thread works for `engine`: its calls on the same stack are answered with EDEADLK.
pub(crate) fn enter(engine: &Engine) {
    STACK.with(|stack| stack.set((engine, common(engine))));
}

/// What the calls of an engine have in common with those of others: none of them may be made from a callback of any.
fn common(engine: &Engine) -> *const () {
    let crew = engine.crew.as_ref().map(|crew| ptr::from_ref::<Crew>(crew).cast());
    let network = || engine.clock.conductor().map(|conductor| ptr::from_ref::<Conductor>(conductor).cast());
    crew.or_else(network).unwrap_or(ptr::null())
}

/// A thread that works for a simulated stack for a while, until this is dropped.
pub(super) struct Visit(Inside);

impl Visit {
    /// From now on calls on any stack of the same network are answered with EDEADLK.
    pub(super) fn begin(engine: &Engine) -> Self {
        Self(STACK.with(|stack| stack.replace((engine, common(engine)))))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        STACK.with(|stack| stack.set(self.0));
    }
}

/// Whether this thread works for a stack of this network.
pub(super) fn is_inside_network(network: &Conductor) -> bool {
    STACK.try_with(Cell::get).is_ok_and(|(_, common)| ptr::eq(common, ptr::from_ref(network).cast()))
}

/// Whether this thread works for any stack.
pub(crate) fn is_inside_any() -> bool {
    STACK.try_with(Cell::get).is_ok_and(|(engine, _)| !engine.is_null())
}

/// Whether this thread works for `engine`.
pub(crate) fn is_inside(engine: &Engine) -> bool {
    STACK.try_with(Cell::get).is_ok_and(|(inside, _)| ptr::eq(inside, engine))
}

/// Whether this thread works for the stack that `engine` is a worker of.
pub(crate) fn is_inside_stack(engine: &Engine) -> bool {
    STACK.try_with(Cell::get).is_ok_and(|(inside, shared)| {
        ptr::eq(inside, engine) || !shared.is_null() && ptr::eq(shared, common(engine))
    })
}
