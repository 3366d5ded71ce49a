//! # usertcp-core
//!
//! TCP/IP as a library. The map of this tree, from the wire up:
//!
//! | room | what it is |
//! |---|---|
//! | [`error`] [`time`] [`config`] [`counters`] [`trace`] [`rng`] | plain values everything else speaks in |
//! | [`pack`] | values in few bytes, for what is at rest |
//! | [`sync`] | the only place that names `std::sync` (or loom) |
//! | [`wire`] | bytes to plain structs and back; checksums; frame metadata |
//! | [`buffer`] | pages, slices, send and receive queues, and the cell that callers and the stack share |
//! | [`link`] | frames, the [`link::Device`] trait, the in-memory pipe, impairments, pcap encoding |
//! | [`ip`] | between frame and segment, IPv4 and IPv6 alike |
//! | [`tcp`] | one connection |
//! | [`udp`] | one datagram socket |
//! | [`resolve`] | names to addresses: a stub resolver and the order in which addresses are tried |
//! | [`stack`] | many connections: demultiplexing, listeners, ports, deadlines, socket semantics |
//! | [`sim`] | hosts and links on a virtual clock; what joins the hosts of an [`api::Network`] |
//! | [`sys`] [`clock`] [`device`] [`socket`] [`engine`] [`sandbox`] | everything that touches the operating system |
//! | [`api`] | what Rust programs, the C library and the Python module see |
//!
//! Way in: `device -> engine::Turn -> Stack::handle_frame -> ip::ingress -> stack::demux ->
//! tcp::Connection::on_segment -> buffer -> cell -> api`. Way out is the reverse, through
//! `Stack::poll_transmit -> tcp::output -> ip::egress -> wire -> device`.
//!
//! Everything above the line `sys clock device socket engine sandbox api` is a pure function of packets,
//! calls and time.

#![deny(unsafe_code)]

pub mod api;
#[doc(hidden)]
pub mod buffer;
#[doc(hidden)]
pub mod clock;
pub mod config;
pub mod counters;
#[doc(hidden)]
pub mod device;
#[doc(hidden)]
pub mod engine;
pub mod error;
#[doc(hidden)]
pub mod ip;
#[doc(hidden)]
pub mod link;
#[doc(hidden)]
pub mod pack;
#[doc(hidden)]
pub mod resolve;
#[doc(hidden)]
pub mod rng;
pub mod sandbox;
#[doc(hidden)]
pub mod sim;
#[doc(hidden)]
pub mod socket;
#[doc(hidden)]
pub mod stack;
#[doc(hidden)]
pub mod sync;
#[doc(hidden)]
pub mod sys;
#[doc(hidden)]
pub mod tcp;
pub mod time;
pub mod trace;
#[doc(hidden)]
pub mod udp;
#[doc(hidden)]
pub mod wire;
