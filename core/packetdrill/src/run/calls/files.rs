//! What the script's program holds: descriptors under the numbers that the script gives them.

use super::{Answer, Step};
use std::collections::BTreeMap;
use usertcp_core::buffer::{Cell, SocketId};
use usertcp_core::config::Domain;
use usertcp_core::error::Errno;
use usertcp_core::stack::socket::PollSet;
use usertcp_core::sync::Arc;

/// The first descriptor that a program gets.
const FIRST: i32 = 3;

/// A socket as a program holds it.
#[derive(Clone, Debug)]
pub(in crate::run) struct Socket {
    /// Its name in the stack.
    pub(in crate::run) id: SocketId,
    pub(in crate::run) cell: Arc<Cell>,
    pub(in crate::run) domain: Domain,
    /// Of TCP, else of UDP.
    pub(in crate::run) stream: bool,
    pub(in crate::run) nonblocking: bool,
    /// Bytes that the program has written.
    pub(in crate::run) written: u64,
    /// The byte that it has to read next.
    pub(in crate::run) next: Option<u8>,
}

/// What a descriptor stands for.
#[derive(Debug)]
pub(in crate::run) enum Descriptor {
    Socket(Socket),
    Epoll(PollSet),
    /// An end of the pipe of this name.
    Pipe(i32),
    /// A file, which has as many bytes as anybody wants.
    File,
}

/// The descriptors.
#[derive(Debug, Default)]
pub(in crate::run) struct Files {
    open: BTreeMap<i32, Descriptor>,
    /// Bytes in each pipe.
    pub(super) pipes: BTreeMap<i32, usize>,
    /// The stream that figures are read of.
    under_test: Option<i32>,
    /// The program has written something else than the pattern that it is known by.
    pub(in crate::run) wrote_text: bool,
}

impl Files {
    /// Puts `descriptor` under `wanted`, or under the lowest number that is free.
    pub(super) fn add(&mut self, wanted: Option<i32>, descriptor: Descriptor) -> Step<i32> {
        let free = || (FIRST..).find(|number| !self.open.contains_key(number)).unwrap_or(FIRST);
        let number = wanted.unwrap_or_else(free);
        if self.open.contains_key(&number) {
            return Err(Answer::Unreadable(format!("descriptor {number} is open")));
        }
        self.open.insert(number, descriptor);
        Ok(number)
    }

    /// The stream that figures are read of from now on.
    pub(super) fn test(&mut self, number: i32) {
        self.under_test = Some(number);
    }

    /// The socket whose figures a script reads.
    pub(in crate::run) fn under_test(&self) -> Option<&Socket> {
        self.open.get(&self.under_test?)?.as_socket()
    }

    pub(super) fn socket(&mut self, number: i32) -> Step<&mut Socket> {
        match self.open.get_mut(&number) {
            Some(Descriptor::Socket(socket)) => Ok(socket),
            Some(Descriptor::Epoll(_) | Descriptor::Pipe(_) | Descriptor::File) => {
                Err(Errno::ENOTSOCK.into())
            }
            None => Err(Errno::EBADF.into()),
        }
    }

    pub(super) fn epoll(&mut self, number: i32) -> Step<&mut PollSet> {
        match self.open.get_mut(&number) {
            Some(Descriptor::Epoll(set)) => Ok(set),
            Some(Descriptor::Socket(_) | Descriptor::Pipe(_) | Descriptor::File) => Err(Errno::EINVAL.into()),
            None => Err(Errno::EBADF.into()),
        }
    }

    /// The pipe that a descriptor is an end of.
    pub(super) fn pipe(&self, number: i32) -> Option<i32> {
        match self.open.get(&number)? {
            Descriptor::Pipe(pipe) => Some(*pipe),
            Descriptor::Socket(_) | Descriptor::Epoll(_) | Descriptor::File => None,
        }
    }

    pub(super) fn remove(&mut self, number: i32) -> Step<Descriptor> {
        self.open.remove(&number).ok_or(Answer::Failed(Errno::EBADF))
    }

    /// Every socket that is open.
    pub(in crate::run) fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.open.values().filter_map(Descriptor::as_socket)
    }
}

impl Descriptor {
    fn as_socket(&self) -> Option<&Socket> {
        match self {
            Self::Socket(socket) => Some(socket),
            Self::Epoll(_) | Self::Pipe(_) | Self::File => None,
        }
    }
}
