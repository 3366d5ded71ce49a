//! What Rust programs, the C library and the Python module see.
//!
//! Every type here may be used from any thread at any time.

mod ancillary;
mod control;
mod datagram;
mod export;
mod flags;
mod gather;
mod intercept;
mod names;
mod network;
mod options;
mod poll;
mod poll_set;
mod resolve;
mod settings;
mod snapshot;
mod socket;
mod stack;
mod stream;

pub use crate::buffer::Handling;
pub use crate::config::{
    BufferConfig, Config, Congestion, CwndValidation, Ecn, IpConfig, MtuProbing, OfferedWindow, OptionLayout,
    Personality, Prefix, Route, SlowStart, SynCookies, TcpConfig, UdpConfig,
};
pub use crate::counters::Counters;
pub use crate::error::{EndReason, Errno, Error, Result, Timeout, Unreachable};
pub use crate::link::impair::Impairment;
pub use crate::resolve::Settings as NameSettings;
pub use crate::sandbox::{Child, Sandbox, SandboxOptions};
pub use crate::sim::LinkCounters;
pub use crate::stack::socket::{EpollControl, EpollEvent, EpollEvents, Readiness};
pub use crate::stack::{Domain, Intercept, Shutdown, Snapshot, TcpInfo};
pub use crate::time::Duration;
pub use crate::trace::{Level, Record};
pub use ancillary::Ancillary;
pub use bytes::Bytes;
pub use datagram::{Message, Received};
pub use export::exported_addresses;
pub use flags::MessageFlags;
pub use intercept::Syn;
pub use names::NameOptions;
pub use network::{HostOptions, Interrupt, Network, Signal, Time};
pub use options::{DeviceOptions, LogSink, Offload, StackOptions, TraceSink, Wait};
pub use poll::{PollEntry, poll, poll_beside};
pub use poll_set::PollSet;
pub use resolve::Patient;
pub use snapshot::SNAPSHOT_HEADER;
pub use socket::{Socket, SocketKind};
pub use stack::Stack;
