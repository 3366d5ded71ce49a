//! The gate in front of the Turn: whoever would block on the Turn passes here first, so that a busy holder starves nobody.

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, fence, lock, try_lock};

/// Std's mutex is unfair: a thread that unlocks and locks again at once wins against those asleep on it. A thread that waits for the Turn
/// holds the gate meanwhile, so the holder who comes back stops at the gate and the waiting thread gets its turn.
#[derive(Debug, Default)]
pub(super) struct Gate {
    gate: Mutex<()>,
    /// Somebody was turned away and relies on whoever is inside.
    missed: AtomicBool,
}

impl Gate {
    /// Locks `inner` through the gate, which is open again once inside.
    pub(super) fn enter<'a, T>(&self, inner: &'a Mutex<T>) -> MutexGuard<'a, T> {
        let passing = lock(&self.gate);
        let guard = lock(inner);
        drop(passing);
        guard
    }

    /// Locks `inner` if nobody holds it, nor waits for it.
    pub(super) fn try_enter<'a, T>(&self, inner: &'a Mutex<T>) -> Option<MutexGuard<'a, T>> {
        let passing = try_lock(&self.gate)?;
        let guard = try_lock(inner);
        drop(passing);
        guard
    }

    /// The same for somebody who will not come back for what there is to do: turned away, it is told by [`Gate::left`] to whoever was in the way.
    pub(super) fn try_enter_or_tell<'a, T>(&self, inner: &'a Mutex<T>) -> Option<MutexGuard<'a, T>> {
        if let Some(guard) = self.try_enter(inner) {
            return Some(guard);
        }
        self.missed.store(true, Ordering::Release);
        // Either this look sees that the way is free by now, or whoever is in the way sees the note when it has left.
        fence(Ordering::SeqCst);
        self.try_enter(inner)
    }

    /// Whether somebody was turned away for good, whose work nobody has done: to be asked after letting go of `inner`, always.
    #[must_use]
    pub(super) fn left(&self) -> bool {
        fence(Ordering::SeqCst);
        self.missed.load(Ordering::Acquire) && self.missed.swap(false, Ordering::AcqRel)
    }
}

#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use crate::sync::Arc;
    use loom::thread;

    #[test]
    fn loom_everyone_gets_in_once_at_a_time() {
        loom::model(|| {
            let shared = Arc::new((Gate::default(), Mutex::new(0u32)));
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let shared = shared.clone();
                    thread::spawn(move || *shared.0.enter(&shared.1) += 1)
                })
                .collect();
            *shared.0.enter(&shared.1) += 1;
            for thread in threads {
                thread.join().expect("a thread of the model");
            }
            assert_eq!(*shared.0.enter(&shared.1), 3);
        });
    }

    /// Whoever is turned away has its work done by somebody who looked after it was there, be it itself.
    #[test]
    fn loom_nobody_is_turned_away_in_vain() {
        loom::model(|| {
            let shared = Arc::new((Gate::default(), Mutex::new(0u32), AtomicBool::new(false)));
            let visit = |shared: &(Gate, Mutex<u32>, AtomicBool), tell: bool| {
                let (gate, inner, work) = shared;
                let entered = if tell { gate.try_enter_or_tell(inner) } else { Some(gate.enter(inner)) };
                let Some(mut done) = entered else { return };
                // A turn that does not look for work, as that of a control call, and is interrupted within: models switch where something shared is touched.
                let _ = work.load(Ordering::Acquire);
                *done += u32::from(tell && work.swap(false, Ordering::AcqRel));
                drop(done);
                if gate.left() {
                    let mut done = gate.enter(inner);
                    *done += u32::from(work.swap(false, Ordering::AcqRel));
                }
            };
            let holder = {
                let shared = shared.clone();
                thread::spawn(move || visit(&shared, false))
            };
            shared.2.store(true, Ordering::Release);
            visit(&shared, true);
            holder.join().expect("a thread of the model");
            assert_eq!(*shared.1.lock().expect("free"), 1);
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn whoever_is_turned_away_is_told_of_once() {
        let (gate, inner) = (Gate::default(), Mutex::new(0));
        let held = gate.enter(&inner);
        assert!(gate.try_enter(&inner).is_none());
        assert!(gate.try_enter_or_tell(&inner).is_none());
        drop(held);
        assert!(gate.left() && !gate.left());
        assert!(gate.try_enter(&inner).is_some());
    }

    #[test]
    fn a_busy_holder_starves_nobody() {
        let shared = Arc::new((Gate::default(), Mutex::new(0u64), AtomicBool::new(false)));
        let busy = {
            let shared = shared.clone();
            std::thread::spawn(move || {
                while !shared.2.load(Ordering::Relaxed) {
                    let mut guard = shared.0.enter(&shared.1);
                    for _ in 0..1000 {
                        *guard = std::hint::black_box(*guard + 1);
                    }
                }
            })
        };
        for _ in 0..1000 {
            drop(shared.0.enter(&shared.1));
        }
        shared.2.store(true, Ordering::Relaxed);
        busy.join().expect("the busy thread");
    }
}
