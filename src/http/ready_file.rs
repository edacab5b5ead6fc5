//! The readiness file: there exactly while the pod is ready, for probes that can only look at a file.
//!
//! It is kept on a thread of its own: a file system that hangs stops nothing else, neither the admin port nor the end of
//! podinit.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Note;
use crate::domain::snapshot::Snapshot;

/// How long the file may take to go when podinit leaves. As a rule it went with the first moment of the stop.
const MOMENT: Duration = Duration::from_millis(250);

/// From an attempt that failed to the next one.
const AGAIN: Duration = Duration::from_secs(1);

/// Small: it makes and removes a file.
const STACK: usize = 128 * 1024;

/// Makes the file, or removes it.
type Show = fn(&Path, bool) -> io::Result<()>;

/// Keeps the file. Dropping it ends that, and then there is none.
#[derive(Debug)]
pub(super) struct Keeper {
    end: Option<watch::Sender<()>>,
    /// Closed by the end of the thread.
    done: Receiver<()>,
}

impl Keeper {
    /// Starts the thread.
    pub(super) fn start(
        path: PathBuf,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        note: Note,
    ) -> io::Result<Keeper> {
        Keeper::start_with(show, path, snapshots, note)
    }

    fn start_with(
        show: Show,
        path: PathBuf,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        note: Note,
    ) -> io::Result<Keeper> {
        let (end, ended) = watch::channel(());
        let (over, done) = channel::<()>();
        let run = move |note: &Note| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()?;
            runtime.block_on(keep(show, &path, snapshots.clone(), ended.clone(), note));
            Ok(())
        };
        std::thread::Builder::new()
            .name("ready-file".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                super::keep_running("ready-file", &note, || run(&note));
                drop(over);
            })?;
        let end = Some(end);
        Ok(Keeper { end, done })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.end.take());
        // Nothing is ever sent: it ends, or it is too slow.
        let _ = self.done.recv_timeout(MOMENT);
    }
}

/// Keeps the file as the snapshots say, until nobody makes any more or that is not wanted any more; then there is none.
async fn keep(
    show: Show,
    path: &Path,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    mut ended: watch::Receiver<()>,
    note: &Note,
) {
    let mut told = false;
    // As it is found it may be of an earlier life.
    let mut tried = None;
    // It did not work, and may then: a full volume has room again.
    let mut again: Option<Instant> = None;
    loop {
        let ready = snapshots.borrow_and_update().ready;
        let due = again.is_some_and(|at| at <= Instant::now());
        if due || tried != Some(ready) {
            tried = Some(ready);
            let shown = show(path, ready);
            again = shown.is_err().then(|| Instant::now() + AGAIN);
            told &= shown.is_err();
            if let Err(error) = shown
                && !told
            {
                told = true;
                note(super::warning(format!(
                    "readiness file `{}` is not kept: {error}; it is tried again each second",
                    path.display()
                )));
            }
        }
        let over = tokio::select! {
            biased;
            // Nothing is ever sent.
            _ = ended.changed() => true,
            next = snapshots.changed() => next.is_err(),
            () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => false,
        };
        if over {
            let _ = show(path, false);
            return;
        }
    }
}

/// Always a new file, and never half a one: in a volume that others may write to, what is found may be a link to
/// something precious, or a pipe that nobody reads.
fn show(path: &Path, ready: bool) -> io::Result<()> {
    if !ready {
        return remove(path);
    }
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    remove(new)?;
    File::create_new(new)?.write_all(b"ready\n")?;
    std::fs::rename(new, path)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::disallowed_methods,
        reason = "a test is at the edge: it looks at files and has a clock"
    )]

    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Instant;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn what_somebody_put_there_is_replaced_and_never_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("ready"), dir.path().join("victim"));
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        show(&path, true).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ready\n");
        show(&path, false).unwrap();
        // To open it for writing would wait for a reader.
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        show(&path, true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ready\n");
        show(&path, false).unwrap();
        show(&path, false).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_failed_is_tried_again_and_told_once() {
        static TRIED: AtomicU32 = AtomicU32::new(0);
        static TOLD: AtomicU32 = AtomicU32::new(0);
        let show: Show = |_, _| match TRIED.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        };
        let note: Note = Arc::new(|_| {
            TOLD.fetch_add(1, Ordering::SeqCst);
        });
        let (snapshots, seen) = watch::channel(Arc::default());
        let keeper = Keeper::start_with(show, "/nowhere/ready".into(), seen, note).unwrap();
        let began = Instant::now();
        while TRIED.load(Ordering::SeqCst) < 3 {
            assert!(began.elapsed() < SOON);
            std::thread::park_timeout(Duration::from_millis(5));
        }
        assert!(began.elapsed() >= AGAIN, "not again and again");
        assert_eq!(TOLD.load(Ordering::SeqCst), 1);
        drop((keeper, snapshots));
    }

    #[test]
    fn a_file_system_that_hangs_holds_up_no_end() {
        static HANG: Mutex<()> = Mutex::new(());
        static TRIED: Mutex<u32> = Mutex::new(0);
        let hang = HANG.lock().unwrap();
        let show: Show = |_, _| {
            *TRIED.lock().unwrap() += 1;
            drop(HANG.lock().unwrap());
            Ok(())
        };
        let (snapshots, seen) = watch::channel(Arc::default());
        let note: Note = Arc::new(drop);
        let keeper = Keeper::start_with(show, "/nowhere/ready".into(), seen, note).unwrap();
        let began = Instant::now();
        while *TRIED.lock().unwrap() == 0 {
            assert!(began.elapsed() < SOON);
            std::thread::yield_now();
        }
        let began = Instant::now();
        drop(keeper);
        assert!(began.elapsed() < SOON);
        drop((hang, snapshots));
    }
}
