//! Whose habits a stack has, where the RFCs leave a choice: tables of values that a configuration begins with.

use super::named::named;
use super::{BufferConfig, Config, TcpConfig};
use crate::time::Duration;

/// Whose habits a stack has.
///
/// | | `linux` | `freebsd` |
/// |---|---|---|
/// | options of a SYN | MSS, SACK permitted, timestamps, window scale | MSS, window scale, SACK permitted, timestamps |
/// | receive and send buffer | 128 and 256 KiB to begin with, 32 MiB each at most | 64 and 32 KiB |
/// | window scale | of the receive buffer | of 2 MiB, `kern.ipc.maxsockbuf` |
/// | window offered | in steps of a segment | what is free, rounded up to a step of the scale |
/// | receive buffer once the peer is known | as set | rounded up to whole segments |
/// | acknowledged at once | 16 segments at the start, then every second full one | every second one |
/// | delayed acknowledgements go after | 40 ms | the same, 40 ms |
/// | data in a SYN that crosses ours | sent again by the peer | kept |
/// | retransmission timeout | as measured | 200 ms more |
/// | soft error of the network while opening | ends it | told if the attempt times out |
/// | hard error of the network while opening | under its own number | ECONNREFUSED |
/// | RST behind the peer's FIN | EPIPE | ECONNRESET |
/// | ACK while our FIN is in flight | bare | with the FIN |
/// | acknowledgement in a segment that is old | left | counted |
/// | SYNs that ask for ECN, if any do | the first | the first two |
/// | super-frames | with PSH | with PSH at the end of what was written |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Personality {
    /// A Linux host.
    Linux,
    /// A host of FreeBSD.
    FreeBsd,
}

/// In which order the options of a SYN stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OptionLayout {
    /// MSS, SACK permitted, timestamps, window scale; each begins or ends a word.
    TimestampsFirst,
    /// MSS, window scale, SACK permitted, timestamps; the end of the list fills the last word.
    ScaleFirst,
}

/// How much of the free receive buffer a segment offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OfferedWindow {
    /// The right edge moves in steps of a segment or half of the buffer, and a field that is scaled is rounded down (RFC 9293 3.8.6.2.2).
    Stepped,
    /// All that is free, rounded up to a step of the scale, as long as it is a segment or a quarter of the buffer.
    Exact,
}

named! {
    Personality { Linux: "linux", FreeBsd: "freebsd" }
    OptionLayout { TimestampsFirst: "timestamps_first", ScaleFirst: "scale_first" }
    OfferedWindow { Stepped: "stepped", Exact: "exact" }
}

/// What a personality decides.
struct Habits {
    receive: usize,
    send: usize,
    window_scale_for: usize,
    offered_window: OfferedWindow,
    receive_whole_segments: bool,
    option_layout: OptionLayout,
    quick_acks: u8,
    ack_any_second: bool,
    delayed_ack: Duration,
    keep_syn_data: bool,
    rto_slop: Duration,
    hard_errors_refuse: bool,
    reset_in_close_wait_is_epipe: bool,
    wary_acks: Duration,
    fin_with_acks: bool,
    old_segments_acknowledge: bool,
    push_super_frames: bool,
    soft_errors_end_opening: bool,
    ecn_retries: u8,
}

const LINUX: Habits = Habits {
    receive: 32 << 20,
    send: 32 << 20,
    window_scale_for: 0,
    offered_window: OfferedWindow::Stepped,
    receive_whole_segments: false,
    option_layout: OptionLayout::TimestampsFirst,
    quick_acks: 16,
    ack_any_second: false,
    delayed_ack: Duration::from_millis(40),
    keep_syn_data: false,
    rto_slop: Duration::ZERO,
    hard_errors_refuse: false,
    reset_in_close_wait_is_epipe: true,
    wary_acks: Duration::from_secs(1),
    fin_with_acks: false,
    old_segments_acknowledge: false,
    push_super_frames: true,
    soft_errors_end_opening: true,
    ecn_retries: 0,
};

/// `net.inet.tcp.recvspace`, `sendspace` and `delacktime`, `kern.ipc.maxsockbuf`, as FreeBSD 14 has them.
const FREEBSD: Habits = Habits {
    receive: 65_536,
    send: 32_768,
    window_scale_for: 2_097_152,
    offered_window: OfferedWindow::Exact,
    receive_whole_segments: true,
    option_layout: OptionLayout::ScaleFirst,
    quick_acks: 0,
    ack_any_second: true,
    delayed_ack: Duration::from_millis(40),
    keep_syn_data: true,
    rto_slop: Duration::from_millis(200),
    hard_errors_refuse: true,
    reset_in_close_wait_is_epipe: false,
    wary_acks: Duration::ZERO,
    fin_with_acks: true,
    old_segments_acknowledge: true,
    push_super_frames: false,
    soft_errors_end_opening: false,
    ecn_retries: 1,
};

impl Personality {
    const fn habits(self) -> &'static Habits {
        match self {
            Self::Linux => &LINUX,
            Self::FreeBsd => &FREEBSD,
        }
    }
}

impl Config {
    /// The defaults of a personality.
    #[must_use]
    pub fn of(personality: Personality) -> Self {
        let habits = personality.habits();
        let tcp = TcpConfig {
            window_scale_for: habits.window_scale_for,
            offered_window: habits.offered_window,
            receive_whole_segments: habits.receive_whole_segments,
            option_layout: habits.option_layout,
            quick_acks: habits.quick_acks,
            ack_any_second: habits.ack_any_second,
            delayed_ack: habits.delayed_ack,
            keep_syn_data: habits.keep_syn_data,
            rto_slop: habits.rto_slop,
            hard_errors_refuse: habits.hard_errors_refuse,
            reset_in_close_wait_is_epipe: habits.reset_in_close_wait_is_epipe,
            wary_acks: habits.wary_acks,
            fin_with_acks: habits.fin_with_acks,
            old_segments_acknowledge: habits.old_segments_acknowledge,
            push_super_frames: habits.push_super_frames,
            soft_errors_end_opening: habits.soft_errors_end_opening,
            ecn_retries: habits.ecn_retries,
            ..TcpConfig::default()
        };
        let buffers = BufferConfig { receive: habits.receive, send: habits.send, ..BufferConfig::default() };
        Self { personality, tcp, buffers, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    #[test]
    fn the_default_is_a_linux_host() {
        let (default, linux) = (Config::default(), Config::of(Personality::Linux));
        assert_eq!(format!("{default:?}"), format!("{linux:?}"));
    }

    #[test]
    fn personalities_go_by_name() {
        for (personality, name) in Personality::NAMES {
            assert_eq!(name.parse(), Ok(*personality));
            assert_eq!(personality.to_string(), *name);
            assert_eq!(Config::of(*personality).personality, *personality);
            assert!(Config::of(*personality).validate().is_ok());
        }
        let error = "plan9".parse::<Personality>().expect_err("no such host");
        assert_eq!(error.errno(), Errno::EINVAL);
        assert_eq!(error.to_string(), "'plan9' is none of linux and freebsd");
        let error = "sometimes".parse::<super::super::SynCookies>().expect_err("no such time");
        assert_eq!(error.to_string(), "'sometimes' is none of off, when_full and always");
    }
}
