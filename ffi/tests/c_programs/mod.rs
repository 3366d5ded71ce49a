//! Builds the test programs of `tests/c` against the shared library and runs them.
//!
//! `USERTCP_C_LIBRARY` names a directory with a libusertcp.so to use instead of building one,
//! `USERTCP_C_FLAGS` more compiler flags: with both the programs run under a sanitizer.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;
use usertcp_tracecheck::{Kind, Options, Whom, check_capture};

/// What a program is compiled as.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Language {
    /// C99.
    C99,
    /// C++17.
    Cpp17,
}

pub(crate) fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names of all programs, sorted.
pub(crate) fn all() -> Vec<String> {
    let files = fs::read_dir(crate_dir().join("tests/c")).unwrap().map(|entry| entry.unwrap().path());
    let programs = files.filter(|path| path.extension().is_some_and(|extension| extension == "c"));
    let mut names: Vec<_> =
        programs.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    names
}

/// Builds `tests/c/NAME.c` and runs it, under the program `under` if there is one. What it prints is shown;
/// 77 is its way to be skipped.
pub(crate) fn run(name: &str, language: Language, under: &[&str]) {
    let found = compiler(language);
    if Command::new(&found).arg("--version").output().is_err() {
        println!("skipped: {} is not installed", found.display());
        return;
    }
    let libraries = match libraries(name) {
        Ok(flags) => flags,
        Err(missing) => {
            println!("skipped: {name}: {missing}");
            return;
        }
    };
    let program = build(name, language, &libraries);
    let mut command = Command::new(under.first().map_or(program.as_os_str(), |under| under.as_ref()));
    if !under.is_empty() {
        command.args(&under[1..]).arg(&program);
    }
    let captures = programs_dir().join(format!("{name}-{language:?}-captures"));
    let _ = fs::remove_dir_all(&captures);
    fs::create_dir_all(&captures).unwrap();
    // Where a sanitizer stands in for dlopen(3), what the program says of its libraries does not count.
    command.env("LD_LIBRARY_PATH", programs_dir());
    // Under another program nothing comes in time.
    if under.is_empty() {
        command.env("USERTCP_JUDGED", &captures);
    }
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    show(&output);
    assert!(matches!(output.status.code(), Some(0 | 77)), "{name} as {language:?}: {}", output.status);
    judge(&captures);
}

/// Builds `tests/cpp/NAME.cpp` as C++17 with a compiler and runs it, as [`run`] does.
pub(crate) fn run_cpp(name: &str, compiler: &str) {
    let program = programs_dir().join(format!("{name}-{}", compiler.replace('/', "-")));
    compile_with(
        compiler.as_ref(),
        &crate_dir().join(format!("tests/cpp/{name}.cpp")),
        Language::Cpp17,
        &program,
        &[],
    );
    let output = Command::new(&program).output().unwrap();
    show(&output);
    assert!(matches!(output.status.code(), Some(0 | 77)), "{name} by {compiler}: {}", output.status);
}

/// Whatever a program is about, what its stacks sent keeps to the RFCs. Captures without a finding are removed.
fn judge(captures: &Path) {
    let options = Options {
        whom: Whom::Capturing,
        // Threads of a busy machine wait for their turn.
        slack: Duration::from_millis(500),
        // What programs may ask for.
        allowed: vec![Kind::KeepAliveTooSoon, Kind::MayFragment],
        ..Options::default()
    };
    for path in fs::read_dir(captures).unwrap().map(|entry| entry.unwrap().path()) {
        let file = fs::File::open(&path).unwrap();
        if file.metadata().unwrap().len() > 0 {
            let report = check_capture(file, options.clone()).unwrap();
            let found: Vec<String> = report.violations.iter().take(20).map(ToString::to_string).collect();
            assert!(found.is_empty(), "{}: {}\n{}", path.display(), report.summary(), found.join("\n"));
        }
        fs::remove_file(&path).unwrap();
    }
}

