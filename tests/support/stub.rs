//! A child for the tests on real processes: does what its arguments say, in their order, then exits.
//!
//! | argument | what it does |
//! |---|---|
//! | `--say TEXT` | writes a line |
//! | `--state` | writes what it is as one line of JSON |
//! | `--flood BYTES` | writes so many bytes in lines of 100 |
//! | `--pieces TEXT` | writes a line once for each place in it, in two pieces, cut there |
//! | `--echo` | copies stdin to stdout, line by line |
//! | `--ignore SIGNAL` | ignores it; what it forks does too |
//! | `--trap SIGNAL MS CODE` | on the signal says `trapped SIGNAL`, takes its time, exits with the code |
//! | `--trap-all` | on each signal that can be caught says `got NUMBER` and goes on |
//! | `--raise SIGNAL` | sends it to itself |
//! | `--delay MS` | waits |
//! | `--forever` | waits until a signal ends it |
//! | `--hold N` | forks children that wait forever, in its session and group, with its streams |
//! | `--group` | forks such a child in a group of its own |
//! | `--daemon N` | starts daemons (double fork, setsid) that wait forever |
//! | `--leaver` | forks a child that leaves the session once its parent is dead |
//! | `--aside MS` | forks a child that leaves the session, and whose own child stays for a time, and is reaped by it |
//! | `--chain MS` | forks a child that forks another one and ends, and so on, for a time |
//! | `--scatter N` | makes orphans, one after the other as fast as it can, that end at once |
//! | `--burst N` | makes orphans that all end at the same moment |
//! | `--storm N` | forks so many such chains, without an end |
//! | `--thread MS CODE` | the first thread ends; another exits after a time |
//! | `--file PATH` | makes a file |
//! | `--notify NAME TEXT` | sends a message to an abstract socket |
//! | `--notify-often NAME N` | sends it so many, as fast as they are taken |
//! | `--mark TEXT` | nothing: the text is in the command line, for tests to find it by |
//! | `--exit CODE` | exits |

#![allow(unsafe_code, reason = "fork and signals")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::exit,
    clippy::panic,
    reason = "a test's child"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::os::fd::AsRawFd;
use std::process::exit;
use std::str::FromStr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use podinit::domain::signal::Signal;

#[path = "stub/hard.rs"]
mod hard;
#[path = "stub/notify.rs"]
mod notify;

fn main() {
    let mut args = std::env::args().skip(1);
    while let Some(action) = args.next() {
        act(&action, &mut args);
    }
}

fn act(action: &str, args: &mut impl Iterator<Item = String>) {
    match action {
        "--say" => println!("{}", text(args)),
        "--state" => println!("{}", state()),
        "--flood" => flood(next(args)),
        "--echo" => echo(),
        "--ignore" => set_handler(signal(args), libc::SIG_IGN),
        "--trap" => trap(signal(args), next(args), next(args)),
        "--trap-all" => hard::trap_all(),
        "--raise" => raise(signal(args)),
        "--delay" => sleep(next(args)),
        "--forever" => forever(),
        "--hold" => repeat(next(args), || forever()),
        "--group" => repeat(1, || {
            // SAFETY: numbers only.
            unsafe { libc::setpgid(0, 0) };
            forever()
        }),
        "--daemon" => daemons(next(args)),
        "--leaver" => leaver(),
        "--aside" => aside(next(args)),
        "--chain" => chain(next(args)),
        "--scatter" => scatter(next(args)),
        "--burst" => burst(next(args)),
        "--storm" => hard::storm(next(args)),
        "--pieces" => hard::pieces(&text(args)),
        "--notify" => notify::tell(&text(args), &text(args)),
        "--notify-often" => notify::tell_often(&text(args), next(args)),
        "--mark" => drop(text(args)),
        "--thread" => thread(next(args), next(args)),
        "--file" => {
            std::fs::write(text(args), "").expect("the file can be made");
        }
        "--exit" => exit(next(args)),
        other => panic!("unknown action {other}"),
    }
}

