//! When a connection has something to do by itself.

use super::{Common, Connection, Open, Phase};
use crate::config::TcpConfig;
use crate::tcp::State;
use crate::tcp::timer::Timer;
use crate::time::Instant;

impl Connection {
    /// The earliest deadline, whether set or following from the state.
    pub(super) fn deadline(&self, config: &TcpConfig) -> Option<Instant> {
        match &self.phase {
            Phase::Opening(opening) => opening.deadline(&self.common),
            Phase::Open(open) => {
                let all = [
                    open.keep_alive_at(&self.common),
                    open.user_timeout_at(&self.common),
                    open.state_ends_at(&self.common, config),
                    open.timers.earliest(),
                ];
                all.into_iter().flatten().min()
            }
            Phase::Closed(_) => None,
        }
    }
}

impl Open {
    /// The next keep-alive probe (RFC 9293 3.8.4): only while nothing is in flight, else retransmission does its work.
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4
    //# Implementers MAY include "keep-alives" in their TCP implementations (MAY-5), although this practice is not universally accepted.
    pub(in crate::tcp) fn keep_alive_at(&self, common: &Common) -> Option<Instant> {
        let options = &common.setup.options;
        let quiet = self.snd.outstanding() == 0 && !self.timers.is_set(Timer::Persist);
        let alive = !matches!(self.state, State::SynReceived | State::TimeWait);
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4
        //# the application MUST be able to turn them on or off for each TCP connection (MUST-24), and they MUST default to off (MUST-25).
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4
        //# Keep-alive packets MUST only be sent when no sent data is outstanding, and no data or acknowledgment packets have been received for the connection within an interval (MUST-26).
        if !options.keep_alive || !quiet || !alive {
            return None;
        }
        Some(self.heard + options.keep_idle + options.keep_interval.saturating_mul(self.keep_probes))
    }

    /// When the user timeout expires (RFC 5482).
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3
    //# An application MUST (MUST-21) be able to set the value for R2 for a particular connection.
    pub(in crate::tcp) fn user_timeout_at(&self, common: &Common) -> Option<Instant> {
        let timeout = common.setup.options.user_timeout?;
        Some(self.snd.stalled_since? + timeout)
    }

    /// When the state ends by itself: TIME-WAIT, and FIN-WAIT-2 of a connection that nobody holds.
    pub(in crate::tcp) fn state_ends_at(&self, common: &Common, config: &TcpConfig) -> Option<Instant> {
        match self.state {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.6.1
            //# it MUST linger in the TIME-WAIT state for a time 2xMSL (Maximum Segment Lifetime) (MUST-13)
            State::TimeWait => Some(self.since + config.msl.saturating_mul(2)),
            State::FinWait2 => {
                let most = common.setup.options.fin_wait_2.unwrap_or_default();
                Some(common.orphaned?.max(self.since) + most)
            }
            _ => None,
        }
    }
}
