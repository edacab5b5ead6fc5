//! A child is what its launch says, or it is nothing and says why; and a failure leaves nothing behind.

use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use podinit::domain::event::Event;
use podinit::domain::exit::{Exit, SpawnStep};
use podinit::domain::plan::{Identity, Launch, Rlimit};
use podinit::domain::signal::Signal;
use podinit::ports::Children;
use podinit::sys::pid1;
use podinit::sys::signals::SignalMode;
use serde_json::{Value, json};

use crate::kit::{
    Kit, STUB, command, cstring, is_alive, open_descriptors, stub, until, with_table, with_table_of,
};
use crate::scenario::Scenario;

pub(crate) const ALL: &[Scenario] = &[
    ("a_launch_is_carried_out_whole", whole),
    ("a_launch_without_wishes_changes_nothing", plain),
    ("who_may_not_change_groups_keeps_its_own", same_identity),
    ("each_failure_names_its_step_and_reason", failures),
    ("what_is_refused_to_a_user_names_its_step", refused),
    ("a_fork_that_fails_leaves_nothing_behind", no_processes),
    ("without_descriptors_nothing_is_left_behind", no_descriptors),
    ("signals_are_default_in_a_child", dispositions),
    ("no_descriptor_of_ours_reaches_a_child", leaks),
    ("closed_standard_streams_are_filled", closed_streams),
    ("a_user_can_open_its_own_stderr", own_stderr),
    ("log_pipes_outlive_their_reader", log_pipes),
    ("children_die_with_us", parent_death),
    ("a_child_in_another_pid_namespace", other_namespace),
    ("an_exec_that_hangs_is_given_up", hung),
    ("nothing_is_left_open_after_many_runs", many),
    ("how_long_a_spawn_takes", latency),
];

/// The stub where every user can reach it.
fn public_stub() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    open_to_all(dir.path());
    let path = dir.path().join("stub");
    std::fs::copy(STUB, &path).unwrap();
    let path = path.display().to_string();
    (dir, path)
}

fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

async fn state_of(kit: &mut Kit, launch: &Launch) -> Value {
    let run = kit.spawn(launch);
    kit.spawned(run).await;
    let state = serde_json::from_str(&kit.line(run)).unwrap();
    assert_eq!(kit.exited(run).await, (Exit::Code(0), 0));
    state
}

/// Becomes an ordinary user, for good.
fn become_user(id: u32) {
    setgroups(&[]).unwrap();
    setresgid(Gid::from_raw(id), Gid::from_raw(id), Gid::from_raw(id)).unwrap();
    setresuid(Uid::from_raw(id), Uid::from_raw(id), Uid::from_raw(id)).unwrap();
}

fn rlimit(resource: u32, soft: u64, hard: u64) -> Rlimit {
    Rlimit {
        resource,
        soft: Some(soft),
        hard: Some(hard),
    }
}

fn whole() {
    let (dir, path) = public_stub();
    std::fs::create_dir_all(dir.path().join("start/below")).unwrap();
    std::env::set_current_dir(dir.path().join("start")).unwrap();
    // What must not be left of ours.
    setgroups(&[Gid::from_raw(0), Gid::from_raw(4), Gid::from_raw(27)]).unwrap();
    with_table(async |mut kit| {
        assert_eq!(std::env::current_dir().unwrap(), PathBuf::from("/"));
        let launch = Launch {
            argv: [path.as_str(), "--state"].map(cstring).to_vec(),
            env: ["A=1", "PATH=/nowhere"].map(cstring).to_vec(),
            dir: Some(cstring("below")),
            identity: Some(Identity {
                uid: 4242,
                gid: 4343,
                groups: vec![4444, 4545],
            }),
            no_new_privs: true,
            umask: Some(0o27),
            rlimits: vec![
                rlimit(libc::RLIMIT_NOFILE, 111, 222),
                rlimit(libc::RLIMIT_CORE, 0, 0),
            ],
            nice: Some(5),
            oom_score_adj: Some(321),
        };
        let state = state_of(&mut kit, &launch).await;
        assert_eq!(state["uid"], json!(["4242", "4242", "4242", "4242"]));
        assert_eq!(state["gid"], json!(["4343", "4343", "4343", "4343"]));
        assert_eq!(state["groups"], json!(["4444", "4545"]));
        assert_eq!(state["capEff"], "0000000000000000");
        assert_eq!(state["env"], json!({"A": "1", "PATH": "/nowhere"}));
        let below = dir.path().join("start/below").canonicalize().unwrap();
        assert_eq!(state["cwd"], below.display().to_string());
        assert_eq!(state["umask"], "0027");
        assert_eq!(state["nice"], 5);
        assert_eq!(state["oomScoreAdj"], "321");
        assert_eq!(state["noNewPrivs"], "1");
        assert_eq!(state["limits"]["Max open files"], json!(["111", "222"]));
        assert_eq!(state["limits"]["Max core file size"], json!(["0", "0"]));
        assert_eq!(state["session"], state["pid"]);
        assert_eq!(state["group"], state["pid"]);
        assert_eq!(state["parent"], std::process::id());
        assert_eq!(state["parentDeathSignal"], libc::SIGKILL);
    });
}

