//! Chapter: Sockets.
//!
//! TCP and UDP sockets that behave as the system's do, with handles in place of descriptors. Any thread may use any
//! socket at any time. A new socket blocks; a signal handler installed without SA_RESTART makes a blocked
//! call return -EINTR. As with the system's own, one that runs just before the call sleeps does not; nor does
//! one that runs in the microseconds in which the call handles the packet that woke it first. Later packets
//! have signals wait until they are handled. Whoever closes a socket wakes those who are blocked on it: they
//! return -ECANCELED.

use crate::handle::table;
use crate::stack::usertcp_stack_t;
use crate::{address, args};
use libc::{sockaddr, socklen_t, ssize_t};
use std::ffi::{c_int, c_void};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use usertcp_core::api::{
    Domain, Errno, Error, MessageFlags, Shutdown, Socket, SocketKind, Stack, Wait, exported_addresses,
};

/// Names an open socket; 0 names none.
pub type usertcp_socket_t = u64;

/// usertcp_socket(), usertcp_accept(): the new socket does not block. usertcp_child_wait(): return at once.
pub const USERTCP_NONBLOCK: c_int = 0x800;

/// A socket and the stack that it belongs to.
pub(crate) struct OpenSocket {
    pub(crate) socket: Socket,
    pub(crate) stack: usertcp_stack_t,
}

/// The socket that a handle names. EBADF, ECHILD.
pub(crate) fn find(socket: usertcp_socket_t) -> Result<Arc<OpenSocket>, Error> {
    table()?.find(socket)
}

/// Makes a socket and stores its handle in `*socket`. `domain` is AF_INET or AF_INET6, `type` SOCK_STREAM
/// (TCP) or SOCK_DGRAM (UDP), `flags` 0 or USERTCP_NONBLOCK.
///
/// -EAFNOSUPPORT, -ESOCKTNOSUPPORT: another domain or type. -EMFILE: the stack has as many sockets as
/// it may, 1,048,576.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_socket(
    stack: usertcp_stack_t,
    domain: c_int,
    r#type: c_int,
    flags: c_int,
    socket: *mut usertcp_socket_t,
) -> c_int {
    guard!({
        let opened = table()?.find::<Stack>(stack)?;
        let domain = read_domain(domain)?;
        if r#type != libc::SOCK_STREAM && r#type != libc::SOCK_DGRAM {
            let text = "the type must be SOCK_STREAM or SOCK_DGRAM";
            return Err(Error::new(Errno::ESOCKTNOSUPPORT, text));
        }
        check_flags(flags, USERTCP_NONBLOCK)?;
        args::place(socket, "the handle to store")?;
        let made = match r#type {
            libc::SOCK_DGRAM => opened.datagram_socket(domain)?,
            _ => opened.socket(domain)?,
        };
        // SAFETY: the program promises that it may be written.
        unsafe { give(made, stack, flags, socket) }
    })
}

/// Gives a socket its own address; port 0 picks one.
///
/// -EADDRINUSE, -EADDRNOTAVAIL (not an address of the stack), -EAFNOSUPPORT, -EINVAL (it has one already, or
/// a wrong length), -ENODEV (a link that is not there).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_bind(
    socket: usertcp_socket_t,
    address: *const sockaddr,
    length: socklen_t,
) -> c_int {
    guard!({
        let open = find(socket)?;
        // SAFETY: the program promises `length` readable bytes.
        open.socket.bind(unsafe { address::read(address, length) }?)?;
        Ok(0)
    })
}

/// Listens; `backlog` connections may wait to be accepted, a negative number stands for as many as the stack
/// allows. A socket without an address gets a port.
///
/// -EINVAL: it is connected. -EADDRINUSE: another listens there, or no port is free. -EOPNOTSUPP: a datagram socket.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_listen(socket: usertcp_socket_t, backlog: c_int) -> c_int {
    guard!({
        find(socket)?.socket.listen(u32::try_from(backlog).unwrap_or(u32::MAX))?;
        Ok(0)
    })
}

