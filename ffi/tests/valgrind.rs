//! The test programs under valgrind: no invalid access, no leak. `USERTCP_VALGRIND=1` asks for it.

#[allow(dead_code, reason = "tests/c.rs uses the rest")]
mod c_programs;

use c_programs::{Language, all, run};
use std::process::Command;

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
    for name in all() {
        println!("{name}");
        run(&name, Language::C99, &under);
    }
}
