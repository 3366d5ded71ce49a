//! Shell lines of scripts: what they would do. None is ever run.

mod split;
#[cfg(test)]
mod tests;

use split::{Pipeline, Simple};
use std::time::Duration;
use usertcp_core::config::Domain;

/// What one command of a shell line would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `../common/defaults.sh`: every setting of the suite has its default.
    Defaults,
    /// A setting gets a value: `net.ipv4.tcp_sack`, `net.inet.tcp.sack.enable`, `module.tcp_cubic.hystart_detect`, `route.initcwnd`, `link.mtu`.
    Set {
        /// The setting, with dots.
        name: String,
        /// Its value, blanks made single.
        value: String,
    },
    /// A question or a blow that only a system answers.
    Ask(Oracle),
    /// `sleep`.
    Wait(Duration),
    /// Nothing that anyone here could see.
    Nothing,
    /// Nobody knows: the text of the command.
    Unknown(String),
}

/// What a script asks a system for beside calls and packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Oracle {
    /// `sockstat ... | grep -c STATE | grep N`: so many sockets are in a state.
    Count {
        /// The state as FreeBSD writes it: `TIME_WAIT`, `SYN_RCVD`, `FIN_WAIT_1`.
        state: String,
        /// `-4`, `-6`.
        family: Option<Domain>,
        /// `-p N`: a port of either side.
        port: Option<u16>,
        /// `grep packetdril`: only those that a descriptor of the script belongs to.
        owned: bool,
        /// How many there have to be.
        expected: u32,
    },
    /// `tcpdrop`: connections are aborted.
    Drop {
        /// `-s STATE`: those in this state.
        state: Option<String>,
        /// `ADDRESS PORT ADDRESS PORT`: the one between these ports, ours first.
        ports: Option<(u16, u16)>,
    },
}

/// Commands that change nothing of what a script can see.
const HARMLESS: [&str; 15] = [
    "true", ":", "exit", "echo", "printf", "sync", "cat", "ls", "pwd", "modprobe", "kldload", "kldstat",
    "ethtool", "ulimit", "uname",
];

/// Words of `tc` after which packets are late or gone.
const SHAPERS: [&str; 6] = ["netem", "tbf", "htb", "police", "rate", "maxrate"];

/// What the commands of a shell line would do, in order.
#[must_use]
pub fn read(text: &str) -> Vec<Command> {
    match split::pipelines(text) {
        Some(pipelines) => pipelines.iter().flat_map(pipeline).collect(),
        None => vec![Command::Unknown(text.trim().to_owned())],
    }
}

fn pipeline(pipeline: &Pipeline) -> Vec<Command> {
    let unknown = || vec![Command::Unknown(pipeline.text.clone())];
    let Some(first) = pipeline.commands.first() else { return Vec::new() };
    let name = first.name();
    match (name, pipeline.commands.as_slice()) {
        ("sockstat", commands) => {
            sockstat(commands).map_or_else(unknown, |oracle| vec![Command::Ask(oracle)])
        }
        ("echo" | "printf", [_, tee]) if tee.name() == "tee" => {
            let path = tee.words.iter().skip(1).find(|word| !word.starts_with('-'));
            path.and_then(|path| write(first, path)).map_or_else(unknown, |set| vec![set])
        }
        (_, [only]) => simple(name, only).unwrap_or_else(unknown),
        // What another command reads is there to be compared.
        _ => unknown(),
    }
}

/// A command that stands alone.
fn simple(name: &str, command: &Simple) -> Option<Vec<Command>> {
    let words = command.words.get(1..).unwrap_or(&[]);
    let text = |index: usize| words.get(index).map_or("", String::as_str);
    if let Some(path) = command.output.as_deref().filter(|path| *path != "/dev/null") {
        return match name {
            "echo" | "printf" => Some(vec![write(command, path)?]),
            _ => None,
        };
    }
    match name {
        "defaults.sh" => Some(vec![Command::Defaults]),
        // Nobody knows what a file sets.
        "sysctl" if words.iter().any(|word| word == "-p" || word.starts_with("--load")) => None,
        "sysctl" | "set_sysctls.py" => Some(words.iter().filter_map(|word| assignment(word)).collect()),
        "ip" => ip(words),
        "ifconfig" if words.iter().any(|word| word == "down") => None,
        "ifconfig" => {
            let mtu = words.iter().position(|word| word == "mtu").map(|place| text(place + 1));
            Some(vec![mtu.map_or(Command::Nothing, |mtu| set("link.mtu", mtu))])
        }
        "tc" if words.iter().any(|word| SHAPERS.contains(&word.as_str())) => None,
        "tc" => Some(vec![Command::Nothing]),
        "nstat" => words.iter().all(|word| word.starts_with('-')).then(|| vec![Command::Nothing]),
        "sleep" | "usleep" => {
            let seconds: f64 = text(0).trim_end_matches('s').parse().ok()?;
            let unit = if name == "sleep" { 1.0 } else { 1e-6 };
            Duration::try_from_secs_f64(seconds * unit).ok().map(|time| vec![Command::Wait(time)])
        }
        "tcpdrop" => tcpdrop(words).map(|oracle| vec![Command::Ask(oracle)]),
        name if HARMLESS.contains(&name) => Some(vec![Command::Nothing]),
        // The end of the suite's scripts; with the script ends its stack.
        name if name.starts_with("sysctl_restore_") => Some(vec![Command::Nothing]),
        _ => None,
    }
}

