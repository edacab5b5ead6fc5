//! A test harness where each test is a process of its own, and runs on its first thread.
//!
//! A test that reaps must not take exits from others, and signals are masked for a whole process; so libtest, which runs
//! tests on threads of one process, will not do. The binary starts itself anew for each test. Use it in a test target
//! with `harness = false`:
//!
//! ```ignore
//! fn main() -> ExitCode { scenario::run(&[("it_works", it_works), ..]) }
//! ```
//!
//! The usual arguments do what they do in libtest: words to filter by, `--exact`, `--list`, `--nocapture`.

#![allow(dead_code, reason = "not every test target uses all of it")]

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// A name, and what to run.
pub(crate) type Scenario = (&'static str, fn());

const VARIABLE: &str = "PODINIT_TEST_SCENARIO";

/// A scenario that takes longer has failed.
const LIMIT: Duration = Duration::from_mins(1);

/// Runs one scenario when this process was started for it, else all that the arguments ask for.
pub(crate) fn run(scenarios: &[Scenario]) -> ExitCode {
    if let Ok(name) = std::env::var(VARIABLE) {
        let found = scenarios.iter().find(|(known, _)| *known == name);
        let (_, body) = found.expect("a scenario of this name");
        body();
        return ExitCode::SUCCESS;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let words: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let chosen: Vec<&Scenario> = scenarios
        .iter()
        .filter(|(name, _)| {
            words.is_empty()
                || words.iter().any(|word| {
                    *name == word.as_str() || (!has("--exact") && name.contains(word.as_str()))
                })
        })
        .collect();
    if has("--list") {
        for (name, _) in chosen.iter().filter(|_| !has("--ignored")) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    run_all(&chosen, has("--nocapture"))
}

fn run_all(chosen: &[&Scenario], show: bool) -> ExitCode {
    // What a scenario leaves behind comes to us, to be ended.
    nix::sys::prctl::set_child_subreaper(true).expect("a subreaper");
    println!("\nrunning {} scenarios", chosen.len());
    let mut failed = Vec::new();
    for (name, _) in chosen {
        let began = Instant::now();
        let mut output = tempfile::tempfile().expect("a file");
        let child = start(name, &output);
        let code = end(child);
        let took = began.elapsed().as_millis();
        let verdict = if code == Some(0) { "ok" } else { "FAILED" };
        println!("scenario {name} ... {verdict} ({took} ms)");
        let mut text = String::new();
        output.rewind().expect("a file");
        output.read_to_string(&mut text).expect("text");
        if code != Some(0) || show {
            print!("{text}");
        }
        if code != Some(0) {
            failed.push(name);
        }
    }
    println!(
        "\n{} passed, {} failed",
        chosen.len() - failed.len(),
        failed.len()
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        println!("failed: {failed:?}");
        ExitCode::FAILURE
    }
}

fn start(name: &str, output: &File) -> Child {
    let out = || Stdio::from(output.try_clone().expect("a descriptor"));
    Command::new(std::env::current_exe().expect("our own path"))
        .env(VARIABLE, name)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(out())
        .stderr(out())
        .spawn()
        .expect("our own program")
}

/// Waits for a scenario and ends what it left behind. Gives its exit code.
fn end(mut child: Child) -> Option<i32> {
    let until = Instant::now() + LIMIT;
    let code = loop {
        if let Some(status) = child.try_wait().expect("our child") {
            break status.code();
        }
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            println!("not over within {LIMIT:?}");
            break None;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    while let Some(pids) = children_of(std::process::id() as i32).filter(|pids| !pids.is_empty()) {
        for pid in pids {
            let pid = nix::unistd::Pid::from_raw(pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            let _ = nix::sys::wait::waitpid(pid, None);
        }
    }
    code
}

pub(crate) fn children_of(pid: i32) -> Option<Vec<i32>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    Some(
        text.split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect(),
    )
}