fn plain() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 1000, hard).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::env::set_current_dir(dir.path()).unwrap();
    with_table(async |mut kit| {
        // Ours is raised, theirs is not.
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard, hard));
        let state = state_of(&mut kit, &stub(&["--state"])).await;
        assert_eq!(
            state["limits"]["Max open files"],
            json!(["1000", hard.to_string()])
        );
        assert_eq!(
            state["cwd"],
            dir.path().canonicalize().unwrap().display().to_string()
        );
        assert_eq!(state["uid"], json!(["0", "0", "0", "0"]));
        assert_eq!(state["noNewPrivs"], "0");
        assert_eq!(state["nice"], 0);
        assert_eq!(state["env"], json!({"PATH": "/usr/bin:/bin"}));

        // A path of its own is relative to its own directory.
        symlink(STUB, dir.path().join("here")).unwrap();
        let mut launch = stub(&["--state"]);
        launch.argv[0] = cstring("./here");
        state_of(&mut kit, &launch).await;
        launch.dir = Some(cstring("/"));
        let run = kit.spawn(&launch);
        assert_eq!(kit.failed(run).await.errno, libc::ENOENT);
        // And so is an empty entry of PATH.
        launch.argv[0] = cstring("here");
        launch.env = vec![cstring("PATH=/nonexistent::/bin")];
        launch.dir = None;
        state_of(&mut kit, &launch).await;
    });
}

fn same_identity() {
    let (_dir, path) = public_stub();
    become_user(54321);
    with_table(async |mut kit| {
        let mut launch = command(&[&path, "--state"]);
        launch.dir = Some(cstring("/"));
        launch.identity = Some(Identity {
            uid: 54321,
            gid: 54321,
            groups: Vec::new(),
        });
        let state = state_of(&mut kit, &launch).await;
        assert_eq!(state["uid"][0], "54321");
        assert_eq!(state["groups"], json!([]));
        assert_eq!(state["parentDeathSignal"], libc::SIGKILL);
    });
}

fn failures() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let script = |name: &str, text: &str, mode: u32| {
        std::fs::write(at(name), text).unwrap();
        std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    script("locked", "#!/bin/sh\n", 0o644);
    script("no-interpreter", "#!/nonexistent/sh\n", 0o755);
    script("no-format", "echo no shell will be asked\n", 0o755);
    with_table(async |mut kit| {
        use SpawnStep::{Exec, Rlimit as Limit, WorkingDir};
        let in_dir = |dir: &str| Launch {
            dir: Some(cstring(dir)),
            ..command(&["true"])
        };
        let with_path = |path: &str| Launch {
            env: vec![cstring(path)],
            ..command(&["locked"])
        };
        let limited = Launch {
            rlimits: vec![rlimit(libc::RLIMIT_CPU, 9, 8)],
            ..command(&["true"])
        };
        let cases = [
            (command(&["/nonexistent/x"]), Exec, libc::ENOENT),
            (command(&["nonexistent"]), Exec, libc::ENOENT),
            (command(&[""]), Exec, libc::ENOENT),
            (command(&["/"]), Exec, libc::EACCES),
            (command(&["/etc/passwd/x"]), Exec, libc::ENOTDIR),
            (command(&[&at("locked")]), Exec, libc::EACCES),
            (command(&[&at("no-interpreter")]), Exec, libc::ENOENT),
            (command(&[&at("no-format")]), Exec, libc::ENOEXEC),
            (
                command(&[&format!("/{}", "x".repeat(5000))]),
                Exec,
                libc::ENAMETOOLONG,
            ),
            // Refused in one place, missing in the others: the refusal is what one wants to know.
            (
                with_path(&format!("PATH=/nowhere:{}:/bin", dir.path().display())),
                Exec,
                libc::EACCES,
            ),
            (with_path("PATH=/bin"), Exec, libc::ENOENT),
            (in_dir("/nonexistent"), WorkingDir, libc::ENOENT),
            (in_dir("/etc/passwd"), WorkingDir, libc::ENOTDIR),
            (limited, Limit, libc::EINVAL),
        ];
        let before = open_descriptors();
        for (launch, step, errno) in &cases {
            let run = kit.spawn(launch);
            let failure = kit.failed(run).await;
            assert_eq!(
                (failure.step, failure.errno),
                (*step, *errno),
                "{:?}",
                launch.argv
            );
            assert!(!kit.kill(run));
            kit.drop_output(run);
        }
        let good = kit.spawn(&command(&["true"]));
        kit.exited(good).await;
        kit.drop_output(good);
        assert_eq!(open_descriptors(), before);
        kit.table.end_orphans(Signal::TERM);
        kit.childless().await;
        assert_eq!(kit.orphans_reaped(), 0);
    });
}

