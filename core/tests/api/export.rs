//! A connection as a byte stream of the system.

use super::pair::*;
use crate::events::asleep;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown as Half;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use usertcp_core::api::*;
use usertcp_core::sys;

fn export(socket: &Socket) -> UnixStream {
    UnixStream::from(socket.export_fd().expect("a stream"))
}

/// The end of a stream, or the reset that stands for it.
fn ended(stream: &mut UnixStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn bytes_pass_both_ways_and_halves_end() {
    for domain in [Domain::V4, Domain::V6] {
        let pair = Pair::new();
        let (client, server) = pair.connection(domain);
        server.send(b"before ", NONE, WAIT).expect("send");
        client
            .recv(&mut [0; 7], MessageFlags(MessageFlags::PEEK.0 | MessageFlags::WAITALL.0), WAIT)
            .expect("peek");
        let mut stream = export(&client);
        assert_eq!(errno(client.recv(&mut [0], NONE, WAIT)), Errno::EBADF);
        assert_eq!(errno(client.close()), Errno::EBADF);
        server.send(b"after", NONE, WAIT).expect("send");
        let mut text = [0; 12];
        stream.read_exact(&mut text).expect("read");
        assert_eq!(&text, b"before after");
        let (there, back) = (pattern(1, 5 << 20), pattern(2, 5 << 20));
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut writing = &stream;
                writing.write_all(&there).expect("write");
                writing.shutdown(Half::Write).expect("shutdown");
            });
            let reading = scope.spawn(|| {
                let mut all = Vec::new();
                (&stream).read_to_end(&mut all).expect("read");
                all
            });
            let echo = scope.spawn(|| read_to_end(&server));
            server.send(&back, NONE, WAIT).expect("send");
            assert!(echo.join().expect("the reader") == there);
            // This half is still open after the other has ended.
            server.send(b"!", NONE, WAIT).expect("send");
            server.shutdown(Shutdown::Write).expect("shutdown");
            let all = reading.join().expect("the reading thread");
            assert!(all.ends_with(b"!") && all[..all.len() - 1] == back);
        });
        drop(stream);
        pair.client.close(Some(PATIENCE)).expect("nothing is left to reset");
    }
}

#[test]
fn the_readiness_descriptor_itself_becomes_the_stream() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let fd = client.readiness_fd().expect("a descriptor");
    server.send(b"x", NONE, WAIT).expect("send");
    client.recv(&mut [0], MessageFlags::PEEK, WAIT).expect("peek");
    let inode = |fd: i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).expect("an open file");
    let before = inode(fd);
    let mut stream = export(&client);
    assert_eq!((stream.as_raw_fd(), inode(fd)), (fd, before));
    stream.write_all(b"y").expect("write");
    let mut text = [0];
    stream.read_exact(&mut text).expect("read");
    assert_eq!(&text, b"x");
    server.recv(&mut text, NONE, WAIT).expect("recv");
    assert_eq!(&text, b"y", "and nothing of what readiness was shown with");
}

#[test]
fn what_was_received_is_read_after_the_peer_has_ended() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let fd = client.readiness_fd().expect("a descriptor");
    let bytes = pattern(3, 50_000);
    server.send(&bytes, NONE, WAIT).expect("send");
    server.close().expect("close");
    let mut entries = [PollEntry { socket: Some(&client), interest: Readiness::RDHUP, ready: Readiness(0) }];
    poll(&mut entries, WAIT).expect("poll");
    let mut stream = export(&client);
    assert_eq!(
        stream.as_raw_fd(),
        fd,
        "another open file, since this one had shown the end, but the same number"
    );
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("read");
    assert!(all == bytes);
}

#[test]
fn whoever_does_not_read_stops_the_other() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let stream = export(&client);
    let bytes = pattern(4, 64 << 20);
    // Nobody reads the stream: the peer's writing ends with the buffers, though the I/O thread could take all of it.
    let mut sent = 0;
    let patience = Wait::AtMost(Duration::from_millis(300));
    while let Ok(count) = server.send(&bytes[sent..], NONE, patience) {
        sent += count;
        assert!(sent < bytes.len(), "nothing stops the peer");
    }
    // And the other way.
    stream.set_nonblocking(true).expect("an option");
    let mut written = 0;
    let mut quiet = 0;
    while quiet < 30 {
        match (&stream).write(&bytes[written..]) {
            Ok(count) => (written, quiet) = (written + count, 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                quiet += 1;
                thread::yield_now();
                let mut entries =
                    [PollEntry { socket: Some(&server), interest: Readiness::ERR, ready: Readiness(0) }];
                let _ = poll(&mut entries, Wait::AtMost(Duration::from_millis(10)));
            }
        }
        assert!(written < bytes.len(), "nothing stops the program");
    }
    // All of it arrives once somebody reads.
    stream.set_nonblocking(false).expect("an option");
    let mut all = vec![0; sent];
    (&stream).read_exact(&mut all).expect("read");
    assert!(all == bytes[..sent]);
    stream.shutdown(Half::Write).expect("shutdown");
    assert!(read_to_end(&server) == bytes[..written]);
}

