//! Whether a call comes from inside a stack's own callbacks, where it could only wait for itself.

use super::Engine;
use std::cell::Cell;

#[cfg(not(loom))]
thread_local! {
    static STACK: Cell<*const Engine> = const { Cell::new(std::ptr::null()) };
}

// The threads of a model are one of the system's.
#[cfg(loom)]
loom::thread_local! {
    static STACK: Cell<*const Engine> = Cell::new(std::ptr::null());
}

/// From now on this thread works for `engine`: its calls on the same stack are answered with EDEADLK.
pub(crate) fn enter(engine: &Engine) {
    STACK.with(|stack| stack.set(std::ptr::from_ref(engine)));
}

/// Whether this thread works for any stack.
pub(crate) fn is_inside_any() -> bool {
    STACK.try_with(Cell::get).is_ok_and(|inside| !inside.is_null())
}

/// Whether this thread works for `engine`.
pub(crate) fn is_inside(engine: &Engine) -> bool {
    STACK.try_with(Cell::get).is_ok_and(|inside| std::ptr::eq(inside, engine))
}
