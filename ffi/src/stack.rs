//! Chapter: Stacks.
//!
//! A stack is a host: it has addresses of its own on a link, and a thread, named "usertcp-io", that works for
//! it, or several. Any number of stacks live in a process. The link is a TUN device of the system, or a descriptor that
//! carries one IP packet a message.

use crate::args::{self, Prefixed};
use crate::handle::table;
use crate::intercept::OpenSyn;
use crate::socket::OpenSocket;
use crate::{fork, names, panic};
use std::ffi::{CString, c_char, c_int, c_void};
use std::mem::offset_of;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use usertcp_core::api::{
    Config, DeviceOptions, Errno, Error, Impairment, Level, LogSink, Offload, Personality, Record, Stack,
    StackOptions, TraceSink,
};

/// Names an open stack; 0 names none.
pub type usertcp_stack_t = u64;

/// usertcp_config_t.offload: TSO and checksum offload where the kernel grants it.
pub const USERTCP_OFFLOAD_AUTO: u32 = 0;
/// usertcp_config_t.offload: one packet a system call.
pub const USERTCP_OFFLOAD_OFF: u32 = 1;
/// usertcp_config_t.offload: opening fails where the kernel does not grant it.
pub const USERTCP_OFFLOAD_REQUIRED: u32 = 2;

/// Log level: something that the program should mend.
pub const USERTCP_LOG_ERROR: u32 = 1;
/// Log level: something unexpected that the stack coped with.
pub const USERTCP_LOG_WARN: u32 = 2;
/// Log level: life of the stack.
pub const USERTCP_LOG_INFO: u32 = 3;
/// Log level: life of each connection.
pub const USERTCP_LOG_DEBUG: u32 = 4;
/// Log level: everything.
pub const USERTCP_LOG_TRACE: u32 = 5;

/// Takes log records: the level, the time in nanoseconds of CLOCK_MONOTONIC, and a line of text that is valid
/// during the call only. It runs on the stack's own thread, which does nothing else meanwhile: be quick. Of
/// several threads one at a time calls it.
/// Calls on the same stack return -EDEADLK from it and change nothing. It must return: no longjmp, no C++
/// exception. None comes after usertcp_stack_close() has returned.
pub type usertcp_log_fn =
    Option<unsafe extern "C" fn(context: *mut c_void, level: u32, nanoseconds: u64, text: *const c_char)>;

/// Faults put between a stack and its link, decided by the stack's seed. Zero means none. Begin with
/// USERTCP_IMPAIRMENT_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct usertcp_impairment_t {
    /// sizeof(usertcp_impairment_t).
    pub size: u32,
    /// Packets that may wait for the link while `rate` keeps it busy; 0: 1000, or any number if `queue_bytes` is
    /// set.
    pub queue: u32,
    /// Bits a second; 0: no limit.
    pub rate: u64,
    /// One-way delay, microseconds.
    pub delay_us: u64,
    /// Random addition to the delay, from 0 to this, microseconds; order is kept.
    pub jitter_us: u64,
    /// How long a packet that is to be overtaken is held back, microseconds.
    pub reorder_delay_us: u64,
    /// Probability that a packet is lost, 0.0 to 1.0.
    pub loss: f64,
    /// Probability that a packet comes twice.
    pub duplicate: f64,
    /// Probability that a packet is held back by `reorder_delay_us`.
    pub reorder: f64,
    /// Probability that one bit of a packet is flipped.
    pub corrupt: f64,
    /// Random addition to `reorder_delay_us`, from 0 to this, microseconds.
    pub reorder_jitter_us: u64,
    /// Bytes that may wait in the queue; 0: no limit beside `queue`.
    pub queue_bytes: u64,
    /// Bursts of loss after Gilbert and Elliott: probability that a packet finds one begun. Within bursts
    /// `burst_loss` holds, outside of them `loss`.
    pub burst_enter: f64,
    /// Probability that a packet finds the burst over.
    pub burst_leave: f64,
    /// Probability that a packet of a burst is lost.
    pub burst_loss: f64,
    /// Bits a second that a policer, a token bucket, lets pass; what finds no tokens is dropped. 0: none.
    pub police_rate: u64,
    /// Bytes that its bucket holds.
    pub police_burst: u64,
    /// Bytes of memory for packets under way, each counted with 128 bytes of its own; 0: 128 MiB. More are
    /// dropped.
    pub memory: u64,
    /// Bytes of the largest packet that passes; 0: any. IPv4 without "don't fragment" is cut, others are
    /// dropped.
    pub mtu: u32,
    /// 1: their source is told by ICMP. 0: the link is a black hole.
    pub mtu_told: u32,
    /// Packets waiting in the queue from which on one more is marked if it uses ECN (RFC 3168); 0: none is.
    pub mark: u64,
}

