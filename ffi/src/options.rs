//! Chapter: Options and timeouts.
//!
//! Levels, names and values are the system's: SOL_SOCKET with SO_ERROR, SO_REUSEADDR, SO_REUSEPORT,
//! SO_KEEPALIVE, SO_LINGER, SO_RCVBUF, SO_SNDBUF, SO_RCVTIMEO, SO_SNDTIMEO, SO_TYPE, SO_DOMAIN, SO_PROTOCOL,
//! SO_ACCEPTCONN; SO_RCVLOWAT, SO_SNDLOWAT (1); IPPROTO_TCP with TCP_NODELAY, TCP_CORK, TCP_QUICKACK,
//! TCP_MAXSEG, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT, TCP_LINGER2, TCP_DEFER_ACCEPT,
//! TCP_USER_TIMEOUT, TCP_WINDOW_CLAMP, TCP_NOTSENT_LOWAT, TCP_CONGESTION ("cubic", "reno"), and to read TCP_INFO in
//! the system's layout, as much of it as there is room for; IPPROTO_IP with IP_TTL, IP_TOS, IP_MTU_DISCOVER,
//! IP_MTU, IP_TRANSPARENT; IPPROTO_IPV6 with IPV6_UNICAST_HOPS, IPV6_TCLASS, IPV6_MTU_DISCOVER, IPV6_MTU,
//! IPV6_V6ONLY, IPV6_TRANSPARENT.
//! Datagram sockets have none of TCP, but SO_BROADCAST and, by their family, IP_MULTICAST_TTL, IP_PKTINFO,
//! IP_RECVTTL and IP_RECVTOS, or IPV6_MULTICAST_HOPS, IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT and
//! IPV6_RECVTCLASS, which usertcp_recvmsg() obeys. The two ECN bits of IP_TOS and IPV6_TCLASS are TCP's on a stream and stay as they
//! are. Of path MTU discovery there are IP_PMTUDISC_DONT (routers may cut packets into fragments; over IPv6
//! they are at most 1280 bytes), IP_PMTUDISC_WANT (the default), IP_PMTUDISC_DO and IP_PMTUDISC_PROBE (a
//! stream probes for what the path carries and believes no router); others are -EINVAL.
//! Accepted sockets have the options of their listener. SO_RCVBUF and SO_SNDBUF grow by themselves, the one
//! to twice what is read in a round trip, the other to twice the congestion window, until they are set, which
//! fixes them. They are what was set or has grown, where Linux tells the double. What would do nothing here,
//! such as SO_PRIORITY, is -ENOPROTOOPT; SO_RCVBUFFORCE and SO_SNDBUFFORCE are -EPERM.
//!
//! TCP_USER_TIMEOUT takes the place of the number of retransmissions, be it longer or shorter, until the
//! socket is closed: what is not acknowledged then goes again a limited number of times.
//!
//! With IP_TRANSPARENT (or IPV6_TRANSPARENT, which is the same one) a socket may be bound to any host's address,
//! be it none of the stack's: it connects from there, listens there, sends and receives datagrams there, and
//! what the link brings for that address is taken in. So a proxy that has accepted what an interceptor brought may go on
//! under the client's address. A wildcard stands for the stack's own addresses alone; usertcp_sendmsg() may
//! send from any host's address. No privilege is needed. It counts when bind is called, which is -EADDRNOTAVAIL
//! where no host can have the address; from another host's address to the stack itself connect is -EINVAL.
//!
//! SO_REUSEADDR and SO_REUSEPORT are obeyed as by Linux: sockets that all set SO_REUSEPORT may listen on one
//! address, and share its connections by a hash of the peers' addresses; closing one resets only its own.
//! IPV6_V6ONLY is 0 unless set: a socket of AF_INET6 bound to the unspecified address takes connections over
//! IPv4 too, and shows their addresses as ::ffff:192.0.2.1; it may also bind and connect to such addresses.
//! Setting it after bind or connect is -EINVAL.

