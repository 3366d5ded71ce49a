//! Names of hosts: looked up, and connected to, over the stack's own sockets.

mod conversation;

use super::names::port;
use super::{Domain, PollEntry, Readiness, Socket, Stack, Wait, poll};
use crate::error::{Errno, Error, Result};
use crate::resolve::{AtOnce, Families, Lookup, Race, at_once, order};
use crate::time::{Duration, Instant};
use conversation::{Conversation, Progress};
use std::net::{IpAddr, SocketAddr};

/// How often somebody who may lose patience is asked.
const SLICE: Duration = Duration::from_millis(50);

/// Asked every 50 ms, and when a signal handler has run: `false` ends the call with EINTR.
pub type Patient<'a> = &'a mut dyn FnMut() -> bool;

impl Stack {
    /// The addresses of a host, best first (RFC 6724), each with `port`. `name` is an address, a name of the hosts file, "localhost", or a name that the name
    /// servers know, through the search list; `family`: `None` is both. `limit` is for the whole call; `None`: until the servers have had their attempts.
    ///
    /// EINVAL: no name. ENOENT: there is no such host. ENODATA: it has no address of the family. EREMOTEIO: the name servers cannot say: they answer so, or
    /// nonsense, or cannot be reached, or there are none. ETIMEDOUT. ECANCELED: the stack was closed meanwhile. EINTR: a signal handler ran; without `patient`
    /// at once. EMFILE, ENOTRECOVERABLE, EBADF, EDEADLK.
    pub fn resolve(
        &self,
        name: &str,
        port: u16,
        family: Option<Domain>,
        limit: Option<Duration>,
        patient: Option<Patient<'_>>,
    ) -> Result<Vec<SocketAddr>> {
        let families = match family {
            None => Families::Both,
            Some(Domain::V4) => Families::V4,
            Some(Domain::V6) => Families::V6,
        };
        let mut work = Work::new(self, limit, patient)?;
        let ordered = work.resolve(name, families).map_err(meanwhile)?;
        Ok(ordered.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }

    /// The port that a service has: a number, or what `/etc/services` of the system says of its name. EINVAL.
    pub fn service_port(service: &str) -> Result<u16> {
        port(service)
    }

    /// A connection to `target`: `192.0.2.1:80`, `[2001:db8::1]:80`, `example.com:443` or `example.com:https`. A host of several addresses is tried at one
    /// after the other, families in turn, each begun when the one before fails or has taken 250 ms; the first connection is it, the others are closed
    /// (RFC 8305). `limit` is for the whole call.
    ///
    /// Errors as [`Stack::resolve`], those of [`Socket::connect`] (the last attempt's), and ETIMEDOUT.
    pub fn connect_to(
        &self,
        target: &str,
        limit: Option<Duration>,
        patient: Option<Patient<'_>>,
    ) -> Result<Socket> {
        let (host, service) = split(target)?;
        let port = port(service)?;
        Work::new(self, limit, patient)?.connect(target, host, port).map_err(meanwhile)
    }
}

/// What was open when the call began was closed meanwhile.
fn meanwhile(error: Error) -> Error {
    if error.errno() == Errno::EBADF { Errno::ECANCELED.into() } else { error }
}

/// "host:service" in two.
fn split(target: &str) -> Result<(&str, &str)> {
    let parts = match target.strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => target.split_once(':'),
    };
    parts
        .filter(|(host, service)| !host.is_empty() && !service.is_empty() && !service.contains(':'))
        .ok_or_else(|| {
            let hint = "write example.com:443, 192.0.2.1:80 or [2001:db8::1]:80";
            Error::new(Errno::EINVAL, format!("'{target}' is not a host and its port: {hint}"))
        })
}

/// A call under way.
struct Work<'s, 'p> {
    stack: &'s Stack,
    until: Option<Instant>,
    patient: Option<Patient<'p>>,
    lookup: Option<Lookup>,
    conversations: Vec<Conversation>,
    attempts: Vec<(SocketAddr, Socket)>,
    race_timeout: Option<Instant>,
}

impl<'s, 'p> Work<'s, 'p> {
    fn new(stack: &'s Stack, limit: Option<Duration>, patient: Option<Patient<'p>>) -> Result<Self> {
        stack.running.engine().check()?;
        let until = limit.map(|limit| stack.clock().now() + limit);
        let (conversations, attempts) = (Vec::new(), Vec::new());
        Ok(Self { stack, until, patient, lookup: None, conversations, attempts, race_timeout: None })
    }