fn set(name: &str, value: &str) -> Command {
    Command::Set { name: name.to_owned(), value: value.split_whitespace().collect::<Vec<_>>().join(" ") }
}

/// `echo VALUE > PATH`.
fn write(echo: &Simple, path: &str) -> Option<Command> {
    let value: Vec<&str> =
        echo.words.iter().skip(1).map(String::as_str).filter(|word| !matches!(*word, "-n" | "-e")).collect();
    Some(set(&setting(path)?, &value.join(" ")))
}

/// `name=value`, as a path or with dots; options and names without a value set nothing.
fn assignment(word: &str) -> Option<Command> {
    let (name, value) = word.split_once('=')?;
    if name.starts_with('-') {
        return None;
    }
    let name = setting(name).unwrap_or_else(|| name.replace('/', "."));
    Some(set(&name, value.trim_matches(['"', '\''])))
}

/// The setting that a path stands for.
fn setting(path: &str) -> Option<String> {
    if let Some(name) = path.strip_prefix("/proc/sys/") {
        return Some(name.replace('/', "."));
    }
    let (module, parameter) = path.strip_prefix("/sys/module/")?.split_once("/parameters/")?;
    Some(format!("module.{module}.{parameter}"))
}

/// `ip route`, `ip link`, `ip addr` ...
fn ip(words: &[String]) -> Option<Vec<Command>> {
    let mut words = words.iter().map(String::as_str).filter(|word| !word.starts_with('-'));
    let object = words.next()?;
    let verb = words.next().unwrap_or("show");
    let shows = matches!(verb, "show" | "flush" | "list" | "get");
    if object.starts_with('a') && !shows {
        return None;
    }
    if "tcp_metrics".starts_with(object) || shows {
        return Some(vec![Command::Nothing]);
    }
    let kind = if "route".starts_with(object) {
        "route"
    } else if "link".starts_with(object) {
        "link"
    } else {
        return None;
    };
    if kind == "route" && !matches!(verb, "add" | "replace" | "change" | "append" | "r" | "a" | "c") {
        return None;
    }
    let mut commands = Vec::new();
    while let Some(word) = words.next() {
        let wanted: &[&str] = match kind {
            "route" => &[
                "mtu",
                "advmss",
                "initcwnd",
                "initrwnd",
                "quickack",
                "features",
                "rto_min",
                "hoplimit",
                "congctl",
                "cwnd",
                "ssthresh",
                "window",
                "rtt",
                "rttvar",
                "reordering",
                "fastopen_no_cookie",
                "lock",
            ],
            _ => &["mtu"],
        };
        if matches!(word, "down" | "unreachable" | "blackhole" | "prohibit") {
            return None;
        }
        // Where it leads to: on the one link that there is, whatever it says.
        let told = ["dev", "via", "src", "proto", "scope", "table", "metric", "pref"].contains(&word);
        if kind == "route" && told {
            words.next()?;
            continue;
        }
        let destination =
            word == "default" || word.contains(['.', ':']) || matches!(word, "local" | "unicast");
        if kind == "route" && !destination && word != "lock" && !wanted.contains(&word) {
            return None;
        }
        if word == "lock" || !wanted.contains(&word) {
            continue;
        }
        let value = words.next()?;
        let value = if value == "lock" { words.next()? } else { value };
        commands.push(set(&format!("{kind}.{word}"), value));
    }
    if commands.is_empty() {
        commands.push(Command::Nothing);
    }
    Some(commands)
}

/// `sockstat -4 -P tcp -s -p 8080 | grep packetdril | grep -c TIME_WAIT | grep 1`.
fn sockstat(commands: &[Simple]) -> Option<Oracle> {
    let (mut family, mut port, mut owned, mut state, mut expected) = (None, None, false, None, None);
    let mut words = commands.first()?.words.iter().skip(1).map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "-4" => family = Some(Domain::V4),
            "-6" => family = Some(Domain::V6),
            "-p" => port = Some(words.next()?.parse().ok()?),
            "-P" => {
                if words.next()? != "tcp" {
                    return None;
                }
            }
            word if word.starts_with('-') => {}
            _ => return None,
        }
    }
    for filter in commands.get(1..).unwrap_or(&[]) {
        match filter.words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["grep", name] if name.starts_with("packetdril") => owned = true,
            ["grep", "-c", name] => state = Some((*name).to_owned()),
            ["grep", count] if state.is_some() => expected = Some(count.parse().ok()?),
            ["grep", "-w" | "-x", count] if state.is_some() => expected = Some(count.parse().ok()?),
            _ => return None,
        }
    }
    Some(Oracle::Count { state: state?, family, port, owned, expected: expected? })
}

fn tcpdrop(words: &[String]) -> Option<Oracle> {
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["-s", state] => Some(Oracle::Drop { state: Some((*state).to_owned()), ports: None }),
        ["-a"] => Some(Oracle::Drop { state: None, ports: None }),
        [_, ours, _, theirs] => {
            let ports = Some((ours.parse().ok()?, theirs.parse().ok()?));
            Some(Oracle::Drop { state: None, ports })
        }
        _ => None,
    }
}
