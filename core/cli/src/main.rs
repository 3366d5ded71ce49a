//! `usertcp`: what stands between this machine and a working TUN, downloads over a stack of its own, and a look into stacks that run.

mod command;
mod doctor;
mod facts;
mod get;
mod ss;
mod transport;

use command::{Command, Failure};
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = command::parse(lexopt::Parser::from_env()).and_then(|command| match command {
        Command::Help => command::print(command::HELP).map(|()| ExitCode::SUCCESS),
        Command::Version => {
            command::print(concat!("usertcp ", env!("CARGO_PKG_VERSION"), "\n")).map(|()| ExitCode::SUCCESS)
        }
        Command::Doctor(options) => doctor::run(&options),
        Command::Get(options) => get::run(*options).map(|()| ExitCode::SUCCESS),
        Command::Ss(options) => ss::run(&options).map(|()| ExitCode::SUCCESS),
    });
    match outcome {
        Ok(code) => code,
        // Who reads has enough.
        Err(Failure::Pipe) => ExitCode::SUCCESS,
        Err(Failure::Usage(text)) => {
            eprintln!("usertcp: {text}\nusertcp --help says what there is.");
            ExitCode::from(2)
        }
        Err(Failure::Failed(text)) => {
            eprintln!("usertcp: {text}");
            ExitCode::FAILURE
        }
    }
}
