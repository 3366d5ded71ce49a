//! The command line.

use lexopt::prelude::*;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use usertcp_core::api::{Prefix, Route};

/// What `usertcp --help` prints.
pub(crate) const HELP: &str = "\
usertcp: TCP/IP in user space, the program beside the library.

  usertcp doctor [--device NAME]
      What stands between this machine and a working TUN: the device, privilege, forwarding, NAT, filters, and the
      commands that mend it. NAME is utcp0 if it is not given. The status is 0 if a stack can be opened.

  usertcp get [OPTIONS] URL
      Downloads over a stack of its own, http or https.
        --device NAME         TUN device to use or to make; utcp0 if it is not given
        --stdin               instead: standard input is an open TUN, or a socket with a packet in each message
        --address A/LEN       own address; again for more. 192.0.2.2/24 if there is none
        --host-address A/LEN  address for the kernel's side of the device; again for more
        --route ROUTE         where the link leads, such as 'default via 192.0.2.1'; again for more
        --nameserver ADDRESS  whom to ask for names; again for more. Those of the system if there is none
        --mtu N               largest packet, bytes
        --cacert FILE         certificates (PEM) to trust for https instead of those of Mozilla
        --timeout SECONDS     for all of it; 60 if it is not given, 0 for none
        -o, --output FILE     file to write; standard output without it
        -v, --verbose         what happens, on standard error

  usertcp ss [--counters] PATH
      The sockets of a running stack, as ss -tiun shows those of the system, or its counters. PATH is what the
      program has set as control_path.

  usertcp --help, usertcp --version
";

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Version,
    Doctor(DoctorOptions),
    Get(Box<GetOptions>),
    Ss(SsOptions),
}

/// Why it was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong.
    Usage(String),
    Failed(String),
    /// Nobody reads standard output any more.
    Pipe,
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

#[derive(Debug)]
pub(crate) struct DoctorOptions {
    pub(crate) device: String,
}

#[derive(Debug)]
pub(crate) struct GetOptions {
    pub(crate) device: Option<String>,
    /// The link is standard input.
    pub(crate) stdin: bool,
    pub(crate) addresses: Vec<Prefix>,
    pub(crate) host_addresses: Vec<Prefix>,
    pub(crate) routes: Vec<Route>,
    pub(crate) nameservers: Vec<std::net::IpAddr>,
    pub(crate) mtu: Option<u16>,
    pub(crate) cacert: Option<PathBuf>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) output: Option<PathBuf>,
    pub(crate) verbose: bool,
    pub(crate) url: String,
}

#[derive(Debug)]
pub(crate) struct SsOptions {
    pub(crate) counters: bool,
    pub(crate) path: PathBuf,
}

/// Name of the device that the README's commands make.
const DEVICE: &str = "utcp0";

/// Reads the command line.
pub(crate) fn parse(mut words: lexopt::Parser) -> Result<Command, Failure> {
    match words.next()? {
        Some(Long("help") | Short('h')) => Ok(Command::Help),
        Some(Long("version") | Short('V')) => Ok(Command::Version),
        Some(Value(command)) => match command.to_str() {
            Some("doctor") => doctor(words),
            Some("get") => get(words),
            Some("ss") => ss(words),
            Some("help") => Ok(Command::Help),
            _ => Err(Failure::Usage(format!("there is no command {command:?}"))),
        },
        Some(other) => Err(other.unexpected().into()),
        None => Err(Failure::Usage("a command is missing: doctor, get or ss".to_owned())),
    }
}