/// Takes the oldest waiting connection and stores its handle in `*accepted`. Its peer's address goes to
/// `*address`, `*length` as with accept(2); both may be NULL. `flags` is 0 or USERTCP_NONBLOCK, for the new
/// socket.
///
/// -EAGAIN: none is waiting and the socket does not block, or its receive timeout is over. -EINVAL: it does
/// not listen. -EOPNOTSUPP: a datagram socket. -ECANCELED, -EINTR, -ENETDOWN. -EMFILE: there are no more handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_accept(
    socket: usertcp_socket_t,
    accepted: *mut usertcp_socket_t,
    address: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> c_int {
    guard!({
        let listener = find(socket)?;
        check_flags(flags, USERTCP_NONBLOCK)?;
        if address.is_null() != length.is_null() {
            return Err(args::null("one of address and length"));
        }
        args::place(accepted, "the handle to store")?;
        // SAFETY: the program promises as much for the pointer.
        unsafe { args::length_at(length) }?;
        let (made, peer) = listener.socket.accept(Wait::AsSet)?;
        // SAFETY: the program promises as much for each pointer.
        unsafe {
            give(made, listener.stack, flags, accepted)?;
            address::write(peer, address, length)?;
        }
        Ok(0)
    })
}

/// Connects to `address`, and waits for it to be done. A datagram socket is connected at once: it hears this
/// peer alone and sends to it without an address; it may be connected again, and an address of family
/// AF_UNSPEC takes its peer away.
///
/// -EINPROGRESS: the socket does not block and the peer did not answer at once, or its send timeout is over;
/// it becomes ready for USERTCP_POLLOUT when done, and SO_ERROR tells the outcome. -EALREADY: an earlier call
/// is still under way. -ECONNREFUSED, -ETIMEDOUT, -EISCONN, -ENETUNREACH, -EHOSTUNREACH, -ENETDOWN,
/// -EADDRNOTAVAIL, -EADDRINUSE, -EAFNOSUPPORT, -ECANCELED, -EINTR (it goes on, as with connect(2)).
/// -EACCES: a broadcast address, without SO_BROADCAST. -ENODEV: a link that is not there. -ECONNRESET, -EPIPE: it was
/// made, and cut off before it was told. -ECONNABORTED: its error was told to another call.
/// -EOPNOTSUPP: an interceptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_connect(
    socket: usertcp_socket_t,
    address: *const sockaddr,
    length: socklen_t,
) -> c_int {
    guard!({
        let open = find(socket)?;
        // SAFETY: the program promises `length` readable bytes.
        let peer = unsafe { address::read_peer(address, length) }?;
        match peer {
            None if open.socket.kind() == SocketKind::Datagram => open.socket.dissolve()?,
            None => return Err(Errno::EAFNOSUPPORT.into()),
            Some(peer) => open.socket.connect(peer, Wait::AsSet)?,
        }
        Ok(0)
    })
}

/// Sends `size` bytes; waits until all are queued, unless the socket does not block or `flags` has
/// MSG_DONTWAIT. Returns how many were queued. The buffer is the program's again. `flags` are the system's:
/// MSG_MORE says that more will be written at once, so that less than a segment waits for it, for 200 ms at
/// most. MSG_OOB makes the last byte urgent. MSG_FASTOPEN is -EOPNOTSUPP; others change nothing, as with the
/// system's TCP.
///
/// -EAGAIN: nothing could be queued without waiting, or within the send timeout. -EPIPE: this half is shut
/// down or the connection is over. -ECONNRESET, -ETIMEDOUT, -ENOTCONN, -ENETDOWN, -ECANCELED, -EINTR. Others as
/// usertcp_sendto().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_send(
    socket: usertcp_socket_t,
    data: *const c_void,
    size: usize,
    flags: c_int,
) -> ssize_t {
    guard!({
        let open = find(socket)?;
        // SAFETY: the program promises `size` readable bytes.
        let bytes = unsafe { args::bytes(data.cast(), size) }?;
        let sent = open.socket.send(bytes, MessageFlags(flags), Wait::AsSet)?;
        Ok(sent as ssize_t)
    })
}

