//! The same as process 1 of a PID namespace, and where the kernel gives less than here.

use std::ffi::CString;
use std::time::Duration;

use podinit::domain::event::Event;
use podinit::domain::exit::Exit;
use podinit::domain::plan::{Directory, SignalTarget};
use podinit::domain::signal::Signal;
use podinit::ports::{Children, Stdio};
use podinit::sys::directories;

use crate::kit::{command, is_alive, processes, stub, until, with_table};
use crate::scenario::{Scenario, children_of};
use crate::{reaping, sessions};

pub(crate) const ALL: &[Scenario] = &[
    ("as_pid_1_everything_is_ours", everything),
    ("as_pid_1_three_thousand_orphans", || {
        as_pid1(reaping::burst);
    }),
    ("as_pid_1_a_chain_of_forks_does_not_outrun_kill", || {
        as_pid1(sessions::chain);
    }),
    ("as_pid_1_signals_are_not_lost", || {
        as_pid1(crate::signalling::of_a_set);
    }),
    ("what_is_not_ours_is_never_touched", foreign),
    ("without_a_list_of_children_leftovers_are_found", || {
        hide_children();
        sessions::own_groups();
    }),
    ("without_a_list_of_children_orphans_are_ended", || {
        hide_children();
        sessions::nested_orphans();
    }),
    ("without_pidfds_leftovers_are_ended", || {
        forbid_pidfds();
        sessions::holder();
    }),
    ("without_pidfds_members_may_die_one_by_one", || {
        forbid_pidfds();
        hide_children();
        sessions::one_by_one();
    }),
    (
        "without_descriptors_leftovers_are_found",
        out_of_descriptors,
    ),
    ("a_read_only_file_system_is_left_as_it_is", read_only),
];

/// Runs a scenario as process 1 of a PID namespace with its own /proc.
pub(crate) fn as_pid1(body: fn()) {
    new_namespace();
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        own_proc();
        body();
        std::process::exit(0);
    }
    let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child), None).unwrap();
    assert!(
        matches!(status, nix::sys::wait::WaitStatus::Exited(_, 0)),
        "{status:?}"
    );
}

/// The next child is process 1 there.
pub(crate) fn new_namespace() {
    let flags = libc::CLONE_NEWPID | libc::CLONE_NEWNS;
    // SAFETY: a number only.
    assert_eq!(
        unsafe { libc::unshare(flags) },
        0,
        "root is needed for a PID namespace"
    );
}

/// For process 1 of a namespace.
pub(crate) fn own_proc() {
    assert_eq!(std::process::id(), 1);
    own_mounts();
    mount("proc", "/proc", "proc", 0);
}

/// What is mounted from here on is seen by nobody else.
fn own_mounts() {
    mount("none", "/", "", libc::MS_REC | libc::MS_PRIVATE);
}

fn mount(source: &str, target: &str, kind: &str, flags: libc::c_ulong) {
    let [source, at, kind] = [source, target, kind].map(|text| CString::new(text).unwrap());
    // SAFETY: strings that live through the call.
    let result = unsafe {
        libc::mount(
            source.as_ptr(),
            at.as_ptr(),
            kind.as_ptr(),
            flags,
            std::ptr::null(),
        )
    };
    assert_eq!(
        result,
        0,
        "mount {target}: {}",
        std::io::Error::last_os_error()
    );
}

/// As on a kernel without CONFIG_PROC_CHILDREN.
fn hide_children() {
    // SAFETY: a number only.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0);
    own_mounts();
    mount(
        "tmpfs",
        &format!("/proc/{}/task", std::process::id()),
        "tmpfs",
        0,
    );
    assert!(children_of(std::process::id() as i32).is_none());
}

/// As before Linux 5.3, in gVisor, or under a filter that does not know the call.
fn forbid_pidfds() {
    let instruction = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let mut filter = [
        // The number of the call; if it is pidfd_open, ENOSYS.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            libc::SYS_pidfd_open as u32,
        ),
        instruction(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
        ),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: a valid program that lives through the call.
    unsafe {
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program),
            0
        );
        assert_eq!(libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0), -1);
    }
}