fn refused() {
    become_user(54321);
    with_table(async |mut kit| {
        use SpawnStep::{Gid, Groups, Nice, OomScoreAdj, Rlimit as Limit, Uid, WorkingDir};
        let true_with = |change: &dyn Fn(&mut Launch)| {
            let mut launch = command(&["true"]);
            launch.dir = Some(cstring("/"));
            change(&mut launch);
            launch
        };
        let identity = |uid, gid, groups: &[u32]| {
            true_with(&|launch| {
                launch.identity = Some(Identity {
                    uid,
                    gid,
                    groups: groups.to_vec(),
                });
            })
        };
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let cases = [
            (identity(54321, 54321, &[1]), Groups, libc::EPERM),
            (identity(54321, 1, &[]), Gid, libc::EPERM),
            (identity(0, 54321, &[]), Uid, libc::EPERM),
            (true_with(&|l| l.nice = Some(-5)), Nice, libc::EACCES),
            (
                true_with(&|l| l.oom_score_adj = Some(-500)),
                OomScoreAdj,
                libc::EACCES,
            ),
            (
                true_with(&|l| l.rlimits = vec![rlimit(libc::RLIMIT_NOFILE, 10, hard + 1)]),
                Limit,
                libc::EPERM,
            ),
            (
                true_with(&|l| l.dir = Some(cstring("/root"))),
                WorkingDir,
                libc::EACCES,
            ),
        ];
        for (launch, step, errno) in &cases {
            let run = kit.spawn(launch);
            let failure = kit.failed(run).await;
            assert_eq!((failure.step, failure.errno), (*step, *errno));
        }
    });
}

fn no_processes() {
    become_user(54322);
    with_table(async |mut kit| {
        let mut launch = command(&["sleep", "1000"]);
        launch.dir = Some(cstring("/"));
        let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).unwrap();
        setrlimit(Resource::RLIMIT_NPROC, 1, hard).unwrap();
        let before = open_descriptors();
        for _ in 0..100 {
            let failure = kit.try_spawn(&launch).unwrap_err();
            assert_eq!(
                (failure.step, failure.errno),
                (SpawnStep::Fork, libc::EAGAIN)
            );
        }
        assert_eq!(open_descriptors(), before);
        kit.pass(Duration::from_millis(20)).await;
        assert!(kit.seen.is_empty(), "{:?}", kit.seen);
        setrlimit(Resource::RLIMIT_NPROC, hard, hard).unwrap();
        let run = kit.spawn(&launch);
        kit.spawned(run).await;
        kit.kill(run);
        kit.exited(run).await;
    });
}

fn no_descriptors() {
    with_table(async |mut kit| {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let before = open_descriptors();
        // The listing has one too.
        let used = before as u64 - 1;
        let mut failed = 0;
        for more in 0..9 {
            setrlimit(Resource::RLIMIT_NOFILE, used + more, hard).unwrap();
            match kit.try_spawn(&command(&["true"])) {
                Err(failure) => {
                    assert_eq!(
                        (failure.step, failure.errno),
                        (SpawnStep::Pipe, libc::EMFILE)
                    );
                    failed += 1;
                }
                Ok(run) => {
                    kit.exited(run).await;
                    kit.drop_output(run);
                }
            }
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
            assert_eq!(open_descriptors(), before);
        }
        // Two pipes, two duplicates, the status pipe; some numbers in between may be free.
        assert!((6..=8).contains(&failed), "{failed}");
    });
}