/// How to open a stack. Begin with USERTCP_CONFIG_INIT, then set what differs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct usertcp_config_t {
    /// sizeof(usertcp_config_t).
    pub size: u32,
    /// Must be 0.
    pub flags: u32,
    /// Name of the TUN device to attach to or to make, at most 15 bytes; a trailing "%d" is replaced by a
    /// number. NULL: the kernel picks.
    pub device: *const c_char,
    /// A descriptor to use instead of a device, or -1: a TUN device that the program opened, or a
    /// SOCK_SEQPACKET or SOCK_DGRAM socket that carries one IP packet a message. The stack works on a
    /// duplicate: close yours whenever you like. `device`, `host_addresses` and `offload` must be unset then.
    pub fd: i32,
    /// Largest IP packet of the link, bytes; 0: 1500.
    pub mtu: u32,
    /// The stack's own addresses with prefix lengths, separated by commas: "192.0.2.2/24,2001:db8::2/64".
    pub addresses: *const c_char,
    /// Addresses for the kernel's side of the device, in the same form; NULL: it is left as it is.
    pub host_addresses: *const c_char,
    /// Seed of sequence numbers, ports and impairments, for runs that can be repeated; 0: random.
    pub seed: u64,
    /// A file that every packet is written to, in pcapng format; NULL: none.
    pub pcap: *const c_char,
    /// USERTCP_OFFLOAD_AUTO, _OFF or _REQUIRED.
    pub offload: u32,
    /// Most verbose level that `log` gets, USERTCP_LOG_ERROR to _TRACE; 0: USERTCP_LOG_INFO.
    pub log_level: u32,
    /// Where log records go; NULL: nowhere.
    pub log: usertcp_log_fn,
    /// Passed to `log`.
    pub log_context: *mut c_void,
    /// Faults to put between stack and link, both ways unless `impairment_in` is set; NULL: none.
    pub impairment: *const usertcp_impairment_t,
    /// The networks that the link leads to beside those of `addresses`, separated by commas, with the router
    /// that leads there and the largest packet of that way if they matter: "198.51.100.0/24 via 192.0.2.1,
    /// ::/0 mtu 1400". The router decides which of the addresses is used; packets take the same link. NULL:
    /// the link leads everywhere. Else whatever is in no network is -ENETUNREACH.
    pub routes: *const c_char,
    /// Whose habits the stack has where the RFCs leave a choice: "linux" or "freebsd"; NULL: "linux". It
    /// decides, "linux" first: the order of the options of a SYN (MSS, SACK permitted, timestamps, window
    /// scale; or MSS, window scale, SACK permitted, timestamps); the buffers for receiving and sending (128 and
    /// 256 KiB, growing to 32 MiB with what passes through them; or 64 KiB, rounded up to whole segments once
    /// the peer is known, and 32 KiB); the window scale (10, for 32 MiB; or 6, for 2 MiB); the window offered
    /// (in steps of a segment; or all that is free, rounded up to a step of the scale); which segments are
    /// acknowledged at once (the first 16, then every second full one; or every second one), the others after
    /// 40 ms with both; data in a SYN that crosses ours (not kept, the peer sends it again; or kept); the
    /// retransmission timeout (as measured; or 200 ms more); a soft error of the network during connect (ends
    /// it; or is told only if connect times out) and a hard one (under its own number; or as ECONNREFUSED); the
    /// error after an RST that comes behind the peer's FIN (EPIPE; or ECONNRESET); ACKs while our FIN is in
    /// flight (without it; or with it); the acknowledgement in an old segment (passed over; or counted); PSH on
    /// segments that the device cuts (on each super-frame, and on what was gathered for one but goes segment by
    /// segment; or only at the end of what was written).
    pub personality: *const c_char,
    /// Faults for what the stack receives; `impairment`, if any, is then for what it sends. NULL: as
    /// `impairment`.
    pub impairment_in: *const usertcp_impairment_t,
    /// A file that what happens to every connection is written to, as lines of JSON; NULL: none. See
    /// usertcp_stack_trace().
    pub trace: *const c_char,
    /// For how long a call that waits on one socket, or usertcp_poll() on sockets of one stack, looks at the
    /// device again and again before it sleeps, microseconds, at most 10000; 0: not at all. It spares waking the thread, 25 to 50 us where CPUs halt, and costs a CPU meanwhile;
    /// it pays only where the peer answers within that time and runs on another CPU, and is tried ever more
    /// rarely where it does not pay. One thread of a stack does it at a time, while no other waits too.
    pub spin_us: u32,
    /// Threads that work for the stack, at most 64, each on a queue of the link of its own: what one CPU cannot
    /// carry. 0 and 1: one. A device by name gets as many queues; with more than one worker there are no
    /// impairments, and `fd` is not enough: see `queues`.
    pub workers: u32,
    /// Instead of `fd`: descriptors of all queues of a TUN device that the program opened with
    /// IFF_MULTI_QUEUE, `workers` of them. The stack works on duplicates. NULL: none.
    pub queues: *const c_int,
    /// Where other programs of the same user ask what the stack has: an AF_UNIX socket, made with mode 0600 and
    /// removed when the stack is closed. They send "sockets" or "counters" and a line feed, and read the answer
    /// to its end; `usertcp ss PATH` does. A socket that a program which is gone has left there is replaced.
    /// NULL: there is none.
    pub control_path: *const c_char,
    /// Bytes of packets, 131072 or more, that are kept in memory instead of being written to `pcap`: the last
    /// ones, and the half of it at least. They are written, and kept no longer, when a connection is cut off by
    /// a reset of either side or because nobody answered, and by usertcp_stack_dump_capture(). 0: every packet
    /// is written.
    pub pcap_ring: u64,
    /// Name servers, at most 3, separated by commas, with a port where it is not 53: "192.0.2.53,
    /// [2001:db8::53]:5353". Each is asked after the one before has been silent for `names_timeout_ms` or has failed.
    /// NULL: those of /etc/resolv.conf when the stack is opened; "": none.
    pub nameservers: *const c_char,
    /// Domains to try behind names of few dots, separated by commas; NULL: those of /etc/resolv.conf; "": none.
    pub search: *const c_char,
    /// A file of addresses and names in the form of /etc/hosts, read when the stack is opened; NULL: /etc/hosts; "":
    /// none.
    pub hosts: *const c_char,
    /// Dots from which on a name is first tried as it is, at most 15; 0: as /etc/resolv.conf says, or else 1.
    pub ndots: u32,
    /// How long a name server may take, milliseconds, at most 30000; 0: as /etc/resolv.conf says, or else 5000.
    pub names_timeout_ms: u32,
    /// How often each name server is asked, at most 5; 0: as /etc/resolv.conf says, or else 2.
    pub names_attempts: u32,
    /// How long usertcp_connect_to() gives one address before it tries the next beside it, milliseconds, 10 to 2000;
    /// 0: 250.
    pub connect_delay_ms: u32,
}

