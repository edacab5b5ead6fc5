//! The kernel's view of other processes.
//!
//! A look at who belongs to a session costs a directory listing and two system calls for each process; files are read
//! only of those that do belong. At 1,000 processes that is a millisecond.

#![allow(
    unsafe_code,
    reason = "getdents64(2): std's listing allocates for each entry"
)]

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::call::Pid;

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// One letter, as in proc(5).
    pub state: u8,
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// Its threads. A process whose first thread has ended shows state `Z`, though others live.
    pub threads: u32,
    /// When it started, in clock ticks since boot.
    pub started: u64,
}

impl Stat {
    /// Reads it. `None` when there is no such process.
    pub fn read(pid: i32) -> Option<Stat> {
        let mut buffer = [0; 1024];
        let mut file = open(&format!("/proc/{pid}/stat"))?;
        let length = file.read(&mut buffer).ok()?;
        Stat::parse(&buffer[..length])
    }

    /// Reads the text of the file. The name in it may hold anything, parentheses, spaces and line breaks too; so what
    /// counts is the last parenthesis.
    pub fn parse(text: &[u8]) -> Option<Stat> {
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(&text[end + 1..]).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Field 3 of proc(5) is the first here.
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Stat {
            state: *field(3)?.as_bytes().first()?,
            parent: field(4)?.parse().ok()?,
            group: field(5)?.parse().ok()?,
            session: field(6)?.parse().ok()?,
            threads: field(20)?.parse().ok()?,
            started: field(22)?.parse().ok()?,
        })
    }

    /// It can still do something.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x') || self.threads > 1
    }
}

/// Files of `/proc` that are read again and again. Kept open: so they can be read without a descriptor to spare.
#[derive(Debug)]
pub(super) struct OwnFiles {
    children: Option<File>,
    loadavg: Option<File>,
}

impl OwnFiles {
    pub(super) fn open(own: Pid) -> Self {
        OwnFiles {
            // The first thread's: only that one spawns, and the kernel gives orphans to a process's first living
            // thread.
            children: open(&format!("/proc/{own}/task/{own}/children")),
            loadavg: open("/proc/loadavg"),
        }
    }

    /// Our children, dead ones that nobody reaped included. `None` where the kernel has no such file
    /// (CONFIG_PROC_CHILDREN).
    pub(super) fn children(&self) -> Option<Vec<Pid>> {
        let file = self.children.as_ref()?;
        let mut text = vec![0; 4096];
        let mut length = 0;
        loop {
            match file.read_at(&mut text[length..], length as u64).ok()? {
                0 => return Some(numbers(&text[..length])),
                more => length += more,
            }
            if text.len() - length < 1024 {
                text.resize(text.len() * 2, 0);
            }
        }
    }

    /// The number that was given to a process last, in our PID namespace: the last field of `/proc/loadavg`. While it
    /// stays the same, nobody has forked.
    pub(super) fn last_pid(&self) -> Option<Pid> {
        let mut text = [0; 128];
        let length = self.loadavg.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(&text[..length]).ok()?;
        text.split_ascii_whitespace().next_back()?.parse().ok()
    }
}

fn numbers(text: &[u8]) -> Vec<Pid> {
    text.split(|byte| !byte.is_ascii_digit())
        .filter_map(number)
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "the edge reads /proc")]
fn open(path: &str) -> Option<File> {
    File::open(path).ok()
}

fn number(digits: &[u8]) -> Option<Pid> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The list of all processes that we can see.
#[derive(Debug)]
pub(super) struct Listing {
    dir: Option<OwnedFd>,
    buffer: Vec<u64>,
}

impl Listing {
    /// Keeps `/proc` open. Without it there are no processes to be seen.
    pub(super) fn open() -> Self {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Listing {
            dir: nix::fcntl::open("/proc", flags, Mode::empty()).ok(),
            // 32 KiB, aligned as the kernel's records are.
            buffer: vec![0; 4096],
        }
    }

    /// Calls `with` for each process, in the order of their numbers; so one that is forked meanwhile is met, unless the
    /// numbers have just started anew.
    pub(super) fn each(&mut self, mut with: impl FnMut(Pid)) {
        let Some(dir) = &self.dir else { return };
        let size = self.buffer.len() * size_of::<u64>();
        // SAFETY: the descriptor is open, the buffer is writable memory of that size.
        unsafe { libc::lseek(dir.as_raw_fd(), 0, libc::SEEK_SET) };
        loop {
            let buffer = self.buffer.as_mut_ptr();
            // SAFETY: as above.
            let got = unsafe { libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), buffer, size) };
            if got <= 0 {
                return;
            }
            // SAFETY: the kernel has just filled so many bytes, and any byte may be read as such.
            let records = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), got as usize) };
            each_name(records, |name| {
                if let Some(pid) = number(name) {
                    with(pid);
                }
            });
        }
    }
}

/// Walks over records of getdents64(2): inode and offset (8 bytes each), length (2), type (1), name up to a zero.
fn each_name(mut records: &[u8], mut with: impl FnMut(&[u8])) {
    const NAME: usize = 19;
    while records.len() > NAME {
        let length = usize::from(u16::from_ne_bytes([records[16], records[17]]));
        if length <= NAME || length > records.len() {
            return;
        }
        let (record, rest) = records.split_at(length);
        let name = &record[NAME..];
        if name[0].is_ascii_digit() {
            with(name.split(|byte| *byte == 0).next().unwrap_or(name));
        }
        records = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        for name in ["cat", "a b", "x) R 1 1 (", "))", "\n1 (", ""] {
            let text = format!(
                "42 ({name}) S 7 40 39 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 98765 1 1 1\n"
            );
            let expected = Stat {
                state: b'S',
                parent: 7,
                group: 40,
                session: 39,
                threads: 3,
                started: 98765,
            };
            assert_eq!(Stat::parse(text.as_bytes()), Some(expected), "{name:?}");
        }
    }

    #[test]
    fn half_a_line_is_nothing() {
        for text in ["", "42", "42 (cat", "42 (cat) S 7", "42 (cat) S x 40 39"] {
            assert_eq!(Stat::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn a_process_lives_while_one_of_its_threads_does() {
        let stat = |state, threads| Stat {
            state,
            parent: 1,
            group: 1,
            session: 1,
            threads,
            started: 1,
        };
        assert!(stat(b'S', 1).is_alive());
        assert!(stat(b'Z', 2).is_alive());
        assert!(!stat(b'Z', 1).is_alive());
        assert!(!stat(b'X', 1).is_alive());
    }

    #[test]
    fn we_are_in_the_list() {
        let own = std::process::id() as i32;
        let mut seen = Vec::new();
        Listing::open().each(|pid| seen.push(pid));
        assert!(seen.contains(&own));
        assert!(seen.is_sorted());
        let stat = Stat::read(own).expect("we are there");
        assert!(stat.is_alive() && stat.threads >= 1);
        let files = OwnFiles::open(own);
        assert!(files.last_pid().is_some());
        // The file is not everywhere; where it is, it can be read more than once.
        assert_eq!(files.children().is_some(), files.children().is_some());
    }

    #[test]
    fn a_list_of_children_is_numbers() {
        assert_eq!(numbers(b"12 345 "), [12, 345]);
        assert_eq!(numbers(b""), [] as [i32; 0]);
    }
}