fn dispositions() {
    // SAFETY: SIG_IGN, and a valid set.
    unsafe {
        for signal in [libc::SIGCHLD, libc::SIGHUP, libc::SIGINT, libc::SIGTSTP, 40] {
            libc::signal(signal, libc::SIG_IGN);
        }
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
    with_table(async |mut kit| {
        let run = kit.spawn(&command(&["cat", "/proc/self/status"]));
        // With CHLD ignored it would be gone by itself, and its exit with it.
        assert_eq!(kit.exited(run).await.0, Exit::Code(0));
        let status = kit.output(run);
        for field in ["SigBlk", "SigIgn", "SigPnd", "ShdPnd"] {
            let line = format!("{field}:\t0000000000000000");
            assert!(status.lines().any(|l| l == line), "{field} in {status}");
        }
    });
}

fn leaks() {
    // What our own parent might have left open.
    let null = std::fs::File::open("/dev/zero").unwrap();
    for target in [3, 57, 4000] {
        // SAFETY: numbers only; nothing else uses these.
        assert_eq!(unsafe { libc::dup2(null.as_raw_fd(), target) }, target);
    }
    with_table(async |mut kit| {
        let other = kit.stub(&["--forever"]).await;
        let state = state_of(&mut kit, &stub(&["--state"])).await;
        let fds = state["fds"].as_object().unwrap();
        assert_eq!(fds.keys().collect::<Vec<_>>(), ["0", "1", "2"], "{fds:?}");
        assert_eq!(fds["0"], "/dev/null");
        assert!(fds["1"].as_str().unwrap().starts_with("pipe:"));
        assert_ne!(fds["1"], fds["2"]);
        kit.kill(other);
        kit.exited(other).await;
    });
}

fn closed_streams() {
    // SAFETY: numbers only.
    unsafe {
        libc::close(0);
        libc::close(1);
    }
    with_table(async |mut kit| {
        let state = state_of(&mut kit, &stub(&["--state"])).await;
        assert_eq!(state["fds"]["0"], "/dev/null");
        assert!(
            std::fs::read_link("/proc/self/fd/1")
                .unwrap()
                .ends_with("null")
        );
    });
}

fn own_stderr() {
    with_table(async |mut kit| {
        let mut launch = command(&["sh", "-c", "echo x > /dev/stderr && echo y > /dev/stdout"]);
        launch.dir = Some(cstring("/"));
        launch.identity = Some(Identity {
            uid: 4242,
            gid: 4242,
            groups: Vec::new(),
        });
        let run = kit.spawn(&launch);
        assert_eq!(kit.exited(run).await, (Exit::Code(0), 0));
        assert_eq!(kit.output(run), "y\n");
    });
}

fn log_pipes() {
    with_table(async |mut kit| {
        let run = kit
            .stub(&[
                "--delay", "100", "--say", "hello", "--delay", "100", "--say", "again",
            ])
            .await;
        // As when the logs thread dies and starts anew.
        kit.drop_output(run);
        kit.pass(Duration::from_millis(20)).await;
        let pipes = kit.table.log_pipes(run).unwrap();
        assert_eq!(kit.exited(run).await, (Exit::Code(0), 0));
        let mut text = String::new();
        let mut file = std::fs::File::from(pipes.stdout);
        std::io::Read::read_to_string(&mut file, &mut text).unwrap();
        assert_eq!(text, "hello\nagain\n");
        assert!(kit.table.log_pipes(run).is_none());
    });
}

fn parent_death() {
    let (_dir, path) = public_stub();
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: this process has one thread.
    let middle = unsafe { libc::fork() };
    if middle == 0 {
        with_table(async |mut kit| {
            let mut launch = command(&[&path, "--forever"]);
            launch.dir = Some(cstring("/"));
            launch.identity = Some(Identity {
                uid: 4242,
                gid: 4242,
                groups: Vec::new(),
            });
            let run = kit.spawn(&launch);
            let pid = kit.spawned(run).await;
            std::io::Write::write_all(&mut &writer, format!("{pid}\n").as_bytes()).unwrap();
            kit.pass(Duration::from_secs(100)).await;
        });
    }
    drop(writer);
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(&mut reader), &mut line).unwrap();
    let child: i32 = line.trim().parse().unwrap();
    assert!(is_alive(child));
    // SAFETY: numbers only.
    unsafe { libc::kill(middle, libc::SIGKILL) };
    until("its child has died with it", || !is_alive(child));
}