    /// The time that the stack goes by.
    fn now(&self) -> Instant {
        self.stack.clock().now()
    }

    /// The addresses of `name`, in order.
    fn resolve(&mut self, name: &str, families: Families) -> Result<Vec<IpAddr>> {
        if let Some(known) = self.begin(name, families)? {
            return self.ordered(known);
        }
        let asks = self.lookup.as_ref().is_none_or(|lookup| lookup.outcome().is_none());
        if asks && self.until.is_some_and(|until| until <= self.now()) {
            let text = format!("host {name} is not known without asking");
            return Err(Error::new(Errno::ETIMEDOUT, text));
        }
        loop {
            self.advance()?;
            match self.lookup.as_ref().and_then(Lookup::outcome) {
                Some(Ok(())) => return self.ordered(self.found()),
                Some(Err(failure)) => return Err(failure.error(name)),
                None => self.sleep(&format!("host {name} is not found out in time"))?,
            }
        }
    }

    /// A connection to `port` of `host`.
    fn connect(&mut self, target: &str, host: &str, port: u16) -> Result<Socket> {
        let mut race = Race::new(self.stack.names.connect_delay);
        if let Some(known) = self.begin(host, Families::Both)? {
            race.offer(self.now(), &self.ordered(known)?, false);
        }
        let mut offered = None;
        loop {
            self.advance()?;
            if let Some(lookup) = &self.lookup {
                if let Some(Err(failure)) = lookup.outcome() {
                    return Err(failure.error(host));
                }
                let (found, more) = (self.found(), lookup.outcome().is_none());
                if offered != Some((found.len(), more)) {
                    offered = Some((found.len(), more));
                    race.offer(self.now(), &self.ordered(found)?, more);
                }
            }
            if let Some(connected) = self.run(&mut race, port)? {
                return Ok(connected);
            }
            if let Some(lost) = race.lost() {
                return Err(lost.cloned().unwrap_or_else(|| Errno::ENETUNREACH.into()));
            }
            self.race_timeout = race.poll_timeout();
            self.sleep(&format!("{target} is not connected to in time"))?;
        }
    }

    /// What is known at once, or begins to look `name` up.
    fn begin(&mut self, name: &str, families: Families) -> Result<Option<Vec<IpAddr>>> {
        let names = &self.stack.names;
        match at_once(&names.settings, name, families) {
            Some(Ok(known)) => return Ok(Some(known)),
            Some(Err(AtOnce::Failure(failure))) => return Err(failure.error(name)),
            Some(Err(AtOnce::NotAName)) => {
                let hint = "letters, digits and hyphens between dots; others in their ASCII form, xn--...";
                return Err(Error::new(Errno::EINVAL, format!("'{name}' is not a host's name: {hint}")));
            }
            None => {}
        }
        let (rng, settings) = (names.rng(), names.settings.clone());
        let lookup =
            names.with_cache(|cache| Lookup::start(self.now(), cache, settings, rng, name, families));
        self.lookup = Some(lookup);
        Ok(None)
    }

    /// The addresses found so far.
    fn found(&self) -> Vec<IpAddr> {
        self.lookup.iter().flat_map(Lookup::addresses).collect()
    }

