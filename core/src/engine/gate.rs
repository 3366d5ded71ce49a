//! The gate in front of the Turn: whoever would block on the Turn passes here first, so that a busy holder starves nobody.

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, fence, lock, try_lock};

/// Std's mutex is unfair: a thread that unlocks and locks again at once wins against those asleep on it. A thread that waits for the Turn
/// holds the gate meanwhile, so the holder who comes back stops at the gate and the waiting thread gets its turn.
#[derive(Debug, Default)]
pub(super) struct Gate {
    gate: Mutex<()>,
    /// Somebody was turned away and relies on whoever is inside.
    missed: AtomicBool,
    #[cfg(loom)]
    switches: crate::sync::AtomicU32,
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
        self.switch();
        drop(passing);
        guard
    }

    /// The same for somebody who will not come back for what there is to do: turned away, it is told by [`Gate::left`] to whoever was in the way.
    pub(super) fn try_enter_or_tell<'a, T>(&self, inner: &'a Mutex<T>) -> Option<MutexGuard<'a, T>> {
        if let Some(guard) = self.try_enter(inner) {
            return Some(guard);
        }
        self.switch();
        self.missed.store(true, Ordering::Release);
        // Either this look sees that the way is free by now, or whoever is in the way sees the note when it has left. Past the gate: who is there may be somebody who
        // was turned away a moment before, by one who has left since, and asks for no notes.
        fence(Ordering::SeqCst);
        try_lock(inner)
    }

    /// Whether somebody was turned away for good, whose work nobody has done: to be asked after letting go of `inner`, always.
    #[must_use]
    pub(super) fn left(&self) -> bool {
        self.switch();
        fence(Ordering::SeqCst);
        self.missed.load(Ordering::Acquire) && self.missed.swap(false, Ordering::AcqRel)
    }

    /// Models switch threads where one changes what others change, and letting go of a mutex does not count.
    fn switch(&self) {
        #[cfg(loom)]
        self.switches.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use crate::sync::{Arc, AtomicU32};
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

    /// How a thread of a model comes to the gate.
    #[derive(Clone, Copy)]
    enum Visit {
        /// To do something else than the work that there is, as a control call does, and in any case.
        Enter,
        /// Likewise, if nobody is in the way.
        Try,
        /// For the work that it brings, unless somebody is in the way who is told of it.
        Work,
    }

    /// The work left to be done, and what was done of it.
    type Shared = (Gate, Mutex<u32>, AtomicU32);

    fn visit(shared: &Shared, how: Visit) {
        let (gate, inner, work) = shared;
        // Models switch where what is touched is touched by others too, and neither is a try nor is letting go: so all touch this, within as well.
        work.fetch_add(u32::from(matches!(how, Visit::Work)), Ordering::AcqRel);
        let entered = match how {
            Visit::Enter => Some(gate.enter(inner)),
            Visit::Try => gate.try_enter(inner),
            Visit::Work => gate.try_enter_or_tell(inner),
        };
        let Some(mut done) = entered else { return };
        work.fetch_add(0, Ordering::AcqRel);
        if let Visit::Work = how {
            *done += work.swap(0, Ordering::AcqRel);
        }
        drop(done);
        if gate.left() {
            let mut done = gate.enter(inner);
            *done += work.swap(0, Ordering::AcqRel);
        }
    }

    /// Whoever is turned away has its work done by somebody who looked after it was there, be it itself.
    fn nobody_is_turned_away_in_vain(visits: &'static [Visit]) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(move || {
            let shared = Arc::new((Gate::default(), Mutex::new(0), AtomicU32::new(0)));
            // The model's own thread only waits: all of them begin alike.
            let spawn = |how: Visit| {
                let shared = shared.clone();
                thread::spawn(move || visit(&shared, how))
            };
            let threads: Vec<_> = visits.iter().copied().chain([Visit::Work]).map(spawn).collect();
            for thread in threads {
                thread.join().expect("a thread of the model");
            }
            let brought = 1 + visits.iter().filter(|how| matches!(how, Visit::Work)).count();
            assert_eq!(*shared.1.lock().expect("free") as usize, brought);
        });
    }

    #[test]
    fn loom_nobody_is_turned_away_in_vain() {
        nobody_is_turned_away_in_vain(&[Visit::Enter]);
    }

    #[test]
    fn loom_nobody_is_turned_away_in_vain_by_somebody_who_is_turned_away() {
        nobody_is_turned_away_in_vain(&[Visit::Enter, Visit::Try]);
    }

    #[test]
    fn loom_nobody_of_two_is_turned_away_in_vain() {
        nobody_is_turned_away_in_vain(&[Visit::Enter, Visit::Work]);
    }

    #[test]
    fn loom_nobody_is_turned_away_in_vain_by_one_of_two() {
        nobody_is_turned_away_in_vain(&[Visit::Enter, Visit::Enter]);
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