/// Sends a datagram of `size` bytes, 0 among them, to `address`, or with NULL to the peer; waits while the
/// send buffer is full, unless the socket does not block or `flags` has MSG_DONTWAIT. Returns `size`. MSG_OOB and
/// MSG_MORE are -EOPNOTSUPP; other flags change nothing, as with the system's UDP. A stream ignores the address:
/// usertcp_send().
///
/// -EDESTADDRREQ: neither an address nor a peer. -EMSGSIZE: more than UDP carries, or than the path does where
/// IP_MTU_DISCOVER forbids fragments. -ECONNREFUSED, -EMSGSIZE, -EHOSTUNREACH, -ENETUNREACH,
/// -ENOPROTOOPT, -EPROTO, -EACCES: an earlier datagram to the peer was refused on its way. -EINVAL (port 0), -EAFNOSUPPORT,
/// -ENODEV (a link that is not there), -EACCES (broadcast without SO_BROADCAST), -EAGAIN, -EPIPE, -ENETDOWN, -ECANCELED,
/// -EINTR, -EADDRNOTAVAIL (it was not bound, and no port is free; the system's is EAGAIN). Others as usertcp_send().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_sendto(
    socket: usertcp_socket_t,
    data: *const c_void,
    size: usize,
    flags: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    guard!({
        let open = find(socket)?;
        let destination = if address.is_null() || open.socket.kind() == SocketKind::Stream {
            None
        } else {
            // SAFETY: the program promises `length` readable bytes.
            Some(unsafe { address::read(address, length) }?)
        };
        // SAFETY: the program promises `size` readable bytes.
        let bytes = unsafe { args::bytes(data.cast(), size) }?;
        let sent = open.socket.send_to(bytes, destination, MessageFlags(flags), Wait::AsSet)?;
        Ok(sent as ssize_t)
    })
}

/// Receives a datagram, as much of it as `size` bytes hold; the rest is lost. Whom it came from goes to
/// `*address`, `*length` as with recvfrom(2); both may be NULL. Returns how many bytes were stored, 0 for an
/// empty datagram; with MSG_TRUNC in `flags` the length of the datagram. MSG_PEEK, MSG_DONTWAIT and MSG_ERRQUEUE
/// are as for usertcp_recv(); other flags change nothing. A stream receives as there, and leaves `*length` 0.
///
/// -EAGAIN, -ECANCELED, -EINTR, -ENETDOWN. -ECONNREFUSED, -EMSGSIZE, -EHOSTUNREACH, -ENETUNREACH, -ENOPROTOOPT, -EPROTO,
/// -EACCES: a datagram to the peer was refused on its way. Others as usertcp_recv().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_recvfrom(
    socket: usertcp_socket_t,
    data: *mut c_void,
    size: usize,
    flags: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    guard!({
        let open = find(socket)?;
        // SAFETY: the program promises as much for the pointer.
        unsafe { args::length_at(length) }?;
        if address.is_null() != length.is_null() {
            return Err(args::null("one of address and length"));
        }
        // SAFETY: the program promises `size` writable bytes that are its own.
        let bytes = unsafe { args::bytes_mut(data.cast(), size) }?;
        let (received, from) = open.socket.recv_from(bytes, MessageFlags(flags), Wait::AsSet)?;
        match from {
            // SAFETY: the program promises as much for both.
            Some(from) => unsafe { address::write(from, address, length) }?,
            None if length.is_null() => {}
            // SAFETY: as above.
            None => unsafe { args::write(length, 0, "the length") }?,
        }
        Ok(received as ssize_t)
    })
}

