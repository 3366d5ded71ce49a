//! The baton that the threads of simulated programs hand on, so that one of them runs at a time, in the same order every time.
//!
//! A task that would sleep hands the baton to the next one that can go on, in the order in which they were registered, beginning behind itself. If none can, it steps the
//! world until one can. Threads that are not registered ("guests") sleep and are woken as well, but have no baton; the first of them that sleeps is the main task.

use super::Conductor;
use crate::error::Errno;
use crate::socket::{Sleeper, Woke};
use crate::sync::TaskArc;
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{ThreadId, current};

/// Asked now and then while the main task sleeps, on its own thread: false ends the sleep with EINTR.
pub(crate) type Interrupt = Arc<dyn Fn() -> bool + Send + Sync>;

/// The main task's number.
const MAIN: usize = 0;

/// Steps between two questions to the program.
const STEPS_ASKED: u32 = 256;

/// Time between two, while another thread runs or steps.
const PATIENCE: Duration = Duration::from_millis(50);

/// Who runs, and who sleeps.
pub(crate) struct Baton {
    tasks: Mutex<Tasks>,
    interrupt: Mutex<Option<Interrupt>>,
    /// Whoever steps waits here for guests that have been called.
    guests: Condvar,
    /// There is no baton any more.
    ended: AtomicBool,
}

struct Tasks {
    /// Those that have not ended, by number. The main task is there from the beginning.
    tasks: BTreeMap<usize, Task>,
    /// The number of the next one; those of guests count down from the top.
    next: usize,
    next_guest: usize,
    /// Who runs; `None`: somebody steps the world, or nobody is left.
    holder: Option<usize>,
    /// Who steps it.
    stepper: Option<ThreadId>,
    /// The last that ran.
    last: usize,
    over: bool,
}

struct Task {
    thread: Option<ThreadId>,
    state: State,
    /// What its thread waits on for the baton.
    call: Arc<Condvar>,
}

enum State {
    /// Registered; it can begin.
    New,
    /// It runs, or has no baton and runs all the same.
    Runs,
    Sleeps(Sleep),
}

struct Sleep {
    sleeper: TaskArc<Sleeper>,
    until: Option<Instant>,
    /// It is to end for another reason.
    told: Option<Outcome>,
}

/// How a sleep ends. EDEADLK: nothing is left that could wake anybody; ECANCELED: the network is closed.
type Outcome = Result<Woke, Errno>;

impl Sleep {
    /// How it ends, if it does.
    fn outcome(&self, now: Instant) -> Option<Outcome> {
        if self.sleeper.is_woken() {
            return Some(Ok(Woke::Woken));
        }
        if self.until.is_some_and(|until| until <= now) {
            return Some(Ok(Woke::TimedOut));
        }
        self.told
    }
}

impl Task {
    fn new(thread: Option<ThreadId>, state: State) -> Self {
        Self { thread, state, call: Arc::default() }
    }

    fn can_go_on(&self, now: Instant) -> bool {
        match &self.state {
            State::New => true,
            State::Runs => false,
            State::Sleeps(sleep) => sleep.outcome(now).is_some(),
        }
    }
}

impl Tasks {
    /// The number of a thread. The first that is none is the main task.
    fn of_thread(&mut self, thread: ThreadId) -> Option<usize> {
        if let Some(holder) = self.holder
            && self.tasks.get(&holder).is_some_and(|task| task.thread == Some(thread))
        {
            return Some(holder);
        }
        let known = self.tasks.iter().find(|(_, task)| task.thread == Some(thread));
        if let Some((number, _)) = known {
            return Some(*number);
        }
        let main = self.tasks.get_mut(&MAIN).filter(|main| main.thread.is_none())?;
        main.thread = Some(thread);
        Some(MAIN)
    }

    const fn is_guest(&self, number: usize) -> bool {
        number > self.next_guest
    }

    /// Whether nobody has the baton, nor looks for who is to have it.
    const fn is_orphaned(&self) -> bool {
        self.holder.is_none() && self.stepper.is_none()
    }

    /// Whether anybody can go on.
    fn any_able(&self, now: Instant) -> bool {
        self.tasks.values().any(|task| task.can_go_on(now))
    }

    /// The next task that can go on, beginning behind the last that ran.
    fn able(&self, now: Instant) -> Option<usize> {
        let tasks = || self.tasks.iter().filter(|(number, _)| !self.is_guest(**number));
        let able = |(number, task): (&usize, &Task)| task.can_go_on(now).then_some(*number);
        let behind = tasks().filter(|(number, _)| **number > self.last).find_map(able);
        behind.or_else(|| tasks().find_map(able))
    }

    /// When the time of the first sleeper is over.
    fn next(&self) -> Option<Instant> {
        let until = |task: &Task| match &task.state {
            State::Sleeps(sleep) => sleep.until,
            _ => None,
        };
        self.tasks.values().filter_map(until).min()
    }

    /// Gives the baton to a task.
    fn give(&mut self, number: usize) {
        self.holder = Some(number);
        self.last = number;
        self.call(number);
    }

    fn call(&self, number: usize) {
        if let Some(task) = self.tasks.get(&number) {
            task.call.notify_all();
        }
    }

