//! The bridges of a stack: connections that programs hold as byte streams of the system. The I/O thread pumps them.

use super::{Command, Engine, Phase, Running, inside};
use crate::buffer::{Accepted, Cell, SocketId};
use crate::error::Errno;
use crate::socket::{Bridge, Brought, Door, Porter, Pumped, Request};
use crate::stack::Shutdown;
use crate::sync::{Arc, AtomicBool, Mutex, OnceLock, Ordering, TaskArc, lock};
use crate::sys::Epoll;
use std::any::Any;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Wake, Waker};

/// What callers leave for the I/O thread.
#[derive(Default)]
pub(super) struct Adoptions {
    /// The system's side of all bridges.
    epoll: OnceLock<Epoll>,
    /// New bridges.
    adopted: Mutex<Vec<Adopted>>,
    /// Bridges whose cell has news.
    called: Mutex<Vec<u64>>,
}

/// A new bridge.
struct Adopted {
    id: SocketId,
    work: Work,
    /// What has to live as long as the bridge.
    keep: Keep,
}

/// What is pumped for a program.
enum Work {
    /// A connection.
    Stream(Bridge),
    /// The connections of a listener.
    Listener(Porter, Arc<Running>),
}

type Keep = Box<dyn Any + Send>;

/// A socket whose system's side is in the set already, so that nothing can fail any more.
#[derive(Debug)]
pub(crate) struct Announced {
    id: SocketId,
    back: OwnedFd,
}

impl Engine {
    /// Prepares for pumping between the socket `id` and `back`. ENOMEM, ENOSPC, EMFILE.
    pub(crate) fn announce(&self, id: SocketId, back: OwnedFd) -> Result<Announced, (Errno, OwnedFd)> {
        let epoll = match self.adoptions.epoll.get() {
            Some(epoll) => epoll,
            None => match Epoll::new() {
                Ok(made) => self.adoptions.epoll.get_or_init(|| made),
                Err(errno) => return Err((errno, back)),
            },
        };
        match epoll.add(back.as_fd(), token(id)) {
            Ok(()) => Ok(Announced { id, back }),
            Err(errno) => Err((errno, back)),
        }
    }

    /// Takes back what `announce` prepared.
    pub(crate) fn renounce(&self, announced: Announced) -> OwnedFd {
        if let Some(epoll) = self.adoptions.epoll.get() {
            epoll.remove(announced.back.as_fd());
        }
        announced.back
    }

    /// Begins to pump; `keep` lives as long as it goes on. The stream of a stack that has ended is over.
    pub(crate) fn adopt(&self, announced: Announced, cell: Arc<Cell>, keep: Keep) {
        let Announced { id, back } = announced;
        self.begin_work(Adopted { id, work: Work::Stream(Bridge::new(cell, back)), keep });
    }

    /// Begins to bring the connections of a listener to a program's socket; what was announced is a timer.
    pub(crate) fn adopt_listener(
        &self,
        announced: Announced,
        cell: Arc<Cell>,
        door: Door,
        running: &Arc<Running>,
    ) {
        let Announced { id, back } = announced;
        let work = Work::Listener(Porter::new(cell, door, back), running.clone());
        self.begin_work(Adopted { id, work, keep: Box::new(running.clone()) });
    }

    fn begin_work(&self, adopted: Adopted) {
        lock(&self.adoptions.adopted).push(adopted);
        self.bell.ring();
        if self.phase.load(Ordering::Acquire) >= Phase::Ending as u32 {
            self.abandon_adopted();
        }
    }

    /// Lets go of bridges that nobody will pump.
    pub(super) fn abandon_adopted(&self) {
        drop(self.take_adopted());
    }

    fn take_adopted(&self) -> Vec<Adopted> {
        std::mem::take(&mut *lock(&self.adoptions.adopted))
    }
}

impl std::fmt::Debug for Adoptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Adoptions").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

/// A socket's name as the set and the list of calls have it.
fn token(id: SocketId) -> u64 {
    u64::from(id.generation) << 32 | u64::from(id.index)
}

/// The I/O thread's half: the bridges that it pumps.
#[derive(Default)]
pub(super) struct Bridges {
    open: BTreeMap<u64, Pumping>,
    /// Those to be pumped next.
    due: Vec<u64>,
    /// What bridges that are over kept, until the stack has sent all that there was to send.
    kept: Vec<Keep>,
    wound_up: bool,
}

struct Pumping {
    id: SocketId,
    work: Work,
    caller: TaskArc<Caller>,
    waker: Waker,
    keep: Keep,
}

/// Wakes the I/O thread for one bridge.
struct Caller {
    engine: Arc<Engine>,
    token: u64,
    /// It is in the list.
    called: AtomicBool,
}

impl Wake for Caller {
    fn wake(self: TaskArc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &TaskArc<Self>) {
        if self.called.swap(true, Ordering::AcqRel) {
            return;
        }
        lock(&self.engine.adoptions.called).push(self.token);
        // The I/O thread itself looks at the list before it sleeps.
        if !inside::is_inside(&self.engine) {
            self.engine.bell.ring();
        }
    }
}

