//! How to open a stack, and how long to wait.

use super::NameOptions;
use crate::config::{Config, Prefix};
use crate::error::{Error, Result};
use crate::link::impair::Impairment;
use crate::sys;
use crate::time::Duration;
use crate::trace::{Level, Record};
use std::fmt;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything that `Stack::open` needs.
#[derive(Debug)]
pub struct StackOptions {
    /// The protocols' settings. A `secret` of all zeroes is replaced by a random one, or by one made of `seed`.
    pub config: Config,
    /// Makes initial sequence numbers, ports and impairments the same every time; `None`: from the system.
    pub seed: Option<u64>,
    /// The link.
    pub device: DeviceOptions,
    /// Threads that work for the stack, 1 to 64, each on a queue of the link of its own: what one CPU cannot carry. Default 1. Each connection
    /// is one worker's, by a hash of its addresses and ports; programs see one stack. A TUN that is opened by name gets as many queues
    /// (`IFF_MULTI_QUEUE`), of others all are to be given: [`DeviceOptions::Queues`]. With more than one, the connections of a worker hold an equal part of
    /// `BufferConfig::total`, and there are no impairments.
    pub workers: usize,
    /// Faults put between stack and link, both ways unless `impairment_in` is given. The device is then opened without offload.
    pub impairment: Option<Impairment>,
    /// Faults for what the stack receives; `impairment`, if any, is then for what it sends.
    pub impairment_in: Option<Impairment>,
    /// File that every packet is written to, in pcapng format.
    pub pcap: Option<PathBuf>,
    /// Bytes of packets that are kept in memory instead, the last ones: they are written, and kept no longer, when a connection is cut off by a reset of
    /// either side or because nobody answered, and by [`Stack::dump_capture`](super::Stack::dump_capture). From 128 KiB on; 0: every packet is written.
    pub pcap_ring: usize,
    /// Where log records go, and how many.
    pub log: Option<LogSink>,
    /// Where the events of every connection go, as lines of JSON: see [`Stack::trace`](super::Stack::trace).
    pub trace: Option<TraceSink>,
    /// Where other programs of the same user ask what the stack has: an AF_UNIX socket, made with mode 0600 and removed when the stack is closed. They send
    /// `sockets` or `counters` and a line feed, and read the answer to its end; `usertcp ss` does. `None`: there is none.
    pub control: Option<PathBuf>,
    /// How names are looked up.
    pub names: NameOptions,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            config: Config::default(),
            seed: None,
            device: DeviceOptions::default(),
            workers: 1,
            impairment: None,
            impairment_in: None,
            pcap: None,
            pcap_ring: 0,
            log: None,
            trace: None,
            control: None,
            names: NameOptions::default(),
        }
    }
}

/// Where an event trace is written to.
#[derive(Debug)]
pub enum TraceSink {
    /// A file, made anew.
    Path(PathBuf),
    /// A descriptor, given away: a file, or a pipe or socket. If it blocks, the whole stack waits for whoever reads it; if it does not (O_NONBLOCK),
    /// up to 4 MiB wait, and then events are dropped and counted in the trace.
    Descriptor(OwnedFd),
}

impl TraceSink {
    pub(super) fn open(self) -> Result<File> {
        match self {
            Self::Path(path) => create("trace", &path),
            Self::Descriptor(fd) => Ok(File::from(fd)),
        }
    }
}

/// Creates the file that `what` goes to.
pub(super) fn create(what: &str, path: &Path) -> Result<File> {
    File::create(path).map_err(|error| {
        let errno = sys::errno_of(&error);
        Error::new(errno, format!("the {what} file {} cannot be created: {error}", path.display()))
    })
}

/// The link of a stack.
#[derive(Debug)]
pub enum DeviceOptions {
    /// A TUN device of this network namespace, made or attached to.
    Tun {
        /// Its name, up to 15 bytes; `None`: the kernel picks one. A trailing `%d` is replaced by a number.
        name: Option<String>,
        /// Addresses that the kernel's side of it gets; empty: it is left as it is.
        host_addresses: Vec<Prefix>,
        /// Segmentation and checksum offload.
        offload: Offload,
    },
    /// A descriptor that the program opened, given away: a TUN device (its flags are asked for), or a `SOCK_SEQPACKET` or `SOCK_DGRAM`
    /// socket that carries one IP packet a message.
    Descriptor(OwnedFd),
    /// All queues of one TUN device that the program opened with `IFF_MULTI_QUEUE`, given away: one for each of the stack's workers.
    Queues(Vec<OwnedFd>),
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self::Tun { name: None, host_addresses: Vec::new(), offload: Offload::Auto }
    }
}

/// Whether a TUN device is opened with the vnet header and TSO4, TSO6 and checksum offload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Offload {
    /// Where the kernel grants it.
    #[default]
    Auto,
    /// Never: one packet a system call.
    Off,
    /// Always: opening fails where the kernel does not grant it.
    Required,
}

/// A function that log records go to. It runs on the stack's I/O thread, of several on one at a time; calls on the same stack from it answer EDEADLK.
#[derive(Clone)]
pub struct LogSink {
    /// The most verbose level that is delivered.
    pub level: Level,
    /// The function.
    pub deliver: Arc<dyn Fn(&Record) + Send + Sync>,
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSink").field("level", &self.level).finish_non_exhaustive()
    }
}

/// How long a call may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// As the socket is set: its non-blocking flag and time-outs.
    AsSet,
    /// Not at all: EAGAIN.
    Never,
    /// At most this long, then EAGAIN as SO_RCVTIMEO has it; connect: EINPROGRESS.
    AtMost(Duration),
    /// Until it can be answered.
    Forever,
}
