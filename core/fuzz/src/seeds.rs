//! The first inputs of each corpus, made here and committed; `USERTCP_REWRITE=1 cargo test -p usertcp-fuzz` writes them.

use crate::{names, parse};

/// Every seed: target, name, bytes.
#[must_use]
pub fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut all = Vec::new();
    for (number, packet) in parse::seeds().into_iter().enumerate() {
        let mut hinted = vec![0];
        hinted.extend_from_slice(&packet);
        all.push(("ip_ingress", format!("packet-{number:02}"), hinted));
        all.push(("parse_packet", format!("packet-{number:02}"), packet));
    }
    let options: [(&str, &[u8]); 8] = [
        ("none", &[]),
        ("syn", &[2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7]),
        ("timestamps", &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]),
        ("sack", &[1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4]),
        ("unknown-first", &[30, 4, 1, 2, 254, 6, 0, 0, 0, 0, 2, 4, 5, 180]),
        ("length-zero", &[2, 0, 5, 180]),
        ("length-beyond", &[2, 40, 5, 180]),
        ("cut", &[1, 1, 1, 2]),
    ];
    for (name, bytes) in options {
        all.push(("tcp_options", name.to_owned(), bytes.to_vec()));
    }
    for (name, bytes) in names::seeds() {
        all.push(("names", name.to_owned(), bytes));
    }
    all.push(("queues", "all".to_owned(), queue_ops()));
    for (name, bytes) in stack_ops() {
        all.push(("stack", name.to_owned(), bytes));
    }
    all
}

fn queue_ops() -> Vec<u8> {
    let mut ops = Vec::new();
    for round in 0..8u8 {
        ops.extend([0, round * 30, 200, 2, round, 7, 20, 0, round, 1, round * 20, 9]);
        ops.extend([3, 0, round * 30 + 4, 3, 40, 0, 4, 0, 0]);
    }
    ops
}

/// The op `number` on flow, program or kind `which`.
const fn op(number: u8, which: u8) -> u8 {
    which * 16 + number
}

