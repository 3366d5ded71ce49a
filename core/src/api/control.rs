//! The control socket: what a running stack shows to other programs, on an AF_UNIX socket that its owner alone may open.
//!
//! A client sends a word and a line feed, and reads the answer to its end:
//!
//! | word | answer |
//! |---|---|
//! | `sockets` | every socket as `ss -tiun` writes it |
//! | `counters` | a line for each counter: its name, a space, its value |

use super::Snapshot;
use super::snapshot::{SNAPSHOT_HEADER, each};
use crate::clock;
use crate::counters::Counters;
use crate::engine::Engine;
use crate::error::{Errno, Error, Result};
use crate::sync::{Arc, Mutex, lock};
use crate::sys;
use crate::time::{Duration, Instant};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::{Builder, JoinHandle};

/// A control socket and the thread behind it.
#[derive(Debug)]
pub(super) struct Control {
    path: PathBuf,
    /// Device and inode of the socket in the file system, which may be somebody else's by the end.
    file: (u64, u64),
    listener: UnixListener,
    serving: Arc<Mutex<Serving>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What whoever closes has to know.
#[derive(Debug, Default)]
struct Serving {
    /// Who is being answered.
    client: Option<UnixStream>,
    closing: bool,
}

/// For how long a client may take to ask and to read the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of the longest request.
const REQUEST_MAX: usize = 64;
/// How soon a client is accepted again where that failed.
const RETRY: Duration = Duration::from_millis(100);
/// Nobody but the owner connects.
const MODE: u32 = 0o600;
/// Clients that may wait.
const BACKLOG: i32 = 16;

impl Control {
    /// Serves the stack of these workers at `path`. A socket that a program has left there which is gone is replaced.
    pub(super) fn open(path: &Path, engines: Vec<Arc<Engine>>) -> Result<Self> {
        let refused = |errno: Errno| {
            let text = match errno {
                Errno::EADDRINUSE => "it is there, and in use or no socket",
                errno => errno.text(),
            };
            Error::new(errno, format!("control_path: {} cannot be made: {text}", path.display()))
        };
        let failed = |error: io::Error| refused(sys::errno_of(&error));
        remove_stale(path).map_err(refused)?;
        let listener = UnixListener::from(
            sys::unix_listen(path.as_os_str().as_bytes(), MODE, BACKLOG).map_err(refused)?,
        );
        let file = identity(path).map_err(failed)?;
        let own = listener.try_clone().map_err(failed)?;
        let serving = Arc::new(Mutex::new(Serving::default()));
        let shared = serving.clone();
        let builder = Builder::new().name("usertcp-control".to_owned());
        let spawned = sys::with_signals_blocked(|| builder.spawn(move || serve(&own, &shared, &engines)));
        let thread = Mutex::new(Some(spawned.map_err(failed)?));
        Ok(Self { path: path.to_owned(), file, listener, serving, thread })
    }

    /// Serves no longer. Not for a forked child: the socket is its parent's.
    pub(super) fn close(&self) {
        let Some(thread) = lock(&self.thread).take() else { return };
        let mut serving = lock(&self.serving);
        serving.closing = true;
        if let Some(client) = &serving.client {
            // It may have gone by itself.
            let _ = client.shutdown(std::net::Shutdown::Both);
        }
        drop(serving);
        // This wakes the thread.
        let _ = sys::shutdown(self.listener.as_fd(), libc::SHUT_RDWR);
        let _ = thread.join();
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket that nobody listens on any more. EADDRINUSE: what is there is something else.
fn remove_stale(path: &Path) -> Result<(), Errno> {
    let Ok(there) = std::fs::symlink_metadata(path) else { return Ok(()) };
    // Who is busy has not gone: the answer is not waited for.
    let refused = |errno| errno == Errno::ECONNREFUSED;
    let knock = || {
        let caller = sys::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0)?;
        sys::unix_connect(caller.as_fd(), path.as_os_str().as_bytes())
    };
    if there.file_type().is_socket() && knock().is_err_and(refused) {
        return std::fs::remove_file(path).map_err(|error| sys::errno_of(&error));
    }
    Err(Errno::EADDRINUSE)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|there| (there.dev(), there.ino()))
}

/// One client after the other, until the listener is shut down.
fn serve(listener: &UnixListener, serving: &Mutex<Serving>, engines: &[Arc<Engine>]) {
    loop {
        let accepted = listener.accept().and_then(|(client, _)| Ok((client.try_clone()?, client)));
        let mut state = lock(serving);
        if state.closing {
            break;
        }
        let Ok((kept, client)) = accepted else {
            drop(state);
            // Without descriptors for a while: the clients wait.
            let _ = sys::poll(&mut [], Some(RETRY));
            continue;
        };
        state.client = Some(kept);
        drop(state);
        // A client that goes away, or is slow, does without the rest.
        let _ = answer(&client, engines);
        // A child that was forked meanwhile has it too.
        let _ = client.shutdown(std::net::Shutdown::Both);
        lock(serving).client = None;
    }
}

fn answer(stream: &UnixStream, engines: &[Arc<Engine>]) -> io::Result<()> {
    let mut client = Client { stream, until: clock::now() + PATIENCE };
    let request = client.request()?;
    match request.trim_ascii() {
        b"sockets" => {
            client.write(SNAPSHOT_HEADER)?;
            engines.iter().try_for_each(|engine| sockets(engine, &mut client))
        }
        b"counters" => counters(engines, &mut client),
        _ => client.write("unknown request: there are sockets and counters\n"),
    }
}

/// What a worker has; nothing more once the stack is closed.
fn sockets(engine: &Engine, client: &mut Client<'_>) -> io::Result<()> {
    let mut written = Ok(());
    let written_all = each(engine, |some| {
        let text: String = some.iter().map(Snapshot::to_string).collect();
        if written.is_ok() {
            written = client.write(&text);
        }
    });
    written.and(written_all.map_err(|error| io::Error::from_raw_os_error(error.errno().0)))
}

fn counters(engines: &[Arc<Engine>], client: &mut Client<'_>) -> io::Result<()> {
    let mut totals = Counters::default();
    for engine in engines {
        let own = engine.control(|turn, _| Ok(turn.counters()));
        totals.add(&own.map_err(|errno| io::Error::from_raw_os_error(errno.0))?);
    }
    let text: String = totals.iter().map(|(name, value, _)| format!("{name} {value}\n")).collect();
    client.write(&text)
}

/// A client with as much time as is left to it.
struct Client<'a> {
    stream: &'a UnixStream,
    until: Instant,
}

impl Client<'_> {
    /// What it says up to a line feed, or its end.
    fn request(&mut self) -> io::Result<Vec<u8>> {
        let (mut request, mut some) = (Vec::new(), [0; REQUEST_MAX]);
        while request.len() < REQUEST_MAX && !request.contains(&b'\n') {
            self.stream.set_read_timeout(Some(self.left()?))?;
            match self.stream.read(&mut some)? {
                0 => break,
                length => request.extend(some.get(..length).unwrap_or_default()),
            }
        }
        Ok(request)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            self.stream.set_write_timeout(Some(self.left()?))?;
            let written = self.stream.write(rest)?;
            rest = rest.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.since(clock::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}
