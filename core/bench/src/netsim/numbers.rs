//! The figures of a run over time as comma-separated values.

use std::fmt::Write;
use usertcp_core::sim::scenario::Sample;

/// A line for each sample, below a header that names the columns and their units.
#[must_use]
pub fn table(samples: &[Sample]) -> String {
    let mut text = String::from(
        "time_us,flow,cwnd_segments,ssthresh_segments,srtt_us,in_flight_segments,state,retransmitted_segments,acknowledged_bytes\n",
    );
    for sample in samples {
        let Sample { at, flow, cwnd, srtt, in_flight, retransmitted, acknowledged, .. } = *sample;
        let ssthresh = sample.ssthresh.map(|threshold| threshold.to_string()).unwrap_or_default();
        let _ = writeln!(
            text,
            "{},{flow},{cwnd},{ssthresh},{srtt},{in_flight},{},{retransmitted},{acknowledged}",
            at.as_micros(),
            state(sample.state),
        );
    }
    text
}

/// States of `tcpi_ca_state` in Linux.
const fn state(number: u8) -> &'static str {
    match number {
        0 => "open",
        1 => "disorder",
        2 => "cwr",
        3 => "recovery",
        4 => "loss",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_line_has_as_many_values_as_the_header_names() {
        let sample = Sample {
            at: Duration::from_millis(5),
            flow: 1,
            cwnd: 10,
            ssthresh: None,
            srtt: 20_000,
            in_flight: 9,
            state: 3,
            retransmitted: 4,
            acknowledged: 14_480,
        };
        let text = table(&[sample, Sample { ssthresh: Some(5), ..sample }]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[1..],
            ["5000,1,10,,20000,9,recovery,4,14480", "5000,1,10,5,20000,9,recovery,4,14480"]
        );
        assert!(lines.iter().all(|line| line.split(',').count() == 9), "{text}");
    }
}
