//! The C interface of usertcp: a translation of `usertcp_core::api`, nothing more.
//!
//! Modules whose first line says "chapter" are chapters of `include/usertcp.h`, in the order of
//! `tests/header.rs`: their doc comments are written for readers of C. The others are what the chapters
//! share.
//!
//! | module | what it is |
//! |---|---|
//! | [`mod@panic`] | the boundary that no panic crosses: every exported function opens with `guard!` |
//! | [`handle`] | the one table that handles point into |
//! | [`last`] | the sentence about the last error of each thread |
//! | [`args`] | C strings, size-prefixed structs and buffers, checked |
//! | [`fork`] | tells a forked child from the process that made the stacks |

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "doc comments are the header's text, where brackets are brackets"
)]
#![allow(non_camel_case_types, reason = "the names are those of the C header")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the contract with C callers is the header's, stated in its chapters"
)]

#[macro_use]
pub(crate) mod panic;

pub mod address;
pub(crate) mod args;
pub(crate) mod control;
pub mod counters;
pub mod end;
pub mod error;
pub(crate) mod fork;
pub(crate) mod handle;
pub mod info;
pub mod intercept;
pub(crate) mod last;
pub mod message;
pub mod names;
pub mod options;
pub mod poll;
pub mod poll_set;
pub mod sandbox;
pub mod snapshot;
pub mod socket;
pub mod stack;
pub mod trace;
pub mod version;
