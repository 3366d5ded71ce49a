//! The readiness descriptor, as poll(2) of the kernel sees it.

use super::pair::*;
use std::os::fd::RawFd;
use std::thread;
use std::time::Instant;
use usertcp_core::api::*;
use usertcp_core::sys::{self, PollFd};

const IN: i16 = libc::POLLIN;
const OUT: i16 = libc::POLLOUT;
const RDHUP: i16 = libc::POLLRDHUP;
const HUP: i16 = libc::POLLHUP;
const ERR: i16 = libc::POLLERR;
const ENDED: i16 = IN | OUT | RDHUP | HUP;

/// What poll(2) finds now.
fn shown(fd: RawFd) -> i16 {
    wait_for(fd, IN | OUT | RDHUP, Duration::ZERO)
}

/// Sleeps in poll(2) until one of `events`, ERR or HUP is there; what it found.
fn wait_for(fd: RawFd, events: i16, time: Duration) -> i16 {
    let mut entries = [PollFd { fd, events, revents: 0 }];
    sys::poll(&mut entries, Some(time)).expect("poll");
    entries[0].revents
}

/// Waits until all of `states` show; nothing else may. The kernel shows an error a moment before it lets go of what made it one, and with
/// it OUT; poll(2) does not sleep once there is an error.
fn becomes(fd: RawFd, states: i16) {
    let began = Instant::now();
    for bit in [HUP, ERR, RDHUP, IN, OUT].into_iter().filter(|bit| states & bit != 0) {
        while wait_for(fd, bit, PATIENCE) & bit == 0 {
            assert!(began.elapsed() < PATIENCE, "{bit:#x} of {states:#x} never came: {:#x}", shown(fd));
            thread::yield_now();
        }
    }
    assert_eq!(shown(fd), states);
}

fn descriptor(socket: &Socket) -> RawFd {
    let fd = socket.readiness_fd().expect("a descriptor");
    assert_eq!(socket.readiness_fd().expect("the same"), fd);
    fd
}

/// Writes until nothing more is taken; returns how much was.
fn fill(socket: &Socket) -> usize {
    let block = vec![7; 100_000];
    let mut total = 0;
    loop {
        match socket.send(&block, NONE, Wait::Never) {
            Ok(count) => total += count,
            Err(error) if error.errno() == Errno::EAGAIN => return total,
            Err(error) => panic!("send: {error}"),
        }
    }
}

/// Bytes that can be read without waiting.
fn read_some(socket: &Socket) -> usize {
    let mut buffer = vec![0; 1 << 20];
    socket.recv(&mut buffer, NONE, Wait::Never).unwrap_or(0)
}

#[test]
fn the_four_states_of_a_connection() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let fd = descriptor(&client);
    assert_eq!(shown(fd), OUT);
    server.send(b"one two", NONE, WAIT).expect("send");
    becomes(fd, IN | OUT);
    client.recv(&mut [0; 3], NONE, WAIT).expect("recv");
    assert_eq!(shown(fd), IN | OUT, "there is more to read");
    client.recv(&mut [0; 3], MessageFlags::PEEK, WAIT).expect("peek");
    assert_eq!(shown(fd), IN | OUT, "nothing was taken");
    client.recv(&mut [0; 30], NONE, WAIT).expect("recv");
    assert_eq!(shown(fd), OUT);
    let mut sent = fill(&client);
    // Until the peer's window is closed too: nothing is in flight then whose acknowledgement would make room.
    loop {
        sent += fill(&client);
        let info = client.tcp_info().expect("figures");
        if info.unacked == 0 && info.snd_wnd < info.snd_mss && fill(&client) == 0 {
            break;
        }
        thread::yield_now();
    }
    assert_eq!(shown(fd), 0);
    server.send(b"x", NONE, WAIT).expect("send");
    becomes(fd, IN);
    assert!(client.recv(&mut [0; 8], NONE, WAIT).is_ok());
    assert_eq!(shown(fd), 0);
    let mut received = 0;
    while received < sent / 2 || shown(fd) & OUT == 0 {
        received += read_some(&server);
        thread::yield_now();
    }
    becomes(fd, OUT);
}

#[test]
fn a_descriptor_asked_for_late_shows_what_is() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V6);
    server.send(b"x", NONE, WAIT).expect("send");
    client.recv(&mut [0], MessageFlags::PEEK, WAIT).expect("peek");
    assert_eq!(shown(descriptor(&client)), IN | OUT);
}

#[test]
fn halves_that_end_show_for_good() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let fd = descriptor(&client);
    server.send(b"last", NONE, WAIT).expect("send");
    server.shutdown(Shutdown::Write).expect("shutdown");
    becomes(fd, IN | OUT | RDHUP);
    assert_eq!(read_to_end(&client), b"last");
    assert_eq!(shown(fd), IN | OUT | RDHUP, "the end of the stream is there to read");
    fill(&client);
    while shown(fd) & OUT != 0 {
        fill(&client);
    }
    assert_eq!(shown(fd), IN | RDHUP, "no room shows after the peer's end too");
    client.shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(shown(fd), ENDED);
}