// SAFETY: repr(C), `size` first, no padding, and zeroes are a value of every field.
unsafe impl Prefixed for usertcp_impairment_t {
    const NAME: &'static str = "usertcp_impairment_t";
    const FIRST: usize = offset_of!(Self, reorder_jitter_us);
}

// SAFETY: as above.
unsafe impl Prefixed for usertcp_config_t {
    const NAME: &'static str = "usertcp_config_t";
    const FIRST: usize = offset_of!(Self, impairment_in);
}

/// Opens the link, starts the stack and stores its handle in `*stack`.
///
/// The stack's own threads, "usertcp-io", inherit the CPUs that the thread calling this may run on, and its scheduling policy. Who sends much gives
/// them one CPU, and itself another: see sched_setaffinity(2).
///
/// -EINVAL: a setting is wrong, usertcp_last_error() names it. -E2BIG: the struct is of a later version and
/// uses what this library does not know. -EPERM, -EACCES: a device is not granted, usertcp_last_error() names
/// the ways to get one; a sandbox is one of them. -ENOENT, -ENODEV, -ENXIO: there is no /dev/net/tun. -EBUSY: somebody else is attached to the device. -EBADF:
/// `fd` is not open. -EADDRINUSE: something else is at `control_path`. -ENAMETOOLONG: it is longer
/// than 107 bytes. -ENOENT, -ENOTDIR, -EACCES and what else open(2) returns: the file that `hosts`, `trace`, `pcap` or
/// `control_path` names cannot be opened or made. -EAGAIN: no thread can be made.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_stack_open(
    config: *const usertcp_config_t,
    stack: *mut usertcp_stack_t,
) -> c_int {
    guard!({
        if stack.is_null() {
            return Err(args::null("the handle to store"));
        }
        panic::install_hook();
        let table = table()?;
        // SAFETY: the program promises a usertcp_config_t, and what its pointers claim.
        let options = unsafe { options(&args::read_struct(config)?) }?;
        let opened = Stack::open(options)?;
        fork::arm();
        let handle = table.insert(Arc::new(opened))?;
        // SAFETY: the program promises that it may be written.
        unsafe { args::write(stack, handle, "the handle to store") }?;
        Ok(0)
    })
}

