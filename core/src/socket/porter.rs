//! A listener as a listening socket of the system: who accepts there is brought to by the library, one connection of the stack after the other.
//!
//! ```text
//!  program --accept(2)--> front <--connect(2)-- Porter <--accept queue-- cell <-- peer
//! ```
//! The library keeps no descriptor of the program's socket, for it is the program that closes it, with all its duplicates. What it keeps is the file that the
//! socket was bound to, which nobody else can reach: what connects there reaches the socket while it is open, and is refused when it is not.

use super::names::name;
use crate::buffer::{Accepted, Cell, Life};
use crate::error::{Errno, Error, Result};
use crate::stack::socket::{self, Kick};
use crate::sync::Arc;
use crate::sys::{self, End, Home};
use crate::time::Duration;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::task::Waker;

/// How often the program's socket is looked at: nothing tells that it has been closed, nor that its queue has room again.
const IDLE: Duration = Duration::from_millis(250);
const FULL: Duration = Duration::from_millis(10);

/// The pump of one listener. It sleeps never: the waker says that the cell has news, its timer that it is time to look.
#[derive(Debug)]
pub struct Porter {
    cell: Arc<Cell>,
    door: Door,
    timer: OwnedFd,
    /// A connection that the program's socket had no room for.
    waiting: Option<Accepted>,
}

/// A connection on its way to the program.
#[derive(Debug)]
pub struct Brought {
    /// Which one.
    pub accepted: Accepted,
    /// The library's end of its stream.
    pub back: OwnedFd,
}

/// What one turn of the pump came to.
#[derive(Debug, Default)]
pub struct Round {
    /// The connections that the program can accept from now on.
    pub brought: Vec<Brought>,
    /// The holder of the Turn is to look at the listener's cell.
    pub kick: bool,
    /// The listener is over: it is to be closed.
    pub over: bool,
}

impl Porter {
    /// A porter at `door` for a listener's cell that is nobody else's.
    #[must_use]
    pub const fn new(cell: Arc<Cell>, door: Door, timer: OwnedFd) -> Self {
        Self { cell, door, timer, waiting: None }
    }

    /// Its timer.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }

    /// Brings what there is, as far as the program's socket has room. `waker` is left in the cell when there is no more.
    pub fn pump(&mut self, waker: &Waker) -> Round {
        let mut round = Round::default();
        let mut asked = false;
        let next_look = loop {
            let accepted = match self.waiting.take().map_or_else(|| self.next(waker, &mut round), Ok) {
                Ok(accepted) => accepted,
                Err(Errno::EAGAIN) => break IDLE,
                Err(_) => {
                    round.over = true;
                    break IDLE;
                }
            };
            asked = true;
            match self.door.bring(&accepted) {
                Ok(back) => round.brought.push(Brought { accepted, back }),
                // Its queue is full, or the system is out of descriptors or memory for a while.
                Err(Errno::EAGAIN | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS) => {
                    self.waiting = Some(accepted);
                    break FULL;
                }
                // ECONNREFUSED: the program has closed it. Others: it cannot be reached any more.
                Err(_) => {
                    self.waiting = Some(accepted);
                    round.over = true;
                    break IDLE;
                }
            }
        };
        round.over |= !asked && self.door.is_gone();
        if !round.over {
            sys::set_timer(self.timer.as_fd(), next_look);
        }
        round
    }