impl Bridges {
    /// What to sleep on.
    pub(super) fn descriptor(engine: &Engine) -> Option<i32> {
        engine.adoptions.epoll.get().map(Epoll::descriptor)
    }

    /// Pumps whatever has something to pump, `told` saying whether the system's side has news, `live` how many connections there were after
    /// the turn before. True: there is more to do at once.
    pub(super) fn work(&mut self, engine: &Arc<Engine>, told: bool, live: usize) -> bool {
        if live == 0 {
            self.kept.clear();
        }
        self.adopt(engine);
        if told && let Some(epoll) = engine.adoptions.epoll.get() {
            self.look(epoll);
        }
        self.due.append(&mut lock(&engine.adoptions.called));
        if !self.wound_up && engine.phase.load(Ordering::Acquire) >= Phase::Closing as u32 {
            self.wind_up();
        }
        for token in std::mem::take(&mut self.due) {
            self.pump(engine, token);
        }
        !self.due.is_empty()
    }

    fn adopt(&mut self, engine: &Arc<Engine>) {
        for Adopted { id, work, keep } in engine.take_adopted() {
            let token = token(id);
            let caller =
                TaskArc::new(Caller { engine: engine.clone(), token, called: AtomicBool::new(false) });
            let waker = Waker::from(caller.clone());
            self.open.insert(token, Pumping { id, work, caller, waker, keep });
            self.due.push(token);
            self.wound_up = false;
        }
    }

    fn look(&mut self, epoll: &Epoll) {
        let seen = self.due.len();
        while epoll.look(&mut self.due) {}
        for token in &self.due[seen..] {
            if let Some(Pumping { work: Work::Stream(bridge), .. }) = self.open.get_mut(token) {
                bridge.called();
            }
        }
    }

    fn wind_up(&mut self) {
        self.wound_up = true;
        for (token, pumping) in &mut self.open {
            if let Work::Stream(bridge) = &mut pumping.work {
                bridge.wind_up();
            }
            self.due.push(*token);
        }
    }

    fn pump(&mut self, engine: &Engine, token: u64) {
        let Some(pumping) = self.open.get_mut(&token) else { return };
        pumping.caller.called.store(false, Ordering::Release);
        let (id, waker, wound_up) = (pumping.id, &pumping.waker, self.wound_up);
        let (pumped, descriptor) = match &mut pumping.work {
            Work::Stream(bridge) => {
                let mut requests = Vec::new();
                let pumped = bridge.pump(engine.pages(), waker, &mut requests);
                for request in requests {
                    engine.post(command(id, request, wound_up));
                }
                (pumped, bridge.descriptor())
            }
            Work::Listener(porter, running) => {
                let pumped = bring(engine, running, id, porter, waker, wound_up);
                (pumped, porter.descriptor())
            }
        };
        match pumped {
            Pumped::Waits => {}
            Pumped::More => self.due.push(token),
            Pumped::Done => {
                if let Some(epoll) = engine.adoptions.epoll.get() {
                    epoll.remove(descriptor);
                }
                self.kept.extend(self.open.remove(&token).map(|pumping| pumping.keep));
            }
        }
    }
}

/// Brings the connections of the listener `id` to its program, and begins to pump them.
fn bring(
    engine: &Engine,
    running: &Arc<Running>,
    id: SocketId,
    porter: &mut Porter,
    waker: &Waker,
    wound_up: bool,
) -> Pumped {
    let round = if wound_up { None } else { Some(porter.pump(waker)) };
    let over = round.as_ref().is_none_or(|round| round.over);
    if round.as_ref().is_some_and(|round| round.kick) {
        engine.post(Command::Kick(id));
    }
    for Brought { accepted, back } in round.into_iter().flat_map(|round| round.brought) {
        let own = running.engine_of(accepted.socket);
        own.post(Command::HandedOver(accepted.socket));
        match own.announce(accepted.socket, back) {
            Ok(announced) => own.adopt(announced, accepted.cell, Box::new(running.clone())),
            Err(_) => reset(running, &accepted),
        }
    }
    if !over {
        return Pumped::Waits;
    }
    porter.close().iter().for_each(|left| reset(running, left));
    engine.post(Command::Close(id));
    Pumped::Done
}

/// Ends a connection that does not come to its program.
fn reset(running: &Running, accepted: &Accepted) {
    let own = running.engine_of(accepted.socket);
    own.post(Command::Abort(accepted.socket));
    own.post(Command::Close(accepted.socket));
}

fn command(id: SocketId, request: Request, winding_up: bool) -> Command {
    match request {
        Request::Kick => Command::Kick(id),
        Request::ShutWrite => Command::Shutdown(id, Shutdown::Write),
        Request::ShutRead => Command::Shutdown(id, Shutdown::Read),
        // What the program has not read does not reset a connection when it is the stack that is closed.
        Request::Close if winding_up => Command::Finish(id),
        Request::Close => Command::Close(id),
        Request::CloseUnread => Command::CloseUnread(id),
        Request::Abort => Command::Abort(id),
    }
}
