//! `usertcp ss`: what a running stack has.

use crate::command::{Failure, SsOptions, written};
use std::io::{self, Write};
use std::os::unix::net::UnixStream;

/// Asks the control socket and prints the answer.
pub(crate) fn run(options: &SsOptions) -> Result<(), Failure> {
    let at = options.path.display();
    let failed = |error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => ": no stack has set it as its control_path, or it is closed",
            io::ErrorKind::ConnectionRefused => ": the program that made it has ended",
            io::ErrorKind::PermissionDenied => ": only the user that the program runs as may ask",
            _ => "",
        };
        Failure::Failed(format!("{at}: {error}{hint}"))
    };
    let mut stream = UnixStream::connect(&options.path).map_err(failed)?;
    let request: &[u8] = if options.counters { b"counters\n" } else { b"sockets\n" };
    stream.write_all(request).map_err(failed)?;
    let mut answer = Vec::new();
    io::Read::read_to_end(&mut stream, &mut answer).map_err(failed)?;
    written(io::stdout().lock().write_all(&answer))
}