/// Ends a stack. Blocked callers wake with -ECANCELED. What is queued is sent, then FINs; what is not done
/// after `timeout_ms` is reset (0: at once, negative: as long as the protocol takes). Signal handlers do not
/// end the wait. Handles of the stack and of its sockets are stale afterwards, whatever is returned but
/// -EDEADLK.
///
/// -ETIMEDOUT: connections had to be reset.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_stack_close(stack: usertcp_stack_t, timeout_ms: c_int) -> c_int {
    guard!({
        let table = table()?;
        let outcome = table.find::<Stack>(stack)?.close(args::limit(timeout_ms));
        if matches!(&outcome, Err(error) if [Errno::EDEADLK, Errno::EBADF].contains(&error.errno())) {
            return outcome.map(|()| 0);
        }
        drop(table.remove::<Stack>(stack));
        table
            .remove_all(|object| object.downcast_ref::<OpenSocket>().is_some_and(|open| open.stack == stack));
        table.remove_all(|object| object.downcast_ref::<OpenSyn>().is_some_and(|open| open.stack == stack));
        outcome.map(|()| 0)
    })
}

/// Copies the name of the stack's device into `buffer`, terminated by NUL: empty for a descriptor that has
/// none. Returns the length of the name; -ENOSPC when `size` is too small, 16 bytes always suffice.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_stack_device(
    stack: usertcp_stack_t,
    buffer: *mut c_char,
    size: usize,
) -> c_int {
    guard!({
        let name = table()?.find::<Stack>(stack)?.device_name();
        if buffer.is_null() {
            return Err(args::null("the buffer"));
        }
        if size <= name.len() {
            return Err(Errno::ENOSPC.into());
        }
        // SAFETY: the program promises `size` writable bytes.
        unsafe { args::copy_text(&name, buffer, size) };
        Ok(c_int::try_from(name.len()).unwrap_or(c_int::MAX))
    })
}

/// 1 when the stack's device does segmentation and checksum offload, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_stack_offloaded(stack: usertcp_stack_t) -> c_int {
    guard!({ Ok(c_int::from(table()?.find::<Stack>(stack)?.offloaded())) })
}

/// Writes to the capture file what usertcp_config_t.pcap_ring has kept, as when a connection is cut off; it is
/// written when the call returns.
///
/// -EINVAL: the stack was opened without one. -ENOSPC, -EIO and others: the file cannot be written.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_stack_dump_capture(stack: usertcp_stack_t) -> c_int {
    guard!({
        table()?.find::<Stack>(stack)?.dump_capture()?;
        Ok(0)
    })
}

