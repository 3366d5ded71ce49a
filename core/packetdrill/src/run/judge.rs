//! The judge of what the stack sends, beside the script: the script has one matter, the RFCs have all.

use super::Stop;
use super::world::World;
use crate::report::Kind;
use usertcp_core::config::Config;
use usertcp_core::time::Duration;
use usertcp_tracecheck::{Checker, Kind as Violation, Options, Whom};

/// A judge who knows the settings.
pub(super) fn judge(config: &Config) -> Checker {
    let tcp = &config.tcp;
    Checker::new(Options {
        whom: Whom::Capturing,
        super_frames: Some(false),
        initial_window: tcp.initial_window,
        // The grain of the stack's timers.
        slack: Duration::from_millis(1),
        rto_initial: tcp.rto_initial,
        rto_max: tcp.rto_max,
        // Programs may ask for keep-alives as soon as that, and let routers cut.
        keep_alive: Duration::from_secs(1),
        keep_alive_interval: Duration::from_secs(1),
        allowed: vec![Violation::MayFragment],
        ..Options::default()
    })
}

/// What the judge says of all that was sent.
pub(super) fn verdict(world: &mut World) -> Result<(), Stop> {
    let Some(judge) = world.judge.take() else { return Ok(()) };
    let found: Vec<String> = judge.finish().violations.iter().map(ToString::to_string).collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(Stop::fail(Kind::Judged, found.join("; "), vec![]))
}