    /// Addresses in the order in which they are tried.
    fn ordered(&self, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>> {
        let mut pairs: Vec<_> = self.stack.running.engine().control(|turn, _| {
            let source = |address: IpAddr| turn.stack.source_for(address).ok();
            Ok(addresses.into_iter().map(|address| (address, source(address))).collect())
        })?;
        order(&mut pairs);
        Ok(pairs.into_iter().map(|(address, _)| address).collect())
    }

    /// Does for the lookup what can be done now.
    fn advance(&mut self) -> Result<()> {
        let Some(lookup) = &mut self.lookup else { return Ok(()) };
        let (names, clock) = (&self.stack.names, self.stack.clock());
        names.with_cache(|cache| lookup.on_timeout(clock.now(), cache));
        let mut at = 0;
        while let Some(conversation) = self.conversations.get_mut(at) {
            match conversation.advance() {
                Progress::Waits => at += 1,
                Progress::Heard(message) => names.with_cache(|cache| {
                    let (exchange, server) = (conversation.exchange, conversation.server);
                    lookup.on_message(clock.now(), cache, exchange, server, &message);
                }),
                Progress::Failed(errno) => {
                    let failed = self.conversations.swap_remove(at);
                    fatal(errno)?;
                    names.with_cache(|cache| {
                        lookup.on_failure(clock.now(), cache, failed.exchange, errno);
                    });
                }
            }
            self.conversations.retain(|conversation| lookup.is_open(conversation.exchange));
        }
        while let Some(transmit) = lookup.poll_transmit() {
            let exchange = transmit.exchange;
            match Conversation::begin(self.stack, transmit) {
                Ok(conversation) => self.conversations.push(conversation),
                Err(error) => {
                    fatal(error.errno())?;
                    names.with_cache(|cache| {
                        lookup.on_failure(clock.now(), cache, exchange, error.errno());
                    });
                }
            }
        }
        Ok(())
    }

    /// Looks after attempts to connect, and begins those that are due.
    fn run(&mut self, race: &mut Race, port: u16) -> Result<Option<Socket>> {
        let mut at = 0;
        while let Some((address, socket)) = self.attempts.get(at) {
            let ready = socket.readiness();
            if let Some(errno) = socket.take_error()? {
                fatal(errno)?;
                let error = socket.explain("connect", errno);
                race.on_failure(self.now(), told(*address, &error));
                self.attempts.swap_remove(at);
            } else if ready.any(Readiness::OUT) && !ready.any(Readiness::HUP) {
                return Ok(Some(self.attempts.swap_remove(at).1));
            } else {
                at += 1;
            }
        }
        while let Some(address) = race.poll_start(self.now()) {
            let domain = if address.is_ipv4() { Domain::V4 } else { Domain::V6 };
            let (socket, address) = (self.stack.socket(domain)?, SocketAddr::new(address, port));
            match socket.connect(address, Wait::Never) {
                Ok(()) => return Ok(Some(socket)),
                Err(error) if error.errno() == Errno::EINPROGRESS => self.attempts.push((address, socket)),
                Err(error) => {
                    fatal(error.errno())?;
                    race.on_failure(self.now(), told(address, &error));
                }
            }
        }
        Ok(None)
    }

    /// Sleeps until something has come or is due. ETIMEDOUT with `late` in words, EINTR, ECANCELED.
    fn sleep(&mut self, late: &str) -> Result<()> {
        let now = self.now();
        if self.until.is_some_and(|until| until <= now) {
            return Err(Error::new(Errno::ETIMEDOUT, late));
        }
        let lookup = self.lookup.as_ref().and_then(Lookup::poll_timeout);
        // Where time is simulated the network asks, not the clock.
        let sliced = self.patient.is_some() && self.stack.clock().conductor().is_none();
        let slice = sliced.then(|| now + SLICE);
        let due = [lookup, self.race_timeout, self.until, slice].into_iter().flatten().min();
        let wait = due.map_or(Wait::Forever, |due| Wait::AtMost(due.since(now)));
        let conversations =
            self.conversations.iter().map(|conversation| (&conversation.socket, conversation.interest()));
        let attempts = self.attempts.iter().map(|(_, socket)| (socket, Readiness::OUT));
        let mut entries: Vec<_> = conversations
            .chain(attempts)
            .map(|(socket, interest)| PollEntry {
                socket: Some(socket),
                interest,
                ready: Readiness::default(),
            })
            .collect();
        let slept = poll(&mut entries, wait);
        self.stack.running.engine().check_asleep()?;
        match (slept, &mut self.patient) {
            (Err(error), None) => Err(error),
            (Err(error), Some(_)) if error.errno() != Errno::EINTR => Err(error),
            (Ok(count), Some(_)) if count > 0 => Ok(()),
            (_, Some(patient)) => {
                if patient() {
                    Ok(())
                } else {
                    Err(Errno::EINTR.into())
                }
            }
            (Ok(_), None) => Ok(()),
        }
    }
}

/// A failure to connect, with whom to.
fn told(address: SocketAddr, error: &Error) -> Error {
    Error::new(error.errno(), format!("{address}: {error}"))
}

/// Errors that no other server or address would mend.
fn fatal(errno: Errno) -> Result<()> {
    match errno {
        Errno::EBADF | Errno::ECANCELED => Err(Errno::ECANCELED.into()),
        Errno::ENOTRECOVERABLE | Errno::ECHILD | Errno::EDEADLK | Errno::EMFILE | Errno::ENOMEM => {
            Err(errno.into())
        }
        _ => Ok(()),
    }
}