fn text(args: &mut impl Iterator<Item = String>) -> String {
    args.next().expect("the action wants an argument")
}

fn next<T: FromStr>(args: &mut impl Iterator<Item = String>) -> T {
    let text = text(args);
    text.parse()
        .unwrap_or_else(|_| panic!("`{text}` is no number"))
}

fn signal(args: &mut impl Iterator<Item = String>) -> i32 {
    let text = text(args);
    text.parse::<Signal>()
        .map(Signal::number)
        .or_else(|_| text.parse())
        .expect("a signal")
}

fn sleep(millis: u64) {
    let until = Instant::now() + Duration::from_millis(millis);
    while let Some(rest) = until.checked_duration_since(Instant::now()) {
        std::thread::sleep(rest);
    }
}

fn forever() -> ! {
    loop {
        // SAFETY: takes nothing.
        unsafe { libc::pause() };
    }
}

/// Forks; the child does what it is told and exits.
fn fork(child: impl FnOnce()) -> libc::pid_t {
    // SAFETY: this process has one thread.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        child();
        exit(0);
    }
    pid
}

fn repeat(count: usize, child: impl Fn()) {
    for _ in 0..count {
        fork(&child);
    }
}

fn wait_for(pid: libc::pid_t) {
    // SAFETY: no status is asked for.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
}

fn set_handler(signal: i32, handler: libc::sighandler_t) {
    // SAFETY: the handler is SIG_IGN, SIG_DFL or an async-signal-safe function.
    unsafe { libc::signal(signal, handler) };
}

fn raise(signal: i32) {
    // Rust ignores PIPE for itself, and handles two to tell an overflown stack.
    if [libc::SIGPIPE, libc::SIGSEGV, libc::SIGBUS].contains(&signal) {
        set_handler(signal, libc::SIG_DFL);
    }
    // SAFETY: numbers only.
    unsafe { libc::kill(libc::getpid(), signal) };
}

static TRAP_MILLIS: AtomicI32 = AtomicI32::new(0);
static TRAP_CODE: AtomicI32 = AtomicI32::new(0);

fn trap(signal: i32, millis: i32, code: i32) {
    extern "C" fn trapped(signal: i32) {
        // A test's child: nothing else runs that could hold a lock of stdout.
        let name = Signal::from_number(signal).map(|signal| signal.to_string());
        let line = format!("trapped {}\n", name.unwrap_or_default());
        // SAFETY: memory that lives through the call.
        unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
        sleep(TRAP_MILLIS.load(Ordering::Relaxed) as u64);
        // SAFETY: a number only.
        unsafe { libc::_exit(TRAP_CODE.load(Ordering::Relaxed)) };
    }
    TRAP_MILLIS.store(millis, Ordering::Relaxed);
    TRAP_CODE.store(code, Ordering::Relaxed);
    set_handler(signal, trapped as extern "C" fn(i32) as libc::sighandler_t);
}

fn flood(bytes: usize) {
    let line = [[b'x'; 99].as_slice(), b"\n"].concat();
    let block = line.repeat(640);
    let mut out = std::io::stdout().lock();
    let mut left = bytes;
    while left > 0 {
        let part = left.min(block.len());
        out.write_all(&block[..part]).expect("stdout takes it");
        left -= part;
    }
}

fn echo() {
    for line in std::io::stdin().lock().lines() {
        println!("{}", line.expect("a line"));
    }
}

fn setsid() {
    // SAFETY: takes nothing.
    unsafe { libc::setsid() };
}

fn daemons(count: usize) {
    for _ in 0..count {
        wait_for(fork(|| {
            setsid();
            fork(|| forever());
        }));
    }
}

fn leaver() {
    // SAFETY: takes nothing.
    let own = unsafe { libc::getpid() };
    fork(|| {
        // SAFETY: takes nothing.
        while unsafe { libc::getppid() } == own {
            sleep(1);
        }
        sleep(50);
        setsid();
        forever();
    });
}