    /// Ends it: the listener is marked closed. What was on its way to the program is to be reset.
    pub fn close(&mut self) -> Option<Accepted> {
        let mut wakers = Vec::new();
        socket::close(&self.cell, &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        self.waiting.take()
    }

    fn next(&self, waker: &Waker, round: &mut Round) -> Result<Accepted, Errno> {
        loop {
            match socket::accept(&self.cell, Some(waker)) {
                Ok((accepted, kick)) => {
                    round.kick |= kick == Kick::Yes;
                    return Ok(accepted);
                }
                // A link that was down for a while.
                Err(Errno::ENETDOWN) if self.cell.lock().life == Life::Listening => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// The way to a program's listening socket.
#[derive(Debug)]
pub struct Door {
    /// The file that it is bound to.
    handle: File,
    /// The program's descriptor as it was given out, and the socket that it was for.
    number: RawFd,
    cookie: u64,
    home: Home,
}

impl Door {
    /// A listening socket, and the way to it; its own name tells the listener's address. The errors of bind(2), mkdir(2) and open(2).
    pub fn open(own: SocketAddr, backlog: i32) -> Result<(OwnedFd, Self)> {
        let home = Home::new()?;
        let folder = std::env::temp_dir().join(format!(".usertcp-{:08x}{:08x}", random()?, random()?));
        let failed = |errno: Errno| {
            let text = "a listener is exported by way of a folder for temporary files and of /proc";
            Error::new(errno, format!("{text}: {}: {errno}", folder.display()))
        };
        DirBuilder::new().mode(0o700).create(&folder).map_err(|error| failed(sys::errno_of(&error)))?;
        let made = Self::within(&folder, own, backlog);
        let _ = fs::remove_dir(&folder);
        let (front, handle) = made.map_err(failed)?;
        let (number, cookie) = (front.as_raw_fd(), sys::socket_cookie(front.as_fd())?);
        Ok((front, Self { handle, number, cookie, home }))
    }

    fn path(&self) -> Vec<u8> {
        format!("/proc/self/fd/{}", self.handle.as_raw_fd()).into_bytes()
    }

    fn within(folder: &Path, own: SocketAddr, backlog: i32) -> Result<(OwnedFd, File), Errno> {
        // The path of the folder itself may be longer than a socket's name.
        let opened = look_only(folder, libc::O_DIRECTORY)?;
        let path = format!("/proc/self/fd/{}/{}", opened.as_raw_fd(), name(random()?, Some(own), None));
        let front = sys::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)?;
        sys::unix_bind(front.as_fd(), path.as_bytes())?;
        // The program may change its user; nobody else gets there.
        let reached =
            fs::set_permissions(&path, Permissions::from_mode(0o666)).map_err(|error| sys::errno_of(&error));
        let handle = reached.and_then(|()| look_only(Path::new(&path), libc::O_NOFOLLOW));
        let _ = fs::remove_file(&path);
        sys::listen(front.as_fd(), backlog)?;
        Ok((front, handle?))
    }

    /// Connects to the program's socket in the name of a connection. ECONNREFUSED: it is closed; EAGAIN: its queue is full.
    fn bring(&self, accepted: &Accepted) -> Result<OwnedFd, Errno> {
        let back = sys::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0)?;
        christen(&back, Some(accepted.local), Some(accepted.peer))?;
        sys::unix_connect(back.as_fd(), &self.path())?;
        Ok(back)
    }

    /// Whether the program has closed its socket. Who knocks with the wrong type of socket is told that there is one, and nothing comes of it.
    fn is_gone(&self) -> bool {
        let knock =
            || sys::unix_connect(sys::socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0)?.as_fd(), &self.path());
        knock() == Err(Errno::ECONNREFUSED)
    }

    /// Ends the program's socket, whichever descriptor of this process is open for it: accept(2) is EINVAL from now on.
    fn shut(&self) {
        let shuts = |number: RawFd| {
            let Ok(copy) = sys::duplicate(number) else { return false };
            sys::socket_cookie(copy.as_fd()) == Ok(self.cookie)
                && sys::shutdown(copy.as_fd(), libc::SHUT_RDWR).is_ok()
        };
        if shuts(self.number) {
            return;
        }
        let Ok(all) = fs::read_dir("/proc/self/fd") else { return };
        let numbers = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let _ = numbers.into_iter().any(shuts);
    }
}

impl Drop for Door {
    /// Whoever still waits there waits for nothing.
    fn drop(&mut self) {
        if self.home.is_here() && !self.is_gone() {
            self.shut();
        }
    }
}

/// Gives the library's end of a connection a name that tells the addresses, so that the program may ask for its peer's.
pub fn christen(back: &OwnedFd, own: Option<SocketAddr>, peer: Option<SocketAddr>) -> Result<(), Errno> {
    loop {
        let name = format!("\0{}", name(random()?, own, peer));
        match sys::unix_bind(back.as_fd(), name.as_bytes()) {
            // Somebody else has that number.
            Err(Errno::EADDRINUSE) => {}
            // It has one since an earlier attempt.
            Err(Errno::EINVAL)
                if sys::unix_name(back.as_raw_fd(), End::Own).is_ok_and(|name| !name.is_empty()) =>
            {
                return Ok(());
            }
            done => return done,
        }
    }
}

/// Own address and the peer's, as far as they are known, of the connection or listener that an exported descriptor stands for. EBADF, ENOTSOCK; EINVAL: it is
/// none.
pub fn exported_addresses(fd: RawFd) -> Result<(Option<SocketAddr>, Option<SocketAddr>), Errno> {
    let told = |end: End| sys::unix_name(fd, end).map(|name| super::names::addresses(&name));
    let by_peer = match told(End::Peer) {
        Err(errno @ (Errno::EBADF | Errno::ENOTSOCK)) => return Err(errno),
        answer => answer.ok().flatten(),
    };
    let by_own = || told(End::Own).ok().flatten();
    by_peer.or_else(by_own).ok_or(Errno::EINVAL)
}

fn look_only(path: &Path, flags: i32) -> Result<File, Errno> {
    let flags = libc::O_PATH | libc::O_CLOEXEC | flags;
    OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| sys::errno_of(&error))
}

fn random() -> Result<u32, Errno> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|_| Errno::EIO)?;
    Ok(u32::from_ne_bytes(bytes))
}