/// Receives up to `size` bytes, and waits for the first of them unless the socket does not block or `flags`
/// has MSG_DONTWAIT. Returns how many; 0 is the end of the stream. `flags` are the system's: MSG_PEEK leaves
/// them to be received again, MSG_WAITALL waits for all `size`, MSG_TRUNC throws them away and leaves the
/// buffer alone, which may be NULL then. MSG_ERRQUEUE is -EAGAIN; others but MSG_OOB change nothing, as with the system's TCP. A datagram
/// socket receives one datagram, as usertcp_recvfrom() does.
///
/// Urgent data comes in line, and a call stops before its last byte: there SIOCATMARK is true. (SO_OOBINLINE is on by
/// default, unlike the system's.) With SO_OOBINLINE off that byte is passed over, and MSG_OOB receives it, without
/// waiting.
///
/// -EAGAIN: there is nothing now, or within the receive timeout; with MSG_OOB, the urgent byte has been announced
/// and is not there yet. -EINVAL: MSG_OOB without urgent data, after it was received, or while it comes in line.
/// -ECONNRESET, -EPIPE (reset behind its peer's FIN), -ETIMEDOUT, -ENOTCONN, -ENETDOWN, -ECANCELED, -EINTR. Others as
/// usertcp_recvfrom().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_recv(
    socket: usertcp_socket_t,
    data: *mut c_void,
    size: usize,
    flags: c_int,
) -> ssize_t {
    guard!({
        let open = find(socket)?;
        let discards = flags & libc::MSG_TRUNC != 0 && open.socket.kind() == SocketKind::Stream;
        if data.is_null() && discards {
            let most = size.min(isize::MAX as usize);
            return Ok(open.socket.discard(most, MessageFlags(flags), Wait::AsSet)? as ssize_t);
        }
        // SAFETY: the program promises `size` writable bytes that are its own.
        let bytes = unsafe { args::bytes_mut(data.cast(), size) }?;
        let received = open.socket.recv(bytes, MessageFlags(flags), Wait::AsSet)?;
        Ok(received as ssize_t)
    })
}

/// Shuts down a half of the connection: `how` is SHUT_RD, SHUT_WR (what is queued is sent, then FIN) or
/// SHUT_RDWR. -ENOTCONN.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_shutdown(socket: usertcp_socket_t, how: c_int) -> c_int {
    guard!({
        let open = find(socket)?;
        let how = match how {
            libc::SHUT_RD => Shutdown::Read,
            libc::SHUT_WR => Shutdown::Write,
            libc::SHUT_RDWR => Shutdown::Both,
            other => return Err(args::invalid(format!("{other} is none of SHUT_RD, SHUT_WR and SHUT_RDWR"))),
        };
        open.socket.shutdown(how)?;
        Ok(0)
    })
}

/// Calls off whoever is blocked on a socket now, in whichever call, usertcp_poll() included: each returns -ECANCELED,
/// or how much it had sent or received by then. The socket goes on as if nothing had happened, and so does a connection
/// that is being made: usertcp_connect() may be called again to wait for it. It concerns those who wait now: a call that
/// begins later waits again, and so may one that another thread is just about to make; usertcp_shutdown() and
/// usertcp_close() last. usertcp_close() itself and who waits by a poll set or a descriptor are not called off.
///
/// -EBADF, -ECHILD; -EDEADLK: from a log callback of the same stack.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_cancel(socket: usertcp_socket_t) -> c_int {
    guard!({
        find(socket)?.socket.cancel()?;
        Ok(0)
    })
}

/// Closes a socket: the handle is stale from now on, whoever is blocked on it returns -ECANCELED. What is
/// queued is still sent. Waits only when SO_LINGER says so, also on a socket that does not block, until the time is
/// over or a signal handler runs. Data left unread, or a linger time of 0, resets the connection.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_close(socket: usertcp_socket_t) -> c_int {
    guard!({
        let outcome = find(socket)?.socket.close();
        let_go(socket, outcome)
    })
}

/// Resets the connection and closes the socket: nothing more is sent but RST.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_abort(socket: usertcp_socket_t) -> c_int {
    guard!({
        let outcome = find(socket)?.socket.abort();
        let_go(socket, outcome)
    })
}

