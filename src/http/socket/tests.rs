#![expect(
    clippy::disallowed_methods,
    reason = "a test is at the edge: it looks at files"
)]

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

fn own() -> u32 {
    nix::unistd::geteuid().as_raw()
}

fn search(tmp: &Path) -> Vec<Spot> {
    Place::Search {
        tmp: tmp.to_owned(),
    }
    .spots(own())
}

const LIMIT: Duration = Duration::from_secs(5);

#[test]
fn there_are_two_places_unless_one_is_given() {
    let paths = |place: &Place| -> Vec<String> {
        let spots = place.spots(7).into_iter();
        spots.map(|spot| spot.path.display().to_string()).collect()
    };
    let tmp = PathBuf::from("/tmp");
    assert_eq!(
        paths(&Place::Search { tmp }),
        ["/run/podinit/podinit.sock", "/tmp/podinit-7/podinit.sock"]
    );
    assert_eq!(paths(&Place::Given("/x/y".into())), ["/x/y"]);
}

#[test]
fn it_is_ours_alone_while_we_live() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/podinit.sock");
    let place = Place::Given(path.clone());
    let socket = Socket::take(&place, own()).unwrap();
    let found = std::fs::symlink_metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.mode() & 0o7777, 0o600);

    let error = Socket::take(&place, own()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "failed to take the control socket `{}`: another podinit has it",
            path.display()
        )
    );
    assert!(!error.is_about_the_place());
    reach(&place, own(), LIMIT).unwrap();
    drop(socket);
    assert!(!path.exists());
    let error = reach(&place, own(), LIMIT).unwrap_err().to_string();
    assert!(error.starts_with("no podinit answers at `"), "{error}");
}

#[test]
fn it_has_its_mode_when_it_gets_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fresh");
    let listener = listen(&path).unwrap();
    let found = std::fs::symlink_metadata(&path).unwrap();
    assert_eq!(found.mode() & 0o7777, 0o600);
    UnixStream::connect(&path).unwrap();
    drop(listener);
    let long = dir.path().join("x".repeat(108));
    assert_eq!(
        listen(&long).unwrap_err().raw_os_error(),
        Some(libc::ENAMETOOLONG)
    );
}

#[test]
fn what_a_dead_one_left_is_replaced_and_anything_else_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("podinit.sock");
    let place = Place::Given(path.clone());
    drop(UnixListener::bind(&path).unwrap());
    let error = reach(&place, own(), LIMIT).unwrap_err().to_string();
    assert!(error.starts_with("no podinit answers at `"), "{error}");
    drop(Socket::take(&place, own()).unwrap());

    std::fs::write(&path, "precious").unwrap();
    let error = Socket::take(&place, own()).unwrap_err().to_string();
    assert!(
        error.ends_with("there is something that is no socket"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_directory_under_tmp_is_ours_alone_or_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let spot = &search(dir.path())[1];
    let private = spot.path.parent().unwrap();
    drop(take(spot, own()).unwrap());
    assert_eq!(std::fs::metadata(private).unwrap().mode() & 0o7777, 0o700);

    std::fs::set_permissions(private, Permissions::from_mode(0o710)).unwrap();
    let error = take(spot, own()).unwrap_err().to_string();
    assert!(
        error.ends_with("its mode is 0710, wider than 0700"),
        "{error}"
    );
    assert!(connect_to(spot, false, own(), LIMIT).is_err());

    std::fs::set_permissions(private, Permissions::from_mode(0o700)).unwrap();
    let error = take(spot, own() + 1).unwrap_err().to_string();
    assert!(error.contains("it belongs to user"), "{error}");

    std::fs::remove_dir_all(private).unwrap();
    let elsewhere = dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, private).unwrap();
    let error = take(spot, own()).unwrap_err().to_string();
    assert!(error.ends_with("it is none"), "{error}");
}

#[test]
fn a_place_where_nothing_can_be_made_is_passed_over() {
    for (path, is_passed) in [
        ("/proc/podinit/podinit.sock", true),
        ("/dev/null/podinit.sock", true),
    ] {
        let error = Socket::take(&Place::Given(path.into()), own()).unwrap_err();
        assert_eq!(error.is_about_the_place(), is_passed, "{error}");
    }
}
