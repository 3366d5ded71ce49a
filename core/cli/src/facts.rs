//! What the system says of itself, as far as TUN devices are concerned.

use std::fs;
use std::io;
use std::process::Command;
use usertcp_core::api::{Sandbox, SandboxOptions};

/// Everything that is looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Name of the device that is to be used.
    pub(crate) device: String,
    /// What became of opening /dev/net/tun.
    pub(crate) tun: Tun,
    /// This process has CAP_NET_ADMIN.
    pub(crate) net_admin: bool,
    /// The device is there.
    pub(crate) interface: Option<Interface>,
    /// Name of the user.
    pub(crate) user: String,
    /// Why there is no sandbox; `None`: there is.
    pub(crate) sandbox: Option<String>,
    /// The kernel forwards packets of IPv4, and of IPv6.
    pub(crate) forwards: [Option<bool>; 2],
    /// Most strict reverse path filter that holds for the device: 0 none, 1 strict, 2 loose.
    pub(crate) rp_filter: Option<u8>,
    /// The rules of the firewall, if they could be read.
    pub(crate) rules: Option<String>,
}

/// What became of opening /dev/net/tun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tun {
    #[default]
    Opens,
    Missing,
    Refused,
    /// It is there, and the kernel has no driver for it.
    NoDriver,
}

/// A network device of the system.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interface {
    /// It is a TUN.
    pub(crate) is_tun: bool,
    /// This user may attach to it without privilege.
    pub(crate) is_ours: bool,
    /// It is up.
    pub(crate) is_up: bool,
}

impl Facts {
    /// Looks around, and makes a sandbox for a moment.
    pub(crate) fn gather(device: &str) -> Self {
        Self {
            device: device.to_owned(),
            tun: tun(),
            net_admin: net_admin(),
            interface: interface(device),
            user: std::env::var("USER").unwrap_or_else(|_| "$USER".to_owned()),
            sandbox: Sandbox::open(&SandboxOptions::default()).err().map(|error| error.to_string()),
            forwards: ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]
                .map(|name| number(name).map(|on| on != 0)),
            rp_filter: rp_filter(device),
            rules: rules(),
        }
    }
}

fn tun() -> Tun {
    match fs::File::options().read(true).write(true).open("/dev/net/tun") {
        Ok(_) => Tun::Opens,
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Tun::Missing,
            io::ErrorKind::PermissionDenied => Tun::Refused,
            _ => Tun::NoDriver,
        },
    }
}

/// Bit of CAP_NET_ADMIN in a set of capabilities.
const CAP_NET_ADMIN: u32 = 12;

fn net_admin() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.is_some_and(|set| set >> CAP_NET_ADMIN & 1 == 1)
}

fn interface(name: &str) -> Option<Interface> {
    let folder = format!("/sys/class/net/{name}");
    let read = |file: &str| fs::read_to_string(format!("{folder}/{file}")).ok();
    let flags = read("flags")?;
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or(0);
    // Who is not named is not asked for, as the kernel has it: -1 stands for nobody.
    let named = |file: &str| {
        let id = read(file).and_then(|id| id.trim().parse::<i64>().ok());
        id.and_then(|id| u32::try_from(id).ok())
    };
    let is_ours = named("owner").is_none_or(|owner| identities("Uid:").get(1) == Some(&owner))
        && named("group").is_none_or(|group| {
            identities("Gid:").get(1) == Some(&group) || identities("Groups:").contains(&group)
        });
    Some(Interface { is_tun: read("tun_flags").is_some(), is_ours, is_up: flags & libc::IFF_UP as u32 != 0 })
}

/// Numbers of this process: real, effective and others, or those of all groups.
fn identities(which: &str) -> Vec<u32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(which));
    line.map_or_else(Vec::new, |line| line.split_whitespace().filter_map(|id| id.parse().ok()).collect())
}

/// A number of /proc/sys/net.
fn number(name: &str) -> Option<u8> {
    fs::read_to_string(format!("/proc/sys/net/{name}")).ok()?.trim().parse().ok()
}

/// The kernel takes the larger of what is set for all and for the device.
fn rp_filter(device: &str) -> Option<u8> {
    let all = number("ipv4/conf/all/rp_filter")?;
    let own =
        number(&format!("ipv4/conf/{device}/rp_filter")).or_else(|| number("ipv4/conf/default/rp_filter"));
    Some(all.max(own.unwrap_or(0)))
}

/// What nft, or else iptables, says; ordinary users are told nothing.
fn rules() -> Option<String> {
    let commands: [&[&str]; 4] = [
        &["nft", "list", "ruleset"],
        &["/usr/sbin/nft", "list", "ruleset"],
        &["iptables-save"],
        &["/usr/sbin/iptables-save"],
    ];
    commands.iter().find_map(|words| {
        let (program, arguments) = words.split_first()?;
        let output = Command::new(program).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    })
}
