//! All sockets of a stack, as a program asks and as others ask by its control socket.

use crate::pair::*;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use usertcp_core::api::*;

/// A folder that goes when the test does.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("usertcp-control-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A stack that is alone on its link, with a control socket, and the other end of that link.
fn open(path: &Path) -> Result<(Stack, OwnedFd)> {
    let (near, far) = link();
    Ok((Stack::open(StackOptions { control: Some(path.to_owned()), ..options(1, near) })?, far))
}

fn asked(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).expect("the control socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// The states of the sockets of TCP, sorted.
fn states(stack: &Stack) -> Vec<u8> {
    let sockets = stack.sockets().expect("sockets");
    let mut states: Vec<_> = sockets.iter().filter(|each| each.stream).map(|each| each.state).collect();
    states.sort_unstable();
    states
}

#[test]
fn a_stack_shows_every_socket() {
    let pair = Pair::new();
    let listener = pair.server.socket(Domain::V4).expect("a socket");
    listener.bind("192.0.2.2:80".parse().unwrap()).expect("bind");
    listener.listen(7).expect("listen");
    let waiting = pair.client.socket(Domain::V4).expect("a socket");
    waiting.connect("192.0.2.2:80".parse().unwrap(), WAIT).expect("connect");
    let datagrams = pair.server.datagram_socket(Domain::V6).expect("a socket");
    datagrams.bind("[2001:db8::2]:53".parse().unwrap()).expect("bind");
    let idle = pair.server.socket(Domain::V6).expect("a socket");
    let mut ready = [PollEntry { socket: Some(&listener), interest: Readiness::IN, ready: Readiness(0) }];
    assert_eq!(poll(&mut ready, WAIT).expect("poll"), 1);
    // The listener, one that it has not handed out, and one that is nothing yet.
    let shown = pair.server.sockets().expect("sockets");
    assert_eq!(states(&pair.server), [1, 7, 10]);
    let of = |state: u8| shown.iter().find(|each| each.stream && each.state == state).expect("shown");
    let listening = of(10);
    assert_eq!((listening.receive_queue, listening.send_queue, listening.held), (1, 7, true));
    assert_eq!(listening.to_string(), "tcp   LISTEN     1      7      192.0.2.2:80 *:*\n");
    let queued = of(1);
    assert_eq!(queued.remote, Some(waiting.local_address().expect("an address")));
    assert!(queued.info.is_some_and(|info| info.advmss == 1448));
    assert!(queued.to_string().contains("\n\t cubic ts sack wscale:10,10 rto:"), "{queued}");
    let datagram = shown.iter().find(|each| !each.stream).expect("a datagram socket");
    assert_eq!(datagram.to_string(), "udp   UNCONN     0      0      [2001:db8::2]:53 *:*\n");
    drop((idle, datagrams));

    let (served, _) = listener.accept(WAIT).expect("accept");
    waiting.send(b"hello", NONE, WAIT).expect("send");
    let peeked = served.recv(&mut [0; 8], MessageFlags::PEEK, WAIT).expect("peek");
    assert_eq!(peeked, 5);
    let unread = pair.server.sockets().expect("sockets");
    assert!(unread.iter().any(|each| each.receive_queue == 5 && each.state == 1), "{unread:?}");
    // Closed with something unread, the connection is reset: the other side tells why, and of its figures the last.
    drop(served);
    assert_eq!(errno(waiting.recv(&mut [0; 8], NONE, WAIT)), Errno::ECONNRESET);
    let over = pair.client.sockets().expect("sockets");
    let [over] = over.as_slice() else { panic!("{over:?}") };
    assert!(matches!(over.end, Some(EndReason::Reset { .. })) && over.held && over.state == 7, "{over:?}");
    assert!(over.info.is_some_and(|info| info.bytes_sent == 5));
    assert_eq!(over.to_string().lines().count(), 1, "{over}");
}

#[test]
fn many_sockets_are_shown_once_each() {
    let pair = Pair::new();
    let all: Vec<_> = (0..1000).map(|_| pair.client.socket(Domain::V4).expect("a socket")).collect();
    for (number, socket) in (1..).zip(&all) {
        socket.bind(format!("192.0.2.1:{number}").parse().unwrap()).expect("bind");
    }
    let shown = pair.client.sockets().expect("sockets");
    let mut ports: Vec<_> = shown.iter().filter_map(|each| each.local).map(|local| local.port()).collect();
    ports.sort_unstable();
    assert_eq!(ports, (1..=1000).collect::<Vec<_>>());
    pair.client.close(None).expect("close");
    assert_eq!(pair.client.sockets().expect_err("closed").errno(), Errno::EBADF);
}

#[test]
fn other_programs_ask_by_the_control_socket() {
    let folder = Folder::new("ask");
    let path = folder.path("control");
    let (stack, _far) = open(&path).expect("a stack");
    assert_eq!(path.metadata().expect("a socket").permissions().mode() & 0o777, 0o600);
    let socket = stack.socket(Domain::V4).expect("a socket");
    socket.bind("192.0.2.1:7".parse().unwrap()).expect("bind");
    socket.listen(1).expect("listen");
    let answer = asked(&path, "sockets\n");
    let mut lines = answer.lines();
    assert!(lines.next().is_some_and(|header| header.starts_with("Netid State")), "{answer}");
    assert_eq!(lines.next(), Some("tcp   LISTEN     0      1      192.0.2.1:7 *:*"));
    assert_eq!(lines.next(), None);
    let counters = asked(&path, "counters\n");
    assert!(counters.lines().any(|line| line == "tcp_resets_in 0"), "{counters}");
    assert!(asked(&path, "nonsense\n").contains("unknown request"));
    // Without an end of the request there is none.
    let mut silent = UnixStream::connect(&path).expect("the control socket");
    silent.shutdown(std::net::Shutdown::Write).expect("shutdown");
    let mut answer = String::new();
    silent.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains("unknown request"));
    stack.close(None).expect("close");
    assert!(!path.exists());
}

