//! Datagrams between a program and the stack: queues that keep their boundaries, bounded in bytes.

use arrayvec::ArrayVec;
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// What a datagram costs beside its bytes: its place in a queue and an allocation. So a buffer bounds their number too.
pub const DATAGRAM_OVERHEAD: usize = 128;

/// Destinations that a socket may send to without asking the stack again.
const APPROVED: usize = 4;

/// A datagram, and who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Whom it came from, or goes to.
    pub peer: SocketAddr,
    /// The address of ours that it came to; of one that goes out, the address that it is to be sent from, unspecified if that is the stack's choice.
    pub local: IpAddr,
    /// Hops that it had left; of one that goes out, how many it gets, `None` if that is for the socket's options to say.
    pub hops: Option<u8>,
    /// Its traffic class; the same.
    pub class: Option<u8>,
    /// What it carries; nothing is as good as anything.
    pub payload: Bytes,
}

/// What a program asks for one datagram, beside what the socket's options say of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Handling {
    /// The address to send from.
    pub source: Option<IpAddr>,
    /// Time to live, hop limit.
    pub hops: Option<u8>,
    /// Type of service, traffic class.
    pub class: Option<u8>,
}

impl Datagram {
    /// What it counts for in a queue.
    #[must_use]
    pub fn charge(&self) -> usize {
        self.payload.len() + DATAGRAM_OVERHEAD
    }
}

/// Datagrams in order.
#[derive(Debug, Default)]
pub struct DatagramQueue {
    queue: VecDeque<Datagram>,
    charge: usize,
}

impl DatagramQueue {
    /// Appends a datagram, unless those that wait count for `limit` bytes or more already: as in Linux, the last one may stand out.
    #[must_use]
    pub fn push(&mut self, datagram: Datagram, limit: usize) -> bool {
        let fits = self.charge < limit;
        if fits {
            self.charge += datagram.charge();
            self.queue.push_back(datagram);
        }
        fits
    }

    /// The oldest, which stays.
    #[must_use]
    pub fn front(&self) -> Option<&Datagram> {
        self.queue.front()
    }

    /// Takes the oldest.
    pub fn pop(&mut self) -> Option<Datagram> {
        let datagram = self.queue.pop_front()?;
        self.charge -= datagram.charge();
        if self.queue.is_empty() && self.queue.capacity() > 64 {
            // A burst is over: an idle socket keeps nothing of it.
            self.queue = VecDeque::new();
        }
        Some(datagram)
    }

    /// What all that wait count for.
    #[must_use]
    pub const fn charge(&self) -> usize {
        self.charge
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Forgets all that wait.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// What the cell of a datagram socket holds beside that of every other.
#[derive(Debug)]
pub struct Datagrams {
    /// Family of the socket.
    pub six: bool,
    /// Received, to be read.
    pub inbox: DatagramQueue,
    /// SO_RCVBUF: what bounds `inbox`.
    pub receive_limit: usize,
    /// Written, to be sent; the holder takes one at a time.
    pub outbox: DatagramQueue,
    /// Whom send without an address goes to.
    pub peer: Option<SocketAddr>,
    /// Hosts that the stack has agreed to since anything last changed that it depends on.
    approved: ArrayVec<IpAddr, APPROVED>,
}

impl Datagrams {
    /// Those of a new socket.
    #[must_use]
    pub fn new(six: bool, receive_limit: usize) -> Self {
        let (inbox, outbox) = (DatagramQueue::default(), DatagramQueue::default());
        Self { six, inbox, receive_limit, outbox, peer: None, approved: ArrayVec::new() }
    }

    /// The stack agrees to datagrams to `host`.
    pub fn approve(&mut self, host: IpAddr) {
        if self.is_approved(host) {
            return;
        }
        if self.approved.is_full() {
            self.approved.remove(0);
        }
        self.approved.push(host);
    }

    /// Whether the stack has agreed.
    #[must_use]
    pub fn is_approved(&self, host: IpAddr) -> bool {
        self.approved.contains(&host)
    }

    /// Something has changed: the stack is to be asked again.
    pub fn revoke(&mut self) {
        self.approved.clear();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn datagram(length: usize, byte: u8) -> Datagram {
        let peer: SocketAddr = "192.0.2.9:9".parse().expect("an address");
        Datagram { peer, local: peer.ip(), hops: None, class: None, payload: Bytes::from(vec![byte; length]) }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize, usize),
        Pop,
        Peek,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (prop_oneof![Just(0), 0usize..3000, Just(65_507)], 0usize..200_000)
                .prop_map(|(length, limit)| Step::Push(length, limit)),
            2 => Just(Step::Pop),
            1 => Just(Step::Peek),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_vector(steps in prop::collection::vec(step(), 0..400)) {
            let (mut queue, mut model) = (DatagramQueue::default(), Vec::new());
            for (step, byte) in steps.into_iter().zip((0..=u8::MAX).cycle()) {
                match step {
                    Step::Push(length, limit) => {
                        let before: usize = model.iter().map(Datagram::charge).sum();
                        let taken = queue.push(datagram(length, byte), limit);
                        prop_assert_eq!(taken, before < limit);
                        if taken {
                            model.push(datagram(length, byte));
                        }
                        prop_assert!(queue.charge() < limit.max(before + 1) + length + DATAGRAM_OVERHEAD);
                    }
                    Step::Pop => {
                        let oldest = if model.is_empty() { None } else { Some(model.remove(0)) };
                        prop_assert_eq!(queue.pop(), oldest);
                    }
                    Step::Peek => prop_assert_eq!(queue.front(), model.first()),
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
                prop_assert_eq!(queue.charge(), model.iter().map(Datagram::charge).sum::<usize>());
            }
        }
    }

    #[test]
    fn a_buffer_bounds_the_number_of_empty_datagrams() {
        let mut queue = DatagramQueue::default();
        let taken = (0..10_000).filter(|_| queue.push(datagram(0, 0), 64 << 10)).count();
        assert_eq!(taken, (64 << 10) / DATAGRAM_OVERHEAD);
        let held = size_of::<Datagram>() + 32;
        assert!(held <= DATAGRAM_OVERHEAD, "{held} bytes are held for each");
    }

    #[test]
    fn a_burst_that_is_over_leaves_nothing_behind() {
        let mut queue = DatagramQueue::default();
        (0..1000).for_each(|_| assert!(queue.push(datagram(10, 0), usize::MAX)));
        while queue.pop().is_some() {}
        assert_eq!((queue.queue.capacity(), queue.charge()), (0, 0));
    }

    #[test]
    fn the_stack_is_asked_again_for_the_oldest_host_and_after_a_change() {
        let mut datagrams = Datagrams::new(false, 1);
        let host = |n: u8| IpAddr::from([192, 0, 2, n]);
        (1..=5).for_each(|n| datagrams.approve(host(n)));
        datagrams.approve(host(5));
        assert!(!datagrams.is_approved(host(1)));
        assert!((2..=5).all(|n| datagrams.is_approved(host(n))));
        datagrams.revoke();
        assert!(!datagrams.is_approved(host(5)));
    }
}