    fn call_all(&self) {
        self.tasks.values().for_each(|task| task.call.notify_all());
    }

    /// Guests whose sleep is over go on beside whoever runs. Whether there is one.
    fn call_guests(&self, now: Instant) -> bool {
        let guests = self.tasks.iter().rev().take_while(|(number, _)| self.is_guest(**number));
        let able = guests.filter(|(_, guest)| guest.can_go_on(now));
        able.map(|(_, guest)| guest.call.notify_all()).count() > 0
    }

    /// Whether a thread that has no baton need not wait for it.
    fn is_able_guest(&self, number: Option<usize>, now: Instant) -> bool {
        number.is_some_and(|number| {
            self.is_guest(number) && self.tasks.get(&number).is_some_and(|guest| guest.can_go_on(now))
        })
    }

    /// Tells the first who sleeps, of `number` or of all, how its sleep ends. False: nobody sleeps.
    fn tell(&mut self, number: Option<usize>, outcome: Outcome) -> bool {
        for (other, task) in &mut self.tasks {
            if let State::Sleeps(sleep) = &mut task.state
                && number.is_none_or(|number| number == *other)
            {
                sleep.told = Some(outcome);
                return true;
            }
        }
        false
    }
}

/// Work without the lock, for all: a panic in it ends the baton, or everybody would wait for this thread.
struct Stepping<'a>(&'a Baton);

impl Drop for Stepping<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
    }
}

impl Baton {
    pub(super) fn new() -> Self {
        let tasks = Tasks {
            tasks: BTreeMap::from([(MAIN, Task::new(None, State::Runs))]),
            next: MAIN + 1,
            next_guest: usize::MAX,
            holder: Some(MAIN),
            stepper: None,
            last: MAIN,
            over: false,
        };
        Self {
            tasks: Mutex::new(tasks),
            interrupt: Mutex::new(None),
            guests: Condvar::new(),
            ended: AtomicBool::new(false),
        }
    }

    /// Has the program asked now and then whether the main task is to go on sleeping.
    pub(crate) fn set_interrupt(&self, interrupt: Interrupt) {
        *self.interrupt.lock().unwrap_or_else(PoisonError::into_inner) = Some(interrupt);
    }

