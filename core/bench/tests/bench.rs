//! A short contest through real sandboxes, from the command line to the file.

use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Command;

/// Every role that the bare loop has, and the kernel beside it.
const MEASURES: &str = "receive, vnet, 1;send, vnet, 1;plain, 16;request/response;connect";

#[test]
fn a_contest_is_held_and_written_down() {
    if let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/net/tun") {
        println!("skipped: no TUN granted: /dev/net/tun: {error}");
        return;
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench/results.json");
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .arg(&path)
        .envs([("ONLY", MEASURES), ("ROUNDS", "1"), ("WINDOW", "30"), ("LOAD", "9"), ("QUICK", "1")])
        .output()
        .expect("the program");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if text.contains("no sandbox") || text.contains("two processors are needed") {
        println!("skipped: {text}");
        return;
    }
    assert!(output.status.success(), "{text}");
    let file: Value = serde_json::from_str(&fs::read_to_string(&path).expect("the file")).expect("JSON");
    let rows = file["rows"].as_array().expect("a list");
    let measured = [
        ("receive, vnet, 1", "null"),
        ("receive, vnet, 1", "null-stretch"),
        ("receive, vnet, 1, CPU", "null+copy"),
        ("receive, plain, 16, fairness", "null"),
        ("send, vnet, 1", "kernel"),
        ("send, vnet, 1", "null+copy"),
        ("send, plain, 16", "null"),
        ("request/response, same CPU, p50", "null"),
        ("request/response, two CPUs, p99.9", "null-spin"),
        ("request/response, beside bulk, p50", "null"),
        ("request/response, beside bulk, p50", "kernel"),
        ("connect and close", "kernel"),
    ];
    for (measure, who) in measured {
        let found = rows.iter().find(|row| row["measure"] == measure && row["who"] == who);
        let median = found.and_then(|row| row["median"].as_f64());
        assert!(median.is_some_and(|median| median > 0.0), "{who} has no {measure}:\n{text}");
    }
}
