//! Settings of congestion control that are one of a few, and what no controller can work with.

use super::TcpConfig;
use super::named::named;
use crate::error::{Errno, Error};

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

named! {
    Congestion { Cubic: "cubic", Reno: "reno" }
    SlowStart { Standard: "standard", HyStart: "hystart", HyStartPlusPlus: "hystart++" }
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
        Ok(())
    }
}
