//! What a plan takes from the machine and from the fields that only exec needs.

use super::*;

#[test]
fn how_output_is_logged() {
    let rule = |set: &str, own: &str, terminal: bool| {
        let host = HostView {
            stdout_is_terminal: terminal,
            ..root()
        };
        let plan = plan(
            &format!(
                "logging: {{{set}}}\n{}",
                process(&format!("logging: {{{own}}}"))
            ),
            &host,
        );
        plan.processes[0].log.as_deref().unwrap().clone()
    };
    let by_default = rule("", "", false);
    assert_eq!(
        by_default,
        LogRule {
            format: LogFormat::Json,
            max_line_bytes: 256 << 10,
            on_backpressure: Backpressure::Block,
            labels: vec![]
        }
    );
    assert_eq!(rule("", "", true).format, LogFormat::Text);
    assert_eq!(rule("format: Raw", "", true).format, LogFormat::Raw);
    let merged = rule(
        "format: Raw, labels: {a: '1', b: '2'}, onBackpressure: DropOldest",
        "format: Json, maxLineBytes: 2Ki, labels: {c: '3'}",
        false,
    );
    assert_eq!(merged.format, LogFormat::Json);
    assert_eq!(
        (merged.max_line_bytes, merged.on_backpressure),
        (2048, Backpressure::DropOldest)
    );
    assert_eq!(merged.labels, [("c".to_owned(), "3".to_owned())]);
}

#[test]
fn what_exec_needs_beside_the_command() {
    let plan = plan(
        &process(
            "workingDir: app, umask: '0027', nice: 5, oomScoreAdj: 100, securityContext: {allowPrivilegeEscalation: false}",
        ),
        &unprivileged(),
    );
    let launch = launch(&plan);
    assert_eq!(launch.dir.as_deref(), Some(c"app"));
    assert_eq!(
        (launch.umask, launch.nice, launch.oom_score_adj),
        (Some(0o27), Some(5), Some(100))
    );
    assert!(launch.no_new_privs);
    assert_eq!(launch.identity, None);
}

#[test]
fn limits_and_priorities() {
    let own = |resource, soft, hard| Rlimit {
        resource,
        soft,
        hard,
    };
    let mut host = unprivileged();
    host.nice = 0;
    host.oom_score_adj = 500;
    host.rlimits = vec![own(7, Some(1024), Some(4096)), own(4, Some(0), None)];
    for (fields, wanted) in [
        ("nofile: {soft: 10, hard: 20}", own(7, Some(10), Some(20))),
        ("nofile: {soft: 4096}", own(7, Some(4096), Some(4096))),
        ("nofile: {hard: 100}", own(7, Some(100), Some(100))),
        ("nofile: {hard: 2000}", own(7, Some(1024), Some(2000))),
        ("core: {soft: unlimited}", own(4, None, None)),
        ("as: {soft: 1}", own(9, Some(1), None)),
    ] {
        let plan = plan(&process(&format!("rlimits: {{{fields}}}")), &host);
        assert_eq!(launch(&plan).rlimits, [wanted], "{fields}");
    }
    let raise = "  help: raise the container's limit, or give the container the capability SYS_RESOURCE and write the hard limit too";
    for (fields, wanted) in [
        (
            "rlimits: {nofile: {soft: 5000}}",
            format!("rlimits.nofile.soft: 5000 is over podinit's own hard limit of 4096\n{raise}"),
        ),
        (
            "rlimits: {nofile: {soft: 1, hard: unlimited}}",
            format!("rlimits.nofile.hard: unlimited is over podinit's own hard limit of 4096\n{raise}"),
        ),
        (
            "nice: -1",
            "nice: -1 is below podinit's own nice value of 0, which needs the capability SYS_NICE".to_owned(),
        ),
        (
            "oomScoreAdj: 499",
            "oomScoreAdj: 499 is below podinit's own value of 500, which needs the capability SYS_RESOURCE".to_owned(),
        ),
    ] {
        assert_eq!(refused(&process(fields), &host), [format!("spec.processes[0].{wanted}")]);
    }
    // RLIMIT_NICE 25 allows -5.
    host.rlimits.push(own(13, Some(25), Some(25)));
    plan(&process("nice: -5"), &host);
    host.can = Capabilities::ALL;
    plan(
        &process("nice: -20, oomScoreAdj: -1000, rlimits: {nofile: {soft: 1, hard: unlimited}}"),
        &host,
    );
}

