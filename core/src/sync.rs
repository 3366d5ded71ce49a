//! The only place that names `std::sync`, or loom's copy of it under `--cfg loom`.

#[cfg(not(loom))]
pub use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, RwLock, Weak,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

#[cfg(loom)]
pub use loom::sync::{
    Arc, Condvar, Mutex, MutexGuard, RwLock,
    atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

/// The `Arc` that `std::task::Wake` is written for, under loom too.
pub use std::sync::Arc as TaskArc;

/// Loom has none, and no model needs one.
pub use std::sync::OnceLock;

/// Locks `mutex`; a thread that panicked while holding it does not spread its panic.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
