//! An engine of tests and models.

use super::*;
use crate::time::Duration;

/// One without a Turn and an I/O thread, as data calls see it; `device` is what callers may sleep on.
pub(super) fn engine(device: Option<i32>) -> Engine {
    let (commands, _) = crossbeam_channel::bounded(4);
    Engine {
        gate: Gate::default(),
        turn: Mutex::new(None),
        bell: Arc::new(Bell::new().expect("a bell")),
        crew: None,
        watch: Watch::new(device, Duration::ZERO).expect("a watch"),
        commands,
        phase: AtomicU32::new(Phase::Open as u32),
        home: Home::new().expect("a page"),
        sleepers: Mutex::new(Vec::new()),
        descriptors: Mutex::default(),
        adoptions: Adoptions::default(),
        pages: PagePool::new(1024, 1),
        clock: Clock::SYSTEM,
    }
}
