//! Chapter: Interceptors.
//!
//! For proxies, tunnels and sandboxes that stand in for hosts which they are not: a stack takes the connection
//! requests (SYNs) for every address of a prefix and a range of ports, and the program decides about each of
//! them, later, from any thread: accept, refuse or drop. Nothing is answered before; the peer's system sends
//! its SYN again meanwhile, and that is still the same request.
//!
//! An interceptor is a socket: usertcp_fd(), usertcp_poll() and poll sets show USERTCP_POLLIN while
//! usertcp_intercept_next() has a request, usertcp_setsockopt() on it sets what the connections that it accepts
//! begin with, usertcp_cancel() and usertcp_close() do what they do with others. It is neither bound, connected
//! nor accepted from. usertcp_getsockname() tells the first address of its prefix, usertcp_tcp_info() how many
//! requests are undecided (tcpi_unacked) of how many that may be (tcpi_sacked).
//!
//! Listeners go before interceptors, and of those the one with the longest prefix
//! has the request. Of addresses that are not the stack's own TCP alone is taken: no echo is answered, no
//! datagram received but by a socket with IP_TRANSPARENT that is bound there, and a request that no interceptor is for
//! is dropped without an answer. Whatever else comes
//! for an intercepted address and port and belongs to no connection is answered with RST, as at a closed port.
//! Multicast, broadcast, loopback and IPv6 link-local addresses are never taken, nor are the stack's own
//! connections: those go to the link. The link has to bring the packets: route the prefix to the device.

use crate::address;
use crate::args::{self, Prefixed};
use crate::handle::table;
use crate::socket::{self, USERTCP_NONBLOCK, find, usertcp_socket_t};
use crate::stack::usertcp_stack_t;
use libc::{sockaddr_storage, socklen_t};
use std::ffi::{c_char, c_int};
use std::sync::Arc;
use std::time::Duration;
use usertcp_core::api::{Errno, Error, Intercept, Prefix, Stack, Syn, Wait};

/// Names a connection request that waits for a decision; 0 names none.
pub type usertcp_syn_t = u64;

/// usertcp_syn_info_t.flags: the peer asks for ECN (RFC 3168).
pub const USERTCP_SYN_ECN: u32 = 1;

/// What an interceptor is for. Begin with USERTCP_INTERCEPT_CONFIG_INIT and set `prefix`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct usertcp_intercept_config_t {
    /// sizeof(usertcp_intercept_config_t).
    pub size: u32,
    /// Undecided requests that are kept, those among them that the program has taken; 0: 1024. More are dropped
    /// and counted as drop_tcp_intercept_queue.
    pub queue: u32,
    /// The addresses, "203.0.113.0/24" or "2001:db8:5::/48"; "0.0.0.0/0" and "::/0" are all of a family. A
    /// single address may go without its length.
    pub prefix: *const c_char,
    /// The first port; 0: 1.
    pub first_port: u16,
    /// The last port; 0: 65535 if `first_port` is 0 too, else that one port.
    pub last_port: u16,
    /// How long a request is kept, milliseconds; 0: 127000, when a client of Linux gives up. Then it is dropped
    /// and counted as tcp_syns_expired.
    pub timeout_ms: u32,
}

/// A connection request. Begin with USERTCP_SYN_INFO_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct usertcp_syn_info_t {
    /// sizeof(usertcp_syn_info_t).
    pub size: u32,
    /// USERTCP_SYN_ECN or 0.
    pub flags: u32,
    /// The largest segment that the peer takes, bytes; 0: it does not say.
    pub mss: u32,
    /// How long the request has been kept, milliseconds.
    pub age_ms: u32,
    /// Bytes of `local`.
    pub local_length: socklen_t,
    /// Bytes of `peer`.
    pub peer_length: socklen_t,
    /// The address and port that the peer wants.
    pub local: sockaddr_storage,
    /// The peer's.
    pub peer: sockaddr_storage,
}

// SAFETY: repr(C), `size` first, no padding, and zeroes are a value of every field.
unsafe impl Prefixed for usertcp_intercept_config_t {
    const NAME: &'static str = "usertcp_intercept_config_t";
    const FIRST: usize = 24;
}

