//! What is packed comes back.

use super::*;
use proptest::prelude::*;

fn back<T: Pack>(value: &T) -> (T, usize) {
    let mut packer = Packer::default();
    value.pack(&mut packer);
    let bytes = packer.finish();
    (T::unpack(&mut Unpacker::new(&bytes)), bytes.len())
}

#[test]
fn zeros_take_an_eighth() {
    assert_eq!(back(&[0u64; 80]), ([0; 80], 10));
    assert_eq!(back(&[false; 16]), ([false; 16], 2));
    assert_eq!(back(&None::<u64>), (None, 1));
    assert_eq!(back(&[1u8, 0, 0, 0, 0, 0, 0, 2, 0]), ([1, 0, 0, 0, 0, 0, 0, 2, 0], 4));
}

#[test]
fn what_is_near_the_last_is_short() {
    let at = Instant::from_millis(1 << 40);
    assert_eq!(back(&[at; 9]), ([at; 9], 12), "masks, and the first time");
    let mut packer = Packer::default();
    for ahead in [7u32, 8, 6] {
        packer.seq(0xffff_fff9u32.wrapping_add(ahead));
    }
    let bytes = packer.finish();
    assert_eq!(bytes.len(), 3, "the first is 0, across the wrap");
    let mut from = Unpacker::new(&bytes);
    assert_eq!([from.seq(), from.seq(), from.seq()], [0, 1, u32::MAX]);
}

#[test]
fn what_is_missing_is_zero() {
    let mut from = Unpacker::new(&[]);
    assert_eq!(<(u64, Option<bool>)>::unpack(&mut from), (0, None));
    assert_eq!(Duration::unpack(&mut from), Duration::ZERO);
}

#[test]
fn a_packer_begins_anew() {
    let mut packer = Packer::default();
    Instant::from_millis(5).pack(&mut packer);
    packer.finish();
    Instant::from_millis(7).pack(&mut packer);
    assert_eq!(Instant::unpack(&mut Unpacker::new(&packer.finish())), Instant::from_millis(7));
}

fn reason() -> impl Strategy<Value = EndReason> {
    let told = (any::<i32>(), any::<(u8, u8, IpAddr)>())
        .prop_map(|(errno, (kind, code, from))| Unreachable { errno: Errno(errno), kind, code, from });
    prop_oneof![
        Just(EndReason::Finished),
        any::<(u32, i32)>().prop_map(|(seq, errno)| EndReason::Reset { seq, errno: Errno(errno) }),
        prop::option::of(told.clone())
            .prop_map(|network| EndReason::TimedOut { timer: Timeout::KeepAlive, network }),
        told.prop_map(EndReason::Unreachable),
        Just(EndReason::Aborted),
        Just(EndReason::Unread),
        Just(EndReason::Limit),
        Just(EndReason::LinkGone),
        Just(EndReason::StackClosed),
    ]
}

proptest! {
    #[test]
    fn everything_comes_back(
        (byte, short, number, long, size) in any::<(u8, u16, u32, u64, usize)>(),
        (yes, fraction, maybe) in any::<(bool, f64, Option<(u64, u8)>)>(),
        queue in prop::collection::vec(any::<u32>(), 0..9),
        (nanos, pause) in any::<(u64, Duration)>(),
        (ip, address) in any::<(IpAddr, SocketAddr)>(),
        reason in reason(),
    ) {
        prop_assert_eq!(back(&byte).0, byte);
        prop_assert_eq!(back(&short).0, short);
        prop_assert_eq!(back(&number).0, number);
        prop_assert_eq!(back(&long).0, long);
        prop_assert_eq!(back(&size).0, size);
        prop_assert_eq!(back(&yes).0, yes);
        prop_assert_eq!(back(&fraction).0.to_bits(), fraction.to_bits());
        prop_assert_eq!(back(&maybe).0, maybe);
        let queue = VecDeque::from(queue);
        prop_assert_eq!(&back(&queue).0, &queue);
        let at = Instant::from_nanos(nanos);
        prop_assert_eq!(back(&[at, Instant::ZERO, at]).0, [at, Instant::ZERO, at]);
        prop_assert_eq!(back(&pause).0, pause);
        prop_assert_eq!(back(&ip).0, ip);
        prop_assert_eq!(back(&address).0, address);
        prop_assert_eq!(back(&Some(reason)).0, Some(reason));
    }
}