#[test]
fn capabilities_that_do_not_count() {
    let mut host = root();
    host.nr_open = Some(1_048_576);
    host.rlimits = vec![Rlimit {
        resource: 7,
        soft: Some(1024),
        hard: None,
    }];
    // Also where the hard limit is not raised: the kernel refuses it as it is.
    let plan_of = |fields: &str| plan(&process(&format!("rlimits: {{nofile: {fields}}}")), &host);
    let limit = |fields: &str| {
        let rlimit = launch(&plan_of(fields)).rlimits[0];
        (rlimit.soft, rlimit.hard)
    };
    assert_eq!(limit("{soft: 2000}"), (Some(2000), Some(1_048_576)));
    assert_eq!(
        limit("{soft: 1048576, hard: 1048576}"),
        (Some(1_048_576), Some(1_048_576))
    );
    let most = "is over 1048576, the most open files that the kernel allows a process (/proc/sys/fs/nr_open)\n  help: write 1048576 or less, or raise the node's fs.nr_open";
    for (fields, wanted) in [
        (
            "{soft: 1, hard: unlimited}",
            format!("hard: unlimited {most}"),
        ),
        ("{soft: 1048577}", format!("soft: 1048577 {most}")),
    ] {
        assert_eq!(
            refused(&process(&format!("rlimits: {{nofile: {fields}}}")), &host),
            [format!("spec.processes[0].rlimits.nofile.{wanted}")]
        );
    }

    host.in_user_namespace = true;
    host.rlimits[0].hard = Some(4096);
    let outside = "podinit is in a user namespace, where that capability does not count: leave it out, or run the container in the host's (hostUsers, no rootless mode)";
    assert_eq!(
        refused(
            &process("nice: -1, oomScoreAdj: -1, rlimits: {nofile: {soft: 1, hard: 4097}}"),
            &host
        ),
        [
            format!("spec.processes[0].nice: -1 is below podinit's own nice value of 0, which needs the capability SYS_NICE\n  help: {outside}"),
            format!("spec.processes[0].oomScoreAdj: -1 is below podinit's own value of 0, which needs the capability SYS_RESOURCE\n  help: {outside}"),
            "spec.processes[0].rlimits.nofile.hard: 4097 is over podinit's own hard limit of 4096\n  help: raise the container's limit: podinit is in a user namespace, where no capability gives more".to_owned(),
        ]
    );
}

#[test]
fn directories() {
    let body = "directories: [{path: storage/a, mode: '0770', owner: www-data, group: media}, {path: /data}, {path: b, owner: nobody, group: 7}]\nprocesses: [{name: p, command: [p]}]";
    let wanted = [
        "spec.directories[2].owner: there is no user `nobody` in /etc/passwd\n  help: a number needs no entry in /etc/passwd",
    ];
    assert_eq!(refused(body, &root()), wanted);
    let plan = plan(&body.replace("nobody", "4242"), &root());
    let directory = |path: &str, mode, uid, gid| Directory {
        path: path.to_owned(),
        mode,
        uid,
        gid,
    };
    assert_eq!(
        plan.directories,
        [
            directory("/srv/app/storage/a", Some(0o770), Some(33), Some(44)),
            directory("/data", None, None, None),
            directory("/srv/app/b", None, Some(4242), Some(7)),
        ]
    );
}
