//! The wrappers against the running kernel.

use super::*;
use crate::error::Errno;
use bytes::BytesMut;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd};

#[test]
fn a_forked_child_is_not_at_home() {
    let home = Home::new().expect("a page");
    assert!(home.is_here());
    // SAFETY: the child only looks and leaves by _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: it takes an integer and does not return.
        unsafe { libc::_exit(i32::from(home.is_here())) };
    }
    assert_eq!(wait_child(child, true), Ok(Some(0)));
    assert!(home.is_here());
}

#[test]
fn reading_appends_to_spare_capacity_only() {
    let (reader, writer) = pipe().unwrap();
    let written = writev(writer.as_fd(), &[IoSlice::new(b"one "), IoSlice::new(b"two")]).unwrap();
    assert_eq!(written, 7);
    let mut page = BytesMut::with_capacity(64);
    page.extend_from_slice(b"kept ");
    assert_eq!(read_into_spare(reader.as_fd(), &mut page), Ok(7));
    assert_eq!(&page[..], b"kept one two");
}

#[test]
fn a_futex_wait_tells_how_it_ended() {
    let word = AtomicU32::new(1);
    assert_eq!(futex_wait(&word, 1, Some(Duration::from_millis(5))), Woken::TimedOut);
    assert_eq!(futex_wait(&word, 0, None), Woken::Woken);
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            while word.load(Ordering::Acquire) == 1 {
                assert_eq!(futex_wait(&word, 1, None), Woken::Woken);
            }
        });
        word.store(2, Ordering::Release);
        futex_wake(&word, 1);
        sleeper.join().unwrap();
    });
}

#[test]
fn an_eventfd_is_readable_from_ring_to_clear() {
    let bell = eventfd().unwrap();
    let readable = || {
        let mut entries = [PollFd { fd: bell.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        poll(&mut entries, Some(Duration::ZERO)).unwrap() == 1
    };
    assert!(!readable());
    eventfd_ring(bell.as_fd());
    eventfd_ring(bell.as_fd());
    assert!(readable());
    assert!(eventfd_clear(bell.as_fd()));
    assert!(!readable() && !eventfd_clear(bell.as_fd()));
}

#[test]
fn signals_are_blocked_in_a_thread_started_within() {
    let blocked = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let mask = |status: &str| {
        let line = status.lines().find(|line| line.starts_with("SigBlk:")).unwrap().to_owned();
        u64::from_str_radix(line.trim_start_matches("SigBlk:").trim(), 16).unwrap()
    };
    let before = mask(&blocked());
    let inside = with_signals_blocked(|| std::thread::spawn(blocked).join().unwrap());
    let interrupt_and_child = (1 << (libc::SIGINT - 1)) | (1 << (libc::SIGCHLD - 1));
    assert_eq!(mask(&inside) & interrupt_and_child, interrupt_and_child);
    assert_eq!(mask(&blocked()), before);
}

#[test]
fn errors_are_errnos() {
    let (reader, _writer) = pipe().unwrap();
    assert_eq!(socket_option(reader.as_fd(), libc::SO_TYPE), Err(Errno::ENOTSOCK));
    assert_eq!(file_kind(reader.as_fd()), Ok(FileKind::Other));
    assert!(wait_child(std::process::id().cast_signed(), false) == Err(Errno::ECHILD));
    assert!(monotonic_nanos() > 0);
}

#[test]
fn a_set_of_descriptors_tells_each_change_once() {
    let epoll = Epoll::new().unwrap();
    let (one, two) = socketpair(libc::SOCK_STREAM).unwrap();
    epoll.add(one.as_fd(), 7).unwrap();
    let look = || {
        let mut tokens = Vec::new();
        while epoll.look(&mut tokens) {}
        tokens
    };
    assert_eq!((look(), look()), (vec![7], vec![]), "it is writable");
    send(two.as_fd(), b"x", 0).unwrap();
    assert_eq!((look(), look()), (vec![7], vec![]));
    shutdown(two.as_fd(), libc::SHUT_WR).unwrap();
    assert_eq!((look(), look()), (vec![7], vec![]));
    epoll.remove(one.as_fd());
    drop(two);
    assert_eq!(look(), Vec::<u64>::new());
}

#[test]
fn a_number_can_be_given_to_another_file() {
    let (one, other) = socketpair(libc::SOCK_STREAM).unwrap();
    let (reader, writer) = pipe().unwrap();
    replace(one.as_fd(), writer.as_fd()).unwrap();
    assert_eq!(recv(other.as_fd(), &mut [0], 0), Ok(0), "the old file is closed");
    drop(writer);
    assert_eq!(writev(one.as_fd(), &[IoSlice::new(b"x")]), Ok(1));
    set_nonblocking(reader.as_fd(), true).unwrap();
    let mut page = BytesMut::with_capacity(8);
    assert_eq!(read_into_spare(reader.as_fd(), &mut page), Ok(1));
    assert_eq!(read_into_spare(reader.as_fd(), &mut page), Err(Errno::EAGAIN));
}

#[test]
fn receiving_some_of_a_stream_leaves_the_rest() {
    let (one, two) = socketpair(libc::SOCK_STREAM).unwrap();
    set_socket_option(one.as_fd(), libc::SO_SNDBUF, 1).unwrap();
    assert!(socket_option(one.as_fd(), libc::SO_SNDBUF).unwrap() < 10_000);
    send(one.as_fd(), b"one two", 0).unwrap();
    let mut page = BytesMut::with_capacity(64);
    assert_eq!(receive_some(two.as_fd(), &mut page, 3), Ok(3));
    assert_eq!(receive_some(two.as_fd(), &mut page, 30), Ok(4));
    assert_eq!(&page[..], b"one two");
    assert_eq!(receive_some(two.as_fd(), &mut page, 30), Err(Errno::EAGAIN));
}
