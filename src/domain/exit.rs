//! How a run ended, or why it never began.

use std::fmt;
use std::time::Duration;

use super::signal::Signal;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It called exit with this code.
    Code(u8),
    /// A signal ended it.
    Signal {
        /// Which.
        signal: Signal,
        /// It left a core dump.
        core: bool,
    },
}

impl Exit {
    /// What a shell would report: the code, or 128 + signal.
    pub fn shell_code(self) -> u8 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal { signal, .. } => 128 + signal.number() as u8,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal {
                signal,
                core: false,
            } => write!(f, "{signal}"),
            Exit::Signal { signal, core: true } => write!(f, "{signal} (core dumped)"),
        }
    }
}

/// What the kernel counted for a child and the children it waited for (getrusage(2)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// Largest resident set, in bytes.
    pub max_rss: u64,
}

/// The step at which a spawn failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpawnStep {
    /// Making its pipes: for its output, and for its answer.
    Pipe,
    /// fork(2).
    Fork,
    /// setsid(2), setpgid(2) or the controlling terminal.
    Session,
    /// setrlimit(2).
    Rlimit,
    /// setpriority(2).
    Nice,
    /// Writing `oom_score_adj`.
    OomScoreAdj,
    /// setgroups(2).
    Groups,
    /// setgid(2).
    Gid,
    /// setuid(2).
    Uid,
    /// prctl(2), PR_SET_NO_NEW_PRIVS.
    NoNewPrivs,
    /// prctl(2), PR_SET_PDEATHSIG.
    ParentDeathSignal,
    /// chdir(2).
    WorkingDir,
    /// dup2(2) of stdin, stdout or stderr.
    Stdio,
    /// execve(2).
    Exec,
    /// None of the steps answered within 10 s; the child was killed.
    TimedOut,
}

impl fmt::Display for SpawnStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SpawnStep::Pipe => "make its pipes",
            SpawnStep::Fork => "fork",
            SpawnStep::Session => "start its session",
            SpawnStep::Rlimit => "set its rlimits",
            SpawnStep::Nice => "set its nice value",
            SpawnStep::OomScoreAdj => "set its oomScoreAdj",
            SpawnStep::Groups => "set its supplementary groups",
            SpawnStep::Gid => "set its group",
            SpawnStep::Uid => "set its user",
            SpawnStep::NoNewPrivs => "set no_new_privs",
            SpawnStep::ParentDeathSignal => "set its parent death signal",
            SpawnStep::WorkingDir => "change to its working directory",
            SpawnStep::Stdio => "set its standard streams",
            SpawnStep::Exec => "execute its command",
            SpawnStep::TimedOut => "execute its command within 10 s",
        })
    }
}

/// A spawn that failed: where, and the errno (0 when there is none).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("failed to {step}: {}", errno_text(*.errno))]
pub struct SpawnFailure {
    /// Where.
    pub step: SpawnStep,
    /// errno of that step; 0 when the step has none.
    pub errno: i32,
}

impl SpawnFailure {
    /// There was no room for a child, which says nothing about its command.
    pub fn is_before_fork(self) -> bool {
        matches!(self.step, SpawnStep::Pipe | SpawnStep::Fork)
    }

    /// The same about a command, by name.
    pub fn of(self, command: &str) -> String {
        match self.step {
            SpawnStep::Exec => {
                format!("failed to execute `{command}`: {}", errno_text(self.errno))
            }
            _ => format!("failed to start `{command}`: {self}"),
        }
    }
}

fn errno_text(errno: i32) -> String {
    if errno == 0 {
        return "no answer".to_owned();
    }
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    match text.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
