//! Which processors run what.

use crate::Result;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The two processors of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Processors {
    /// The peer's.
    pub(crate) peer: usize,
    /// The contender's.
    pub(crate) contender: usize,
}

/// Where contender and peer run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Each on its own processor, with all its threads.
    Apart,
    /// Both on the peer's.
    Together,
    /// The peer on its own, the contender's threads on whichever of the two is free.
    Free,
    /// The threads of the contender's stack on their own, the one that calls on the peer's: it copies what the others write.
    Split,
}

impl Processors {
    /// The first two that this process may use.
    pub(crate) fn find() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut numbers = (0..CpuSet::MAX_CPU).filter(|number| allowed.is_set(*number));
        let (peer, contender) = (numbers.next(), numbers.next());
        let missing = "two processors are needed, one for the peer and one for the contender";
        Ok(Self { peer: peer.ok_or(missing)?, contender: contender.ok_or(missing)? })
    }

    /// Those that the contender is started on.
    pub(crate) fn contender(self, placement: Placement) -> Vec<usize> {
        match placement {
            Placement::Apart | Placement::Split => vec![self.contender],
            Placement::Together => vec![self.peer],
            Placement::Free => vec![self.peer, self.contender],
        }
    }

    /// The one that the thread which calls moves to, if it does.
    pub(crate) fn caller(self, placement: Placement) -> Option<usize> {
        (placement == Placement::Split).then_some(self.peer)
    }

    /// In words.
    pub(crate) fn describe(self) -> String {
        let Self { peer, contender } = self;
        format!(
            "peer on CPU {peer}; contender on CPU {contender} with all its threads, where the measure does not say otherwise; where ours sends, the thread that calls on CPU {peer}, but not of ours-one"
        )
    }
}

/// Does something, such as starting a process, that is then bound to these processors; the calling thread is not.
pub(crate) fn bound<T>(processors: &[usize], work: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = sched_getaffinity(None)?;
    let mut set = CpuSet::new();
    processors.iter().for_each(|number| set.set(*number));
    sched_setaffinity(None, &set)?;
    let outcome = work();
    sched_setaffinity(None, &before)?;
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_bound_and_the_caller_is_free_again() {
        let before = sched_getaffinity(None).expect("a set");
        let first = (0..CpuSet::MAX_CPU).find(|number| before.is_set(*number)).expect("a processor");
        let inside = bound(&[first], || Ok(sched_getaffinity(None)?)).expect("bound");
        assert_eq!((inside.count(), inside.is_set(first)), (1, true));
        assert_eq!(sched_getaffinity(None).expect("a set").count(), before.count());
    }

    #[test]
    fn who_sends_on_both_is_told_of() {
        let text = Processors { peer: 4, contender: 6 }.describe();
        assert!(text.contains("where ours sends, the thread that calls on CPU 4"), "{text}");
    }

    #[test]
    fn together_is_where_the_peer_is() {
        let processors = Processors { peer: 4, contender: 6 };
        assert_eq!(processors.contender(Placement::Apart), [6]);
        assert_eq!(processors.contender(Placement::Together), [4]);
        assert_eq!(processors.contender(Placement::Free), [4, 6]);
        assert_eq!(processors.caller(Placement::Free), None);
    }

    #[test]
    fn who_calls_is_where_the_peer_is_and_its_stack_is_not() {
        let processors = Processors { peer: 4, contender: 6 };
        assert_eq!(processors.contender(Placement::Split), [6]);
        assert_eq!(processors.caller(Placement::Split), Some(4));
    }
}
