//! Measures idle connections, one row for one process: `idle [connections [own|peer [awake]]]`.

use std::env;
use std::process::ExitCode;
use usertcp_bench::Result;
use usertcp_bench::idle::{Idle, Opener, idle};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(Idle { connections, bytes, time_wait_bytes, resident, open, talk, close }) => {
            println!(
                "{connections} idle connections: {bytes:.0} bytes each, {time_wait_bytes:.0} in TIME-WAIT; {:.2} GiB in all; opened in {:.2} s, a byte on each in {:.2} s, closed in {:.2} s",
                resident as f64 / f64::from(1u32 << 30),
                open.as_secs_f64(),
                talk.as_secs_f64(),
                close.as_secs_f64()
            );
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<Idle> {
    let number = |at: usize| -> Result<Option<usize>> {
        let parse = |text: &String| text.parse().map_err(|_| format!("{text}: no number"));
        Ok(arguments.get(at).map(parse).transpose()?)
    };
    let opener = match arguments.get(1).map(String::as_str) {
        None | Some("own") => Opener::Own,
        Some("peer") => Opener::Peer,
        Some(other) => return Err(format!("{other}: neither own nor peer").into()),
    };
    idle(number(0)?.unwrap_or(100_000), opener, number(2)?)
}