/// A descriptor of the system that shows what the socket is ready for to poll(2), epoll(7) and the event loops
/// made of them: POLLIN, POLLOUT, POLLRDHUP, POLLHUP and POLLERR, level-triggered, and with an edge for each of
/// them that comes. Urgent data does not show. Returns the descriptor, always the same one for a socket.
///
/// Poll it; never read, write, shut down or close it. It is made by the first call (before that a socket has
/// none), is close-on-exec, and is closed with the socket: take it out of an event loop before. A duplicate of it
/// shows POLLHUP from then on. The pending error is told by SO_ERROR of usertcp_getsockopt(), not of getsockopt(2).
///
/// POLLHUP and POLLERR, once shown, are for good. A socket that is not connected yet shows POLLOUT alone; an error
/// that ends nothing (a link that went down) shows as POLLIN and POLLOUT, and the next call returns it. A connect
/// that failed and a listener that was shut down show POLLHUP; when the same socket connects or listens
/// again the descriptor begins anew, and epoll(7) has to be told of it again.
///
/// -EMFILE, -ENFILE; -EOPNOTSUPP: the kernel cannot show these states.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_fd(socket: usertcp_socket_t) -> c_int {
    guard!({ find(socket)?.socket.readiness_fd() })
}

/// Turns a connection into a byte stream of the system: returns a descriptor, a connected AF_UNIX socket, that is
/// the program's own, for code that insists on read(2) and write(2): SSL_set_fd(), sendfile(2), the standard streams
/// of another program. The handle is stale from now on and whoever is blocked on it returns -ECANCELED; the
/// library's thread moves the bytes.
///
/// What was received and not read comes first. Whichever side does not read stops the other from writing, through
/// the window of the connection. shutdown(2) of a half, and the peer's end of stream, pass to the other side. A
/// reset or another error of the connection: what was received can be read, then read(2) fails with ECONNRESET if the
/// program had written what was not sent yet, and otherwise returns 0; write(2) fails with EPIPE, which raises SIGPIPE
/// as it does with any descriptor. When the last duplicate is closed, in whatever process, the connection is closed as
/// by usertcp_close(): FIN, or RST if bytes were left unread.
///
/// The descriptor is close-on-exec, blocks as the socket did, and is the one that usertcp_fd() returned if it was
/// called: event loops that have it need not be told, unless it has shown POLLRDHUP. usertcp_stack_close() sends
/// what was written before it, within its timeout. A forked child, or whoever is handed the descriptor, may use it as
/// long as the process that has the stack lives.
///
/// A listener becomes a listening AF_UNIX socket: accept(2) on it, in whatever process, returns such streams, one for
/// each connection, whose addresses usertcp_fd_addresses() tells. Its queue holds as many as the listener's, and as
/// many wait behind it. Once its last duplicate is closed the listener is closed too, within a quarter of a second, and
/// what nobody has accepted is reset. usertcp_stack_close() has accept(2) fail with EINVAL where a descriptor of this
/// process is open for it; another process waits on. It has
/// the number that usertcp_fd() returned, if it was called, and is another open file: event loops have to be told.
/// It takes a folder for temporary files (TMPDIR, else /tmp) for a moment, and /proc as long as it listens.
///
/// -ENOTCONN: there is no connection. -EOPNOTSUPP: a datagram socket. -ECONNRESET, -EPIPE, -ETIMEDOUT,
/// -ENETDOWN (others as usertcp_connect()): it has ended, and nobody was told. -EMFILE, -ENFILE, -ENOMEM, -ENOSPC (/proc/sys/fs/epoll/max_user_watches). -ENOBUFS: the descriptor of usertcp_fd() cannot be made to show what it has to. For a listener also -EACCES, -ENOENT,
/// -EROFS and others: what usertcp_last_error() says. The handle stays open then.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_export_fd(socket: usertcp_socket_t) -> c_int {
    guard!({
        let exported = find(socket)?.socket.export_fd()?;
        drop(table()?.remove::<OpenSocket>(socket));
        Ok(exported.into_raw_fd())
    })
}

