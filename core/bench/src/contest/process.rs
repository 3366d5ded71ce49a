//! A process that takes part: its lines, its processor time, its memory.

use crate::{Result, load};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::iter;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{env, thread};
use usertcp_core::api::{Child, Sandbox};
use usertcp_core::sys;

/// How long the rest of what a process that has ended has said is waited for.
const TELLS_WITHIN: Duration = Duration::from_secs(1);

/// Killed when dropped.
pub(crate) struct Process {
    name: String,
    started: Started,
    lines: Receiver<String>,
    /// What it says on standard error, told only if it has failed: when one is killed the other sees a connection end.
    complaints: Receiver<String>,
}

enum Started {
    /// In the namespace of this process.
    Outside(std::process::Child),
    /// In a sandbox.
    Inside(Child),
}

/// Arguments that make this very program the peer, or one of the contenders that it has.
pub(crate) fn this_program(mode: &str, words: impl IntoIterator<Item = String>) -> Result<Vec<OsString>> {
    let mut arguments = vec![env::current_exe()?.into_os_string(), mode.into()];
    arguments.extend(words.into_iter().map(OsString::from));
    Ok(arguments)
}

impl Process {
    /// Starts a program with a TUN as its standard input.
    pub(crate) fn outside(name: &str, arguments: &[OsString], tun: OwnedFd) -> Result<Self> {
        let (program, rest) = arguments.split_first().ok_or("no program")?;
        let mut child = Command::new(program)
            .args(rest)
            .stdin(Stdio::from(tun))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let (lines, complaints) = (child.stdout.take().map(listen), child.stderr.take().map(listen));
        let (lines, complaints) = lines.zip(complaints).ok_or("no pipe from a child")?;
        Ok(Self { name: name.to_owned(), started: Started::Outside(child), lines, complaints })
    }

    /// Starts a program in a sandbox.
    pub(crate) fn inside(name: &str, arguments: &[OsString], sandbox: &Sandbox) -> Result<Self> {
        let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
        if words.len() < arguments.len() {
            return Err("an argument is not UTF-8".into());
        }
        let (null, lines, complaints) = (File::open("/dev/null")?, sys::pipe()?, sys::pipe()?);
        let child = sandbox.spawn(&words, None, [null.as_fd(), lines.1.as_fd(), complaints.1.as_fd()])?;
        let (lines, complaints) = (listen(File::from(lines.0)), listen(File::from(complaints.0)));
        Ok(Self { name: name.to_owned(), started: Started::Inside(child), lines, complaints })
    }

    pub(crate) fn id(&self) -> i32 {
        match &self.started {
            Started::Outside(child) => child.id().cast_signed(),
            Started::Inside(child) => child.pid(),
        }
    }

    /// Its next line that begins with a word; others are passed over.
    pub(crate) fn line(&self, word: &str, within: Duration) -> Result<String> {
        let until = Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.split(' ').next() == Some(word) => return Ok(line),
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(format!("{}: no '{word}' within {} s", self.name, within.as_secs()).into());
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let told = iter::from_fn(|| self.complaints.recv_timeout(TELLS_WITHIN).ok());
                    let why = told.fold(String::new(), |all, line| all + ": " + &line);
                    return Err(format!("{} has ended before '{word}'{why}", self.name).into());
                }
            }
        }
    }

    /// Processor time of all its threads.
    pub(crate) fn time(&self) -> Result<Duration> {
        load::process_time(self.id())
    }

    /// Memory that it has in use, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.id()))?;
        Ok(resident(&text).ok_or("no Rss in smaps_rollup")?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A child in a sandbox does the same when it is dropped. One that has ended by itself is only to be reaped.
        if let Started::Outside(child) = &mut self.started {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Lines as they come, until the other end is closed.
fn listen(from: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // Nobody listens any more once the process is dropped.
            if tell.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn resident(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something that can be standard input.
    fn nothing() -> OwnedFd {
        OwnedFd::from(File::open("/dev/null").expect("/dev/null"))
    }

    #[test]
    fn lines_are_waited_for_by_their_first_word() {
        // It stops where it is: a shell that becomes another program has no memory to look at for a moment.
        let arguments = ["sh", "-c", "echo ready; echo end 1 2; kill -STOP $$"].map(OsString::from);
        let process = Process::outside("sh", &arguments, nothing()).expect("sh");
        assert_eq!(process.line("end", Duration::from_secs(10)).expect("a line"), "end 1 2");
        assert!(process.memory().expect("memory") > 0);
        process.time().expect("time");
    }

    #[test]
    fn an_end_is_told_as_such() {
        let arguments = ["sh", "-c", "echo why >&2; exit 1"].map(OsString::from);
        let process = Process::outside("sh", &arguments, nothing()).expect("sh");
        let error = process.line("open", Duration::from_secs(10)).expect_err("nothing is said");
        assert_eq!(error.to_string(), "sh has ended before 'open': why");
    }

    #[test]
    fn memory_is_found_in_the_text() {
        assert_eq!(resident("00400000-7fff [rollup]\nRss:    1540 kB\nPss: 3 kB\n"), Some(1540 << 10));
        assert_eq!(resident("Pss: 3 kB\n"), None);
    }
}