fn everything() {
    as_pid1(|| {
        with_table(async |mut kit| {
            let script = "setsid sleep 1000 & sleep 1000 & exit 3";
            let run = kit.spawn(&command(&["sh", "-c", script]));
            let pid = kit.spawned(run).await;
            let (exit, left) = kit.exited(run).await;
            assert_eq!(exit, Exit::Code(3));
            // The one may have left by now, or not yet.
            assert!((1..=2).contains(&left), "{left}");
            until("the other has left", || {
                processes(|stat| stat.session == pid && stat.is_alive()).len() == 1
            });
            kit.kill(run);
            kit.empty(run).await;
            kit.table.end_orphans(Signal::TERM);
            kit.childless().await;
            assert_eq!(processes(|_| true), [1]);
        });
    });
}

/// Processes beside us, as in a pod that shares its PID namespace: not our children, and nobody's business of ours.
fn foreign() {
    // SAFETY: this process has one thread.
    let stranger = unsafe { libc::fork() };
    if stranger == 0 {
        // SAFETY: numbers only. Its own child dies, and is its own to reap.
        unsafe {
            libc::setsid();
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
            if libc::fork() == 0 {
                libc::_exit(0);
            }
            loop {
                libc::pause();
            }
        }
    }
    // SAFETY: this process has one thread.
    let middle = unsafe { libc::fork() };
    if middle == 0 {
        with_table(async |mut kit| {
            let run = kit.spawn(&stub(&[
                "--hold",
                "1",
                "--daemon",
                "1",
                "--say",
                "up",
                "--forever",
            ]));
            kit.spawned(run).await;
            kit.line(run);
            for target in [
                SignalTarget::Leader,
                SignalTarget::Group,
                SignalTarget::Session,
            ] {
                kit.signal(run, Signal::TERM, target);
            }
            kit.kill(run);
            if kit.exited(run).await.1 > 0 {
                kit.empty(run).await;
            }
            kit.table.end_orphans(Signal::KILL);
            kit.childless().await;
        });
        std::process::exit(0);
    }
    let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(middle), None).unwrap();
    assert!(matches!(status, nix::sys::wait::WaitStatus::Exited(_, 0)));
    assert!(is_alive(stranger));
    assert_eq!(processes(|stat| stat.parent == stranger).len(), 1);
}

fn out_of_descriptors() {
    with_table(async |mut kit| {
        let run = kit.spawn(&stub(&["--hold", "2", "--say", "up", "--forever"]));
        let pid = kit.spawned(run).await;
        kit.line(run);
        let failing = kit.spawn(&command(&["/nonexistent"]));
        kit.pass(Duration::from_millis(1)).await;

        let (soft, hard) =
            nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
        let set = |soft| {
            let resource = nix::sys::resource::Resource::RLIMIT_NOFILE;
            nix::sys::resource::setrlimit(resource, soft, hard).unwrap();
        };
        set(3);
        kit.failed(failing).await;
        kit.signal(run, Signal::KILL, SignalTarget::Leader);
        assert_eq!(kit.exited(run).await.1, 2);
        assert!(kit.try_spawn(&command(&["true"])).is_err());
        assert!(kit.kill(run));
        kit.empty(run).await;
        kit.table.end_orphans(Signal::KILL);
        kit.childless().await;
        set(soft);
        assert!(processes(|stat| stat.session == pid).is_empty());
        // All as before.
        let run = kit.spawn_with(&stub(&[]), Stdio::Logged).unwrap();
        kit.exited(run).await;
        assert_eq!(kit.count(|event| matches!(event, Event::Childless)), 1);
    });
}

fn read_only() {
    // SAFETY: a number only.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0);
    own_mounts();
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display().to_string();
    mount("tmpfs", &at, "tmpfs", 0);
    std::fs::create_dir(dir.path().join("there")).unwrap();
    mount("tmpfs", &at, "tmpfs", libc::MS_REMOUNT | libc::MS_RDONLY);
    let wanted = |path: &str, uid| Directory {
        path: format!("{at}/{path}"),
        mode: Some(0o700),
        uid,
        gid: None,
    };
    // What is not there, a mode, an owner: none can be had, each is said once.
    assert_eq!(
        directories::make(&wanted("new/below", None)).unwrap().len(),
        1
    );
    assert_eq!(directories::make(&wanted("there", None)).unwrap().len(), 1);
    assert_eq!(
        directories::make(&wanted("there", Some(7))).unwrap().len(),
        1
    );
}