/// Stores the addresses of the connection or listener that a descriptor stands for which usertcp_export_fd() returned, or
/// accept(2) on such a one: its own in `*own`, `*own_length`, the peer's in `*peer`, `*peer_length`, as getsockname(2)
/// and getpeername(2) do; both pointers of a pair may be NULL. The addresses are those at the time of the export. It works
/// in any process that has the descriptor, also in a forked child, and needs no stack: the addresses are in the name of the
/// AF_UNIX socket at the other end. Whoever is handed a descriptor by somebody else is told what that one says.
///
/// -EINVAL: the descriptor stands for no connection or listener. -ENOTCONN: the peer of a listener was asked for, or of a
/// connection that was over when it was exported. -EBADF, -ENOTSOCK: as with the system's calls. -EFAULT: one of a pair
/// is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_fd_addresses(
    fd: c_int,
    own: *mut sockaddr,
    own_length: *mut socklen_t,
    peer: *mut sockaddr,
    peer_length: *mut socklen_t,
) -> c_int {
    guard!({
        if own.is_null() != own_length.is_null() || peer.is_null() != peer_length.is_null() {
            return Err(args::null("one of address and length"));
        }
        let told = exported_addresses(fd)?;
        let known = |address: Option<std::net::SocketAddr>| address.ok_or(Errno::ENOTCONN);
        let own_told = if own.is_null() { None } else { Some(known(told.0)?) };
        let peer_told = if peer.is_null() { None } else { Some(known(told.1)?) };
        for (address, place, length) in [(own_told, own, own_length), (peer_told, peer, peer_length)] {
            if let Some(address) = address {
                // SAFETY: the program promises `*length` writable bytes.
                unsafe { address::write(address, place, length) }?;
            }
        }
        Ok(0)
    })
}

/// Stores the socket's own address, as getsockname(2) does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_getsockname(
    socket: usertcp_socket_t,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    guard!({
        let open = find(socket)?;
        // SAFETY: the program promises `*length` writable bytes.
        unsafe { write_name(open.socket.local_address()?, address, length) }
    })
}

/// Stores the peer's address, as getpeername(2) does. -ENOTCONN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_getpeername(
    socket: usertcp_socket_t,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    guard!({
        let open = find(socket)?;
        // SAFETY: the program promises `*length` writable bytes.
        unsafe { write_name(open.socket.peer_address()?, address, length) }
    })
}

/// # Safety
/// As `address::write`.
unsafe fn write_name(
    name: std::net::SocketAddr,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> Result<c_int, Error> {
    if address.is_null() {
        return Err(args::null("the address"));
    }
    // SAFETY: the caller's promise.
    unsafe { address::write(name, address, length) }?;
    Ok(0)
}

/// Empties the handle of a socket that is closed now; one that could not be closed keeps its handle.
fn let_go(socket: usertcp_socket_t, outcome: Result<(), Error>) -> Result<c_int, Error> {
    if !matches!(&outcome, Err(error) if error.errno() == Errno::EDEADLK) {
        // Of two closers one finds it gone.
        drop(table()?.remove::<OpenSocket>(socket));
    }
    outcome.map(|()| 0)
}

/// Puts a new socket into the table and tells the program its handle.
///
/// # Safety
/// `out` is writable.
pub(crate) unsafe fn give(
    socket: Socket,
    stack: usertcp_stack_t,
    flags: c_int,
    out: *mut usertcp_socket_t,
) -> Result<c_int, Error> {
    if flags & USERTCP_NONBLOCK != 0 {
        socket.set_nonblocking(true)?;
    }
    let handle = table()?.insert(Arc::new(OpenSocket { socket, stack }))?;
    // SAFETY: the caller's promise.
    unsafe { args::write(out, handle, "the handle to store") }?;
    Ok(0)
}

pub(crate) fn read_domain(domain: c_int) -> Result<Domain, Error> {
    match domain {
        libc::AF_INET => Ok(Domain::V4),
        libc::AF_INET6 => Ok(Domain::V6),
        other => {
            let text = format!("domain {other} is neither AF_INET nor AF_INET6");
            Err(Error::new(Errno::EAFNOSUPPORT, text))
        }
    }
}

pub(crate) fn check_flags(flags: c_int, known: c_int) -> Result<(), Error> {
    match flags & !known {
        0 => Ok(()),
        unknown => Err(args::invalid(format!("flags {unknown:#x} are not understood here"))),
    }
}
