//! Who is measured, and how each is started.

use super::measure::{Link, Measure};
use super::order::{Order, Role};
use super::placement::Placement;
use super::process::{Process, this_program};
use super::{kernel, null, smoltcp};
use crate::Result;
use rustix::io::dup;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::Duration;
use usertcp_core::api::Sandbox;

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// The bare loop.
    Null,
    /// The bare loop with one acknowledgement per turn, whatever its size.
    NullStretch,
    /// The bare loop with the application's copy.
    NullCopy,
    /// The same, which also verifies the checksums that a plain device leaves to whoever reads it.
    NullSum,
    /// The bare loop that never sleeps.
    NullSpin,
    /// `libusertcp.so`.
    Ours,
    /// `libusertcp.so`, looking for packets for a while before it sleeps.
    OursSpin,
    /// `libusertcp.so` with all its threads on one processor, also where it sends.
    OursOne,
    /// `libusertcp.so`, the connection exported as a descriptor of the system, by read(2) and write(2).
    OursBridge,
    /// `libusertcp.so` with two workers, each on a queue of the TUN.
    OursTwo,
    /// The Python module.
    OursPython,
    /// asyncio's streams over it.
    OursAsyncio,
    /// PyTCP, which is all Python.
    PyTcp,
    /// smoltcp.
    Smoltcp,
    /// smoltcp on a device with vnet header that was written for this comparison.
    SmoltcpVnet,
    /// Linux on both sides.
    Kernel,
    /// asyncio's streams over that.
    KernelAsyncio,
}

/// What a waking on another processor takes, twice: a spin that is bounded, as it is for users.
const SPIN: Duration = Duration::from_micros(50);

/// Longer than any measure.
const FOR_EVER: Duration = Duration::from_secs(3600);

const NAMES: [(Who, &str); 17] = [
    (Who::Null, "null"),
    (Who::NullStretch, "null-stretch"),
    (Who::NullCopy, "null+copy"),
    (Who::NullSum, "null+sum"),
    (Who::NullSpin, "null-spin"),
    (Who::Ours, "ours"),
    (Who::OursSpin, "ours-spin"),
    (Who::OursOne, "ours-one"),
    (Who::OursBridge, "ours-bridge"),
    (Who::OursTwo, "ours-two"),
    (Who::OursPython, "ours-python"),
    (Who::OursAsyncio, "ours-asyncio"),
    (Who::PyTcp, "pytcp"),
    (Who::Smoltcp, "smoltcp"),
    (Who::SmoltcpVnet, "smoltcp+vnet"),
    (Who::Kernel, "kernel"),
    (Who::KernelAsyncio, "kernel-asyncio"),
];

impl Who {
    pub(crate) const ALL: [Self; NAMES.len()] = {
        let mut all = [Self::Null; NAMES.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = NAMES[at].0;
            at += 1;
        }
        all
    };
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(who, _)| who == self).map_or("", |(_, name)| name);
        f.pad(name)
    }
}

/// Programs of contenders that are not this one, by the contender's name: the words to start them with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Programs(BTreeMap<String, Vec<OsString>>);

impl Programs {
    /// From words of the form `name=path`; a name that comes again adds a word, as an interpreter needs.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self> {
        let mut programs = BTreeMap::<String, Vec<OsString>>::new();
        for word in words {
            let (name, path) = word.split_once('=').ok_or_else(|| format!("'{word}' is not name=path"))?;
            programs.entry(name.to_owned()).or_default().push(path.into());
        }
        Ok(Self(programs))
    }

    fn of(&self, who: Who) -> Option<&[OsString]> {
        self.0.get(&who.to_string()).map(Vec::as_slice)
    }
}

/// The TUN that a contender is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) mtu: u16,
    pub(crate) offload: bool,
}

impl Who {
    /// Whether it can be started here.
    pub(crate) fn is_there(self, programs: &Programs) -> bool {
        match self {
            Self::Ours
            | Self::OursSpin
            | Self::OursOne
            | Self::OursBridge
            | Self::OursTwo
            | Self::OursPython
            | Self::OursAsyncio
            | Self::PyTcp
            | Self::KernelAsyncio => programs.of(self).is_some(),
            Self::Null | Self::NullStretch | Self::NullCopy | Self::NullSum | Self::NullSpin => true,
            Self::Smoltcp | Self::SmoltcpVnet | Self::Kernel => true,
        }
    }