fn doctor(mut words: lexopt::Parser) -> Result<Command, Failure> {
    let mut device = DEVICE.to_owned();
    while let Some(word) = words.next()? {
        match word {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("device") => device = words.value()?.string()?,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Doctor(DoctorOptions { device }))
}

fn get(mut words: lexopt::Parser) -> Result<Command, Failure> {
    let mut options = GetOptions {
        device: None,
        stdin: false,
        addresses: Vec::new(),
        host_addresses: Vec::new(),
        routes: Vec::new(),
        nameservers: Vec::new(),
        mtu: None,
        cacert: None,
        timeout: Some(Duration::from_secs(60)),
        output: None,
        verbose: false,
        url: String::new(),
    };
    while let Some(word) = words.next()? {
        match word {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("device") => options.device = Some(words.value()?.string()?),
            Long("stdin") => options.stdin = true,
            Long("address") => options.addresses.push(read("--address", words.value()?)?),
            Long("host-address") => options.host_addresses.push(read("--host-address", words.value()?)?),
            Long("route") => options.routes.push(read("--route", words.value()?)?),
            Long("nameserver") => options.nameservers.push(words.value()?.parse()?),
            Long("mtu") => options.mtu = Some(words.value()?.parse()?),
            Long("cacert") => options.cacert = Some(words.value()?.into()),
            Long("timeout") => {
                let seconds = words.value()?.parse::<f64>()?;
                let time = Duration::try_from_secs_f64(seconds);
                let time = time.map_err(|error| Failure::Usage(format!("--timeout {seconds}: {error}")))?;
                options.timeout = Some(time).filter(|time| !time.is_zero());
            }
            Short('o') | Long("output") => options.output = Some(words.value()?.into()),
            Short('v') | Long("verbose") => options.verbose = true,
            Value(url) if options.url.is_empty() => options.url = url.string()?,
            other => return Err(other.unexpected().into()),
        }
    }
    if options.url.is_empty() {
        return Err(Failure::Usage("get: a URL is missing".to_owned()));
    }
    if options.stdin && (options.device.is_some() || !options.host_addresses.is_empty()) {
        let text = "get: --stdin goes without --device and --host-address: give one or the other";
        return Err(Failure::Usage(text.to_owned()));
    }
    if options.addresses.is_empty() {
        options.addresses.push(read("--address", "192.0.2.2/24".into())?);
    }
    options.device.get_or_insert_with(|| DEVICE.to_owned());
    Ok(Command::Get(Box::new(options)))
}

fn ss(mut words: lexopt::Parser) -> Result<Command, Failure> {
    let (mut counters, mut path) = (false, None);
    while let Some(word) = words.next()? {
        match word {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("counters") => counters = true,
            Value(value) if path.is_none() => path = Some(PathBuf::from(value)),
            other => return Err(other.unexpected().into()),
        }
    }
    let path =
        path.ok_or_else(|| Failure::Usage("ss: the path of a control socket is missing".to_owned()))?;
    Ok(Command::Ss(SsOptions { counters, path }))
}

/// A value that the stack has its own words for.
fn read<T: FromStr<Err = usertcp_core::api::Error>>(option: &str, value: OsString) -> Result<T, Failure> {
    let text = value.string()?;
    text.parse().map_err(|error| Failure::Usage(format!("{option} {text}: {error}")))
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    written(std::io::stdout().lock().write_all(text.as_bytes()))
}

/// What became of writing to standard output.
pub(crate) fn written(outcome: std::io::Result<()>) -> Result<(), Failure> {
    outcome.map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::Pipe,
        _ => Failure::Failed(format!("standard output: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, Failure> {
        parse(lexopt::Parser::from_args(line.split_whitespace()))
    }

    #[test]
    fn commands_and_their_options() {
        assert!(matches!(parsed("--help"), Ok(Command::Help)));
        assert!(matches!(parsed("-V"), Ok(Command::Version)));
        assert!(
            matches!(parsed("doctor"), Ok(Command::Doctor(DoctorOptions { device })) if device == "utcp0")
        );
        assert!(
            matches!(parsed("ss --counters /run/x"), Ok(Command::Ss(options)) if options.counters && options.path.ends_with("x"))
        );
        let Ok(Command::Get(options)) = parsed(
            "get --device tun9 --address 192.0.2.7/24 --address 2001:db8::7/64 --host-address 192.0.2.1/24 --mtu 1400 --timeout 0 -o out http://192.0.2.1/",
        ) else {
            panic!("get")
        };
        assert_eq!(
            (options.device.as_deref(), options.stdin, options.mtu),
            (Some("tun9"), false, Some(1400))
        );
        assert_eq!((options.addresses.len(), options.host_addresses.len(), options.timeout), (2, 1, None));
        assert_eq!((options.url.as_str(), options.output), ("http://192.0.2.1/", Some(PathBuf::from("out"))));
        let Ok(Command::Get(options)) = parsed("get http://192.0.2.1/") else { panic!("get") };
        assert_eq!(options.addresses, ["192.0.2.2/24".parse::<Prefix>().unwrap()]);
        assert_eq!(options.timeout, Some(Duration::from_secs(60)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, named) in [
            ("", "a command is missing"),
            ("fetch", "fetch"),
            ("--fast", "--fast"),
            ("get", "a URL is missing"),
            ("get --address 192.0.2.256/24 http://192.0.2.1/", "--address"),
            ("get --mtu many http://192.0.2.1/", "many"),
            ("get --timeout -1 http://192.0.2.1/", "--timeout"),
            ("get --stdin --device utcp0 http://192.0.2.1/", "one or the other"),
            ("get http://192.0.2.1/ again", "again"),
            ("ss", "control socket"),
            ("doctor now", "now"),
        ] {
            let Err(Failure::Usage(text)) = parsed(line) else { panic!("{line}") };
            assert!(text.contains(named), "{line}: {text}");
        }
    }
}
