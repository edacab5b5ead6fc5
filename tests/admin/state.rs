//! The state directory.

use crate::WEB;
use crate::support::Start;

#[test]
fn what_an_earlier_container_left_is_removed_before_anything_starts() {
    let spec = "  processes: [{name: look, command: [sh, -c, 'ls -R state | tr \"\\n\" \" \"; echo; exec sleep infinity']}]";
    let start = Start::spec(spec);
    let state = start.dir().join("state");
    std::fs::create_dir_all(state.join("deadline")).unwrap();
    for name in ["draining", "deadline/web-0", "fpm.conf"] {
        std::fs::write(state.join(name), "").unwrap();
    }
    let podinit = start.start();
    let line = podinit.wait_for("the list", |line| line.get("message").starts_with("state:"));
    assert_eq!(
        line.get("message").trim(),
        "state: deadline fpm.conf  state/deadline:"
    );
    assert_eq!(podinit.stop().code, 0);
}

#[test]
fn a_state_directory_is_not_made_before_there_is_something_to_say() {
    let podinit = Start::spec(WEB).start();
    podinit.wait_started("web-0");
    assert!(!podinit.path("state").exists());
    assert_eq!(podinit.stop().code, 0);
}
