//! Damaged packets: whatever a capture holds, the judge comes to an end.

mod build;

use build::*;
use usertcp_tracecheck::{Checker, Direction, Options, check_capture};

/// Numbers that look random (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most.max(1) as u64) as usize
    }
}

#[test]
fn damaged_packets_break_nothing() {
    let mut trace = Trace::default();
    trace.open();
    for n in 0..20 {
        trace.wait(3).put(sent(1 + n * 1448, 1 + n * 100, FULL)).put(received(
            1 + n * 100,
            1 + n * 1448,
            100,
        ));
        trace.put(sent(1 + n * 1448, 1, 0).sack(&[(300, 500)]).flags("F"));
    }
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    for _ in 0..300 {
        // Half of the runs without checksums, so that what is damaged gets through.
        let checksums = numbers.below(2) == 0;
        let mut checker = Checker::new(Options { checksums, ..Options::default() });
        for (time, direction, packet) in &trace.records {
            let mut packet = packet.clone();
            for _ in 0..numbers.below(4) {
                let at = numbers.below(packet.len().min(80));
                packet[at] = numbers.below(256) as u8;
            }
            packet.truncate(packet.len() - numbers.below(8) * numbers.below(20).min(packet.len() / 8));
            let direction = if numbers.below(5) == 0 { Direction::Unknown } else { *direction };
            checker.packet(time + numbers.below(1000) as u64, direction, &packet);
        }
        assert_eq!(checker.finish().packets, trace.records.len() as u64);
    }
}

#[test]
fn damaged_files_break_nothing() {
    let mut numbers = Numbers(99);
    for _ in 0..2000 {
        let length = numbers.below(200);
        let mut file: Vec<u8> = (0..length).map(|_| numbers.below(256) as u8).collect();
        let heads = [[0x0a, 0x0d, 0x0d, 0x0a], [0xd4, 0xc3, 0xb2, 0xa1]];
        file.splice(..0, heads[numbers.below(2)]);
        let _ = check_capture(&file[..], Options::default());
    }
}