/// Conversations with the whole stack, in the code of `stack::World::step`.
fn stack_ops() -> Vec<(&'static str, Vec<u8>)> {
    const DATA: u8 = 1;
    const FIN: u8 = 2;
    let exact = |flow: u8, flags: u8, length: u8| vec![op(1, flow), flags, 0, 0, length];
    let timer = vec![op(8, 0)];
    let join = |parts: &[Vec<u8>]| parts.concat();
    let open = |flow: u8| vec![op(4, flow)];
    let polite = |flow: u8| vec![op(3, flow)];
    let write = |program: u8, bytes: u16| {
        let [high, low] = (bytes << 1).to_be_bytes();
        vec![op(9, program), high, low]
    };
    let read = |program: u8| vec![op(10, program), 0xfe];
    let close = |program: u8| vec![op(13, 0), program, 5];
    // An ACK of everything seen but `behind` segments of 1460 bytes, with SACK blocks: where they begin, counted alike, and how long they are.
    let sack = |behind: u8, blocks: &[(u16, u16)]| {
        let mut bytes = vec![op(0, 0), 0x28, 0, 0, 0xa0, 0u8.wrapping_sub(behind)];
        bytes.push(if blocks.is_empty() { 0 } else { 0x7f + blocks.len() as u8 });
        for (start, length) in blocks {
            bytes.extend((start * 1460).to_be_bytes().iter().chain(&(length * 1460 * 4).to_be_bytes()));
        }
        bytes
    };
    let shut = |program: u8| vec![op(13, 0), program, 1];
    let syn = |flow: u8| vec![op(0, flow), 3, 0, 0];
    // What `stack::intercepted` does.
    let away = |what: u8, choice: u8| vec![op(14, 0), 0x30 | what, choice];
    vec![
        ("listen-only", vec![3]),
        (
            "intercepted",
            join(&[
                vec![3],
                away(0, 0),
                syn(6),
                away(1, 2),
                away(2, 0),
                away(2, 0),
                polite(6),
                exact(6, DATA, 100),
                read(3),
                write(3, 3000),
                polite(6),
                exact(6, FIN, 0),
                read(3),
                close(2),
                close(2),
                polite(6),
                timer.clone(),
            ]),
        ),
        (
            "intercepted-6",
            join(&[
                vec![7],
                away(0, 3),
                syn(7),
                syn(7),
                away(1, 2),
                away(3, 0),
                syn(7),
                away(1, 2),
                away(4, 1),
                syn(7),
                away(1, 2),
                away(3, 0),
                away(2, 2),
                polite(7),
                exact(7, DATA, 50),
                read(3),
                close(2),
                syn(7),
                timer.clone(),
                timer.clone(),
            ]),
        ),
        (
            "in-anothers-name",
            join(&[
                vec![3],
                away(5, 0),
                polite(8),
                write(2, 3000),
                polite(8),
                exact(8, DATA, 200),
                read(2),
                away(6, 0),
                syn(6),
                polite(6),
                away(7, 0),
                close(3),
                close(2),
                polite(8),
                timer.clone(),
            ]),
        ),
        (
            "in-anothers-name-6",
            join(&[
                vec![7],
                away(5, 1),
                polite(9),
                write(2, 9000),
                polite(9),
                exact(9, FIN, 0),
                away(7, 1),
                away(6, 1),
                syn(7),
                polite(7),
                exact(7, DATA, 10),
                close(2),
                timer.clone(),
            ]),
        ),
        (
            "passive-echo",
            join(&[
                vec![3],
                open(0),
                exact(0, DATA, 100),
                read(2),
                write(2, 500),
                polite(0),
                exact(0, FIN, 0),
                read(2),
                close(2),
                polite(0),
                timer.clone(),
            ]),
        ),
        (
            "passive-echo-6",
            join(&[
                vec![7],
                open(1),
                exact(1, DATA, 100),
                read(2),
                write(2, 9000),
                polite(1),
                polite(1),
                exact(1, FIN, 0),
                close(2),
                polite(1),
                timer.clone(),
            ]),
        ),
        (
            "active",
            join(&[
                vec![3, op(12, 0)],
                polite(2),
                write(2, 3000),
                polite(2),
                exact(2, DATA, 200),
                read(2),
                shut(2),
                polite(2),
                exact(2, FIN, 10),
                read(2),
                close(2),
                timer.clone(),
                timer.clone(),
            ]),
        ),
        (
            "active-6",
            join(&[
                vec![12, op(12, 1)],
                polite(3),
                write(2, 12_000),
                polite(3),
                polite(3),
                exact(3, DATA, 255),
                read(2),
                close(2),
                timer.clone(),
            ]),
        ),
        (
            "simultaneous-open",
            join(&[
                vec![3, op(12, 0)],
                vec![op(0, 2), 3, 0, 0],
                polite(2),
                vec![op(0, 2), 4, 0, 0],
                write(2, 10),
            ]),
        ),
        (
            "simultaneous-close",
            join(&[
                vec![3],
                open(0),
                shut(2),
                vec![op(0, 0), 2, 0, 0, op(0, 0), 2, 0x80, 0xff],
                polite(0),
                timer.clone(),
            ]),
        ),
        (
            "out-of-order",
            join(&[
                vec![3],
                open(0),
                vec![op(1, 0), 1, 0x80, 100, 100, op(1, 0), 1, 0x80, 50, 60],
                exact(0, DATA, 120),
                read(2),
            ]),
        ),
        (
            "retransmit",
            join(&[
                vec![3],
                open(0),
                write(2, 20_000),
                timer.clone(),
                timer.clone(),
                polite(0),
                timer.clone(),
                polite(0),
                timer.clone(),
                polite(0),
            ]),
        ),
        (
            "sack-recovery",
            join(&[
                vec![19],
                open(0),
                write(2, 30_000),
                sack(10, &[(9, 1)]),
                sack(10, &[(7, 2), (9, 1)]),
                sack(10, &[(4, 2), (7, 2)]),
                sack(5, &[(3, 3)]),
                timer.clone(),
                polite(0),
                write(2, 3000),
                polite(0),
            ]),
        ),
        (
            "sack-renege",
            join(&[
                vec![27],
                open(0),
                write(2, 30_000),
                sack(10, &[(9, 6)]),
                sack(8, &[]),
                timer.clone(),
                timer.clone(),
                polite(0),
            ]),
        ),
        (
            "sack-nonsense",
            join(&[
                vec![19],
                open(0),
                write(2, 30_000),
                sack(10, &[(10, 3)]),
                sack(10, &[(2, 5)]),
                sack(10, &[(5, 0)]),
                sack(0, &[(4, 2)]),
                sack(0, &[(4, 1), (4, 2)]),
                polite(0),
            ]),
        ),
        (
            "duplicates",
            join(&[
                vec![19],
                open(0),
                exact(0, DATA, 60),
                vec![op(1, 0), DATA, 0x60, 0xc4, 60],
                vec![op(1, 0), DATA, 0x60, 100, 20],
                vec![op(1, 0), DATA, 0x60, 60, 20],
                vec![op(1, 0), DATA, 0x60, 50, 90],
                write(2, 3000),
                exact(0, DATA, 110),
                read(2),
            ]),
        ),
        (
            "partial-ack",
            join(&[
                vec![3],
                open(0),
                write(2, 20_000),
                vec![op(0, 0), 8, 0, 0, 0x80, 0xf0],
                timer.clone(),
                vec![op(0, 0), 8, 0, 0, 0x80, 0x90],
                timer.clone(),
                polite(0),
            ]),
        ),
        (
            "zero-window",
            join(&[
                vec![3],
                open(0),
                vec![op(0, 0), 0x10, 0, 0, 0, 0],
                write(2, 4000),
                timer.clone(),
                timer.clone(),
                timer.clone(),
                polite(0),
            ]),
        ),
        ("reset", join(&[vec![3], open(0), exact(0, DATA, 10), vec![op(0, 0), 5, 0, 0], read(2), close(2)])),
        (
            "blind-reset",
            join(&[
                vec![3],
                open(0),
                vec![op(0, 0), 5, 0x80, 9, op(0, 0), 3, 0x80, 9, op(0, 0), 8, 0, 0, 0xa0, 40],
                write(2, 10),
                polite(0),
            ]),
        ),
        ("closed-port", join(&[vec![0, op(0, 5), 3, 0, 0, op(0, 5), 0, 0, 0, op(0, 5), 5, 0, 0]])),
        (
            "super-frames",
            join(&[
                vec![7],
                open(0),
                vec![op(2, 0), 1, 0, 0, 0x80, 0],
                vec![op(2, 0), 1, 0, 0, 0xff, 0xff],
                read(2),
                read(2),
                timer.clone(),
                write(2, 30_000),
                polite(0),
            ]),
        ),
        (
            "bit-errors",
            join(&[
                vec![3],
                open(0),
                exact(0, DATA, 60),
                vec![op(6, 0), 0, 200, op(6, 0), 1, 3, op(6, 0), 0, 77],
                read(2),
            ]),
        ),
        (
            "loopback",
            join(&[
                vec![3, op(12, 10)],
                write(2, 100),
                vec![op(11, 0)],
                read(3),
                write(3, 50),
                read(2),
                close(2),
                close(2),
                timer.clone(),
            ]),
        ),
        (
            "link-lost",
            join(&[
                vec![3],
                open(0),
                write(2, 100),
                vec![op(15, 8)],
                timer.clone(),
                vec![op(15, 11)],
                timer,
                vec![op(15, 15)],
                read(2),
            ]),
        ),
        ("echo", vec![0, op(15, 0), 8, 8, 0, 0, 0, 1, 2, 3, 4, op(15, 1), 8, 128, 0, 0, 0, 1, 2, 3, 4]),
        (
            "options",
            join(&[
                vec![3],
                open(0),
                vec![op(14, 0), 1, 2, 9, 4, 1, 0, 0, 0, op(14, 0), 1, 3, 1, 4, 1, 0, 0, 0, op(14, 0), 0, 2],
                vec![op(8, 0)],
            ]),
        ),
    ]
}