use crate::args;
use crate::socket::{find, usertcp_socket_t};
use libc::socklen_t;
use std::ffi::{c_int, c_ulong, c_void};
use std::ptr;
use std::time::Duration;

/// Sets an option. -ENOPROTOOPT: not an option of this library. -EINVAL: a wrong length or value. -EDOM: SO_RCVTIMEO or
/// SO_SNDTIMEO with microseconds that are none. -ENOENT: no such congestion control. -EPERM: see above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_setsockopt(
    socket: usertcp_socket_t,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: socklen_t,
) -> c_int {
    guard!({
        let open = find(socket)?;
        args::length(length)?;
        // SAFETY: the program promises `length` readable bytes.
        let bytes = unsafe { args::bytes(value.cast(), length as usize) }?;
        open.socket.set_option(level, name, bytes)?;
        Ok(0)
    })
}

/// Reads an option: at most `*length` bytes are stored in `value`, and their number in `*length`.
/// -ENOPROTOOPT: not an option of this library. -ENOTCONN: IP_MTU or IPV6_MTU without a peer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_getsockopt(
    socket: usertcp_socket_t,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> c_int {
    guard!({
        let open = find(socket)?;
        if value.is_null() || length.is_null() {
            return Err(args::null("one of value and length"));
        }
        // SAFETY: not NULL, readable by the program's promise.
        let room = unsafe { length.read_unaligned() };
        args::length(room)?;
        let bytes = open.socket.option(level, name)?;
        let copied = bytes.len().min(room as usize);
        // SAFETY: the program promises `*length` writable bytes, and `copied` is not more.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), value.cast(), copied);
            args::write(length, copied as socklen_t, "the length")?;
        }
        Ok(0)
    })
}

/// Sets how long accept and receive, and how long connect and send may wait, in milliseconds; negative: for
/// ever. 0 does not wait at all.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_set_timeout(socket: usertcp_socket_t, receive_ms: c_int, send_ms: c_int) -> c_int {
    guard!({
        find(socket)?.socket.set_timeouts(timeout(receive_ms), timeout(send_ms))?;
        Ok(0)
    })
}

/// Makes a socket return -EAGAIN or -EINPROGRESS where it would wait, or wait again when `on` is 0.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_set_nonblock(socket: usertcp_socket_t, on: c_int) -> c_int {
    guard!({
        find(socket)?.socket.set_nonblocking(on != 0)?;
        Ok(0)
    })
}

/// Answers `request` by the system's numbers of ioctl(2) in `*value`: SIOCINQ (FIONREAD), bytes that can be
/// read now; SIOCOUTQ (TIOCOUTQ), bytes that the peer has not acknowledged, sent or not, the FIN counting as
/// one; SIOCOUTQNSD, those that were never sent. SIOCATMARK: 1 if the next byte to read is the last urgent one,
/// else 0. FIONBIO reads `*value` as usertcp_set_nonblock() does `on`.
///
/// -ENOTTY: another request. -EINVAL: a listening socket.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_ioctl(
    socket: usertcp_socket_t,
    request: c_ulong,
    value: *mut c_int,
) -> c_int {
    guard!({
        let open = find(socket)?;
        args::place(value, "the value")?;
        if request == libc::FIONBIO {
            // SAFETY: not NULL, readable by the program's promise.
            open.socket.set_nonblocking(unsafe { value.read_unaligned() } != 0)?;
            return Ok(0);
        }
        let answer = open.socket.ioctl(request)?;
        // SAFETY: the program promises that it may be written.
        unsafe { args::write(value, answer, "the value") }?;
        Ok(0)
    })
}

/// A socket's time-out; none is as long as it takes, the shortest there is does not wait.
fn timeout(timeout_ms: c_int) -> Option<Duration> {
    args::limit(timeout_ms).map(|limit| limit.max(Duration::from_nanos(1)))
}
