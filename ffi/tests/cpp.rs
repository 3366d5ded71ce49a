//! The C++ interface: every program of `tests/cpp` as C++17, by each compiler that is there.

#[allow(dead_code, reason = "tests/c.rs uses the rest")]
mod c_programs;

use std::process::Command;

fn run(name: &str, compiler: &str, absent: &str) {
    if Command::new(compiler).arg("--version").output().is_err() {
        println!("{absent}: {compiler} is not installed");
        return;
    }
    c_programs::run_cpp(name, compiler);
}

#[test]
fn owners_by_the_compiler_of_the_system() {
    run("owners", &std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned()), "skipped");
}

#[test]
fn owners_by_clang() {
    run("owners", "clang++", "left out");
}