#[test]
fn shutting_down_shows_at_once() {
    let pair = Pair::new();
    let (client, _server) = pair.connection(Domain::V4);
    let fd = descriptor(&client);
    client.shutdown(Shutdown::Read).expect("shutdown");
    assert_eq!(shown(fd), IN | OUT | RDHUP);
    client.shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(shown(fd), ENDED);
}

#[test]
fn a_reset_shows_as_an_error_until_it_is_told() {
    for told_by_option in [true, false] {
        let pair = Pair::new();
        let (client, server) = pair.connection(Domain::V4);
        let fd = descriptor(&client);
        server.abort().expect("abort");
        becomes(fd, ENDED | ERR);
        if told_by_option {
            assert_eq!(client.take_error().expect("open"), Some(Errno::ECONNRESET));
        } else {
            assert_eq!(errno(client.recv(&mut [0], NONE, WAIT)), Errno::ECONNRESET);
        }
        assert_eq!(shown(fd), ENDED);
        assert_eq!(client.recv(&mut [0], NONE, WAIT), Ok(0));
    }
}

#[test]
fn a_reset_that_finds_the_buffer_full_shows_too() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let fd = descriptor(&client);
    while shown(fd) & OUT != 0 {
        fill(&client);
    }
    server.abort().expect("abort");
    becomes(fd, ENDED | ERR);
}

#[test]
fn a_listener_shows_whom_to_accept() {
    let pair = Pair::new();
    let (listener, address) = pair.listener(Domain::V4, 8);
    let fd = descriptor(&listener);
    assert_eq!(shown(fd), 0);
    let clients: Vec<_> = (0..2).map(|_| pair.client.socket(Domain::V4).expect("a socket")).collect();
    clients.iter().for_each(|client| client.connect(address, WAIT).expect("connect"));
    becomes(fd, IN);
    let accepted = [(); 2].map(|()| listener.accept(WAIT).expect("accept").0);
    assert_eq!(shown(fd), 0, "both are accepted");
    assert_eq!(accepted.map(|socket| shown(descriptor(&socket))), [OUT, OUT]);
    assert_eq!(errno(listener.accept(Wait::Never)), Errno::EAGAIN);
}

#[test]
fn a_listener_that_listens_no_more_shows_and_may_listen_again() {
    let pair = Pair::new();
    let (listener, address) = pair.listener(Domain::V4, 8);
    let fd = descriptor(&listener);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| wait_for(fd, IN, PATIENCE));
        listener.shutdown(Shutdown::Read).expect("shutdown");
        assert!(waiting.join().expect("who waits for a connection") & HUP != 0);
    });
    assert_eq!(shown(fd), ENDED);
    listener.listen(8).expect("listen");
    assert_eq!((descriptor(&listener), shown(fd)), (fd, 0));
    let client = pair.client.socket(Domain::V4).expect("a socket");
    client.connect(address, WAIT).expect("connect");
    becomes(fd, IN);
}

#[test]
fn a_descriptor_goes_with_its_socket_from_idle_on() {
    let pair = Pair::new();
    let (listener, address) = pair.listener(Domain::V4, 8);
    let client = pair.client.socket(Domain::V4).expect("a socket");
    let fd = descriptor(&client);
    assert_eq!(shown(fd), OUT, "HUP could not be taken back");
    let begun = client.connect(address, Wait::Never);
    assert!(begun.is_ok() || errno(begun) == Errno::EINPROGRESS);
    becomes(fd, OUT);
    assert_eq!(client.take_error(), Ok(None));
    let server = listener.accept(WAIT).expect("accept").0;
    server.send(b"x", NONE, WAIT).expect("send");
    becomes(fd, IN | OUT);
}

#[test]
fn connecting_shows_nothing_until_its_outcome() {
    let pair = Pair::new();
    // Nobody answers: the other stack's side of the link is held open by nobody that reads.
    let (end, _silent) = link();
    let alone = Stack::open(options(1, end)).expect("a stack");
    let client = alone.socket(Domain::V4).expect("a socket");
    let fd = descriptor(&client);
    assert_eq!(errno(client.connect(server_address(Domain::V4, 9), Wait::Never)), Errno::EINPROGRESS);
    assert_eq!(shown(fd), 0);

    let refused = pair.client.socket(Domain::V4).expect("a socket");
    let fd = descriptor(&refused);
    let begun = errno(refused.connect(server_address(Domain::V4, 9), Wait::Never));
    becomes(fd, if begun == Errno::EINPROGRESS { ENDED | ERR } else { ENDED });
    if begun == Errno::EINPROGRESS {
        assert_eq!(refused.take_error(), Ok(Some(Errno::ECONNREFUSED)));
    }
    assert_eq!(shown(fd), ENDED);

    // The same socket and number, and a peer that is there now.
    let (_listener, address) = pair.listener(Domain::V4, 8);
    refused.connect(address, WAIT).expect("connect");
    assert_eq!(descriptor(&refused), fd);
    assert_eq!(shown(fd), OUT);
}

