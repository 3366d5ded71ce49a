//! The gate in front of the Turn: whoever would block on the Turn passes here first, so that a busy holder starves nobody.

use crate::sync::{Mutex, MutexGuard, lock};

/// Std's mutex is unfair: a thread that unlocks and locks again at once wins against those asleep on it. A thread that waits for the Turn
/// holds the gate meanwhile, so the holder who comes back stops at the gate and the waiting thread gets its turn.
#[derive(Debug, Default)]
pub(super) struct Gate {
    gate: Mutex<()>,
}

impl Gate {
    /// Locks `inner` through the gate, which is open again once inside.
    pub(super) fn enter<'a, T>(&self, inner: &'a Mutex<T>) -> MutexGuard<'a, T> {
        let passing = lock(&self.gate);
        let guard = lock(inner);
        drop(passing);
        guard
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
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

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