/// The symbols that the library exports, one a line, sorted.
pub(crate) fn exported() -> String {
    let output =
        Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(library()).output().unwrap();
    assert!(output.status.success(), "nm: {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    names.sort_unstable();
    names.join("\n") + "\n"
}

fn build(name: &str, language: Language, libraries: &[String]) -> PathBuf {
    let program = programs_dir().join(format!("{name}-{language:?}"));
    compile(&source(name), language, &program, libraries);
    program
}

fn source(name: &str) -> PathBuf {
    crate_dir().join(format!("tests/c/{name}.c"))
}

/// The compiler's flags for the library that the first line of a program asks for as `/* pkg-config: NAME (REMEDY) */`, or what is
/// missing and the remedy.
fn libraries(name: &str) -> Result<Vec<String>, String> {
    libraries_of(&source(name))
}

/// The same for an example.
pub(crate) fn example_libraries(name: &str) -> Result<Vec<String>, String> {
    libraries_of(&crate_dir().join(format!("../examples/c/{name}.c")))
}

fn libraries_of(source: &Path) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(source).unwrap();
    let first = text.lines().next().unwrap_or_default();
    let Some(wanted) = first.strip_prefix("/* pkg-config: ") else {
        return Ok(Vec::new());
    };
    let (library, remedy) = wanted.trim_end_matches(" */").split_once(' ').unwrap();
    match Command::new("pkg-config").args(["--cflags", "--libs", library]).output() {
        Ok(output) if output.status.success() => {
            let flags = String::from_utf8(output.stdout).unwrap();
            Ok(flags.split_whitespace().map(str::to_owned).collect())
        }
        Ok(_) => Err(format!("{library} is not installed {remedy}")),
        Err(_) => Err("pkg-config is not installed".to_owned()),
    }
}

/// Builds `examples/c/NAME.c`, once, with the compiler's flags for what else it needs.
pub(crate) fn build_example(name: &str) -> PathBuf {
    build_example_with(name, &[])
}

/// The same for one that needs another library, whose flags these are.
pub(crate) fn build_example_with(name: &str, libraries: &[String]) -> PathBuf {
    static BUILT: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let program = programs_dir().join(name);
    let mut built = BUILT.lock().unwrap();
    if !built.iter().any(|known| known == name) {
        compile(&crate_dir().join(format!("../examples/c/{name}.c")), Language::C99, &program, libraries);
        built.push(name.to_owned());
    }
    program
}

/// Builds the program of `tests/fuzz`.
pub(crate) fn build_fuzzer() -> PathBuf {
    let program = programs_dir().join("fuzz");
    compile(&crate_dir().join("tests/fuzz/fuzz.c"), Language::C99, &program, &[]);
    program
}

/// A file for a test of this process to write to.
pub(crate) fn scratch(name: &str) -> PathBuf {
    programs_dir().join(name)
}

fn compile(source: &Path, language: Language, program: &Path, libraries: &[String]) {
    compile_with(&compiler(language), source, language, program, libraries);
}

fn compile_with(compiler: &Path, source: &Path, language: Language, program: &Path, libraries: &[String]) {
    let (standard, kind) = match language {
        Language::C99 => ("-std=c99", "c"),
        Language::Cpp17 => ("-std=c++17", "c++"),
    };
    let mut command = Command::new(compiler);
    command.args([
        "-x",
        kind,
        standard,
        "-g",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        "-pthread",
    ]);
    command.args(env::var("USERTCP_C_FLAGS").unwrap_or_default().split_whitespace());
    command.arg("-I").arg(crate_dir().join("../include")).arg(source).arg("-o").arg(program);
    // One that loads the library itself is not linked with it.
    command.args(["-x", "none", "-Wl,--as-needed"]).arg(library()).args(libraries);
    command.arg(format!("-Wl,-rpath,{}", programs_dir().display()));
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    show(&output);
    assert!(output.status.success(), "{command:?}: {}", output.status);
}

fn compiler(language: Language) -> PathBuf {
    let (variable, fallback) = match language {
        Language::C99 => ("CC", "cc"),
        Language::Cpp17 => ("CXX", "c++"),
    };
    env::var_os(variable).map_or_else(|| fallback.into(), PathBuf::from)
}

fn show(output: &Output) {
    print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

/// The shared library, built once with the profile of this test; programs find it under its SONAME.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = match env::var_os("USERTCP_C_LIBRARY") {
            Some(directory) => Path::new(&directory).join("libusertcp.so"),
            None => build_library(),
        };
        let link = programs_dir().join("libusertcp.so.0");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&library, link).unwrap();
        library
    })
}

fn build_library() -> PathBuf {
    let profile = profile_dir();
    let name = match profile.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--package", "usertcp-ffi", "--profile", name, "--target-dir"]);
    command.arg(profile.parent().unwrap()).current_dir(crate_dir());
    let output = command.output().unwrap();
    show(&output);
    assert!(output.status.success(), "{command:?}: {}", output.status);
    profile.join("libusertcp.so")
}

/// Where cargo puts what it builds for this test: `TARGET/debug` or alike.
fn profile_dir() -> PathBuf {
    env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned()
}

/// A directory for the programs of this test process.
fn programs_dir() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let exe = env::current_exe().unwrap();
        let directory = profile_dir().join("c-programs").join(exe.file_stem().unwrap());
        fs::create_dir_all(&directory).unwrap();
        directory
    })
}
