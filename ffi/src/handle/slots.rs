//! Handles and the objects that they name.
//!
//! A handle is `generation << 32 | index`. A generation begins at 1 and grows whenever its slot is emptied,
//! so that zero, stale and doubled handles name nothing; a handle of another kind fails the downcast. Looking
//! one up clones an `Arc`: an object that is closed while another thread works with it lives until that
//! thread is done.
//!
//! The micro benchmarks read this file as it is.

use std::any::Any;
use std::sync::Arc;
use usertcp_core::api::{Errno, Error};
use usertcp_core::sync::{AtomicUsize, Ordering, RwLock};

/// Anything that a handle can name.
type Object = Arc<dyn Any + Send + Sync>;

/// Tables that a lookup is spread over, so that threads do not meet in one lock's counter.
#[cfg(not(loom))]
const SHARDS: usize = 16;
#[cfg(loom)]
const SHARDS: usize = 1;

/// Handles and what they name.
pub(crate) struct Table {
    shards: Vec<RwLock<Shard>>,
    next: AtomicUsize,
}

#[derive(Default)]
struct Shard {
    slots: Vec<Slot>,
    free: Vec<usize>,
}

struct Slot {
    generation: u32,
    object: Option<Object>,
}

impl Table {
    pub(crate) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::new(Shard::default())).collect();
        Self { shards, next: AtomicUsize::new(0) }
    }

    /// Gives `object` a handle. EMFILE when there are no more.
    pub(crate) fn insert(&self, object: Object) -> Result<u64, Error> {
        let which = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut shard = self.shards[which].write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let slot = match shard.free.pop() {
            Some(slot) => slot,
            None => {
                shard.slots.push(Slot { generation: 1, object: None });
                shard.slots.len() - 1
            }
        };
        let index = u32::try_from(slot * SHARDS + which).map_err(|_| Errno::EMFILE)?;
        shard.slots[slot].object = Some(object);
        Ok(u64::from(shard.slots[slot].generation) << 32 | u64::from(index))
    }

    /// What `handle` names. EBADF.
    pub(crate) fn find<T: Any + Send + Sync>(&self, handle: u64) -> Result<Arc<T>, Error> {
        let (which, slot, generation) = split(handle);
        let shard = self.shards[which].read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let object = shard.slots.get(slot).filter(|slot| slot.generation == generation);
        let object = object.and_then(|slot| slot.object.clone()).ok_or_else(|| stale(handle))?;
        object.downcast().map_err(|_| foreign(handle))
    }

    /// Takes `handle` out of the table; of several callers one succeeds. EBADF.
    pub(crate) fn remove<T: Any + Send + Sync>(&self, handle: u64) -> Result<Arc<T>, Error> {
        let (which, slot, generation) = split(handle);
        let mut shard = self.shards[which].write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let object = shard.slots.get(slot).filter(|slot| slot.generation == generation);
        let object = object.and_then(|slot| slot.object.clone()).ok_or_else(|| stale(handle))?;
        let object = object.downcast().map_err(|_| foreign(handle))?;
        shard.empty(slot);
        Ok(object)
    }

    /// Takes every object that `wanted` names out of the table; they are dropped after it is unlocked.
    pub(crate) fn remove_all(&self, wanted: impl Fn(&dyn Any) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            let named = |slot: &Slot| slot.object.as_deref().is_some_and(|object| wanted(object));
            let slots: Vec<_> = (0..shard.slots.len()).filter(|slot| named(&shard.slots[*slot])).collect();
            let objects: Vec<_> = slots.into_iter().map(|slot| shard.empty(slot)).collect();
            drop(shard);
            drop(objects);
        }
    }
}

impl Shard {
    /// Empties a slot; one whose generations are used up stays empty for good.
    fn empty(&mut self, slot: usize) -> Option<Object> {
        let emptied = &mut self.slots[slot];
        let object = emptied.object.take();
        emptied.generation = emptied.generation.wrapping_add(1);
        if emptied.generation != 0 {
            self.free.push(slot);
        }
        object
    }
}

