//! The test programs under valgrind: no invalid access, no leak. `USERTCP_VALGRIND=1` asks for it.

#[allow(dead_code, reason = "tests/c.rs uses the rest")]
mod c_programs;

use c_programs::{Language, all, run};
use std::num::NonZero;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

#[test]
fn valgrind() {
    if std::env::var_os("USERTCP_VALGRIND").is_none() {
        return;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: valgrind is not installed");
        return;
    }
    let under = [
        "valgrind",
        "--quiet",
        "--error-exitcode=99",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite,indirect",
        "--show-leak-kinds=definite,indirect",
        "--fair-sched=yes",
        "--child-silent-after-fork=yes",
    ];
    // Valgrind lets one thread of a program run at a time: two programs beside each other take half as long.
    let names = Mutex::new(all().into_iter());
    let next = || names.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                while let Some(name) = next() {
                    run(&name, Language::C99, &under);
                    println!("{name}: nothing found");
                }
            });
        }
    });
}
