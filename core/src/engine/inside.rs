//! Whether a call comes from inside a stack's own callbacks, where it could only wait for itself.

use super::Engine;
use super::crew::Crew;
use std::cell::Cell;
use std::ptr;

/// The worker that a thread works for, and its crew, if it has one.
type Inside = (*const Engine, *const Crew);

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
    let crew = engine.crew.as_ref().map_or(ptr::null(), |crew| ptr::from_ref::<Crew>(crew));
    STACK.with(|stack| stack.set((engine, crew)));
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
    STACK.try_with(Cell::get).is_ok_and(|(inside, crew)| {
        ptr::eq(inside, engine) || engine.crew.as_ref().is_some_and(|own| ptr::eq(crew, &raw const **own))
    })
}