// SAFETY: as above.
unsafe impl Prefixed for usertcp_syn_info_t {
    const NAME: &'static str = "usertcp_syn_info_t";
    const FIRST: usize = 280;
}

/// A request and the stack that it came to.
pub(crate) struct OpenSyn {
    syn: Syn,
    pub(crate) stack: usertcp_stack_t,
}

/// Makes an interceptor and stores its handle, a socket's, in `*interceptor`. `flags` is 0 or USERTCP_NONBLOCK.
///
/// -EINVAL: a setting makes no sense, usertcp_last_error() names it. -EADDRINUSE: another interceptor of the
/// stack has some of the ports for the same prefix. -EMFILE: the stack has as many sockets as it may, 1,048,576. -ENETDOWN: the link is gone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_intercept_open(
    stack: usertcp_stack_t,
    config: *const usertcp_intercept_config_t,
    flags: c_int,
    interceptor: *mut usertcp_socket_t,
) -> c_int {
    guard!({
        let opened = table()?.find::<Stack>(stack)?;
        socket::check_flags(flags, USERTCP_NONBLOCK)?;
        args::place(interceptor, "the handle to store")?;
        // SAFETY: the program promises a usertcp_intercept_config_t, and what its pointer claims.
        let what = unsafe { what(&args::read_struct(config)?) }?;
        let made = opened.intercept(&what)?;
        // SAFETY: the program promises that it may be written.
        unsafe { socket::give(made, stack, flags, interceptor) }
    })
}

/// Takes the oldest request and stores its handle in `*syn`, and what is known of it in `*info`, which may be
/// NULL. Waits `timeout_ms` for one; a negative time waits for ever, unless the interceptor does not block or
/// its receive timeout (SO_RCVTIMEO) is over. Of several threads each gets requests of its own.
///
/// The handle is good until something is decided: usertcp_syn_accept(), usertcp_syn_refuse() or
/// usertcp_syn_drop(), from any thread. Closing the interceptor or the stack drops what is undecided.
///
/// -EAGAIN: there is none, or none has come in time. -EINVAL: the socket is no interceptor. -ECANCELED: it was
/// closed meanwhile, or its stack was. -ENETDOWN, -EINTR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_intercept_next(
    interceptor: usertcp_socket_t,
    timeout_ms: c_int,
    syn: *mut usertcp_syn_t,
    info: *mut usertcp_syn_info_t,
) -> c_int {
    guard!({
        let open = find(interceptor)?;
        args::place(syn, "the handle to store")?;
        if !info.is_null() {
            // Asked before a request is taken.
            // SAFETY: the program promises a usertcp_syn_info_t.
            unsafe { args::read_size(info) }?;
        }
        let wait = if timeout_ms < 0 { Wait::AsSet } else { args::wait(timeout_ms) };
        let next = open.socket.next_syn(wait)?;
        let known = describe(&next);
        let handle = table()?.insert(Arc::new(OpenSyn { syn: next, stack: open.stack }))?;
        // SAFETY: the program promises that both may be written.
        unsafe {
            if !info.is_null() {
                args::write_struct(info, &known)?;
            }
            args::write(syn, handle, "the handle to store")?;
        }
        Ok(0)
    })
}

/// Accepts a request: answers the peer and waits `timeout_ms`, a negative time for ever, until it has
/// acknowledged that. The connection's handle is stored in `*socket`. Its own address, usertcp_getsockname(), is
/// the one that the peer wanted. `flags` is 0 or USERTCP_NONBLOCK, for the new socket.
///
/// With USERTCP_NONBLOCK, or a time of 0, nothing is waited for: the socket is one that connects, as after
/// usertcp_connect() returned -EINPROGRESS. It becomes ready for USERTCP_POLLOUT when done, and SO_ERROR tells the
/// outcome: 0, ECONNREFUSED (the peer reset it) or ETIMEDOUT (it never acknowledged).
///
/// -EBADF: it was decided before. -ETIMEDOUT: nobody decided in time, the peer never acknowledged, or
/// `timeout_ms` is over (the connection is reset then). -ECONNREFUSED: the peer reset it. -ECANCELED: the
/// interceptor, or the stack, was closed. -EINTR: the connection is reset. The handle of the request is stale
/// after all of these. It stays open, nothing decided, at -EMFILE (the stack has as many sockets as
/// it may, 1,048,576), -ENETDOWN, -EADDRINUSE (a connection of the same addresses has come to be meanwhile)
/// and -EINVAL (flags), -EFAULT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_syn_accept(
    syn: usertcp_syn_t,
    flags: c_int,
    timeout_ms: c_int,
    socket: *mut usertcp_socket_t,
) -> c_int {
    guard!({
        let open = table()?.find::<OpenSyn>(syn)?;
        socket::check_flags(flags, USERTCP_NONBLOCK)?;
        args::place(socket, "the handle to store")?;
        let wait = if flags & USERTCP_NONBLOCK != 0 { Wait::Never } else { args::wait(timeout_ms) };
        let accepted = open.syn.accept(wait);
        let accepted = let_go(syn, &open, accepted)?;
        // SAFETY: the program promises that it may be written.
        unsafe { socket::give(accepted, open.stack, flags, socket) }
    })
}

