//! The calls of the api, between two stacks of one process with a packet socket pair for a link: needs no privilege.

mod events;
mod judge;

#[path = "api/bytes.rs"]
mod bytes;
#[path = "api/capture.rs"]
mod capture;
#[path = "api/churn.rs"]
mod churn;
#[path = "api/control.rs"]
mod control;
#[path = "api/datagrams.rs"]
mod datagrams;
#[path = "api/ends.rs"]
mod ends;
#[path = "api/export.rs"]
mod export;
#[path = "api/lifetime.rs"]
mod lifetime;
#[path = "api/names.rs"]
mod names;
#[path = "api/pair.rs"]
mod pair;
#[path = "api/poll_sets.rs"]
mod poll_sets;
#[path = "api/polling.rs"]
mod polling;
#[path = "api/readiness.rs"]
mod readiness;
#[path = "api/trace.rs"]
mod trace;
#[path = "api/waiting.rs"]
mod waiting;
