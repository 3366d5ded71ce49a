//! The settings of a stack while it runs: others for what begins from then on.

use super::Stack;
use super::route::Way;
use super::socket::options::Settings;
use crate::config::Config;
use crate::error::Error;
use std::net::SocketAddr;

/// Super-frames that a receive buffer holds to begin with, on a link that has them.
const SUPER_FRAMES: usize = 4;

impl Stack {
    /// What a new connection-oriented socket begins with.
    pub(super) fn new_settings(&self) -> Settings {
        let mut settings = Settings::new(&self.config);
        if self.capabilities.tso4 || self.capabilities.tso6 {
            settings.receive = settings.receive.max(SUPER_FRAMES << 16).min(settings.protocol.receive_max);
        }
        settings
    }

    /// Most bytes that the window of a SYN offers: one to the link as many as the queue of the device takes, until it is known how far the peer is.
    pub(super) fn first_window(&self, remote: SocketAddr) -> usize {
        let first = if self.route.way(remote.ip()) == Way::Link { self.queue.first() } else { None };
        first.unwrap_or(usize::MAX)
    }

    /// Other settings for what begins from now on; addresses, routes and MTU stay as they are. Refused are those that no stack can work with:
    /// then the old ones stay.
    #[doc(hidden)]
    pub fn reconfigure(&mut self, config: &Config) -> Result<(), Error> {
        let Config { addresses, routes, mtu, secret, .. } = self.config.clone();
        let config = Config { addresses, routes, mtu, secret, ..config.clone() };
        config.validate()?;
        self.memory.set_limit(config.buffers.total);
        self.config = config;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Personality;
    use crate::link::Capabilities;
    use crate::time::Duration;
    use crate::trace::Log;

    #[test]
    fn settings_that_no_stack_can_work_with_change_nothing() {
        let config = Config::of(Personality::Linux);
        let mut stack =
            Stack::new(config.clone(), Capabilities::plain(1500), Log::new(None)).expect("a stack");
        let mut other = config;
        other.tcp.delayed_ack = Duration::from_millis(100);
        assert!(stack.reconfigure(&other).is_ok());
        other.tcp.delayed_ack = Duration::from_millis(500);
        assert!(stack.reconfigure(&other).is_err());
        assert_eq!(stack.config.tcp.delayed_ack, Duration::from_millis(100));
    }
}