/// Changes the faults between stack and link, for what is sent and received from here on: as usertcp_config_t's
/// `impairment` and `impairment_in`, NULL and NULL being none. Packets under way arrive as they would have, in
/// order.
///
/// -EINVAL: a setting is wrong, usertcp_last_error() names it and nothing has changed; or the stack was opened
/// without impairments, which may be such as do nothing. -E2BIG: a struct is of a later version and uses what
/// this library does not know.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_stack_impair(
    stack: usertcp_stack_t,
    outgoing: *const usertcp_impairment_t,
    incoming: *const usertcp_impairment_t,
) -> c_int {
    guard!({
        let stack = table()?.find::<Stack>(stack)?;
        // SAFETY: the program promises that both are NULL or such structs.
        let (outgoing, incoming) = unsafe { (impairment(outgoing)?, impairment(incoming)?) };
        stack.impair(outgoing.unwrap_or_default(), incoming.or(outgoing).unwrap_or_default())?;
        Ok(0)
    })
}

/// # Safety
/// The pointers in `config` are NULL or point to what the header says.
unsafe fn options(config: &usertcp_config_t) -> Result<StackOptions, Error> {
    if config.flags != 0 {
        return Err(args::invalid("usertcp_config_t.flags must be 0"));
    }
    // SAFETY: the caller's promise, for each of these.
    let (addresses, routes, personality, device, [impairment, impairment_in], [pcap, trace, control]) = unsafe {
        let addresses = args::list(config.addresses, "addresses")?;
        let routes = args::list(config.routes, "routes")?;
        let personality = args::string(config.personality, "personality")?;
        (
            addresses,
            routes,
            personality,
            device(config)?,
            [impairment(config.impairment)?, impairment(config.impairment_in)?],
            [args::path(config.pcap), args::path(config.trace), args::path(config.control_path)],
        )
    };
    // SAFETY: as above.
    let names = unsafe { names::options(config) }?;
    let personality = personality.map_or(Ok(Personality::Linux), str::parse)?;
    let mut settings = Config { addresses, routes, ..Config::of(personality) };
    if config.mtu != 0 {
        settings.mtu = mtu(config.mtu)?;
    }
    settings.spin = Duration::from_micros(config.spin_us.into());
    let trace = trace.map(TraceSink::Path);
    let seed = (config.seed != 0).then_some(config.seed);
    let log = log(config)?;
    let workers = config.workers.max(1) as usize;
    let pcap_ring = usize::try_from(config.pcap_ring).unwrap_or(usize::MAX);
    Ok(StackOptions {
        config: settings,
        seed,
        device,
        workers,
        impairment,
        impairment_in,
        pcap,
        pcap_ring,
        log,
        trace,
        control,
        names,
    })
}

/// Most queues that are looked for: as many as a stack has workers at most.
const QUEUES_MAX: u32 = 64;

pub(crate) fn mtu(mtu: u32) -> Result<u16, Error> {
    u16::try_from(mtu).map_err(|_| args::invalid(format!("mtu {mtu} is more than 65535")))
}

/// # Safety
/// As [`options`].
unsafe fn device(config: &usertcp_config_t) -> Result<DeviceOptions, Error> {
    let offload = match config.offload {
        USERTCP_OFFLOAD_AUTO => Offload::Auto,
        USERTCP_OFFLOAD_OFF => Offload::Off,
        USERTCP_OFFLOAD_REQUIRED => Offload::Required,
        other => return Err(args::invalid(format!("offload {other} is none of USERTCP_OFFLOAD_"))),
    };
    // SAFETY: the caller's promise.
    let (name, host_addresses) = unsafe {
        (args::string(config.device, "device")?, args::list(config.host_addresses, "host_addresses")?)
    };
    if config.fd < -1 {
        let text = format!(
            "fd {} is neither a descriptor nor -1: did the call that should have given one fail?",
            config.fd
        );
        return Err(args::invalid(text));
    }
    let given = config.fd >= 0 || !config.queues.is_null();
    if !given {
        return Ok(DeviceOptions::Tun { name: name.map(str::to_owned), host_addresses, offload });
    }
    if name.is_some() || !host_addresses.is_empty() || offload != Offload::Auto {
        return Err(args::invalid(
            "device, host_addresses and offload do not go with fd and queues: they are used as they are",
        ));
    }
    if config.queues.is_null() {
        return Ok(DeviceOptions::Descriptor(duplicate(config.fd)?));
    }
    if config.fd >= 0 {
        return Err(args::invalid("give fd or queues, not both"));
    }
    if config.workers > QUEUES_MAX {
        return Err(args::invalid(format!("workers must be at most {QUEUES_MAX}")));
    }
    // SAFETY: the program promises `workers` descriptors.
    let queue = |index: u32| unsafe { config.queues.add(index as usize).read_unaligned() };
    let queues = (0..config.workers.max(1)).map(|index| duplicate(queue(index)));
    Ok(DeviceOptions::Queues(queues.collect::<Result<_, _>>()?))
}