fn aside(millis: u64) {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    fork(|| {
        let inner = fork(|| {
            // SAFETY: this copy of it is used by nobody else.
            unsafe { libc::close(writer.as_raw_fd()) };
            sleep(millis);
        });
        setsid();
        drop(writer);
        wait_for(inner);
        forever();
    });
    // Goes on once the child has left.
    let _ = std::io::copy(&mut reader, &mut std::io::sink());
}

fn chain(millis: u64) {
    let until = Instant::now() + Duration::from_millis(millis);
    fork(|| {
        while Instant::now() < until {
            // SAFETY: this process has one thread.
            let next = unsafe { libc::fork() };
            assert!(next >= 0, "fork: {}", std::io::Error::last_os_error());
            if next != 0 {
                return;
            }
        }
    });
}

fn scatter(count: usize) {
    for _ in 0..count {
        wait_for(fork(|| {
            fork(|| {});
        }));
    }
}

fn burst(count: usize) {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let (mut done, alive) = std::io::pipe().expect("a pipe");
    wait_for(fork(|| {
        for _ in 0..count {
            // SAFETY: this process has one thread.
            if unsafe { libc::fork() } == 0 {
                // SAFETY: numbers, and memory that lives through the call. Its copy of the write end goes first: the
                // last one closed is what lets them all go.
                unsafe {
                    libc::close(writer.as_raw_fd());
                    libc::close(alive.as_raw_fd());
                    let mut byte = 0_u8;
                    libc::read(reader.as_raw_fd(), (&raw mut byte).cast(), 1);
                    libc::_exit(0);
                }
            }
        }
    }));
    drop(alive);
    let _ = std::io::copy(&mut done, &mut std::io::sink());
    println!("ready");
    sleep(50);
    // All children are there, and nobody's but the reaper's.
    drop(writer);
    let _ = std::io::copy(&mut reader, &mut std::io::sink());
}

fn thread(millis: u64, code: i32) {
    std::thread::Builder::new()
        .spawn(move || {
            sleep(millis);
            exit(code);
        })
        .expect("a thread");
    // SAFETY: ends this thread only; what it owns stays.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

fn state() -> serde_json::Value {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
    };
    let words = |name: &str| -> Vec<String> {
        field(name)
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let mut death_signal = 0;
    // SAFETY: numbers, and the address of a local for PR_GET_PDEATHSIG.
    let (pid, parent, group, session, nice) = unsafe {
        libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut death_signal);
        (
            libc::getpid(),
            libc::getppid(),
            libc::getpgrp(),
            libc::getsid(0),
            libc::getpriority(libc::PRIO_PROCESS, 0),
        )
    };
    serde_json::json!({
        "args": std::env::args().collect::<Vec<_>>(),
        "env": std::env::vars().collect::<BTreeMap<_, _>>(),
        "cwd": std::env::current_dir().map(|dir| dir.display().to_string()).unwrap_or_default(),
        "pid": pid,
        "parent": parent,
        "group": group,
        "session": session,
        "uid": words("Uid"),
        "gid": words("Gid"),
        "groups": words("Groups"),
        "umask": field("Umask"),
        "nice": nice,
        "limits": limits(&read("/proc/self/limits")),
        "oomScoreAdj": read("/proc/self/oom_score_adj"),
        "noNewPrivs": field("NoNewPrivs"),
        "parentDeathSignal": death_signal,
        "capEff": field("CapEff"),
        "fds": fds(),
    })
}

/// Soft and hard limit by name.
fn limits(text: &str) -> BTreeMap<String, [String; 2]> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let (name, rest) = line.split_at_checked(26)?;
            let mut values = rest.split_whitespace().map(str::to_owned);
            Some((name.trim().to_owned(), [values.next()?, values.next()?]))
        })
        .collect()
}

/// What is open, but for the listing itself.
fn fds() -> BTreeMap<String, String> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.path()).ok()?.display().to_string();
            let name = entry.file_name().to_string_lossy().into_owned();
            (!(target.starts_with("/proc/") && target.ends_with("/fd"))).then_some((name, target))
        })
        .collect()
}
