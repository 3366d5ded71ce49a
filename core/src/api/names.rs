//! Where a stack looks names up: what the program says, and otherwise the system.

use crate::error::{Errno, Error, Result};
use crate::resolve::{Cache, Hosts, Name, SERVERS_MAX, Settings};
use crate::rng::Rng;
use crate::sync::{Arc, Mutex, lock};
use crate::sys;
use crate::time::Duration;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// How a stack looks names up. What is `None` is as `/etc/resolv.conf` of the system says when the stack is opened: `nameserver`, `search`, `domain`, and of
/// `options` ndots, timeout and attempts.
///
/// A name server is asked through the stack: an address of the system's own loopback, such as 127.0.0.53, is one of the stack's.
#[derive(Clone, Debug, Default)]
pub struct NameOptions {
    /// Name servers, at most 3: asked in this order, each after the one before has been silent or has failed.
    pub nameservers: Option<Vec<SocketAddr>>,
    /// Suffixes to try behind names of few dots.
    pub search: Option<Vec<String>>,
    /// Dots from which on a name is first tried as it is, at most 15. Default 1.
    pub ndots: Option<u8>,
    /// How long one server may take before the next is asked, 1 ms to 30 s. Default 5 s.
    pub timeout: Option<Duration>,
    /// How often all servers are asked, 1 to 5. Default 2.
    pub attempts: Option<u8>,
    /// File of names that need no server, read when the stack is opened. Default `/etc/hosts`; an empty path: none.
    pub hosts: Option<PathBuf>,
    /// How long an attempt to connect to one address of a host may take before the next begins beside it, 10 ms to 2 s. Default 250 ms (RFC 8305
    /// section 5).
    pub connect_delay: Option<Duration>,
}

/// What a stack has to look names up with.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) settings: Arc<Settings>,
    pub(super) connect_delay: Duration,
    state: Mutex<(Rng, Cache)>,
}

/// What holds where the program says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// The files of the system.
    System,
    /// No name server, no search list, no hosts: a simulated host is the same on every machine.
    Nothing,
}

/// Longest file that is read.
const FILE_MAX: u64 = 16 << 20;

impl Names {
    /// Checks the options, and reads the files. EINVAL, or the error of a hosts file that the program named.
    pub(super) fn open(options: NameOptions, secret: [u8; 16], beside: Beside) -> Result<Self> {
        let NameOptions { nameservers, search, ndots, timeout, attempts, hosts, connect_delay } = options;
        let system = |path: &str| match beside {
            Beside::System => read(Path::new(path)).unwrap_or_default(),
            Beside::Nothing => String::new(),
        };
        let mut settings = Settings::parse(&system("/etc/resolv.conf"));
        if let Some(servers) = nameservers {
            if servers.len() > SERVERS_MAX {
                return refuse(format!(
                    "nameservers: {} are more than the {SERVERS_MAX} that are asked",
                    servers.len()
                ));
            }
            settings.servers = servers;
        }
        if let Some(search) = search {
            let suffix = |text: &String| {
                Name::parse(text).ok_or_else(|| invalid(format!("search: '{text}' is not a domain name")))
            };
            settings.search = search.iter().map(suffix).collect::<Result<_>>()?;
        }
        settings.ndots = within("ndots", ndots, 0, 15)?.unwrap_or(settings.ndots);
        settings.attempts = within("attempts", attempts, 1, 5)?.unwrap_or(settings.attempts);
        let (least, most) = (Duration::from_millis(1), Duration::from_secs(30));
        settings.timeout = within("timeout", timeout, least, most)?.unwrap_or(settings.timeout);
        let (least, most) = (Duration::from_millis(10), Duration::from_secs(2));
        let connect_delay = within("connect_delay", connect_delay, least, most)?;
        settings.hosts = match hosts {
            None => Hosts::parse(&system("/etc/hosts")),
            Some(none) if none.as_os_str().is_empty() => Hosts::default(),
            Some(path) => Hosts::parse(&read(&path).map_err(|error| unreadable(&path, &error))?),
        };
        let state = Mutex::new((Rng::from_key(secret).fork("names"), Cache::new()));
        let connect_delay = connect_delay.unwrap_or(Duration::from_millis(250));
        Ok(Self { settings: Arc::new(settings), connect_delay, state })
    }

    /// Randomness for one lookup.
    pub(super) fn rng(&self) -> Rng {
        Rng::from_key(lock(&self.state).0.next_key())
    }

    /// Works with the cache.
    pub(super) fn with_cache<T>(&self, work: impl FnOnce(&mut Cache) -> T) -> T {
        work(&mut lock(&self.state).1)
    }
}

/// The port that a service has: a number, or what the system's `/etc/services` says of TCP. EINVAL.
pub(super) fn port(service: &str) -> Result<u16> {
    if let Ok(port) = service.parse() {
        return Ok(port);
    }
    if service.bytes().all(|byte| byte.is_ascii_digit()) {
        return refuse(format!("'{service}' is not a port: 0 to 65535"));
    }
    let known = read(Path::new("/etc/services")).unwrap_or_default();
    let found = known.lines().find_map(|line| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let (name, number) = (words.next()?, words.next()?);
        let port = number.strip_suffix("/tcp")?;
        (name == service || words.any(|alias| alias == service)).then(|| port.parse().ok()).flatten()
    });
    found.ok_or_else(|| invalid(format!("'{service}' is neither a port nor a service of /etc/services")))
}

fn within<T: PartialOrd + std::fmt::Debug>(
    what: &str,
    value: Option<T>,
    least: T,
    most: T,
) -> Result<Option<T>> {
    match value {
        Some(value) if value < least || value > most => {
            refuse(format!("names: {what} must be from {least:?} to {most:?}, not {value:?}"))
        }
        value => Ok(value),
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    let errno = sys::errno_of(error);
    Error::new(errno, format!("the hosts file {} cannot be read: {error}", path.display()))
}

fn invalid(text: String) -> Error {
    Error::new(Errno::EINVAL, text)
}

fn refuse<T>(text: String) -> Result<T> {
    Err(invalid(text))
}
