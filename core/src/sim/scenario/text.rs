//! Scenarios as text: `rate=10M rtt=50ms loss=1% queue=0.25 flows=2 seed=7`.

use super::{Length, Scenario, Sender};
use crate::error::{Errno, Error};
use crate::time::Duration;
use std::fmt;
use std::str::FromStr;

/// What may be written, one line a setting.
pub const SETTINGS: &str = "\
rate=10M      bits a second of the link: a number with K, M or G; 0: no limit
rtt=50ms      round-trip time without queueing: a number with s, ms, us or ns
loss=0%       share of packets that are lost, each way: a percentage, or a number from 0 to 1
burst=1       packets that are lost in a row, on average
queue=1       length of the queue in bandwidth-delay products, at least four packets
reorder=0%    share of packets that are late
late=0.25     by how much, in round-trip times
police=0      bits a second that a policer in front of the link lets pass; its bucket is as deep as the queue
jitter=0ms    added to the delay each way, at most
mtu=1500      bytes of the largest packet
flows=1       connections
stagger=...   time from one's start to the next's; unless given, all start within a round trip
from=client   who sends: client or server
time=...      how long it runs; unless given, 100 round trips and 5 s at least, 80 MB at most
bytes=...     instead: what each flow delivers, a number with K, M or G
buffer=...    receive and send buffers, bytes; unless given, twice what the path holds
seed=1        the seed";

/// Units of numbers and of times, in millionths and in nanoseconds.
const SCALES: [(&str, u64); 3] = [("K", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];
const TIMES: [(&str, u64); 4] = [("ms", 1_000_000), ("us", 1_000), ("ns", 1), ("s", 1_000_000_000)];

impl FromStr for Scenario {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut scenario = Self::default();
        for word in text.split_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            set(&mut scenario, name, value).ok_or_else(|| {
                let text = format!("`{word}` is no setting of a scenario; there are\n{SETTINGS}");
                Error::new(Errno::EINVAL, text)
            })?;
        }
        scenario.validate()?;
        Ok(scenario)
    }
}

fn set(scenario: &mut Scenario, name: &str, value: &str) -> Option<()> {
    match name {
        "rate" => scenario.rate = number(value)?,
        "rtt" => scenario.rtt = time(value)?,
        "loss" => scenario.loss = share(value)?,
        "burst" => scenario.burst = value.parse().ok()?,
        "queue" => scenario.queue = value.parse().ok()?,
        "reorder" => scenario.reorder = share(value)?,
        "late" => scenario.late = value.parse().ok()?,
        "police" => scenario.police = number(value)?,
        "jitter" => scenario.jitter = time(value)?,
        "mtu" => scenario.mtu = value.parse().ok()?,
        "flows" => scenario.flows = value.parse().ok()?,
        "stagger" => scenario.stagger = Some(time(value)?),
        "from" => {
            scenario.sender = match value {
                "client" => Sender::Client,
                "server" => Sender::Server,
                _ => return None,
            }
        }
        "time" => scenario.length = Some(Length::Time(time(value)?)),
        "bytes" => scenario.length = Some(Length::Bytes(number(value)?)),
        "buffer" => scenario.buffer = Some(usize::try_from(number(value)?).ok()?),
        "seed" => scenario.seed = value.parse().ok()?,
        _ => return None,
    }
    Some(())
}

/// A whole number, or one with a unit and at most a point: `2.5G`.
fn number(text: &str) -> Option<u64> {
    match SCALES.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, *scale))) {
        Some((digits, scale)) => scaled(digits, scale),
        None => text.parse().ok(),
    }
}

fn time(text: &str) -> Option<Duration> {
    let (digits, scale) = TIMES.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, *scale)))?;
    scaled(digits, scale).map(Duration::from_nanos)
}

/// `digits`, which may have a point, times `scale`; whatever is below one is cut off.
fn scaled(digits: &str, scale: u64) -> Option<u64> {
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let mut value = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    let mut scale = scale;
    for digit in part.chars() {
        scale /= 10;
        value = value.checked_add(u64::from(digit.to_digit(10)?) * scale)?;
    }
    Some(value)
}

fn share(text: &str) -> Option<f64> {
    match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().ok().map(|percent| percent / 100.0),
        None => text.parse().ok(),
    }
}

/// What it takes to run it again: rate, delay and seed, and of the rest what is not as usual.
impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Self::default();
        write!(f, "rate={} rtt={}", scale(self.rate), duration(self.rtt))?;
        for (name, value, usual) in
            [("loss", self.loss, usual.loss), ("reorder", self.reorder, usual.reorder)]
        {
            if value != usual {
                write!(f, " {name}={}%", (value * 1e8).round() / 1e6)?;
            }
        }
        for (name, value, usual) in [("queue", self.queue, usual.queue), ("late", self.late, usual.late)] {
            if value != usual {
                write!(f, " {name}={value}")?;
            }
        }
        let counts = [
            ("burst", u64::from(self.burst), 1),
            ("mtu", u64::from(self.mtu), u64::from(usual.mtu)),
            ("flows", self.flows as u64, 1),
        ];
        for (name, value, _) in counts.iter().filter(|(_, value, usual)| value != usual) {
            write!(f, " {name}={value}")?;
        }
        if self.police > 0 {
            write!(f, " police={}", scale(self.police))?;
        }
        if !self.jitter.is_zero() {
            write!(f, " jitter={}", duration(self.jitter))?;
        }
        if let Some(stagger) = self.stagger {
            write!(f, " stagger={}", duration(stagger))?;
        }
        if self.sender == Sender::Server {
            write!(f, " from=server")?;
        }
        match self.length {
            Some(Length::Time(time)) => write!(f, " time={}", duration(time))?,
            Some(Length::Bytes(bytes)) => write!(f, " bytes={}", scale(bytes))?,
            None => {}
        }
        if let Some(buffer) = self.buffer {
            write!(f, " buffer={}", scale(buffer as u64))?;
        }
        write!(f, " seed={}", self.seed)
    }
}

fn scale(value: u64) -> String {
    let unit = SCALES.iter().rev().find(|(_, scale)| value >= *scale && value.is_multiple_of(*scale));
    unit.map_or_else(|| value.to_string(), |(unit, scale)| format!("{}{unit}", value / scale))
}

fn duration(value: Duration) -> String {
    let nanos = value.as_nanos();
    for (unit, scale) in [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)] {
        if nanos > 0 && nanos.is_multiple_of(scale) {
            return format!("{}{unit}", nanos / scale);
        }
    }
    format!("{nanos}ns")
}
