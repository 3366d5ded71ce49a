//! Settings of congestion control that are one of a few, and what no controller can work with.

use super::TcpConfig;
use super::named::named;
use crate::error::{Errno, Error};
use crate::time::Duration;

/// The congestion controllers, by the names that TCP_CONGESTION takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Congestion {
    /// CUBIC (RFC 9438).
    Cubic,
    /// Reno (RFC 5681).
    Reno,
}

/// How the first slow start of a connection ends, other than by a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlowStart {
    /// Not at all (RFC 5681).
    Standard,
    /// HyStart, as CUBIC of Linux has it: where the train of acknowledgements is as long as half a round trip, or round trips become longer.
    HyStart,
    /// HyStart++ (RFC 9406): where round trips become longer, by way of a slower one.
    HyStartPlusPlus,
}

/// What decides whether the congestion window is still one that the path has carried, where the program does not use all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CwndValidation {
    /// What was used of it in the present round trip decides on growth, as in Linux; after a pause of a retransmission timeout it is the initial one
    /// again (RFC 5681 4.1).
    Used,
    /// What was acknowledged in a round trip of late (RFC 7661): one that is not used is kept over pauses, for a while, and a loss leaves half of what was
    /// in use. Where that is known, `slow_start_after_idle` changes nothing.
    PipeAck,
}

named! {
    Congestion { Cubic: "cubic", Reno: "reno" }
    SlowStart { Standard: "standard", HyStart: "hystart", HyStartPlusPlus: "hystart++" }
    CwndValidation { Used: "used", PipeAck: "pipe_ack" }
}

impl TcpConfig {
    pub(super) fn validate_congestion(&self) -> Result<(), Error> {
        let refuse = |text: &str| Err(Error::new(Errno::EINVAL, text.to_owned()));
        if self.cubic_scale == 0 || !(1..1000).contains(&self.cubic_beta) {
            return refuse("cubic_scale must be at least 1, cubic_beta 1 to 999 thousandths");
        }
        if self.hystart_divisor == 0 || self.hystart_css_divisor == 0 {
            return refuse("hystart_divisor and hystart_css_divisor must be at least 1");
        }
        if self.hystart_samples == 0 || self.hystart_css_rounds == 0 {
            return refuse("hystart_samples and hystart_css_rounds must be at least 1");
        }
        if self.hystart_rise_min > self.hystart_rise_max {
            return refuse("hystart_rise_min must not be above hystart_rise_max");
        }
        //= https://www.rfc-editor.org/rfc/rfc7661#section-4.4
        //# The NVP SHOULD NOT exceed five minutes (7661:4.4-2).
        if self.cwnd_preserved.is_zero() || self.cwnd_preserved > Duration::from_secs(300) {
            return refuse("cwnd_preserved must be above zero and at most 300 s");
        }
        Ok(())
    }
}