#[test]
fn closing_the_stream_closes_the_connection() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let mut stream = export(&client);
    let other = stream.try_clone().expect("a duplicate");
    stream.write_all(b"from the one").expect("write");
    drop(stream);
    (&other).write_all(b", from the other").expect("write");
    drop(other);
    assert_eq!(read_to_end(&server), b"from the one, from the other");
    server.send(b"x", NONE, WAIT).expect("the peer is not told at once");
    let mut entries = [PollEntry { socket: Some(&server), interest: Readiness::ERR, ready: Readiness(0) }];
    poll(&mut entries, WAIT).expect("poll");
    assert_eq!(server.take_error().expect("open").map(|_| ()), Some(()), "what nobody can read is reset");
}

#[test]
fn bytes_left_unread_reset_the_connection() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let mut stream = export(&client);
    server.send(b"read, not read", NONE, WAIT).expect("send");
    stream.read_exact(&mut [0; 4]).expect("read");
    drop(stream);
    assert_eq!(errno(server.recv(&mut [0], NONE, WAIT)), Errno::ECONNRESET);
}

#[test]
fn what_was_written_arrives_before_the_reset_for_what_was_not_read() {
    for size in [100, 5000] {
        for _ in 0..20 {
            let pair = Pair::new();
            let (client, server) = pair.connection(Domain::V4);
            let mut stream = export(&client);
            server.send(b"request", NONE, WAIT).expect("send");
            stream.read_exact(&mut [0; 3]).expect("read");
            stream.write_all(&pattern(1, size)).expect("write");
            drop(stream);
            let mut text = vec![0; size];
            assert_eq!(server.recv(&mut text, MessageFlags::WAITALL, WAIT), Ok(size));
            assert!(text == pattern(1, size));
            assert_eq!(errno(server.recv(&mut [0], NONE, WAIT)), Errno::ECONNRESET);
        }
    }
}

#[test]
fn a_reset_behind_the_end_of_the_peers_bytes_is_the_end_of_the_stream() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let mut stream = export(&client);
    server.shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
    server.abort().expect("abort");
    let mut entry = [sys::PollFd { fd: stream.as_raw_fd(), events: 0, revents: 0 }];
    assert_eq!(sys::poll(&mut entry, Some(PATIENCE)), Ok(1));
    assert_eq!(entry[0].revents & libc::POLLHUP, libc::POLLHUP);
}

#[test]
fn bytes_left_unread_behind_an_ended_half_leave_no_socket_behind() {
    let pair = Pair::with(|options| options.config.max_sockets = 8);
    for _ in 0..20 {
        let (client, server) = pair.connection(Domain::V4);
        let mut stream = export(&client);
        stream.shutdown(Half::Write).expect("shutdown");
        assert_eq!(server.recv(&mut [0], NONE, WAIT), Ok(0));
        server.send(b"read, not read", NONE, WAIT).expect("send");
        stream.read_exact(&mut [0; 4]).expect("read");
        drop(stream);
        let mut entries =
            [PollEntry { socket: Some(&server), interest: Readiness::ERR, ready: Readiness(0) }];
        assert_eq!(poll(&mut entries, WAIT), Ok(1));
        assert!(entries[0].ready.any(Readiness::ERR), "a reset, not an end: {:?}", entries[0].ready);
    }
}

#[test]
fn a_reset_ends_the_stream() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let mut stream = export(&client);
    server.send(b"x", NONE, WAIT).expect("send");
    stream.read_exact(&mut [0]).expect("read");
    server.abort().expect("abort");
    assert!(ended(&mut stream));
    let failed = stream.write_all(b"x").expect_err("nobody takes it");
    assert_eq!(failed.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_reset_is_an_error_to_a_program_whose_bytes_it_kept_from_being_sent() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let mut stream = export(&client);
    let block = pattern(6, 1 << 20);
    stream.set_nonblocking(true).expect("an option");
    let mut entries = [PollEntry { socket: Some(&server), interest: Readiness::ERR, ready: Readiness(0) }];
    // Full, and still full a while later.
    let mut quiet = 0;
    while quiet < 30 {
        quiet += 1;
        while stream.write(&block).is_ok() {
            quiet = 0;
        }
        let _ = poll(&mut entries, Wait::AtMost(Duration::from_millis(10)));
    }
    stream.set_nonblocking(false).expect("an option");
    server.abort().expect("abort");
    assert_eq!(stream.read(&mut [0]).expect_err("a reset").kind(), ErrorKind::ConnectionReset);
}

