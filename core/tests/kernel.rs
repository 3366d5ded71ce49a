//! The stack against the kernel's TCP, over a real TUN in a sandbox: both directions, both families, offload on and off.

mod events;
mod judge;

#[path = "kernel/binds.rs"]
mod binds;
#[path = "kernel/bulk.rs"]
mod bulk;
#[path = "kernel/closes.rs"]
mod closes;
#[path = "kernel/crowds.rs"]
mod crowds;
#[path = "kernel/datagrams.rs"]
mod datagrams;
#[path = "kernel/ends.rs"]
mod ends;
#[path = "kernel/faults.rs"]
mod faults;
#[path = "kernel/headers.rs"]
mod headers;
#[path = "kernel/lab.rs"]
mod lab;
#[path = "kernel/marks.rs"]
mod marks;
#[path = "kernel/queues.rs"]
mod queues;
#[path = "kernel/selective.rs"]
mod selective;
#[path = "kernel/urgent.rs"]
mod urgent;
#[path = "kernel/windows.rs"]
mod windows;
#[path = "kernel/workers.rs"]
mod workers;