fn other_namespace() {
    // The first child is process 1 there, and its parent is nobody whom it could see.
    // SAFETY: a number only.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWPID) }, 0);
    with_table(async |mut kit| {
        let run = kit.spawn(&stub(&["--state", "--exit", "3"]));
        assert_eq!(kit.exited(run).await, (Exit::Code(3), 0));
        let state: Value = serde_json::from_str(&kit.line(run)).unwrap();
        assert_eq!((&state["pid"], &state["parent"]), (&json!(1), &json!(0)));
    });
}

/// Opening a file for which another process holds a write lease waits until that is given up, up to
/// /proc/sys/fs/lease-break-time (45 s).
fn hung() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("true");
    std::fs::copy("/bin/true", &path).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    with_table(async |mut kit| {
        // SAFETY: numbers only. The kernel asks for the lease by IO, which would end us.
        unsafe {
            libc::signal(libc::SIGIO, libc::SIG_IGN);
            let leased = libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK);
            assert_eq!(
                leased,
                0,
                "a file system with leases is needed for {}",
                dir.path().display()
            );
        }
        let began = Instant::now();
        let hung = kit.spawn(&command(&[path.to_str().unwrap()]));
        assert!(
            began.elapsed() < Duration::from_millis(100),
            "the fork does not wait"
        );
        // Others go on meanwhile.
        let other = kit.spawn(&command(&["true"]));
        kit.exited(other).await;
        assert!(began.elapsed() < Duration::from_secs(5));
        let late = kit.spawn(&command(&[path.to_str().unwrap()]));

        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        let mut failures = Vec::new();
        while failures.len() < 2 {
            let wait = kit.table.wait(&mut kit.seen);
            tokio::time::timeout_at(deadline, wait).await.unwrap();
            failures = kit
                .seen
                .iter()
                .filter_map(|event| match event {
                    Event::SpawnFailed { run, failure } => Some((*run, *failure)),
                    _ => None,
                })
                .collect();
        }
        let took = began.elapsed();
        assert!(
            took >= Duration::from_secs(10) && took < Duration::from_secs(12),
            "{took:?}"
        );
        assert_eq!([failures[0].0, failures[1].0], [hung, late]);
        assert!(failures.iter().all(|(_, f)| f.step == SpawnStep::TimedOut));
        // They were killed, and are no orphans.
        kit.table.end_orphans(Signal::TERM);
        kit.childless().await;
        assert_eq!(kit.orphans_reaped(), 0);
    });
}

fn many() {
    with_table(async |mut kit| {
        let run = kit.spawn(&command(&["true"]));
        kit.exited(run).await;
        kit.drop_output(run);
        let before = open_descriptors();
        let runs: Vec<_> = (0..300).map(|_| kit.spawn(&command(&["cat"]))).collect();
        for run in runs {
            // cat reads from /dev/null, which ends at once.
            assert_eq!(kit.exited(run).await, (Exit::Code(0), 0));
            kit.drop_output(run);
        }
        assert_eq!(open_descriptors(), before);
        assert!(kit.table.runs().is_empty());
    });
}

/// How fast: printed, and held to what even a busy machine does.
fn latency() {
    let start = pid1::init(SignalMode::Set).unwrap();
    with_table_of(start, async |mut kit| {
        let launch = command(&["/bin/true"]);
        let (mut forks, mut execs, mut exits) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..300 {
            let began = Instant::now();
            let run = kit.spawn(&launch);
            forks.push(began.elapsed());
            kit.seen.clear();
            kit.spawned(run).await;
            execs.push(began.elapsed());
            kit.exited(run).await;
            exits.push(began.elapsed());
            kit.drop_output(run);
        }
        for (what, times) in [
            ("fork", &mut forks),
            ("exec", &mut execs),
            ("exit", &mut exits),
        ] {
            times.sort();
            println!(
                "{what}: median {:?}, 95th of 100 {:?}",
                times[150], times[285]
            );
        }
        assert!(execs[150] < Duration::from_millis(20));
    });
}
