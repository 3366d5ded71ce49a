//! Chapter: Messages in several pieces.
//!
//! What usertcp_send() and its kin do with one buffer, these do with several, in the order that they stand in: the
//! pieces are copied straight to where they go, and are not joined before. At most 1024 of them (IOV_MAX) make a
//! call, and they must not overlap where they are written to. An empty piece may be NULL.

use crate::socket::find;
use crate::{address, socket::usertcp_socket_t};
use crate::{args, control};
use libc::{iovec, msghdr, ssize_t};
use std::ffi::c_int;
use std::io::{IoSlice, IoSliceMut};
use usertcp_core::api::{Errno, Error, MessageFlags, SocketKind, Wait};

/// Most pieces of one call: IOV_MAX.
const PIECES_MOST: usize = 1024;

/// Sends the `count` pieces of `pieces` as usertcp_send() does one buffer; on a datagram socket they make one
/// datagram. Returns how many bytes were queued.
///
/// -EINVAL: more than 1024 pieces, or more than SSIZE_MAX bytes. Others as usertcp_send(), or for datagrams
/// as usertcp_sendto().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_sendv(
    socket: usertcp_socket_t,
    pieces: *const iovec,
    count: c_int,
    flags: c_int,
) -> ssize_t {
    guard!({
        let open = find(socket)?;
        // SAFETY: the program promises `count` pieces with as many readable bytes as each says.
        let pieces = unsafe { readable(pieces, piece_count(count)?, Errno::EINVAL) }?;
        let sent = open.socket.send_vectored(&pieces, MessageFlags(flags), Wait::AsSet)?;
        Ok(sent as ssize_t)
    })
}

/// Receives into the `count` pieces of `pieces`, one after the other, as usertcp_recv() does into one buffer.
/// Returns how many bytes came.
///
/// -EINVAL: more than 1024 pieces, or more than SSIZE_MAX bytes. Others as usertcp_recv().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_recvv(
    socket: usertcp_socket_t,
    pieces: *const iovec,
    count: c_int,
    flags: c_int,
) -> ssize_t {
    guard!({
        let open = find(socket)?;
        // SAFETY: the program promises `count` pieces with as many writable bytes as each says, its own.
        let mut pieces = unsafe { writable(pieces, piece_count(count)?, Errno::EINVAL) }?;
        let received = open.socket.recv_vectored(&mut pieces, MessageFlags(flags), Wait::AsSet)?;
        Ok(received as ssize_t)
    })
}

/// Sends what `*message` says, as sendmsg(2) does: the pieces of `msg_iov` to the address in `msg_name`, or with
/// NULL to the peer; a stream ignores the address. `flags` are those of usertcp_send() and usertcp_sendto();
/// `msg_flags` is ignored. Returns how many bytes were queued.
///
/// Control data says what is asked for this datagram alone: IPPROTO_IP with IP_PKTINFO (`ipi_spec_dst`: the address to
/// send from), IP_TTL and IP_TOS; IPPROTO_IPV6 with IPV6_PKTINFO (`ipi6_addr`), IPV6_HOPLIMIT and IPV6_TCLASS, of which
/// -1 stands for what the socket's options say. What is written for IPv6 holds for a datagram that a socket of AF_INET6
/// sends over IPv4, and the other way round.
///
/// -EINVAL: other control data, or any with a stream; a wrong length or value of it; an address to send from that is not
/// the stack's (or with IP_TRANSPARENT any host's), of the family of the destination; more than SSIZE_MAX bytes. -ENODEV: another link than 1, the only one,
/// and 0. -EMSGSIZE: more than 1024 pieces. Others as usertcp_send() and usertcp_sendto().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_sendmsg(
    socket: usertcp_socket_t,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    guard!({
        let open = find(socket)?;
        // SAFETY: the program promises a msghdr.
        let header = unsafe { header(message) }?;
        // SAFETY: the program promises `msg_controllen` readable bytes.
        let handling = unsafe { control::read(header.msg_control.cast(), header.msg_controllen) }?;
        let destination = if header.msg_name.is_null() || open.socket.kind() == SocketKind::Stream {
            None
        } else {
            // SAFETY: the program promises `msg_namelen` readable bytes.
            Some(unsafe { address::read(header.msg_name.cast(), header.msg_namelen) }?)
        };
        // SAFETY: the program promises as many pieces, with as many readable bytes as each says.
        let pieces = unsafe { readable(header.msg_iov, header.msg_iovlen, Errno::EMSGSIZE) }?;
        let flags = MessageFlags(flags);
        let sent = open.socket.send_message(&pieces, destination, handling, flags, Wait::AsSet)?;
        Ok(sent as ssize_t)
    })
}

