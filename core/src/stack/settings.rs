//! The settings of a stack while it runs: others for what begins from then on.

use super::Stack;
use super::route::Way;
use super::socket::options::Settings;
use crate::config::Config;
use crate::error::Error;
use crate::link::Capabilities;
use crate::sync::Arc;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Super-frames that a receive buffer holds to begin with, on a link that has them.
const SUPER_FRAMES: usize = 4;

/// The options that sockets were given of late. Programs give many sockets the same, one after the other, and those share them.
#[derive(Debug, Default)]
pub(super) struct Shared(VecDeque<Arc<Settings>>);

/// How many are looked through.
const LATE: usize = 8;

impl Shared {
    /// `settings`, and no more than once if they are among those of late.
    pub(super) fn share(&mut self, settings: Settings) -> Arc<Settings> {
        // One that holds a sink would keep it open.
        if settings.trace.is_some() {
            return Arc::new(settings);
        }
        if let Some(known) = self.0.iter().find(|known| ***known == settings) {
            return Arc::clone(known);
        }
        let settings = Arc::new(settings);
        self.0.truncate(LATE - 1);
        self.0.push_front(Arc::clone(&settings));
        settings
    }
}

/// What a new connection-oriented socket begins with.
pub(super) fn defaults(config: &Config, capabilities: &Capabilities) -> Settings {
    let mut settings = Settings::new(config);
    if capabilities.tso4 || capabilities.tso6 {
        settings.receive = settings.receive.max(SUPER_FRAMES << 16).min(settings.protocol.receive_max);
    }
    settings
}

impl Stack {
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
        self.defaults = Arc::new(defaults(&config, &self.capabilities));
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
    fn sockets_with_the_same_options_share_them() {
        let config = Config::default();
        let mut shared = Shared::default();
        let other = |linger| Settings { linger: Some(Duration::from_secs(linger)), ..Settings::new(&config) };
        let first = shared.share(other(0));
        for linger in (0..LATE as u64).rev() {
            assert_eq!(*shared.share(other(linger)), other(linger));
        }
        assert!(Arc::ptr_eq(&first, &shared.share(other(0))));
        shared.share(other(LATE as u64));
        assert!(!Arc::ptr_eq(&first, &shared.share(other(0))), "it was given longest ago");
    }

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
