//! Messages over the sd_notify protocol are heard from runs, and from nobody else.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use podinit::domain::event::Event;
use podinit::domain::exit::Exit;
use podinit::domain::id::RunId;
use podinit::domain::plan::{Identity, Launch};
use podinit::ports::{Children, Stdio};
use podinit::sys::pid1;
use podinit::sys::signals::SignalMode;

use crate::commands::{Master, on_terminal};
use crate::kit::{Kit, STUB, command, cstring, open_descriptors, stub, with_table, with_table_of};
use crate::places::{as_pid1, new_namespace, own_proc};
use crate::scenario::Scenario;
use crate::spawning::public_stub;

pub(crate) const ALL: &[Scenario] = &[
    ("a_message_of_a_run_is_told", told),
    ("as_pid_1_messages_are_told", || as_pid1(told)),
    ("to_listen_again_changes_nothing", again),
    ("a_message_of_who_died_at_once_is_told", died),
    ("a_message_of_a_job_on_a_terminal_is_told", job),
    ("messages_of_strangers_are_dropped", strangers),
    ("a_message_from_outside_is_dropped", outside),
    (
        "descriptors_that_come_with_messages_are_closed",
        descriptors,
    ),
    ("a_flood_of_messages_delays_no_exit", flood),
];

fn name() -> String {
    format!("podinit-test/{}", std::process::id())
}

fn listening(kit: &mut Kit) -> String {
    kit.table.listen_notify(&name()).unwrap();
    name()
}

/// Sends a message from this process.
fn send(name: &str, text: &[u8]) {
    let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    socket.send_to_addr(text, &address).unwrap();
}

async fn notified(kit: &mut Kit, run: RunId) -> String {
    kit.until(&format!("a message of {run}"), |event| match event {
        Event::Notified { run: of, text } if *of == run => Some(text.clone()),
        _ => None,
    })
    .await
}

async fn end(kit: &mut Kit, run: RunId) {
    kit.kill(run);
    if kit.exited(run).await.1 > 0 {
        kit.empty(run).await;
    }
}

fn told() {
    with_table(async |mut kit| {
        let name = listening(&mut kit);
        let mut user = command(&["sh", "-c", ""]);
        let (_dir, path) = public_stub();
        user.argv[2] = cstring(&format!("{path} --notify {name} READY=1 --forever & wait"));
        user.dir = Some(cstring("/"));
        user.identity = Some(Identity {
            uid: 4242,
            gid: 4242,
            groups: Vec::new(),
        });
        let cases: [Launch; 4] = [
            stub(&["--notify", &name, "READY=1", "--forever"]),
            // A shell's child, in a group of its own.
            command(&[
                "sh",
                "-c",
                &format!("set -m; {STUB} --notify {name} READY=1 --forever & wait"),
            ]),
            // With a barrier, as systemd-notify does it.
            command(&[
                "python3",
                "-c",
                "import os, socket, sys\n\
                 s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
                 s.connect('\\0' + sys.argv[1])\n\
                 s.send(b'READY=1')\n\
                 r, w = os.pipe()\n\
                 socket.send_fds(s, [b'BARRIER=1'], [w])\n\
                 os.close(w)\n\
                 os.read(r, 1)\n",
                &name,
            ]),
            user,
        ];
        for launch in cases {
            let run = kit.spawn(&launch);
            assert_eq!(
                notified(&mut kit, run).await,
                "READY=1",
                "{:?}",
                launch.argv
            );
            end(&mut kit, run).await;
        }
        assert_eq!(kit.table.notify_dropped(), 0);
    });
}

fn again() {
    with_table(async |mut kit| {
        let name = listening(&mut kit);
        let run = kit.spawn(&stub(&["--notify", &name, "READY=1", "--forever"]));
        assert_eq!(listening(&mut kit), name);
        assert_eq!(notified(&mut kit, run).await, "READY=1");
        end(&mut kit, run).await;
    });
}

fn died() {
    with_table(async |mut kit| {
        let name = listening(&mut kit);
        for _ in 0..50 {
            let run = kit.spawn(&stub(&["--notify", &name, "BYE=1"]));
            kit.exited(run).await;
            let about: Vec<&Event> = kit.seen.iter().collect();
            assert!(
                matches!(
                    about[..],
                    [
                        Event::Spawned { .. },
                        Event::Notified { .. },
                        Event::Exited { .. }
                    ]
                ),
                "{about:?}"
            );
            kit.drop_output(run);
            kit.seen.clear();
        }
        // An orphan, which we reap.
        let script = format!("({STUB} --notify {name} STATUS=gone &); exec {STUB} --forever");
        for _ in 0..50 {
            let run = kit.spawn(&command(&["sh", "-c", &script]));
            assert_eq!(notified(&mut kit, run).await, "STATUS=gone");
            end(&mut kit, run).await;
            kit.drop_output(run);
        }
        assert_eq!(kit.table.notify_dropped(), 0);
    });
}

fn job() {
    let (mut master, slave) = Master::open();
    let podinit = on_terminal(&slave, || {
        let start = pid1::init(SignalMode::Command).unwrap();
        let mut code = 1;
        with_table_of(start, async |mut kit| {
            let name = listening(&mut kit);
            // Ourselves: of the same session, but of no run.
            send(&name, b"READY=1");
            let launch = stub(&["--notify", &name, "READY=1", "--exit", "5"]);
            let run = kit.spawn_with(&launch, Stdio::Inherited).unwrap();
            assert_eq!(notified(&mut kit, run).await, "READY=1");
            let (exit, _) = kit.exited(run).await;
            assert_eq!(kit.table.notify_dropped(), 1);
            code = i32::from(exit.shell_code());
        });
        println!("over");
        code
    });
    master.expect("over");
    let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(podinit), None).unwrap();
    assert!(
        matches!(status, nix::sys::wait::WaitStatus::Exited(_, 5)),
        "{status:?}"
    );
}

