//! How a script is run: what its options, its settings and the caller's choices make of it.

use super::IpVersion;
use super::calls::{Addresses, Files};
use super::flow::Flows;
use super::judge;
use super::world::{Spoil, World};
use super::{Run, Stop};
use crate::code::Code;
use crate::report::Kind;
use crate::script::{Action, Script};
use crate::settings::Settings;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use usertcp_core::config::{Config, Personality, Prefix};
use usertcp_core::time::{Duration, Instant};

/// Port that the program binds to and port that it connects to, where a script leaves them open.
const PORT: u16 = 8080;

/// What the link carries, if the script does not say.
const MTU: u16 = 1500;

/// Addresses that a script leaves open.
const LOCAL_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const REMOTE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const LOCAL_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const REMOTE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);

/// How far the time of an event may be off, if the script does not say: as much as the timers of a kernel.
const TOLERANCE: Duration = Duration::from_millis(4);
const PERCENT: f64 = 12.5;

/// What the caller chooses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choices {
    /// Instead of what the script says.
    pub ip_version: Option<IpVersion>,
    /// Whose habits the stack has, instead of those that the script expects.
    pub personality: Option<Personality>,
    /// Keep what is sent, received and called, in words.
    pub packets: bool,
    /// Keep the events of the stack's trace.
    pub trace: bool,
    /// Judge what the stack sends by the RFCs, too. A script that expects something else fails.
    pub judged: bool,
    /// Have every connection sleep whenever it is at rest.
    pub drowsy: bool,
    /// For tests of the runner: what is done to packets of the stack.
    pub spoil: Option<Spoil>,
}

/// What a script says of how it is to be compared.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    /// How far times may be off.
    pub(super) tolerance: Duration,
    /// How far, as a share of the time from the event before, in percent, if that is more.
    pub(super) percent: f64,
    /// Time that a timestamp of the stack's counts in; zero: whatever.
    pub(super) tick: Duration,
    /// A line stands for one segment only.
    pub(super) strict_segments: bool,
    pub(super) packets_not_fatal: bool,
    pub(super) calls_not_fatal: bool,
}

impl Rules {
    /// How far an event may be off that comes `interval` after the one before.
    pub(super) fn tolerance_after(&self, interval: Duration) -> Duration {
        self.tolerance.max(interval.mul_f64((self.percent / 100.0).clamp(0.0, 1.0)))
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(script: &'a Script, choices: &Choices) -> Result<Self, Stop> {
        let options = Options(&script.options);
        let addresses = options.addresses(choices)?;
        // The suites are run over IPv6 on a link that leaves a segment as large as over IPv4.
        let six = addresses.version == IpVersion::V6 && choices.ip_version.is_some();
        // `--mss` is what a segment has room for.
        let headers = if addresses.local.is_ipv6() { 60 } else { 40 };
        let mtu = options.number::<u16>("mss")?.map(|mss| mss.saturating_add(headers));
        let mtu = mtu.unwrap_or(if six { MTU + 20 } else { MTU });
        let personality = choices.personality.unwrap_or_else(|| personality(script));
        let mut config = Config { mtu, ..Config::of(personality) };
        if personality == Personality::Linux {
            // Scripts know the scale of 6 MiB, which Linux had for tcp_rmem in most of its life.
            config.buffers.receive = 6 << 20;
        }
        if choices.drowsy {
            config.buffers.awake_connections = 0;
        }
        let length = if addresses.local.is_ipv4() { 24 } else { 64 };
        config.addresses = vec![Prefix { address: addresses.local, length }];
        let settings = Settings::new(script, config);
        if let Some(reason) = settings.reason() {
            return Err(Stop::Skip(reason.into()));
        }
        let config = settings.config.clone();
        let judge = choices.judged.then(|| judge::judge(&config));
        let mut world = World::new(config).map_err(Stop::Skip)?;
        world.packets = choices.packets.then(Vec::new);
        if choices.trace {
            world.trace();
        }
        world.spoil = choices.spoil;
        world.judge = judge;
        Ok(Self {
            script,
            world,
            files: Files::default(),
            flows: Flows::new(addresses.bind_port),
            addresses,
            rules: options.rules(personality)?,
            settings,
            python: Code::default(),
            pending: None,
            closing: None,
            slack: Duration::ZERO,
            burst: None,
            last_line: Instant::ZERO,
            warnings: Vec::new(),
            line: 0,
        })
    }
}

/// The options of a script.
struct Options<'a>(&'a [(String, Option<String>)]);

