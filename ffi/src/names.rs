//! Chapter: Names.
//!
//! Names of hosts are looked up over the stack's own sockets: A and AAAA records, asked for together by UDP and by
//! TCP where an answer is too long for that. Servers, search list and the like are usertcp_config_t's, or else what
//! /etc/resolv.conf and /etc/hosts of the system say when the stack is opened; other sources of the C library
//! (nsswitch.conf) play no part. A server is asked through the stack: 127.0.0.1 and 127.0.0.53 are the stack's own
//! addresses, where none of the system's programs listens. Answers are kept for as long as the servers say.
//!
//! Looked up first are addresses in digits, the hosts file, "localhost" and names below it (the loopback addresses),
//! and names below "invalid" and "onion" (which do not exist); none of these asks anybody. A name is ASCII: others are
//! written in their ASCII form, xn--.
//!
//! The errors are those that getaddrinfo(3) gives numbers of its own:
//!
//!   -ENOENT    there is no such host (EAI_NONAME)
//!   -ENODATA   there is, without an address of the family asked for (EAI_NODATA)
//!   -EREMOTEIO the name servers answered that they cannot or will not, or nonsense; or they cannot be reached,
//!              or none is known (EAI_FAIL)
//!   -ETIMEDOUT no name server answered in time (EAI_AGAIN), or `timeout_ms` was over
//!
//! Each of them says nothing of the connection in usertcp_connect_to() but the last, and usertcp_last_error() tells
//! which.

use crate::address;
use crate::args;
use crate::handle::table;
use crate::socket::{USERTCP_NONBLOCK, check_flags, give, read_domain, usertcp_socket_t};
use crate::stack::{usertcp_config_t, usertcp_stack_t};
use libc::sockaddr_storage;
use std::ffi::{c_char, c_int};
use std::net::SocketAddr;
use std::time::Duration;
use usertcp_core::api::{Error, NameOptions, NameSettings, Stack};

/// Looks `name` up and stores its addresses in `addresses`, the best first, at most `count`. Returns how many were
/// stored.
///
/// `service` is a port in digits, or a name of /etc/services such as "https"; NULL: port 0. `family` is AF_UNSPEC for
/// both, AF_INET or AF_INET6. They are ordered as RFC 6724 says: first those that the stack can reach, IPv6 before
/// IPv4 where nothing else decides. `timeout_ms` is for the whole call; negative: until every server has been asked as
/// often as the configuration says, 0: only what is known without asking. Any number of threads may look names up at
/// the same time.
///
/// -ENOENT, -ENODATA, -EREMOTEIO, -ETIMEDOUT: see above. -EINVAL: `name` can be no host's, or `service` is unknown,
/// or `count` is 0. -EAFNOSUPPORT: another family. -ECANCELED: the stack was closed meanwhile. -EINTR: a signal
/// handler ran. -EMFILE: the stack has as many sockets as it may, 1,048,576.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_resolve(
    stack: usertcp_stack_t,
    name: *const c_char,
    service: *const c_char,
    family: c_int,
    timeout_ms: c_int,
    addresses: *mut sockaddr_storage,
    count: usize,
) -> c_int {
    guard!({
        let stack = table()?.find::<Stack>(stack)?;
        // SAFETY: the program promises strings.
        let (name, service) =
            unsafe { (args::string(name, "the name")?, args::string(service, "the service")?) };
        let name = name.ok_or_else(|| args::null("the name"))?;
        args::place(addresses, "the addresses to store")?;
        if count == 0 {
            return Err(args::invalid("there is room for no address: count is 0"));
        }
        let family = if family == libc::AF_UNSPEC { None } else { Some(read_domain(family)?) };
        let port = service.map_or(Ok(0), Stack::service_port)?;
        let found = stack.resolve(name, port, family, args::limit(timeout_ms), None)?;
        let stored = found.len().min(count);
        for (at, address) in found.into_iter().take(count).enumerate() {
            let (storage, _) = address::encode(address);
            // SAFETY: the program promises room for `count`.
            unsafe { addresses.add(at).write_unaligned(storage) };
        }
        Ok(c_int::try_from(stored).unwrap_or(c_int::MAX))
    })
}

/// Makes a TCP connection and stores its socket's handle in `*socket`: "example.com:443", "192.0.2.1:80",
/// "[2001:db8::1]:80", or with a name of /etc/services, "example.com:https". `flags` is 0 or USERTCP_NONBLOCK: the
/// call waits all the same, and the socket does not block from then on.
///
/// The addresses of a host are tried in order, the families in turn. Each attempt begins when the one before fails or
/// has taken usertcp_config_t.connect_delay_ms, beside it; IPv4 waits 50 ms for the answer about IPv6. The first
/// connection is taken, and the other attempts are given up (RFC 8305). `timeout_ms` is for the whole call; negative:
/// as long as looking up and connecting take.
///
/// -EINVAL: `target` is not a host with a port. -ENOENT, -ENODATA, -EREMOTEIO, -ETIMEDOUT: see above.
/// -ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH, -ENETUNREACH (others as usertcp_connect()): what the last of
/// the attempts came to. -ECANCELED: the stack was closed meanwhile. -EINTR: a signal handler ran. -EMFILE: the stack
/// has as many sockets as it may, 1,048,576. No socket is left behind then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_connect_to(
    stack: usertcp_stack_t,
    target: *const c_char,
    flags: c_int,
    timeout_ms: c_int,
    socket: *mut usertcp_socket_t,
) -> c_int {
    guard!({
        let opened = table()?.find::<Stack>(stack)?;
        // SAFETY: the program promises a string.
        let target =
            unsafe { args::string(target, "the target") }?.ok_or_else(|| args::null("the target"))?;
        check_flags(flags, USERTCP_NONBLOCK)?;
        args::place(socket, "the handle to store")?;
        let connected = opened.connect_to(target, args::limit(timeout_ms), None)?;
        // SAFETY: the program promises that it may be written.
        unsafe { give(connected, stack, flags, socket) }
    })
}

/// # Safety
/// The pointers in `config` are NULL or point to what the header says.
pub(crate) unsafe fn options(config: &usertcp_config_t) -> Result<NameOptions, Error> {
    // SAFETY: the caller's promise.
    let (servers, search, hosts) = unsafe {
        (
            args::string(config.nameservers, "nameservers")?,
            args::string(config.search, "search")?,
            args::path(config.hosts),
        )
    };
    let server = |text: &str| {
        NameSettings::server(text)
            .ok_or_else(|| args::invalid(format!("nameservers: '{text}' is not an address")))
    };
    let nameservers: Option<Vec<SocketAddr>> =
        servers.map(|servers| parts(servers).map(server).collect()).transpose()?;
    let number = |what: &str, value: u32| match value {
        0 => Ok(None),
        value => {
            u8::try_from(value).map(Some).map_err(|_| args::invalid(format!("{what} {value} is too large")))
        }
    };
    let millis = |value: u32| (value != 0).then(|| Duration::from_millis(value.into()));
    Ok(NameOptions {
        nameservers,
        search: search.map(|search| parts(search).map(str::to_owned).collect()),
        ndots: number("ndots", config.ndots)?,
        timeout: millis(config.names_timeout_ms),
        attempts: number("names_attempts", config.names_attempts)?,
        hosts,
        connect_delay: millis(config.connect_delay_ms),
    })
}

/// What stands between commas.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty())
}
