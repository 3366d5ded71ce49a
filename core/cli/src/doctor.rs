//! `usertcp doctor`: what stands between this machine and a working TUN, and what mends it.

use crate::command::{DoctorOptions, Failure, print};
use crate::facts::{Facts, Tun};
use std::fmt::Write as _;
use std::process::ExitCode;

/// What was found out about one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    text: String,
    /// Commands that mend it, one a line.
    mend: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It works, but not for everything.
    Limited,
    Bad,
    Unknown,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Limited => "note",
            Self::Bad => "FAIL",
            Self::Unknown => "?",
        }
    }
}

/// Looks, and says what it found. Good: a stack can be opened on a device.
pub(crate) fn run(options: &DoctorOptions) -> Result<ExitCode, Failure> {
    let findings = examine(&Facts::gather(&options.device));
    print(&report(&findings))?;
    let bad = findings.iter().any(|finding| finding.verdict == Verdict::Bad);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn report(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { what, verdict, text: found, mend } in findings {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{:<5} {what}: {found}", verdict.word());
        for command in mend {
            let _ = writeln!(text, "        {command}");
        }
    }
    text
}

/// Everything in the order in which it matters.
fn examine(facts: &Facts) -> Vec<Finding> {
    vec![
        driver(facts),
        privilege(facts),
        sandbox(facts),
        forwarding(facts),
        masquerade(facts),
        reverse_path(facts),
    ]
}

fn finding(what: &'static str, verdict: Verdict, text: impl Into<String>, mend: &[&str]) -> Finding {
    let mend = mend.iter().map(|&command| command.to_owned()).collect();
    Finding { what, verdict, text: text.into(), mend }
}

fn driver(facts: &Facts) -> Finding {
    let what = "TUN driver";
    match facts.tun {
        Tun::Opens => finding(what, Verdict::Good, "/dev/net/tun opens", &[]),
        Tun::Missing => finding(
            what,
            Verdict::Bad,
            "/dev/net/tun is missing; in a container it has to be passed in (docker run --device /dev/net/tun)",
            &["sudo modprobe tun", "sudo mkdir -p /dev/net && sudo mknod -m 0666 /dev/net/tun c 10 200"],
        ),
        Tun::Refused => finding(
            what,
            Verdict::Bad,
            "/dev/net/tun is there, but this user may not open it",
            &["sudo chmod 0666 /dev/net/tun"],
        ),
        Tun::NoDriver => finding(
            what,
            Verdict::Bad,
            "/dev/net/tun is there, but the kernel has no driver for it",
            &["sudo modprobe tun"],
        ),
    }
}

/// Whether a stack may be opened on the device.
fn privilege(facts: &Facts) -> Finding {
    let (what, device, user) = ("privilege", &facts.device, &facts.user);
    let make = format!("sudo ip tuntap add {device} mode tun user {user}");
    let address = format!("sudo ip address add 192.0.2.1/24 dev {device}");
    let up = format!("sudo ip link set {device} up");
    match &facts.interface {
        Some(interface) if !interface.is_tun => {
            let text = format!("{device} is there, and no TUN: name another with --device");
            finding(what, Verdict::Bad, text, &[])
        }
        Some(_) if facts.net_admin => {
            finding(what, Verdict::Good, format!("CAP_NET_ADMIN, and {device} is there"), &[])
        }
        Some(interface) if !interface.is_ours => {
            let text = format!(
                "{device} is there, and is another user's: make one that is yours, or name another with --device"
            );
            finding(
                what,
                Verdict::Bad,
                text,
                &[&format!("sudo ip link delete {device}"), &make, &address, &up],
            )
        }
        Some(interface) if !interface.is_up => {
            finding(what, Verdict::Bad, format!("{device} is down"), &[&up])
        }
        Some(_) => {
            finding(what, Verdict::Good, format!("{device} is there, and may be used by this user"), &[])
        }
        None if facts.net_admin => finding(
            what,
            Verdict::Good,
            format!("CAP_NET_ADMIN: {device} will be made when it is opened"),
            &[],
        ),
        None => {
            let text = format!("no CAP_NET_ADMIN, and there is no {device}: make one that is yours, once");
            finding(what, Verdict::Bad, text, &[&make, &address, &up])
        }
    }
}

fn sandbox(facts: &Facts) -> Finding {
    let what = "sandbox";
    match &facts.sandbox {
        None => {
            finding(what, Verdict::Good, "tests and programs can have a TUN in a namespace of their own", &[])
        }
        Some(why) => finding(
            what,
            Verdict::Limited,
            format!("there is none: {why}"),
            &[
                "sudo sysctl -w user.max_user_namespaces=10000",
                "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0   # where AppArmor forbids it",
            ],
        ),
    }
}

fn forwarding(facts: &Facts) -> Finding {
    let what = "forwarding";
    match facts.forwards {
        [Some(true), Some(true)] => finding(what, Verdict::Good, "on, for IPv4 and IPv6", &[]),
        [Some(true), _] => finding(
            what,
            Verdict::Limited,
            "on for IPv4; a stack with addresses of IPv6 reaches this machine only",
            &["sudo sysctl -w net.ipv6.conf.all.forwarding=1"],
        ),
        [Some(false), _] => finding(
            what,
            Verdict::Limited,
            "off: a stack reaches this machine, and nothing behind it",
            &["sudo sysctl -w net.ipv4.ip_forward=1"],
        ),
        [None, _] => finding(what, Verdict::Unknown, "/proc/sys cannot be read", &[]),
    }
}

/// Whether packets of a stack leave under an address that answers find.
fn masquerade(facts: &Facts) -> Finding {
    let (what, device) = ("NAT", &facts.device);
    let mend = format!(
        "sudo nft 'table ip usertcp {{ chain out {{ type nat hook postrouting priority 100; ip saddr 192.0.2.0/24 oifname != \"{device}\" masquerade; }}; }}'"
    );
    let Some(rules) = &facts.rules else {
        let text = "the rules of the firewall cannot be read by this user; behind this machine answers need masquerade";
        return finding(what, Verdict::Unknown, text, &["sudo usertcp doctor", &mend]);
    };
    if drops_forwarded(rules) {
        let text =
            format!("forwarded packets are dropped by the firewall, as Docker's does: let {device} through");
        let pass = [
            format!("sudo iptables -I FORWARD -i {device} -j ACCEPT"),
            format!("sudo iptables -I FORWARD -o {device} -j ACCEPT"),
        ];
        return finding(what, Verdict::Limited, text, &[&pass[0], &pass[1]]);
    }
    if rules.to_ascii_lowercase().contains("masquerade") {
        return finding(what, Verdict::Good, "there is a rule that masquerades", &[]);
    }
    finding(
        what,
        Verdict::Limited,
        "nothing masquerades: what is behind this machine does not know the way back",
        &[&mend],
    )
}

/// Whether a chain drops whatever it is not told to pass on, in the words of nft or of iptables-save.
fn drops_forwarded(rules: &str) -> bool {
    let nft = rules.lines().any(|line| line.contains("hook forward") && line.contains("policy drop"));
    nft || rules.lines().any(|line| line.starts_with(":FORWARD DROP"))
}

fn reverse_path(facts: &Facts) -> Finding {
    let (what, device) = ("rp_filter", &facts.device);
    match facts.rp_filter {
        None => finding(what, Verdict::Unknown, "/proc/sys cannot be read", &[]),
        Some(1) => finding(
            what,
            Verdict::Limited,
            format!(
                "strict: a stack may only have addresses that are routed to {device}, as those of its network are"
            ),
            &["sudo sysctl -w net.ipv4.conf.all.rp_filter=2   # if it is to have others"],
        ),
        Some(_) => finding(what, Verdict::Good, "not strict", &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Interface;

    /// A machine on which all is well for root.
    fn root() -> Facts {
        Facts {
            device: "utcp0".to_owned(),
            net_admin: true,
            user: "somebody".to_owned(),
            forwards: [Some(true), Some(true)],
            rp_filter: Some(0),
            rules: Some("type nat hook postrouting; masquerade".to_owned()),
            ..Facts::default()
        }
    }

    fn of(facts: &Facts, what: &str) -> Finding {
        examine(facts).into_iter().find(|finding| finding.what == what).expect(what)
    }

    #[test]
    fn a_machine_where_all_is_well() {
        let findings = examine(&root());
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::Good), "{findings:?}");
        assert!(findings.iter().all(|finding| finding.mend.is_empty()));
        assert_eq!(report(&findings).lines().count(), 6);
        assert!(report(&findings).starts_with("ok    TUN driver: /dev/net/tun opens\n"));
    }

    #[test]
    fn each_lack_is_named_with_what_mends_it() {
        let cases: [(&str, Facts, Verdict, &str); 13] = [
            ("TUN driver", Facts { tun: Tun::Missing, ..root() }, Verdict::Bad, "modprobe tun"),
            ("TUN driver", Facts { tun: Tun::Refused, ..root() }, Verdict::Bad, "chmod 0666"),
            ("TUN driver", Facts { tun: Tun::NoDriver, ..root() }, Verdict::Bad, "modprobe tun"),
            (
                "privilege",
                Facts { net_admin: false, ..root() },
                Verdict::Bad,
                "ip tuntap add utcp0 mode tun user somebody",
            ),
            (
                "privilege",
                Facts {
                    net_admin: false,
                    interface: Some(Interface { is_tun: true, is_ours: false, is_up: true }),
                    ..root()
                },
                Verdict::Bad,
                "ip link delete utcp0",
            ),
            (
                "privilege",
                Facts {
                    net_admin: false,
                    interface: Some(Interface { is_tun: true, is_ours: true, is_up: false }),
                    ..root()
                },
                Verdict::Bad,
                "ip link set utcp0 up",
            ),
            (
                "sandbox",
                Facts { sandbox: Some("forbidden".to_owned()), ..root() },
                Verdict::Limited,
                "user.max_user_namespaces",
            ),
            (
                "forwarding",
                Facts { forwards: [Some(false), None], ..root() },
                Verdict::Limited,
                "ip_forward=1",
            ),
            (
                "forwarding",
                Facts { forwards: [Some(true), Some(false)], ..root() },
                Verdict::Limited,
                "ipv6.conf.all.forwarding=1",
            ),
            ("NAT", Facts { rules: None, ..root() }, Verdict::Unknown, "masquerade"),
            ("NAT", Facts { rules: Some(String::new()), ..root() }, Verdict::Limited, "masquerade"),
            (
                "NAT",
                Facts { rules: Some(":FORWARD DROP [0:0]\nmasquerade".to_owned()), ..root() },
                Verdict::Limited,
                "iptables -I FORWARD -i utcp0",
            ),
            ("rp_filter", Facts { rp_filter: Some(1), ..root() }, Verdict::Limited, "rp_filter=2"),
        ];
        for (what, facts, verdict, mend) in cases {
            let found = of(&facts, what);
            assert_eq!(found.verdict, verdict, "{found:?}");
            assert!(found.mend.iter().any(|command| command.contains(mend)), "{found:?}");
        }
    }

    #[test]
    fn a_device_of_ones_own_needs_no_privilege() {
        let interface = Some(Interface { is_tun: true, is_ours: true, is_up: true });
        assert_eq!(of(&Facts { net_admin: false, interface, ..root() }, "privilege").verdict, Verdict::Good);
        let interface = Some(Interface { is_tun: false, ..Interface::default() });
        assert_eq!(of(&Facts { interface, ..root() }, "privilege").verdict, Verdict::Bad);
    }
}
