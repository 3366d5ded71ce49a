//! What the options and shell lines of a script make of a configuration, and what they ask for that the stack has not.

mod freebsd;
mod linux;
mod needs;
#[cfg(test)]
mod tests;

use crate::script::{Action, Script};
use crate::shell::{self, Command, Oracle};
use std::collections::BTreeSet;
use std::time::Duration;
use usertcp_core::config::{Config, Congestion, Ecn, Personality, SlowStart};

/// What a script sets, and what it takes for granted.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The configuration as of now.
    pub config: Config,
    /// What the system that the script is for does by default and the stack does not, by name: no reason not to run it, but one that it may fail for.
    pub assumed: BTreeSet<&'static str>,
    /// What the script asks for and the stack has not, each with the line that asks: with any, the script says nothing about this stack.
    pub missing: Vec<Missing>,
    /// The longest delay of an ACK, where ACKs are delayed.
    delayed_ack: Duration,
    /// Events that only set up, at the beginning: they are in `config` already.
    pub leading: usize,
    /// From this event on nothing is sent or expected and no call but `close` is made: what shell lines set from here on nobody sees.
    pub trailing: usize,
}

/// Something that a script asks for and the stack has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The line of the script, from 1; 0 for its options.
    pub line: u32,
    /// What is missing and what asks for it, as `ECN (net.ipv4.tcp_ecn=1)`.
    pub what: String,
}

/// What a shell line comes to while a script runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// [`Settings::config`] is not what it was.
    Changed,
    /// A question to answer.
    Ask(Oracle),
    /// Time passes.
    Wait(Duration),
}

/// What a setting came to.
enum Verdict {
    /// It is in the configuration, or as the stack is anyway.
    Obeyed,
    /// The stack has not got this.
    Missing(&'static str),
    /// No such setting, or no such value.
    Unknown,
}

impl Settings {
    /// What `script` sets on top of `config`: its options, and the shell lines in front of everything else.
    #[must_use]
    pub fn new(script: &Script, config: Config) -> Self {
        let seen = |action: &Action| match action {
            Action::Inbound(_) | Action::Outbound(_) => true,
            Action::Call(call) => call.name != "close",
            Action::Shell(_) | Action::Code(_) => false,
        };
        let events = &script.events;
        let trailing = events.iter().rposition(|event| seen(&event.action)).map_or(0, |last| last + 1);
        let leading = events.iter().position(|event| !matches!(event.action, Action::Shell(_)));
        let mut settings = Self {
            delayed_ack: config.tcp.delayed_ack,
            config,
            assumed: BTreeSet::new(),
            missing: Vec::new(),
            leading: leading.unwrap_or(events.len()),
            trailing,
        };
        for (name, value) in &script.options {
            settings.option(name, value.as_deref().unwrap_or(""));
        }
        for event in events.iter().take(settings.leading) {
            let Action::Shell(text) = &event.action else { continue };
            // Whoever runs the script answers its questions when they come.
            let _: Vec<Step> = settings.shell(event.line, text);
        }
        settings.look_through(script);
        settings
    }

    /// What the shell line `text`, in `line`, comes to. What it asks for in vain is in [`Settings::missing`] then.
    pub fn shell(&mut self, line: u32, text: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        let before = format!("{:?}", self.config);
        for command in shell::read(text) {
            match command {
                Command::Defaults => linux::defaults(self),
                Command::Set { name, value } => self.set(line, &name, &value),
                Command::Ask(oracle) => steps.push(Step::Ask(oracle)),
                Command::Wait(time) => steps.push(Step::Wait(time)),
                Command::Nothing => {}
                Command::Unknown(text) => self.miss(line, format!("a shell that runs '{text}'")),
            }
        }
        if format!("{:?}", self.config) != before {
            steps.push(Step::Changed);
        }
        steps
    }

    /// What asks for it in vain, if something does.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.missing.first().map(|missing| missing.what.as_str())
    }

    fn set(&mut self, line: u32, name: &str, value: &str) {
        let verdict = if name.starts_with("net.inet") || name.starts_with("kern.") {
            freebsd::set(self, name, value)
        } else {
            linux::set(self, name, value)
        };
        match verdict {
            Verdict::Obeyed => {}
            Verdict::Missing(what) => self.miss(line, format!("{what} ({name}={value})")),
            Verdict::Unknown => self.miss(line, format!("{name}={value}")),
        }
    }

    fn miss(&mut self, line: u32, what: String) {
        self.missing.push(Missing { line, what });
    }

    const fn control(&mut self, congestion: Congestion, slow_start: SlowStart) -> Verdict {
        (self.config.tcp.congestion, self.config.tcp.slow_start) = (congestion, slow_start);
        Verdict::Obeyed
    }

    /// Which connections use ECN; both systems number it alike.
    fn ecn(&mut self, value: &str) -> Verdict {
        self.config.tcp.ecn = match value {
            "0" => Ecn::Off,
            "1" => Ecn::On,
            "2" => Ecn::Passive,
            _ => return Verdict::Missing("AccECN"),
        };
        Verdict::Obeyed
    }

    /// Which congestion control a script wants.
    fn controller(&mut self, name: &str) -> Verdict {
        match name {
            "reno" | "newreno" => self.control(Congestion::Reno, SlowStart::Standard),
            "cubic" => {
                let slow_start = match self.config.personality {
                    Personality::Linux => SlowStart::HyStart,
                    Personality::FreeBsd => SlowStart::HyStartPlusPlus,
                };
                self.control(Congestion::Cubic, slow_start)
            }
            "bbr" | "bbr2" | "bbr3" => Verdict::Missing("BBR"),
            "dctcp" => Verdict::Missing("DCTCP"),
            _ => Verdict::Missing("this congestion control"),
        }
    }
}

/// A number, decimal or behind `0x`.
fn number<T: TryFrom<i64>>(value: &str) -> Option<T> {
    let (digits, radix) = value.strip_prefix("0x").map_or((value, 10), |digits| (digits, 16));
    T::try_from(i64::from_str_radix(digits, radix).ok()?).ok()
}

/// `field` becomes the number that `value` is.
fn obey<T: TryFrom<i64>>(field: &mut T, value: &str) -> Verdict {
    obey_as(field, value, |number: T| number)
}

/// `field` becomes what `make` makes of the number that `value` is.
fn obey_as<N: TryFrom<i64>, T>(field: &mut T, value: &str, make: impl FnOnce(N) -> T) -> Verdict {
    match number(value) {
        Some(number) => {
            *field = make(number);
            Verdict::Obeyed
        }
        None => Verdict::Unknown,
    }
}

/// `value` is `wanted`, or the stack has not got `what`.
fn only(wanted: &str, value: &str, what: &'static str) -> Verdict {
    if value == wanted { Verdict::Obeyed } else { Verdict::Missing(what) }
}

/// `value` is no less than `least`, which no script reaches, or the stack has not got `what`.
fn at_least(least: u64, value: &str, what: &'static str) -> Verdict {
    match number::<u64>(value) {
        Some(value) if value >= least => Verdict::Obeyed,
        Some(_) => Verdict::Missing(what),
        None => Verdict::Unknown,
    }
}

/// `name` is off if `value` is 0; else it is asked for, and the stack has not got it. (Who only takes the defaults of a system looks past that.)
fn assume(settings: &mut Settings, name: &'static str, value: &str) -> Verdict {
    if value == "0" {
        settings.assumed.remove(name);
        return Verdict::Obeyed;
    }
    settings.assumed.insert(name);
    Verdict::Missing(name)
}