/// Receives into `*message`, as recvmsg(2) does: into the pieces of `msg_iov`, with the sender's address in
/// `msg_name` unless it is NULL; `msg_namelen` becomes the length of the address, 0 for a stream. `flags` are those
/// of usertcp_recv() and usertcp_recvfrom(). Returns how many bytes came.
///
/// `msg_control` gets what options of a datagram socket ask for, and `msg_controllen` becomes its length, 0 where nothing
/// does: IP_PKTINFO for the address that it came to, IP_RECVTTL for IP_TTL (an int), IP_RECVTOS for IP_TOS (a byte); with
/// AF_INET6 IPV6_RECVPKTINFO for IPV6_PKTINFO, IPV6_RECVHOPLIMIT for IPV6_HOPLIMIT, IPV6_RECVTCLASS for IPV6_TCLASS (ints),
/// over IPv4 too. `msg_flags` becomes MSG_TRUNC if more of a datagram came than there was room for, MSG_CTRUNC if control
/// data was left out because it did not fit, MSG_OOB for an urgent byte, else 0.
///
/// -EMSGSIZE: more than 1024 pieces. -EINVAL: more than SSIZE_MAX bytes. Others as usertcp_recv() and
/// usertcp_recvfrom().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_recvmsg(
    socket: usertcp_socket_t,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    guard!({
        let open = find(socket)?;
        // SAFETY: the program promises a msghdr.
        let mut header = unsafe { header(message) }?;
        // SAFETY: the program promises as many pieces, with as many writable bytes as each says, its own.
        let mut pieces = unsafe { writable(header.msg_iov, header.msg_iovlen, Errno::EMSGSIZE) }?;
        if !header.msg_name.is_null() {
            args::length(header.msg_namelen)?;
        }
        let flags = MessageFlags(flags);
        let received = open.socket.recv_message(&mut pieces, flags, Wait::AsSet)?;
        match received.from {
            Some(from) if !header.msg_name.is_null() => {
                // SAFETY: the program promises `msg_namelen` writable bytes.
                unsafe { address::write(from, header.msg_name.cast(), &raw mut header.msg_namelen) }?;
            }
            _ => header.msg_namelen = 0,
        }
        // SAFETY: the program promises `msg_controllen` writable bytes.
        let told = unsafe { control::write(&received, header.msg_control.cast(), header.msg_controllen) };
        header.msg_controllen = told.length;
        header.msg_flags = if told.cut { libc::MSG_CTRUNC } else { 0 };
        if received.truncated {
            header.msg_flags |= libc::MSG_TRUNC;
        }
        if open.socket.kind() == SocketKind::Stream && flags.contains(MessageFlags::OOB) {
            header.msg_flags |= libc::MSG_OOB;
        }
        // SAFETY: it was just read, and the program promises that it may be written.
        unsafe { message.write_unaligned(header) };
        Ok(received.told as ssize_t)
    })
}

/// # Safety
/// `message` is NULL or points to a msghdr.
unsafe fn header(message: *const msghdr) -> Result<msghdr, Error> {
    if message.is_null() {
        return Err(args::null("the message"));
    }
    // SAFETY: not NULL, so a msghdr by the caller's promise; every value of its bytes is one.
    Ok(unsafe { message.read_unaligned() })
}

fn piece_count(count: c_int) -> Result<usize, Error> {
    usize::try_from(count).map_err(|_| args::invalid(format!("{count} pieces are less than none")))
}

/// The pieces that a call reads. EFAULT, EINVAL (more than SSIZE_MAX bytes), `too_many`.
///
/// # Safety
/// `pieces` is NULL or points to `count` pieces, each with as many readable bytes as it says.
unsafe fn readable<'a>(
    pieces: *const iovec,
    count: usize,
    too_many: Errno,
) -> Result<Vec<IoSlice<'a>>, Error> {
    // SAFETY: the caller's promise.
    let parts = unsafe { parts(pieces, count, too_many) }?;
    // SAFETY: the caller's promise.
    parts.map(|(base, length)| unsafe { args::bytes(base, length) }.map(IoSlice::new)).collect()
}

/// The pieces that a call writes. Errors as [`readable`].
///
/// # Safety
/// The same, with writable bytes that nobody else uses meanwhile.
unsafe fn writable<'a>(
    pieces: *const iovec,
    count: usize,
    too_many: Errno,
) -> Result<Vec<IoSliceMut<'a>>, Error> {
    // SAFETY: the caller's promise.
    let parts = unsafe { parts(pieces, count, too_many) }?;
    // SAFETY: the caller's promise.
    parts.map(|(base, length)| unsafe { args::bytes_mut(base, length) }.map(IoSliceMut::new)).collect()
}

/// Where the pieces lie.
///
/// # Safety
/// `pieces` is NULL or points to `count` pieces.
unsafe fn parts(
    pieces: *const iovec,
    count: usize,
    too_many: Errno,
) -> Result<impl Iterator<Item = (*mut u8, usize)>, Error> {
    if count > PIECES_MOST {
        return Err(Error::new(too_many, format!("{count} pieces are more than {PIECES_MOST}")));
    }
    if pieces.is_null() && count > 0 {
        return Err(args::null("the pieces"));
    }
    // SAFETY: `at` is less than `count`, so the caller's promise holds; the alignment is not relied on.
    let piece = move |at: usize| unsafe { pieces.add(at).read_unaligned() };
    let total = (0..count).try_fold(0, |sum: usize, at| sum.checked_add(piece(at).iov_len));
    if total.is_none_or(|total| total > isize::MAX as usize) {
        return Err(args::invalid("the pieces are longer than SSIZE_MAX together"));
    }
    Ok((0..count).map(move |at| (piece(at).iov_base.cast(), piece(at).iov_len)))
}
