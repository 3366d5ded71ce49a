//! The C interface from C: every program of `tests/c`, as C99 and as C++17, against the shared library.

#[allow(dead_code, reason = "tests/examples.rs uses the rest")]
mod c_programs;

use c_programs::{Language, run};

macro_rules! programs {
    ($($name:ident)*) => {
        $(
            mod $name {
                use super::*;
                #[test]
                fn as_c99() {
                    run(stringify!($name), Language::C99, &[]);
                }
                #[test]
                fn as_cpp17() {
                    run(stringify!($name), Language::Cpp17, &[]);
                }
            }
        )*

        const PROGRAMS: &[&str] = &[$(stringify!($name)),*];
    };
}

programs! {
    crowd datagrams layout pure misuse listeners pair ends cancel process sandbox
    intercept ready loop_uv loop_event stream stream_tls trace sockets plugin messages pollset names exports
    exhausted
}

#[test]
fn every_program_is_run() {
    assert_eq!(c_programs::all(), {
        let mut sorted = PROGRAMS.to_vec();
        sorted.sort_unstable();
        sorted
    });
}

#[test]
fn the_library_exports_the_interface_and_nothing_else() {
    let golden = c_programs::crate_dir().join("abi/symbols.txt");
    let exported = c_programs::exported();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&golden, &exported).unwrap();
    }
    assert_eq!(
        exported,
        std::fs::read_to_string(golden).unwrap(),
        "BLESS=1 accepts a symbol; one that is gone breaks programs"
    );
}
