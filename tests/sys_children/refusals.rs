//! What cannot be spawned says why, and leaves nothing behind.

use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use podinit::domain::event::Event;
use podinit::domain::exit::{Exit, SpawnStep};
use podinit::domain::plan::{Identity, Launch};
use podinit::domain::signal::Signal;
use podinit::ports::Children;

use crate::kit::{command, cstring, open_descriptors, with_table};
use crate::scenario::Scenario;
use crate::spawning::{become_user, rlimit};

pub(crate) const ALL: &[Scenario] = &[
    ("each_failure_names_its_step_and_reason", failures),
    ("what_is_refused_to_a_user_names_its_step", refused),
    ("a_fork_that_fails_leaves_nothing_behind", no_processes),
    ("without_descriptors_nothing_is_left_behind", no_descriptors),
    (
        "a_run_takes_the_place_of_the_dead_one",
        in_place_of_a_process,
    ),
    (
        "a_run_takes_the_place_of_its_user_s_dead_one",
        in_place_of_a_users,
    ),
    (
        "a_run_takes_the_descriptors_of_the_dead_one",
        in_place_of_descriptors,
    ),
    ("an_exec_that_hangs_is_given_up", hung),
    ("nothing_is_left_open_after_many_runs", many),
    ("with_many_runs_each_has_fewer_descriptors", crowd),
];

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
        // Two pipes and the status pipe; some numbers in between may be free.
        assert!((4..=6).contains(&failed), "{failed}");
    });
}

fn in_place_of_a_process() {
    become_user(54323);
    with_table(async |mut kit| {
        let mut launch = command(&["sleep", "1000"]);
        launch.dir = Some(cstring("/"));
        let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).unwrap();
        // Us and one child.
        setrlimit(Resource::RLIMIT_NPROC, 2, hard).unwrap();
        for _ in 0..3 {
            let run = kit.try_spawn(&launch).expect("room for one");
            kit.spawned(run).await;
            kit.kill(run);
            kit.exit_of(run).await;
        }
    });
}

fn in_place_of_a_users() {
    with_table(async |mut kit| {
        let mut launch = command(&["sleep", "1000"]);
        launch.dir = Some(cstring("/"));
        launch.rlimits = vec![rlimit(libc::RLIMIT_NPROC, 1, 1)];
        launch.identity = Some(Identity {
            uid: 54324,
            gid: 54324,
            groups: Vec::new(),
        });
        for _ in 0..3 {
            let run = kit.spawn(&launch);
            kit.spawned(run).await;
            kit.kill(run);
            kit.exit_of(run).await;
        }
    });
}

fn in_place_of_descriptors() {
    with_table(async |mut kit| {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let used = open_descriptors() as u64 - 1;
        let just_enough = (0..9).find_map(|more| {
            setrlimit(Resource::RLIMIT_NOFILE, used + more, hard).unwrap();
            kit.try_spawn(&command(&["sleep", "1000"])).ok()
        });
        let mut run = just_enough.expect("a run with nine descriptors more");
        for _ in 0..3 {
            kit.spawned(run).await;
            kit.drop_output(run);
            kit.kill(run);
            kit.exit_of(run).await;
            run = kit.try_spawn(&command(&["sleep", "1000"])).expect("room");
        }
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
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
        // In the place of one that died, too.
        let dead = kit.spawn(&command(&["true"]));
        kit.exit_of(dead).await;
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

/// A thousand runs fit into the usual limit of 4096.
fn crowd() {
    with_table(async |mut kit| {
        let mut runs = Vec::new();
        let mut each = Vec::new();
        for _ in 0..80 {
            let before = open_descriptors();
            let run = kit.spawn(&command(&["sleep", "1000"]));
            kit.spawned(run).await;
            each.push(open_descriptors() - before);
            runs.push(run);
        }
        assert_eq!(each[79], each[0] - 2, "{each:?}");
        for run in runs {
            kit.kill(run);
            kit.exit_of(run).await;
            kit.drop_output(run);
        }
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