#[test]
fn closing_does_not_wait_for_a_client_that_says_nothing() {
    let folder = Folder::new("silent");
    let path = folder.path("control");
    let (stack, _far) = open(&path).expect("a stack");
    let mut silent = UnixStream::connect(&path).expect("the control socket");
    let next = UnixStream::connect(&path).expect("another");
    stack.close(None).expect("close");
    // The answer is the end, which comes at once.
    silent.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    assert_eq!(silent.read(&mut [0; 8]).unwrap_or(0), 0);
    drop(next);
    assert!(!path.exists());
}

#[test]
fn what_is_at_the_path_decides() {
    let folder = Folder::new("there");
    let path = folder.path("control");
    // A file is not touched.
    std::fs::write(&path, "mine").expect("a file");
    let error = open(&path).expect_err("a file is there");
    assert_eq!(error.errno(), Errno::EADDRINUSE);
    assert!(error.to_string().contains("control_path"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), "mine");
    std::fs::remove_file(&path).expect("remove");
    // A socket that somebody listens on neither.
    let other = UnixListener::bind(&path).expect("a listener");
    assert_eq!(open(&path).expect_err("in use").errno(), Errno::EADDRINUSE);
    // One that was left behind is replaced.
    drop(other);
    let (stack, _far) = open(&path).expect("a stack");
    assert!(asked(&path, "sockets\n").starts_with("Netid"));
    // What has taken the place since then stays.
    std::fs::remove_file(&path).expect("remove");
    std::fs::write(&path, "mine again").expect("a file");
    let inode = path.metadata().expect("the file").ino();
    stack.close(None).expect("close");
    assert_eq!(path.metadata().expect("the file").ino(), inode);
    let error = open(&folder.path("no/such/folder")).expect_err("no folder");
    assert_eq!(error.errno(), Errno::ENOENT);
    let long = folder.path(&"x".repeat(200));
    assert_eq!(open(&long).expect_err("too long").errno(), Errno::ENAMETOOLONG);
}

#[test]
fn the_last_clone_takes_the_control_socket_with_it() {
    let folder = Folder::new("drop");
    let path = folder.path("control");
    let (stack, _far) = open(&path).expect("a stack");
    let clone = stack.clone();
    drop(stack);
    assert!(asked(&path, "sockets\n").starts_with("Netid"));
    drop(clone);
    assert!(!path.exists());
}