fn strangers() {
    with_table(async |mut kit| {
        let name = listening(&mut kit);
        // Heard once all before it are.
        let run = kit
            .stub(&["--delay", "200", "--notify", &name, "LAST=1", "--forever"])
            .await;
        send(&name, b"READY=1");
        // Who left the session, and one who is told of no run any more.
        let away = format!("setsid {STUB} --notify {name} READY=1; exit 0");
        let away = kit.spawn(&command(&["sh", "-c", &away]));
        let left = format!("{STUB} --delay 50 --notify {name} READY=1 --forever & exit 0");
        let left = kit.spawn(&command(&["sh", "-c", &left]));
        let long = kit.spawn(&stub(&[
            "--notify",
            &name,
            &"x".repeat(4097),
            "--notify",
            &name,
            "",
        ]));
        let full = kit.spawn(&stub(&["--notify", &name, &"x".repeat(4096)]));
        assert_eq!(notified(&mut kit, run).await, "LAST=1");
        assert_eq!(notified(&mut kit, full).await.len(), 4096);
        for run in [away, long, full] {
            assert_eq!(kit.exited(run).await.0, Exit::Code(0));
        }
        assert_eq!(kit.exited(left).await.1, 1);
        assert_eq!(
            kit.count(|event| matches!(event, Event::Notified { .. })),
            2
        );
        assert_eq!(kit.table.notify_dropped(), 5);
        end(&mut kit, left).await;
        end(&mut kit, run).await;

        // The name can be changed, and what is taken is refused.
        let other = format!("{name}/other");
        let address = SocketAddr::from_abstract_name(other.as_bytes()).unwrap();
        let taken = UnixDatagram::bind_addr(&address).unwrap();
        assert!(kit.table.listen_notify(&other).is_err());
        drop(taken);
        kit.table.listen_notify(&other).unwrap();
        kit.table.listen_notify(&name).unwrap();
        let run = kit.spawn(&stub(&["--notify", &name, "READY=1"]));
        assert_eq!(notified(&mut kit, run).await, "READY=1");
        kit.exited(run).await;
    });
}

/// Another container of the pod shares the network, and with it abstract names, but not our PID namespace.
fn outside() {
    let name = name();
    let (mut told, tell) = std::io::pipe().unwrap();
    new_namespace();
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        own_proc();
        with_table(async |mut kit| {
            kit.table.listen_notify(&name).unwrap();
            std::io::Write::write_all(&mut &tell, b"x").unwrap();
            let deadline = Instant::now() + crate::kit::SOON;
            while kit.table.notify_dropped() == 0 {
                assert!(Instant::now() < deadline);
                kit.pass(Duration::from_millis(5)).await;
            }
            assert!(kit.seen.is_empty(), "{:?}", kit.seen);
        });
        std::process::exit(0);
    }
    std::io::Read::read_exact(&mut told, &mut [0]).unwrap();
    send(&name, b"READY=1");
    let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child), None).unwrap();
    assert!(
        matches!(status, nix::sys::wait::WaitStatus::Exited(_, 0)),
        "{status:?}"
    );
}

fn descriptors() {
    with_table(async |mut kit| {
        let name = listening(&mut kit);
        let before = open_descriptors();
        let run = kit.spawn(&command(&[
            "python3",
            "-c",
            "import array, os, socket, sys\n\
             s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
             s.connect('\\0' + sys.argv[1])\n\
             r, w = os.pipe()\n\
             for n in range(1000):\n\
             \x20   socket.send_fds(s, [b'STATUS=%d' % n], [w] * (n % 253 + 1))\n\
             s.send(b'LAST=1')\n\
             os.close(w)\n\
             os.read(r, 1)\n",
            &name,
        ]));
        // Its last read ends when nobody has the write end any more.
        assert_eq!(kit.exited(run).await, (Exit::Code(0), 0));
        kit.drop_output(run);
        assert_eq!(open_descriptors(), before);
        assert_eq!(
            kit.count(|event| matches!(event, Event::Notified { .. })),
            1001
        );
        assert_eq!(kit.table.notify_dropped(), 0);
    });
}

fn flood() {
    with_table(async |mut kit| {
        let name = listening(&mut kit);
        let flood = kit.stub(&["--notify-often", &name, "100000"]).await;
        let mut late = Vec::new();
        while kit.count(|event| matches!(event, Event::Exited { run, .. } if *run == flood)) == 0 {
            let other = kit.stub(&["--forever"]).await;
            let began = Instant::now();
            kit.kill(other);
            kit.exited(other).await;
            kit.drop_output(other);
            late.push(began.elapsed());
        }
        let heard = kit.count(|event| matches!(event, Event::Notified { .. }));
        assert_eq!((heard, kit.table.notify_dropped()), (100_000, 0));
        late.sort();
        let (median, most) = (late[late.len() / 2], late[late.len() - 1]);
        println!(
            "{} exits in a flood: {median:?}, at most {most:?}",
            late.len()
        );
        assert!(most < Duration::from_millis(100), "{late:?}");
    });
}