impl Options<'_> {
    /// The value of the last option of this name.
    fn value(&self, name: &str) -> Option<&str> {
        let last = self.0.iter().rev().find(|(known, _)| known == name);
        last.and_then(|(_, value)| value.as_deref())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Stop> {
        let unreadable = || Stop::fail(Kind::Script, format!("--{name} is no such number"), vec![]);
        self.value(name).map(|text| text.parse().map_err(|_| unreadable())).transpose()
    }

    fn addresses(&self, choices: &Choices) -> Result<Addresses, Stop> {
        let version = match (choices.ip_version, self.value("ip_version")) {
            (Some(version), None) => version,
            (_, Some(name)) => {
                IpVersion::named(name).ok_or_else(|| Stop::Skip(format!("--ip_version={name}")))?
            }
            (None, None) => IpVersion::V4,
        };
        let (local, remote): (IpAddr, IpAddr) = match version {
            IpVersion::V4 | IpVersion::Mapped => (LOCAL_V4.into(), REMOTE_V4.into()),
            IpVersion::V6 => (LOCAL_V6.into(), REMOTE_V6.into()),
        };
        let address = |name: &str, default: IpAddr| -> Result<IpAddr, Stop> {
            // A prefix may follow.
            let text = self.value(name).map(|text| text.split('/').next().unwrap_or(text));
            let written: Option<IpAddr> = text
                .map(|text| text.parse())
                .transpose()
                .map_err(|_| Stop::fail(Kind::Script, format!("--{name} is no address"), vec![]))?;
            Ok(written.filter(|address| address.is_ipv4() == default.is_ipv4()).unwrap_or(default))
        };
        Ok(Addresses {
            version,
            local: address("local_ip", local)?,
            remote: address("remote_ip", remote)?,
            bind_port: self.number("bind_port")?.unwrap_or(PORT),
            connect_port: self.number("connect_port")?.unwrap_or(PORT),
        })
    }

    fn rules(&self, personality: Personality) -> Result<Rules, Stop> {
        let micros = |name: &str| -> Result<Option<Duration>, Stop> {
            Ok(self.number(name)?.map(Duration::from_micros))
        };
        let tolerance = micros("tolerance_usecs")?;
        // FreeBSD's branch of the tool has no such share.
        let percent = if tolerance.is_some() && personality == Personality::FreeBsd { 0.0 } else { PERCENT };
        let not_fatal = self.value("non_fatal").unwrap_or_default();
        let bears = |what: &str| not_fatal.split(',').any(|one| one == what);
        Ok(Rules {
            tolerance: tolerance.unwrap_or(TOLERANCE),
            percent: self.number("tolerance_percent")?.unwrap_or(percent),
            tick: micros("tcp_ts_tick_usecs")?.unwrap_or_default(),
            strict_segments: self.has("strict_segments"),
            packets_not_fatal: bears("packet") || bears("packets"),
            calls_not_fatal: bears("syscall") || bears("syscalls"),
        })
    }
}

/// Whose habits a script expects: FreeBSD's if it sets what only FreeBSD has.
fn personality(script: &Script) -> Personality {
    let free = script.events.iter().any(|event| match &event.action {
        Action::Shell(line) => line.contains("net.inet."),
        _ => false,
    });
    if free { Personality::FreeBsd } else { Personality::Linux }
}