/// Refuses a request: the peer gets RST, as from a port that nobody listens on. The handle is stale from now on,
/// whatever is returned but -EDEADLK.
///
/// -EBADF: it was decided before. -ETIMEDOUT: nobody decided in time. -ECANCELED: the interceptor, or the stack,
/// was closed.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_syn_refuse(syn: usertcp_syn_t) -> c_int {
    guard!({
        let open = table()?.find::<OpenSyn>(syn)?;
        let refused = open.syn.refuse();
        let_go(syn, &open, refused).map(|()| 0)
    })
}

/// Drops a request: the peer is told nothing. If it tries again, which its system does by itself, that is a new
/// request. The handle is stale from now on, whatever is returned but -EDEADLK. Others as
/// usertcp_syn_refuse().
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_syn_drop(syn: usertcp_syn_t) -> c_int {
    guard!({
        let open = table()?.find::<OpenSyn>(syn)?;
        let dropped = open.syn.ignore();
        let_go(syn, &open, dropped).map(|()| 0)
    })
}

/// Empties the handle of a request that can be decided no more.
fn let_go<T>(handle: usertcp_syn_t, open: &OpenSyn, outcome: Result<T, Error>) -> Result<T, Error> {
    let kept = match &outcome {
        // From a log callback nothing changes, even while the stack ends.
        Err(error) if error.errno() == Errno::EDEADLK => true,
        Err(error) if error.errno() == Errno::ECANCELED => false,
        _ => open.syn.is_open(),
    };
    if !kept {
        // Of two who decide one finds it gone.
        drop(table()?.remove::<OpenSyn>(handle));
    }
    outcome
}

/// # Safety
/// The pointer in `config` is NULL or points to a string.
unsafe fn what(config: &usertcp_intercept_config_t) -> Result<Intercept, Error> {
    // SAFETY: the caller's promise.
    let text = unsafe { args::string(config.prefix, "prefix") }?;
    let text = text.ok_or_else(|| args::invalid("usertcp_intercept_config_t.prefix is not set"))?;
    let prefix: Prefix = match text.trim().parse() {
        Ok(address) => Prefix::host(address),
        Err(_) => text.trim().parse()?,
    };
    let (first, last) = match (config.first_port, config.last_port) {
        (0, 0) => (1, u16::MAX),
        (0, last) => (1, last),
        (first, 0) => (first, first),
        ports => ports,
    };
    Ok(Intercept {
        prefix,
        ports: first..=last,
        queue: (config.queue != 0).then_some(config.queue),
        timeout: (config.timeout_ms != 0).then(|| Duration::from_millis(config.timeout_ms.into())),
    })
}

fn describe(syn: &Syn) -> usertcp_syn_info_t {
    let (local, local_length) = address::encode(syn.local_address());
    let (peer, peer_length) = address::encode(syn.peer_address());
    usertcp_syn_info_t {
        size: 0,
        flags: if syn.ecn() { USERTCP_SYN_ECN } else { 0 },
        mss: syn.mss().map_or(0, u32::from),
        age_ms: u32::try_from(syn.age().as_millis()).unwrap_or(u32::MAX),
        local_length,
        peer_length,
        local,
        peer,
    }
}
