//! Simulated networks: hosts whose engine runs on a virtual clock, links with faults, and tasks that take turns. Nothing here sleeps.

#[path = "network/basics.rs"]
mod basics;
#[path = "network/faults.rs"]
mod faults;
#[path = "network/tasks.rs"]
mod tasks;
#[path = "network/world.rs"]
mod world;