#[test]
fn a_socket_that_is_closed_takes_its_descriptor_along() {
    let pair = Pair::new();
    let (client, _server) = pair.connection(Domain::V4);
    let fd = descriptor(&client);
    let file = || std::fs::read_link(format!("/proc/self/fd/{fd}")).ok();
    let before = file();
    client.close().expect("close");
    assert_eq!(errno(client.readiness_fd()), Errno::EBADF);
    // The number may be somebody else's already, but not this socket's.
    assert_ne!(file(), before);
}

#[test]
fn the_end_of_a_stack_shows() {
    let pair = Pair::new();
    let (client, _server) = pair.connection(Domain::V4);
    let (listener, _) = pair.listener(Domain::V4, 1);
    let (client_fd, listener_fd) = (descriptor(&client), descriptor(&listener));
    pair.server.close(Some(PATIENCE)).expect("close");
    assert_eq!(shown(listener_fd), ENDED | ERR);
    // The peer has ended its half, and then all of it, since nobody is there any more.
    assert!(wait_for(client_fd, RDHUP, PATIENCE) & RDHUP != 0);
    drop(pair.client.close(Some(Duration::ZERO)));
    assert_eq!(shown(client_fd) & (HUP | IN | OUT), HUP | IN | OUT);
}

#[test]
fn a_socket_lets_go_of_its_descriptor_after_its_stack_has_ended_too() {
    let ways: [fn(Socket); 3] = [
        |socket| assert_eq!(errno(socket.close()), Errno::EBADF),
        |socket| assert_eq!(errno(socket.abort()), Errno::EBADF),
        drop,
    ];
    for let_go in ways {
        let pair = Pair::new();
        let (client, _server) = pair.connection(Domain::V4);
        let fd = descriptor(&client);
        drop(pair.client.close(Some(Duration::ZERO)));
        let open = || std::fs::read_link(format!("/proc/self/fd/{fd}")).ok();
        let file = open();
        assert!(file.is_some(), "the program may wait with it still");
        let_go(client);
        assert_ne!(open(), file);
    }
}

#[test]
fn a_number_that_is_left_to_somebody_else_stays_open() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    client.leave_readiness_fd().expect("there is none to leave");
    let fd = descriptor(&client);
    client.leave_readiness_fd().expect("another one");
    becomes(fd, ENDED);
    let other = descriptor(&client);
    assert_ne!(other, fd);
    server.send(b"x", NONE, WAIT).expect("send");
    becomes(other, IN | OUT);
    client.close().expect("close");
    becomes(fd, ENDED);
}

#[test]
fn a_link_that_is_gone_shows() {
    let (end, other) = link();
    let stack = Stack::open(options(1, end)).expect("a stack");
    let client = stack.socket(Domain::V4).expect("a socket");
    let listener = stack.socket(Domain::V4).expect("a socket");
    listener.listen(1).expect("listen");
    let (client_fd, listener_fd) = (descriptor(&client), descriptor(&listener));
    assert_eq!(errno(client.connect(server_address(Domain::V4, 9), Wait::Never)), Errno::EINPROGRESS);
    drop(other);
    becomes(client_fd, ENDED | ERR);
    becomes(listener_fd, ENDED | ERR);
    assert_eq!(client.take_error(), Ok(Some(Errno::ENETDOWN)));
    assert_eq!(shown(client_fd), ENDED);
}

#[test]
fn readers_and_writers_of_other_threads_never_hang() {
    let pair = Pair::new();
    let (client, server) = pair.connection(Domain::V4);
    let total = 20 << 20;
    let bytes = pattern(5, total);
    thread::scope(|scope| {
        // Each waits in poll(2) alone, and never in a call.
        scope.spawn(|| {
            let (fd, mut sent) = (descriptor(&client), 0);
            while sent < total {
                match client.send(&bytes[sent..], NONE, Wait::Never) {
                    Ok(count) => sent += count,
                    Err(error) => {
                        assert_eq!(error.errno(), Errno::EAGAIN);
                        assert!(wait_for(fd, OUT, PATIENCE) & OUT != 0, "the writer hangs at {sent}");
                    }
                }
            }
            client.shutdown(Shutdown::Write).expect("shutdown");
        });
        let (fd, mut received) = (descriptor(&server), Vec::new());
        let mut buffer = vec![0; 70_000];
        loop {
            match server.recv(&mut buffer, NONE, Wait::Never) {
                Ok(0) => break,
                Ok(count) => received.extend_from_slice(&buffer[..count]),
                Err(error) => {
                    assert_eq!(error.errno(), Errno::EAGAIN);
                    let found = wait_for(fd, IN, PATIENCE);
                    assert!(found & IN != 0, "the reader hangs at {}", received.len());
                }
            }
        }
        assert!(received == bytes);
    });
}