#[test]
fn whoever_sleeps_on_the_handle_is_woken() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    thread::scope(|scope| {
        let reading = asleep(scope, || errno(client.recv(&mut [0], NONE, WAIT)));
        let mut stream = export(&client);
        assert_eq!(reading.join().expect("the reader"), Errno::ECANCELED);
        server.send(b"x", NONE, WAIT).expect("send");
        stream.read_exact(&mut [0]).expect("read");
    });
}

#[test]
fn a_listener_becomes_a_listening_socket() {
    for domain in [Domain::V4, Domain::V6] {
        let pair = Pair::new();
        let (listener, address) = pair.listener(domain, 1);
        let fd = listener.export_fd().expect("a listening socket");
        assert_eq!(exported_addresses(fd.as_raw_fd()), Ok((Some(address), None)));
        assert_eq!(errno(listener.accept(WAIT)), Errno::EBADF);
        assert_eq!(errno(listener.close()), Errno::EBADF);
        assert_eq!(listener.readiness(), Readiness::NVAL);
        drop(listener);
        let listener = UnixListener::from(fd);
        let client = pair.client.socket(domain).expect("a socket");
        client.connect(address, WAIT).expect("connect");
        let (mut stream, _) = listener.accept().expect("accept");
        let peer = client.local_address().expect("an address");
        assert_eq!(exported_addresses(stream.as_raw_fd()), Ok((Some(address), Some(peer))));
        stream.write_all(b"to").expect("write");
        assert_eq!(client.recv(&mut [0; 2], MessageFlags::WAITALL, WAIT), Ok(2));
        drop(listener);
        // What was accepted outlives it.
        client.send(b"fro", NONE, WAIT).expect("send");
        stream.read_exact(&mut [0; 3]).expect("read");
        drop(stream);
        assert_eq!(client.recv(&mut [0], NONE, WAIT), Ok(0));
    }
}

#[test]
fn closing_the_stack_ends_an_exported_listener() {
    let pair = Pair::new();
    let (listener, _) = pair.listener(Domain::V4, 1);
    let listener = UnixListener::from(listener.export_fd().expect("a listening socket"));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| listener.accept().map(|_| ()).map_err(|error| error.raw_os_error()));
        pair.server.close(Some(Duration::from_secs(5))).expect("nothing is left to wait for");
        assert_eq!(waiting.join().expect("who accepts"), Err(Some(libc::EINVAL)));
    });
}

#[test]
fn only_connections_and_listeners_become_descriptors() {
    let pair = Pair::new();
    let idle = pair.client.socket(Domain::V4).expect("a socket");
    assert_eq!(errno(idle.export_fd()), Errno::ENOTCONN);
    let fd = idle.readiness_fd().expect("a descriptor");
    assert_eq!(errno(idle.export_fd()), Errno::ENOTCONN);
    assert_eq!(idle.readiness_fd(), Ok(fd), "the handle is as it was");
    let datagrams = pair.client.datagram_socket(Domain::V4).expect("a socket");
    assert_eq!(errno(datagrams.export_fd()), Errno::EOPNOTSUPP);
    let (client, server) = pair.connection(Domain::V4);
    server.abort().expect("abort");
    let mut entries = [PollEntry { socket: Some(&client), interest: Readiness::ERR, ready: Readiness(0) }];
    poll(&mut entries, WAIT).expect("poll");
    assert_eq!(errno(client.export_fd()), Errno::ECONNRESET);
    assert_eq!(errno(client.export_fd()), Errno::ENOTCONN);
    client.close().expect("close");
    assert_eq!(errno(client.export_fd()), Errno::EBADF);
}

#[test]
fn closing_the_stack_sends_what_was_written() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let stream = export(&client);
    let bytes = pattern(7, 4 << 20);
    let written = thread::scope(|scope| {
        let reading = scope.spawn(|| read_to_end(&server));
        (&stream).write_all(&bytes).expect("write");
        pair.client.close(Some(PATIENCE)).expect("everything goes out");
        reading.join().expect("the reader")
    });
    assert!(written == bytes);
    assert_eq!((&stream).write(b"x").expect_err("nobody takes it").kind(), ErrorKind::BrokenPipe);
}

#[test]
fn closing_the_stack_without_patience_ends_the_stream() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let mut stream = export(&client);
    drop(pair.client.close(Some(Duration::ZERO)));
    assert!(ended(&mut stream));
    drop(server);
}

#[test]
fn a_stream_keeps_its_stack_open() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let mut stream = export(&client);
    drop(client);
    drop(pair.client);
    stream.write_all(b"x").expect("write");
    assert_eq!(server.recv(&mut [0; 8], NONE, WAIT), Ok(1));
    drop(stream);
    assert_eq!(server.recv(&mut [0; 8], NONE, WAIT).map_err(|error| error.errno()), Ok(0));
}
