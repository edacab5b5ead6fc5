//! A child is what its launch says, and nothing of ours besides.

use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use podinit::domain::exit::Exit;
use podinit::domain::plan::{Identity, Launch, Rlimit};
use podinit::sys::pid1;
use podinit::sys::signals::SignalMode;
use serde_json::{Value, json};

use crate::kit::{Kit, STUB, command, cstring, is_alive, stub, until, with_table, with_table_of};
use crate::scenario::Scenario;

pub(crate) const ALL: &[Scenario] = &[
    ("a_launch_is_carried_out_whole", whole),
    ("a_launch_without_wishes_changes_nothing", plain),
    ("who_may_not_change_groups_keeps_its_own", same_identity),
    ("signals_are_default_in_a_child", dispositions),
    ("no_descriptor_of_ours_reaches_a_child", leaks),
    ("closed_standard_streams_are_filled", closed_streams),
    ("a_user_can_open_its_own_stderr", own_stderr),
    ("log_pipes_outlive_their_reader", log_pipes),
    ("children_die_with_us", parent_death),
    ("a_child_in_another_pid_namespace", other_namespace),
    ("how_long_a_spawn_takes", latency),
];

/// The stub where every user can reach it.
pub(crate) fn public_stub() -> (tempfile::TempDir, String) {
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
pub(crate) fn become_user(id: u32) {
    setgroups(&[]).unwrap();
    setresgid(Gid::from_raw(id), Gid::from_raw(id), Gid::from_raw(id)).unwrap();
    setresuid(Uid::from_raw(id), Uid::from_raw(id), Uid::from_raw(id)).unwrap();
}

pub(crate) fn rlimit(resource: u32, soft: u64, hard: u64) -> Rlimit {
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
        kit.take_output(run, pipes);
        assert_eq!(kit.exited(run).await, (Exit::Code(0), 0));
        assert_eq!(kit.output(run), "hello\nagain\n");
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

/// How fast: printed, and held to what even a busy machine does.
fn latency() {
    let start = pid1::init(SignalMode::Set).unwrap();
    with_table_of(start, async |mut kit| {
        let launch = command(&["/bin/sleep", "1000"]);
        let mut times: [(&str, Vec<Duration>); 4] = [
            ("fork, in this thread", Vec::new()),
            ("spawn to Spawned", Vec::new()),
            ("kill to Exited", Vec::new()),
            ("kill to Spawned of the next", Vec::new()),
        ];
        let mut run = kit.spawn(&launch);
        let mut pid = kit.spawned(run).await;
        for _ in 0..300 {
            kit.drop_output(run);
            kit.seen.clear();
            let killed = Instant::now();
            // SAFETY: numbers only.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            kit.exited(run).await;
            times[2].1.push(killed.elapsed());
            let began = Instant::now();
            run = kit.spawn(&launch);
            times[0].1.push(began.elapsed());
            pid = kit.spawned(run).await;
            times[1].1.push(began.elapsed());
            times[3].1.push(killed.elapsed());
        }
        for (what, times) in &mut times {
            times.sort();
            println!(
                "{what}: median {:?}, 95th of 100 {:?}",
                times[150], times[285]
            );
        }
        assert!(times[3].1[150] < Duration::from_millis(50));
        kit.kill(run);
        kit.exited(run).await;
    });
}