pub(crate) fn duplicate(fd: c_int) -> Result<OwnedFd, Error> {
    if fd < 0 {
        return Err(Error::new(Errno::EBADF, format!("descriptor {fd} is none")));
    }
    // SAFETY: the descriptor is only borrowed for the system call that duplicates it or finds that it is not
    // open.
    let duplicate = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned();
    duplicate.map_err(|error| {
        let errno = Errno(error.raw_os_error().unwrap_or(Errno::EBADF.0));
        Error::new(errno, format!("descriptor {fd} cannot be duplicated: {error}"))
    })
}

/// # Safety
/// `pointer` is NULL or points to a usertcp_impairment_t.
unsafe fn impairment(pointer: *const usertcp_impairment_t) -> Result<Option<Impairment>, Error> {
    if pointer.is_null() {
        return Ok(None);
    }
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    // SAFETY: the caller's promise.
    let faults = unsafe { args::read_struct(pointer) }?;
    let random = [faults.loss, faults.duplicate, faults.reorder, faults.corrupt];
    let bursts = [faults.burst_enter, faults.burst_leave, faults.burst_loss];
    for probability in random.into_iter().chain(bursts) {
        if !(0.0..=1.0).contains(&probability) {
            return Err(args::invalid(format!("probability {probability} is not within 0.0 to 1.0")));
        }
    }
    Ok(Some(Impairment {
        rate: faults.rate,
        delay: Duration::from_micros(faults.delay_us),
        jitter: Duration::from_micros(faults.jitter_us),
        loss: faults.loss,
        duplicate: faults.duplicate,
        reorder: faults.reorder,
        reorder_delay: Duration::from_micros(faults.reorder_delay_us),
        corrupt: faults.corrupt,
        queue: faults.queue as usize,
        mark: bytes(faults.mark),
        queue_bytes: bytes(faults.queue_bytes),
        reorder_jitter: Duration::from_micros(faults.reorder_jitter_us),
        burst_enter: faults.burst_enter,
        burst_leave: faults.burst_leave,
        burst_loss: faults.burst_loss,
        police_rate: faults.police_rate,
        police_burst: bytes(faults.police_burst),
        mtu: mtu(faults.mtu)?,
        mtu_told: faults.mtu_told != 0,
        memory: bytes(faults.memory),
    }))
}

fn log(config: &usertcp_config_t) -> Result<Option<LogSink>, Error> {
    let level = match config.log_level {
        USERTCP_LOG_ERROR => Level::Error,
        USERTCP_LOG_WARN => Level::Warn,
        USERTCP_LOG_INFO | 0 => Level::Info,
        USERTCP_LOG_DEBUG => Level::Debug,
        USERTCP_LOG_TRACE => Level::Trace,
        other => return Err(args::invalid(format!("log_level {other} is none of USERTCP_LOG_"))),
    };
    let Some(function) = config.log else {
        return Ok(None);
    };
    let callback = Callback { function, context: config.log_context };
    Ok(Some(LogSink { level, deliver: Arc::new(move |record| callback.deliver(record)) }))
}

struct Callback {
    function: unsafe extern "C" fn(*mut c_void, u32, u64, *const c_char),
    context: *mut c_void,
}

// SAFETY: the header tells the program that the function and its context are used from the stack's threads.
unsafe impl Send for Callback {}
// SAFETY: as above.
unsafe impl Sync for Callback {}

impl Callback {
    fn deliver(&self, record: &Record) {
        let text = record.text.replace('\0', " ");
        let text = CString::new(text).unwrap_or_default();
        // SAFETY: the program gave a function of this type, to be called with its context.
        unsafe { (self.function)(self.context, record.level as u32, record.at.as_nanos(), text.as_ptr()) };
    }
}
