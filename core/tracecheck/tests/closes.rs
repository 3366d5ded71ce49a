//! Programs that only look as if they were gone: half-closed and reading, pausing, or reset as they should be.

mod build;

use build::*;

/// The FIN of a host with `taken` bytes unread, acknowledged.
fn fin(t: &mut Trace, taken: u32) -> &mut Trace {
    t.put(sent(1, 1 + taken, 0).flags("F").window(left(taken))).wait(1).put(received(1 + taken, 2, 0))
}

#[test]
fn a_reset_is_what_is_wanted() {
    let mut t = Trace::default();
    t.take(WINDOW).wait(40_000).put(sent(1, 1 + WINDOW, 0).flags("R"));
    t.clean();

    // The program pauses behind its shutdown, and is ended.
    let mut t = Trace::default();
    fin(t.take(WINDOW), WINDOW).probe(2, 1 + WINDOW, 6).put(sent(2, 1 + WINDOW, 0).flags("R"));
    t.clean();

    // The first data behind the FIN.
    let mut t = Trace::default();
    fin(t.take(0), 0).put(received(1, 2, FULL)).put(Seg { ack: None, ..sent(2, 0, 0).flags("R") });
    t.clean();
}

/// What was unread at the shutdown is read, however late.
#[test]
fn a_reader_that_stops_for_long() {
    let mut t = Trace::default();
    fin(t.take(WINDOW), WINDOW).probe(2, 1 + WINDOW, 100).wait(5000);
    t.put(sent(2, 1 + WINDOW, 0).window(left(0))).wait(1);
    // And it stops once more: it is there all the same.
    t.put(received(1 + WINDOW, 2, 6400)).put(sent(2, 1 + 2 * WINDOW, 0).window(0));
    t.probe(2, 1 + 2 * WINDOW, 100);
    t.clean();
}

/// Nothing makes a host say that it has read, once the peer has ended.
#[test]
fn the_peer_ends_before_it_is_read() {
    let mut t = Trace::default();
    fin(t.take(WINDOW), WINDOW).wait(29_000).put(received(1 + WINDOW, 2, 0).flags("F"));
    t.put(sent(2, 2 + WINDOW, 0).window(0)).wait(40_000).put(received(1 + WINDOW, 2, 0).flags("F"));
    t.put(sent(2, 2 + WINDOW, 0).window(0));
    t.clean();

    // It had ended before the FIN, which is repeated.
    let mut t = Trace::default();
    t.take(WINDOW).put(received(1 + WINDOW, 1, 0).flags("F")).put(sent(1, 2 + WINDOW, 0).window(0));
    for wait in [20_000, 40_000, 60_000] {
        t.put(sent(1, 2 + WINDOW, 0).flags("F").window(0)).wait(wait);
    }
    t.put(received(2 + WINDOW, 2, 0));
    t.clean();
}

/// Half of the window is unread: that may be silly window avoidance, or a buffer that was made smaller.
#[test]
fn a_window_that_is_not_shut() {
    let mut t = Trace::default();
    fin(t.take(4344), 4344);
    for _ in 0..10 {
        t.wait(10_000).put(received(4345, 2, 0)).put(sent(2, 4345, 0).window(left(4344)));
    }
    t.clean();
}

/// A window that was never larger than a segment.
#[test]
fn a_window_that_was_always_small() {
    let mut t = Trace::default();
    t.put(Seg { ack: None, ..received(0, 0, 0).flags("S") });
    t.put(sent(0, 1, 0).flags("S").window(1280)).wait(10).put(received(1, 1, 1280));
    t.put(sent(1, 1281, 0).flags("F").window(0)).wait(1).put(received(1281, 2, 0)).probe(2, 1281, 10);
    t.clean();
}

/// A capture that ends before a pause is too long for one.
#[test]
fn a_capture_that_ends_early() {
    let mut t = Trace::default();
    fin(t.take(WINDOW), WINDOW).probe(2, 1 + WINDOW, 2).wait(100_000);
    t.clean();
}

/// A window that grows with its buffer, far from being shut.
#[test]
fn a_window_that_grows_while_it_is_read() {
    let mut t = Trace::default();
    fin(t.take(0), 0);
    for n in 1..100_u32 {
        t.wait(1000).put(received(1 + (n - 1) * 1448, 2, FULL));
        t.put(sent(2, 1 + n * 1448, 0).window(left(0) + n as u16));
    }
    t.clean();
}
