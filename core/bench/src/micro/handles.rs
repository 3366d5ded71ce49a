//! The handle table of the C library.

use super::scene::{Again, Effort, Take};
use slots::Table;
use std::hint::black_box;
use std::sync::Arc;

#[allow(dead_code, reason = "the library uses what is not measured")]
#[path = "../../../../ffi/src/handle/slots.rs"]
mod slots;

/// What a handle names here; a socket is about as large.
type Object = [u64; 8];

pub(super) fn run(effort: Effort, take: Take<'_>) {
    for size in [10, 10_000, 1_000_000].into_iter().filter(|size| *size <= effort.most) {
        let table = Table::new();
        let handles: Vec<u64> = (0..size).map(|_| open(&table)).collect();
        let mut at = 0;
        let find = || {
            at = (at + 7919) % size;
            drop(black_box(table.find::<Object>(handles[at]).expect("an open handle")));
        };
        let figures = effort.measure(256, &mut Again::new(find));
        take(&format!("handle found, {size} open"), "ours", figures);
        let open_and_close = || {
            let handle = open(&table);
            drop(black_box(table.remove::<Object>(handle).expect("an open handle")));
        };
        let figures = effort.measure(256, &mut Again::new(open_and_close));
        take(&format!("handle opened and closed, {size} open"), "ours", figures);
    }
}

fn open(table: &Table) -> u64 {
    table.insert(Arc::new(Object::default())).expect("room for a handle")
}
