//! Users, groups and capabilities: what is asked for, or nothing at all.

use super::*;

fn identity(context: &str, host: &HostView) -> Option<(u32, u32, Vec<u32>)> {
    let plan = plan(&process(&format!("securityContext: {{{context}}}")), host);
    let identity = launch(&plan).identity.clone();
    identity.map(|Identity { uid, gid, groups }| (uid, gid, groups))
}

#[test]
fn names_need_an_entry_and_numbers_do_not() {
    let host = root();
    for (context, wanted) in [
        ("runAsUser: www-data", Some((33, 33, vec![4]))),
        ("runAsUser: 33", Some((33, 33, vec![4]))),
        ("runAsUser: 33, runAsGroup: 44", Some((33, 44, vec![4]))),
        (
            "runAsUser: 33, supplementalGroups: [media, 7, 4]",
            Some((33, 33, vec![4, 7, 44])),
        ),
        // Without an entry: podinit's own group, which is 0 where Kubernetes takes 0 too.
        ("runAsUser: 4242", Some((4242, 0, vec![]))),
        (
            "runAsUser: 4242, runAsGroup: 4242",
            Some((4242, 4242, vec![])),
        ),
        ("runAsGroup: media", Some((0, 44, vec![]))),
        ("supplementalGroups: [media]", Some((0, 0, vec![44]))),
        ("runAsUser: root", None),
        ("runAsUser: 0, runAsGroup: 0", None),
        ("", None),
    ] {
        assert_eq!(identity(context, &host), wanted, "{context}");
    }
    let at = "spec.processes[0].securityContext";
    for (context, wanted) in [
        (
            "runAsUser: no-such-user",
            "runAsUser: there is no user `no-such-user` in /etc/passwd\n  help: a number needs no entry in /etc/passwd",
        ),
        (
            "runAsGroup: medai",
            "runAsGroup: there is no group `medai` in /etc/group\n  help: did you mean `media`?",
        ),
        (
            "supplementalGroups: [0, nogroup]",
            "supplementalGroups[1]: there is no group `nogroup` in /etc/group\n  help: a number needs no entry in /etc/group",
        ),
    ] {
        let found = refused(&process(&format!("securityContext: {{{context}}}")), &host);
        assert_eq!(found, [format!("{at}.{wanted}")]);
    }
}

#[test]
fn the_process_wins_over_the_set_field_by_field() {
    let body = format!(
        "securityContext: {{runAsUser: www-data, runAsGroup: media, allowPrivilegeEscalation: false}}\n{}",
        process("securityContext: {runAsUser: 4242}")
    );
    let plan = plan(&body, &root());
    let launch = launch(&plan);
    let wanted = Identity {
        uid: 4242,
        gid: 44,
        groups: vec![],
    };
    assert_eq!(launch.identity, Some(wanted));
    assert!(launch.no_new_privs);
}

#[test]
fn what_the_pod_gave_podinit_is_kept() {
    // fsGroup 2000 and root's own group 4.
    let host = HostView {
        groups: vec![0, 4, 2000],
        group: parse_group(b"root:x:0:\nadm:x:4:root\nmedia:x:44:www-data\n"),
        ..root()
    };
    assert_eq!(
        identity("runAsUser: www-data", &host),
        Some((33, 33, vec![44, 2000]))
    );
    assert_eq!(identity("runAsUser: 0", &host), None);
}

#[test]
fn home_and_names_follow_the_user() {
    let env = |context: &str, own: &str| {
        let mut host = root();
        host.env.push(("USER".into(), "root".into()));
        host.env.push(("LOGNAME".into(), "root".into()));
        let plan = plan(
            &process(&format!("securityContext: {{{context}}}, env: [{own}]")),
            &host,
        );
        let all = env_of(launch(&plan)).into_iter();
        let all = all.filter(|entry| {
            ["HOME=", "USER=", "LOGN"]
                .iter()
                .any(|name| entry.starts_with(name))
        });
        all.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        env("runAsUser: 33", ""),
        ["HOME=/var/www", "LOGNAME=www-data", "USER=www-data"]
    );
    assert_eq!(env("runAsUser: 4242", ""), ["HOME=/"]);
    assert_eq!(
        env("runAsGroup: 44", ""),
        ["HOME=/root", "LOGNAME=root", "USER=root"]
    );
    assert_eq!(
        env("runAsUser: 4242", "{name: HOME, value: /data}"),
        ["HOME=/data"]
    );
}

#[test]
fn another_user_needs_capabilities() {
    let at = "spec.processes[0].securityContext";
    let help = "\n  help: give the container these capabilities, or let the whole container run as that user";
    let refusal = |uid: u32, gid: u32, missing: &str, own: u32| {
        format!(
            "running as user {uid} and group {gid} needs the capabilities {missing}, which podinit does not have as user {own}{help}"
        )
    };
    let refused_for = |context: &str, host: &HostView| {
        refused(&process(&format!("securityContext: {{{context}}}")), host)
    };
    let host = unprivileged();
    assert_eq!(
        refused_for("runAsUser: www-data", &host),
        [format!(
            "{at}.runAsUser: {}",
            refusal(33, 33, "SETUID, SETGID, KILL", 1000)
        )]
    );
    assert_eq!(
        refused_for("supplementalGroups: [5]", &host),
        [format!(
            "{at}.supplementalGroups: {}",
            refusal(1000, 1000, "SETGID", 1000)
        )]
    );
    assert_eq!(
        refused_for("runAsGroup: 0", &host),
        [format!(
            "{at}.runAsGroup: {}",
            refusal(1000, 0, "SETGID", 1000)
        )]
    );
    // What podinit is and has needs none.
    for same in [
        "runAsUser: app",
        "runAsUser: 1000, runAsGroup: app",
        "supplementalGroups: [2000, 1000]",
    ] {
        assert_eq!(identity(same, &host), None, "{same}");
    }
    // Root without the right to signal others would lose hold of them.
    let can = Capabilities {
        kill: false,
        ..Capabilities::ALL
    };
    let host = HostView { can, ..root() };
    assert_eq!(
        refused_for("runAsUser: 33", &host),
        [format!("{at}.runAsUser: {}", refusal(33, 33, "KILL", 0))]
    );
    identity("runAsGroup: 33", &host).unwrap();
}

#[test]
fn running_as_oneself_keeps_the_group_the_pod_chose() {
    let host = HostView {
        gid: 3000,
        ..unprivileged()
    };
    assert_eq!(identity("runAsUser: app", &host), None);
}
