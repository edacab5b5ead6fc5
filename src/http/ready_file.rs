//! The readiness file: there exactly while the pod is ready, for probes that can only look at a file.

#![expect(clippy::disallowed_methods, reason = "an adapter: it writes a file")]

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::Note;
use crate::domain::snapshot::Snapshot;

/// Keeps the file as the snapshots say, until nobody makes any more; then there is none.
pub(super) async fn keep(path: &Path, mut snapshots: watch::Receiver<Arc<Snapshot>>, note: &Note) {
    let mut told = false;
    // As it is found it may be of an earlier life.
    let mut shown = None;
    loop {
        let ready = snapshots.borrow_and_update().ready;
        if shown != Some(ready) {
            shown = Some(ready);
            if let Err(error) = show(path, ready)
                && !told
            {
                told = true;
                note(super::warning(format!(
                    "readiness file `{}` is not kept: {error}",
                    path.display()
                )));
            }
        }
        if snapshots.changed().await.is_err() {
            let _ = show(path, false);
            return;
        }
    }
}

/// Makes the file, or removes it.
pub(super) fn show(path: &Path, ready: bool) -> io::Result<()> {
    if ready {
        return std::fs::write(path, "ready\n");
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
