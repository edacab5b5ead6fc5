//! Fifty stops of a real web application under load: no request fails, no job is lost. `tests/zero_loss/run` says what
//! that means, and runs by itself too.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test"
)]

use std::path::Path;
use std::process::Command;

#[test]
fn fifty_stops_under_load_lose_nothing() {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zero_loss/run");
    // It ends by itself after a few minutes, whatever happens.
    let ran = Command::new(&run)
        .arg(env!("CARGO_BIN_EXE_podinit"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(
        ran.status.success(),
        "{}: {}\n{said}",
        run.display(),
        ran.status
    );
    print!("{said}");
}