/// Shard, slot and generation of a handle.
fn split(handle: u64) -> (usize, usize, u32) {
    let index = (handle & u64::from(u32::MAX)) as usize;
    (index % SHARDS, index / SHARDS, (handle >> 32) as u32)
}

fn stale(handle: u64) -> Error {
    match handle {
        0 => Error::new(Errno::EBADF, "the handle is 0, which names nothing"),
        _ => Error::new(
            Errno::EBADF,
            format!("handle {handle:#x} is not open: closed before, or never given out"),
        ),
    }
}

fn foreign(handle: u64) -> Error {
    Error::new(Errno::EBADF, format!("handle {handle:#x} names an object of another kind"))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn stale_doubled_foreign_and_zero_handles_name_nothing() {
        let table = Table::new();
        let errno = |result: Result<Arc<u8>, Error>| result.map_err(|error| error.errno()).unwrap_err();
        let handle = table.insert(Arc::new(7_u8)).unwrap();
        assert_eq!(*table.find::<u8>(handle).unwrap(), 7);
        assert_eq!(table.find::<u16>(handle).unwrap_err().errno(), Errno::EBADF, "foreign");
        assert_eq!(table.remove::<u16>(handle).unwrap_err().errno(), Errno::EBADF, "foreign");
        assert_eq!(*table.remove::<u8>(handle).unwrap(), 7);
        assert_eq!(errno(table.remove(handle)), Errno::EBADF, "doubled");
        let reused: Vec<_> = (0..SHARDS).map(|_| table.insert(Arc::new(8_u8)).unwrap()).collect();
        assert!(reused.iter().any(|new| *new as u32 == handle as u32), "the slot is used again");
        assert_eq!(errno(table.find(handle)), Errno::EBADF, "stale");
        assert_eq!(errno(table.find(0)), Errno::EBADF, "zero");
        assert_eq!(errno(table.find(u64::MAX)), Errno::EBADF, "never given out");
    }

    #[test]
    fn remove_all_takes_what_is_wanted() {
        let table = Table::new();
        let handles: Vec<_> = (0..100_u32).map(|n| table.insert(Arc::new(n)).unwrap()).collect();
        table.remove_all(|object| object.downcast_ref::<u32>().is_some_and(|n| n % 2 == 0));
        for (n, handle) in handles.iter().enumerate() {
            assert_eq!(table.find::<u32>(*handle).is_ok(), n % 2 == 1);
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;

    struct Open(std::sync::atomic::AtomicBool);

    #[test]
    fn one_of_two_closers_wins_and_a_user_keeps_what_it_found() {
        loom::model(|| {
            let table = loom::sync::Arc::new(Table::new());
            let handle = table.insert(Arc::new(Open(true.into()))).unwrap();
            let close = |table: loom::sync::Arc<Table>| {
                loom::thread::spawn(move || {
                    table.remove::<Open>(handle).map(|open| open.0.store(false, Ordering::SeqCst)).is_ok()
                })
            };
            let (first, second) = (close(table.clone()), close(table.clone()));
            if let Ok(found) = table.find::<Open>(handle) {
                let _still_there = found.0.load(Ordering::SeqCst);
            }
            let closed = [first.join().unwrap(), second.join().unwrap()];
            assert_eq!(closed.iter().filter(|won| **won).count(), 1);
            assert!(table.find::<Open>(handle).is_err());
        });
    }

    #[test]
    fn a_slot_used_again_is_never_found_by_its_old_handle() {
        loom::model(|| {
            let table = loom::sync::Arc::new(Table::new());
            let old = table.insert(Arc::new(1_u32)).unwrap();
            let other = table.clone();
            let recycle = loom::thread::spawn(move || {
                other.remove::<u32>(old).unwrap();
                other.insert(Arc::new(2_u32)).unwrap()
            });
            if let Ok(found) = table.find::<u32>(old) {
                assert_eq!(*found, 1);
            }
            let new = recycle.join().unwrap();
            assert_ne!(new, old);
            assert_eq!(*table.find::<u32>(new).unwrap(), 2);
        });
    }
}
