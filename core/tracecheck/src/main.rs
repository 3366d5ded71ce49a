//! The program: judges captures, prints every violation and a closing line.

use lexopt::{Arg, Parser, ValueExt};
use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use usertcp_tracecheck::{Kind, Options, Report, Whom, check_capture};

const HELP: &str = "\
usage: usertcp-tracecheck [OPTION]... FILE...
Reads captures in pcap or pcapng format and prints what the RFCs do not allow.

  --host ADDRESS    judge this host only, and take the capture to have been made there
                    where packets carry no direction; may be given again
  --capturing       judge only the host that the capture was made on
  --allow KIND      do not report this kind; may be given again
  --slack MS        milliseconds by which answers and timers may be off (100)
  --no-checksums    the link computes checksums behind the capture: do not judge them
  --kinds           list the kinds and what each stands for
  --help            this

Exit status: 0 nothing found, 1 something found, 2 a file or an option that cannot be read.";

/// What the command line asks for.
#[derive(Default)]
struct Request {
    options: Options,
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let request = match request(Parser::from_env()) {
        Ok(Some(request)) => request,
        Ok(None) => return ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("usertcp-tracecheck: {what}; see --help");
            return ExitCode::from(2);
        }
    };
    let mut worst = 0;
    for file in &request.files {
        worst = worst.max(match check(file, &request.options) {
            Ok(report) => print(file, &report),
            Err(what) => {
                eprintln!("usertcp-tracecheck: {}: {what}", file.display());
                2
            }
        });
    }
    ExitCode::from(worst)
}

/// `None`: the answer has been printed.
fn request(mut parser: Parser) -> Result<Option<Request>, lexopt::Error> {
    let mut request = Request::default();
    let mut hosts = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("host") => hosts.push(parser.value()?.parse::<IpAddr>()?),
            Arg::Long("capturing") => request.options.whom = Whom::Capturing,
            Arg::Long("allow") => request.options.allowed.push(parser.value()?.parse_with(kind)?),
            Arg::Long("slack") => request.options.slack = Duration::from_millis(parser.value()?.parse()?),
            Arg::Long("no-checksums") => request.options.checksums = false,
            Arg::Long("kinds") => {
                Kind::ALL.iter().for_each(|kind| println!("{:24}{}", kind.name(), kind.rule()));
                return Ok(None);
            }
            Arg::Long("help") | Arg::Short('h') => {
                println!("{HELP}");
                return Ok(None);
            }
            Arg::Value(file) => request.files.push(file.into()),
            _ => return Err(argument.unexpected()),
        }
    }
    if !hosts.is_empty() {
        request.options.whom = Whom::Hosts(hosts);
    }
    if request.files.is_empty() {
        return Err("no file is named".into());
    }
    Ok(Some(request))
}

fn kind(name: &str) -> Result<Kind, String> {
    let found = Kind::ALL.iter().find(|kind| kind.name() == name);
    found.copied().ok_or_else(|| format!("there is no kind {name}: --kinds lists them"))
}

fn check(file: &Path, options: &Options) -> Result<Report, String> {
    let input =
        File::open(file).map_err(|error| format!("{error}: is the name right, and may it be read?"))?;
    check_capture(input, options.clone()).map_err(|error| error.to_string())
}

/// The exit status that belongs to the report.
fn print(file: &Path, report: &Report) -> u8 {
    for violation in &report.violations {
        println!("{}: {violation}", file.display());
    }
    println!("{}: {}", file.display(), report.summary());
    if report.packets > 0 && report.skipped == report.packets {
        eprintln!(
            "usertcp-tracecheck: {}: none of its packets could be looked at: it has to be a capture of whole packets on a link that carries IP",
            file.display()
        );
        return 2;
    }
    u8::from(!report.violations.is_empty())
}