    /// The TUN that it is measured on.
    pub(crate) fn device(self, link: Link) -> Device {
        match (self, link) {
            // It knows no vnet header, and is fastest with large packets.
            (Self::Smoltcp, Link::Vnet) => Device { mtu: u16::MAX, offload: false },
            (_, Link::Vnet) => Device { mtu: 1500, offload: true },
            (_, Link::Plain | Link::Memory | Link::Pair | Link::Virtual) => {
                Device { mtu: 1500, offload: false }
            }
        }
    }

    /// How many queues its TUN has.
    pub(crate) const fn queues(self) -> usize {
        if matches!(self, Self::OursTwo) { 2 } else { 1 }
    }

    /// How long it looks for packets before it sleeps.
    pub(crate) fn spin(self) -> Duration {
        match self {
            Self::NullSpin => FOR_EVER,
            Self::OursSpin => SPIN,
            _ => Duration::ZERO,
        }
    }

    /// Where its threads run. A stack of ours has two, and sending they share the work: the one copies what the other writes. Left to the
    /// system, the one that writes takes turns with the peer, or with the one that copies, since either wakes it (docs/decisions/0013).
    pub(crate) fn placement(self, measure: &Measure) -> Placement {
        match (self, measure.role) {
            (Self::Ours | Self::OursBridge | Self::OursPython | Self::OursAsyncio, Role::Send) => {
                Placement::Split
            }
            _ => measure.placement,
        }
    }

    /// Starts it where it has both ends.
    pub(crate) fn start_alone(self, order: &Order, link: Link, programs: &Programs) -> Result<Process> {
        let mut arguments = programs.of(self).ok_or("no program for it")?.to_vec();
        arguments.extend(order.words().into_iter().map(OsString::from));
        arguments
            .push(format!("link={}", if link == Link::Pair { "socketpair" } else { "simulated" }).into());
        Process::outside(&self.to_string(), &arguments, File::open("/dev/null")?.into())
    }

    /// Starts it.
    pub(crate) fn start(self, order: &Order, programs: &Programs, sandbox: &Sandbox) -> Result<Process> {
        let name = self.to_string();
        match self {
            Self::Kernel => Process::inside(&name, &this_program("contender", order.words())?, sandbox),
            Self::Null
            | Self::NullStretch
            | Self::NullCopy
            | Self::NullSum
            | Self::NullSpin
            | Self::Smoltcp
            | Self::SmoltcpVnet => {
                Process::outside(&name, &this_program("contender", order.words())?, sandbox.tun()?)
            }
            Self::Ours
            | Self::OursSpin
            | Self::OursOne
            | Self::OursBridge
            | Self::OursTwo
            | Self::OursPython
            | Self::OursAsyncio
            | Self::PyTcp
            | Self::KernelAsyncio => {
                let mut arguments = programs.of(self).ok_or("no program for it")?.to_vec();
                arguments.extend(order.words().into_iter().map(OsString::from));
                if self == Self::KernelAsyncio {
                    return Process::inside(&name, &arguments, sandbox);
                }
                if self.queues() == 1 {
                    return Process::outside(&name, &arguments, sandbox.tun()?);
                }
                let mut queues = sandbox.tun_queues()?.into_iter();
                let first = queues.next().ok_or("no queue")?;
                // A duplicate stays open in the program that is started.
                let others = queues.map(dup).collect::<Result<Vec<_>, _>>()?;
                arguments.extend(others.iter().map(|queue| format!("queue={}", queue.as_raw_fd()).into()));
                Process::outside(&name, &arguments, first)
            }
        }
    }
}

/// A contender that this program is.
pub(crate) fn run(order: &Order) -> Result<()> {
    match order.who.as_str() {
        "kernel" => kernel::run(order),
        name if name.starts_with("null") => null::run(order),
        name if name.starts_with("smoltcp") => smoltcp::run(order),
        name => Err(format!("{name} is not a contender of this program").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_have_names_and_words() {
        let words = ["ours=/a/ours", "python=/a/python", "python=b.py"].map(str::to_owned);
        let programs = Programs::parse(words.into_iter()).expect("words");
        assert_eq!(programs.of(Who::Ours), Some(&["/a/ours".into()][..]));
        assert_eq!(programs.0["python"], ["/a/python", "b.py"]);
        assert!(Who::Ours.is_there(&programs) && Who::Null.is_there(&Programs::default()));
        assert!(!Who::Ours.is_there(&Programs::default()));
        assert!(Programs::parse(["x".to_owned()].into_iter()).is_err());
    }
}