    /// Whether there is none any more.
    pub(super) fn is_over(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Whether it is the calling thread that steps the world.
    pub(in crate::engine) fn is_stepping(&self) -> bool {
        self.lock().stepper == Some(current().id())
    }

    /// Registers a task, whose thread is to [`Baton::enter`]. ECANCELED: the network is closed.
    pub(crate) fn register(&self) -> Result<usize, Errno> {
        let mut tasks = self.lock();
        if tasks.over {
            return Err(Errno::ECANCELED);
        }
        let number = tasks.next;
        tasks.next += 1;
        tasks.tasks.insert(number, Task::new(None, State::New));
        Ok(number)
    }

    /// Makes the calling thread a task, and waits for the baton. EINVAL: there is no such task, or the thread is one; ECANCELED: the network is closed.
    pub(crate) fn enter(&self, conductor: &Conductor, number: usize) -> Result<(), Errno> {
        let thread = current().id();
        let mut tasks = self.lock();
        if tasks.over {
            return Err(Errno::ECANCELED);
        }
        if tasks.tasks.values().any(|task| task.thread == Some(thread)) {
            return Err(Errno::EINVAL);
        }
        let new = |task: &&mut Task| matches!(task.state, State::New) && task.thread.is_none();
        let task = tasks.tasks.get_mut(&number).filter(new).ok_or(Errno::EINVAL)?;
        task.thread = Some(thread);
        loop {
            if tasks.over {
                return Err(Errno::ECANCELED);
            }
            if tasks.holder == Some(number) {
                break;
            }
            if tasks.is_orphaned() {
                // Whoever had it has gone.
                tasks = self.hand_on(conductor, tasks, Some(number));
                continue;
            }
            let Some(call) = tasks.tasks.get(&number).map(|task| task.call.clone()) else {
                return Err(Errno::EINVAL);
            };
            tasks = call.wait(tasks).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(task) = tasks.tasks.get_mut(&number) {
            task.state = State::Runs;
        }
        Ok(())
    }

    /// Ends a task: the calling thread's, or one that has not begun. The baton goes on. EINVAL: it is none, or another thread's.
    pub(crate) fn leave(&self, conductor: &Conductor, number: Option<usize>) -> Result<(), Errno> {
        let thread = current().id();
        let mut tasks = self.lock();
        let own = || tasks.tasks.iter().find(|(_, task)| task.thread == Some(thread)).map(|(own, _)| *own);
        let number = number.or_else(own).ok_or(Errno::EINVAL)?;
        let theirs = |task: &Task| task.thread.is_none_or(|other| other == thread);
        tasks.tasks.get(&number).filter(|task| theirs(task)).ok_or(Errno::EINVAL)?;
        tasks.tasks.remove(&number);
        if tasks.holder == Some(number) {
            tasks.holder = None;
            drop(self.hand_on(conductor, tasks, None));
        }
        Ok(())
    }

    /// There is no baton any more, and everybody wakes.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let mut tasks = self.lock();
        tasks.over = true;
        tasks.call_all();
        self.guests.notify_all();
    }

    /// Sleeps, as [`Conductor::sleep`].
    pub(super) fn sleep(
        &self,
        conductor: &Conductor,
        sleeper: &TaskArc<Sleeper>,
        until: Option<Instant>,
    ) -> Outcome {
        let thread = current().id();
        let mut tasks = self.lock();
        if tasks.stepper == Some(thread) {
            // The program sleeps where it was asked whether to go on.
            return Err(Errno::EDEADLK);
        }
        if tasks.over {
            return Err(Errno::ECANCELED);
        }
        if sleeper.is_woken() {
            sleeper.forget();
            return Ok(Woke::Woken);
        }
        let asleep = State::Sleeps(Sleep { sleeper: sleeper.clone(), until, told: None });
        let number = match tasks.of_thread(thread) {
            Some(number) => number,
            None => {
                let guest = tasks.next_guest;
                tasks.next_guest -= 1;
                tasks.tasks.insert(guest, Task::new(Some(thread), State::Runs));
                guest
            }
        };
        if let Some(task) = tasks.tasks.get_mut(&number) {
            task.state = asleep;
        }
        if tasks.holder == Some(number) {
            tasks.holder = None;
        }
        let (mut tasks, outcome) = self.wait(conductor, tasks, number);
        if tasks.is_guest(number) {
            tasks.tasks.remove(&number);
            self.guests.notify_all();
        } else if let Some(task) = tasks.tasks.get_mut(&number) {
            task.state = State::Runs;
        }
        if outcome == Ok(Woke::Woken) {
            sleeper.forget();
        }
        outcome
    }

    /// Waits until a sleep is over and the sleeper may go on.
    fn wait<'a>(
        &'a self,
        conductor: &Conductor,
        mut tasks: MutexGuard<'a, Tasks>,
        number: usize,
    ) -> (MutexGuard<'a, Tasks>, Outcome) {
        loop {
            if tasks.over {
                return (tasks, Err(Errno::ECANCELED));
            }
            let (call, outcome) = match tasks.tasks.get(&number) {
                Some(Task { call, state: State::Sleeps(sleep), .. }) => {
                    (call.clone(), sleep.outcome(conductor.now()))
                }
                // It has slept once more where it was asked whether to go on.
                _ => return (tasks, Ok(Woke::Woken)),
            };
            let goes_on = tasks.holder == Some(number) || tasks.is_guest(number);
            if let Some(outcome) = outcome.filter(|_| goes_on) {
                return (tasks, outcome);
            }
            if tasks.is_orphaned() {
                tasks = self.hand_on(conductor, tasks, Some(number));
                continue;
            }
            if number != MAIN {
                tasks = call.wait(tasks).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = call.wait_timeout(tasks, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            tasks = waited.0;
            if waited.1.timed_out() && tasks.holder != Some(number) {
                let stops;
                (tasks, stops) = self.ask(tasks);
                if stops {
                    // Beside whoever runs: it may never sleep.
                    return (tasks, Ok(Woke::Interrupted));
                }
            }
        }
    }

    /// Finds out who has the baton next, and steps the world until somebody can. `number`: whose thread this is.
    fn hand_on<'a>(
        &'a self,
        conductor: &Conductor,
        mut tasks: MutexGuard<'a, Tasks>,
        number: Option<usize>,
    ) -> MutexGuard<'a, Tasks> {
        tasks.stepper = Some(current().id());
        for steps in 1_u32.. {
            let now = conductor.now();
            if tasks.over || tasks.is_able_guest(number, now) {
                break;
            }
            if tasks.call_guests(now) {
                // Time does not pass before they have seen it.
                let waited = self.guests.wait_timeout(tasks, PATIENCE);
                tasks = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            if let Some(next) = tasks.able(now) {
                tasks.give(next);
                break;
            }
            let until = tasks.next();
            drop(tasks);
            let stepping = Stepping(self);
            let moved = conductor.step(until);
            drop(stepping);
            tasks = self.lock();
            if !moved && !tasks.any_able(now) && !tasks.tell(None, Err(Errno::EDEADLK)) {
                break;
            }
            if steps.is_multiple_of(STEPS_ASKED) && number == Some(MAIN) {
                let stops;
                (tasks, stops) = self.ask(tasks);
                if stops {
                    tasks.tell(number, Ok(Woke::Interrupted));
                }
            }
        }
        tasks.stepper = None;
        if tasks.holder.is_none() {
            // Somebody else is to step the world.
            tasks.call_all();
        }
        tasks
    }

    /// Asks the program whether the main task is to stop sleeping.
    fn ask<'a>(&'a self, tasks: MutexGuard<'a, Tasks>) -> (MutexGuard<'a, Tasks>, bool) {
        let interrupt = self.interrupt.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(interrupt) = interrupt else { return (tasks, false) };
        drop(tasks);
        let stepping = Stepping(self);
        let goes_on = interrupt();
        drop(stepping);
        (self.lock(), !goes_on)
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
