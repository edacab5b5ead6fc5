//! The layers of an environment, and the files some of them come from.

use super::*;

fn read(host: &mut HostView, path: &str, content: &[u8]) {
    let request = FileRequest::File(PathBuf::from(path));
    host.files
        .insert(request, Ok(FileContent::File(content.to_vec())));
}

fn listed(host: &mut HostView, path: &str, entries: &[(&str, &[u8])]) {
    let entries = entries
        .iter()
        .map(|(name, content)| ((*name).into(), content.to_vec()));
    let request = FileRequest::Directory(PathBuf::from(path));
    host.files
        .insert(request, Ok(FileContent::Directory(entries.collect())));
}

/// What differs from podinit's own PATH, HOME and APP and from what names the instance.
fn env(body: &str, host: &HostView) -> Vec<String> {
    let usual = [
        "PATH=/bin",
        "HOME=/root",
        "APP=shop",
        "PODINIT_PROCESS=p",
        "PODINIT_INSTANCE_INDEX=0",
    ];
    let plan = plan(body, host);
    let all = env_of(launch(&plan))
        .into_iter()
        .filter(|entry| !usual.contains(entry));
    all.map(str::to_owned).collect()
}

#[test]
fn inherited_without_our_own_wiring() {
    let mut host = root();
    for name in [
        "PODINIT_CONFIG",
        "PODINIT_PROCESS",
        "PODINIT_PROCESS_WEB_REPLICAS",
        "PODINIT_API_TOKEN_FILE",
        "PODINIT_PORT",
        "PODINIT_PORT_80_TCP",
        "PODINIT_SERVICE_HOST",
        "podinit_x",
        "TZ",
    ] {
        host.env.push((name.into(), "1".into()));
    }
    let kept = [
        "PODINIT_PORT=1",
        "PODINIT_PORT_80_TCP=1",
        "PODINIT_SERVICE_HOST=1",
        "TZ=1",
        "podinit_x=1",
    ];
    assert_eq!(env(&process("nice: 1"), &host), kept);
    let plan = plan(
        &process("envPolicy: Clean, env: [{name: A, value: '1'}]"),
        &host,
    );
    let clean = [
        "A=1",
        "HOME=/root",
        "PATH=/bin",
        "PODINIT_INSTANCE_INDEX=0",
        "PODINIT_PROCESS=p",
        "TZ=1",
    ];
    assert_eq!(env_of(launch(&plan)), clean);
}

#[test]
fn the_process_wins_over_the_set_and_env_over_env_from() {
    let mut host = root();
    read(&mut host, "/srv/app/set.env", b"A=1\nB=1\nC=1\nD=1\nE=1\n");
    read(&mut host, "/srv/app/own.env", b"C=3\nD=3\nE=3\nF=3\n");
    read(&mut host, "/srv/app/more.env", b"E=4\n");
    let body = format!(
        "envFrom: [{{file: {{path: set.env}}}}]\nenv: [{{name: B, value: '2'}}, {{name: C, value: '2'}}, {{name: APP, value: ''}}]\n{}",
        process(
            "envFrom: [{file: {path: own.env}}, {file: {path: more.env}}], env: [{name: D, value: '5'}]"
        )
    );
    assert_eq!(
        env(&body, &host),
        ["A=1", "APP=", "B=2", "C=3", "D=5", "E=4", "F=3"]
    );
}

#[test]
fn references_see_what_comes_before_them() {
    let mut host = root();
    read(&mut host, "/srv/app/f", b"FROM_FILE=$(APP)\n");
    let body = format!(
        "env: [{{name: SET, value: '$(APP)/$(LATER)/$(PODINIT_PROCESS)'}}]\n{}",
        process(
            "portBase: 80, envFrom: [{file: {path: f}}], command: [p, $(FROM_FILE), $(LAST), $(NONE), $$(LAST), $(SET)], args: ['$(PORT)'], \
             env: [{name: SELF, value: $(SELF)}, {name: EARLY, value: $(LAST)}, {name: LAST, value: '$(SET)-$(PORT)-$(FROM_FILE)'}, {name: APP, value: $(APP)$(APP)}]"
        )
    );
    let plan = plan(&body, &host);
    let wanted = [
        "APP=shopshop",
        "EARLY=$(LAST)",
        "FROM_FILE=$(APP)",
        "HOME=/root",
        "LAST=shop/$(LATER)/p-80-$(APP)",
        "PATH=/bin",
        "PODINIT_INSTANCE_INDEX=0",
        "PODINIT_PROCESS=p",
        "PORT=80",
        "SELF=$(SELF)",
        "SET=shop/$(LATER)/p",
    ];
    assert_eq!(env_of(launch(&plan)), wanted);
    let argv = [
        "p",
        "$(APP)",
        "shop/$(LATER)/p-80-$(APP)",
        "$(NONE)",
        "$(LAST)",
        "shop/$(LATER)/p",
        "80",
    ];
    assert_eq!(argv_of(launch(&plan)), argv);
}

#[test]
fn a_port_base_wins_over_a_port_of_the_set_or_of_a_file() {
    let mut host = root();
    host.env.push(("PORT".into(), "1".into()));
    read(&mut host, "/srv/app/f", b"PORT=3\n");
    let body = format!(
        "env: [{{name: PORT, value: '2'}}]\n{}",
        process("portBase: 80, envFrom: [{file: {path: f}}]")
    );
    assert_eq!(env(&body, &host), ["PORT=80"]);
}

#[test]
fn init_processes_have_no_index() {
    let plan = plan("initProcesses: [{name: i, command: [a]}]", &root());
    assert_eq!(
        env_of(launch(&plan)),
        ["APP=shop", "HOME=/root", "PATH=/bin", "PODINIT_PROCESS=i"]
    );
}

#[test]
fn a_value_from_a_file() {
    let mut host = root();
    read(&mut host, "/run/secret", b"s3 cret$(APP)\n\n");
    read(&mut host, "/run/nul", b"a\0b");
    let missing = FileRequest::File("/srv/app/gone".into());
    host.files.insert(missing.clone(), Err(FileError::Missing));
    let body = |path: &str, optional: bool| {
        process(&format!(
            "env: [{{name: S, valueFrom: {{file: {{path: {path}, optional: {optional}}}}}}}]"
        ))
    };
    assert_eq!(
        env(&body("/run/secret", false), &host),
        ["S=s3 cret$(APP)\n"]
    );
    assert_eq!(env(&body("gone", true), &host), [""; 0]);
    let at = "spec.processes[0].env[0].valueFrom.file";
    assert_eq!(
        refused(&body("gone", false), &host),
        [format!(
            "{at}.path: failed to read `gone`: no such file or directory"
        )]
    );
    assert_eq!(
        refused(&body("/run/nul", false), &host),
        [format!(
            "{at}: `/run/nul` has a NUL byte, which no variable can hold"
        )]
    );
    // Optional is about a file that is not there, not about one that cannot be read.
    host.files
        .insert(missing, Err(FileError::Failed("Permission denied".into())));
    assert_eq!(
        refused(&body("gone", true), &host),
        [format!(
            "{at}.path: failed to read `gone`: Permission denied"
        )]
    );
}

#[test]
fn lines_of_a_file() {
    let mut host = root();
    let text = b"# comment\n\n  A=1\nexport B=two words \nC=\"quoted\"\nD='q'\nE=\"a\" b\nF=\nG=x=y\r\nH=$(APP)\nI=\xff";
    read(&mut host, "/srv/app/f", text);
    let body = process("envFrom: [{prefix: X_, file: {path: f}}]");
    let plan = plan(&body, &host);
    let found: Vec<&[u8]> = launch(&plan)
        .env
        .iter()
        .map(std::ffi::CString::as_bytes)
        .filter(|entry| entry.starts_with(b"X_"))
        .collect();
    let wanted: [&[u8]; 9] = [
        b"X_A=1",
        b"X_B=two words ",
        b"X_C=quoted",
        b"X_D=q",
        b"X_E=\"a\" b",
        b"X_F=",
        b"X_G=x=y",
        b"X_H=$(APP)",
        b"X_I=\xff",
    ];
    assert_eq!(found, wanted);
    read(
        &mut host,
        "/srv/app/f",
        b"A=1\nsecret\n1X=2\nB C=3\nD=\0\nPODINIT_CONFIG=x\nPODINIT_PROCESS=x\n",
    );
    let body = process("envFrom: [{file: {path: f}}]");
    let at = "spec.processes[0].envFrom[0]";
    let mut wanted: Vec<String> = [2, 3, 4, 5]
        .map(|line| format!("{at}.file: line {line} of `f`: expected NAME=VALUE"))
        .into();
    for name in ["PODINIT_CONFIG", "PODINIT_PROCESS"] {
        wanted.push(format!(
            "warning: {at}: `{name}` is left out: it belongs to podinit's own wiring"
        ));
    }
    assert_eq!(refused(&body, &host), wanted);
}

#[test]
fn files_of_a_directory() {
    let mut host = root();
    listed(
        &mut host,
        "/etc/secret",
        &[
            ("..data", b"x"),
            ("PASSWORD", b"s3cret\n"),
            ("tls.crt", b"a\nb"),
            ("1", b"x"),
            ("a b", b"x"),
        ],
    );
    let body = process("envFrom: [{directory: {path: /etc/secret}}]");
    assert_eq!(env(&body, &host), ["PASSWORD=s3cret", "tls.crt=a\nb"]);
    let left_out = |name: &str| {
        format!(
            "warning: spec.processes[0].envFrom[0].directory: `/etc/secret/{name}` is left out: `{name}` is no name of a variable"
        )
    };
    assert_eq!(warnings(&body, &host), [left_out("1"), left_out("a b")]);
    let body = process("envFrom: [{prefix: S_, directory: {path: /etc/secret}}]");
    assert_eq!(
        env(&body, &host),
        ["S_1=x", "S_PASSWORD=s3cret", "S_tls.crt=a\nb"]
    );
}

#[test]
fn only_what_enabled_processes_need_is_read() {
    let body = "
env: [{name: A, valueFrom: {file: {path: a}}}, {name: B, value: b}]
envFrom: [{directory: {path: /d}}]
initProcesses: [{name: i, command: [a], envFrom: [{file: {path: /f}}, {file: {path: a, optional: true}}]}]
processes: [{name: p, command: [a], enabled: false, envFrom: [{file: {path: /no}}]}]
";
    let needed = files_needed(&set(body).spec, std::path::Path::new("/srv/app"));
    let wanted = [
        FileRequest::File("/f".into()),
        FileRequest::File("/srv/app/a".into()),
        FileRequest::Directory("/d".into()),
    ];
    assert_eq!(needed, wanted);
}

#[test]
fn a_program_that_expands_to_nothing() {
    let body =
        process("command: [p$(APP), a], env: [{name: NOTHING}]").replace("p$(APP)", "$(NOTHING)");
    let wanted = "spec.processes[0].command[0]: `$(NOTHING)` expands to nothing: expected the name of a program";
    assert_eq!(refused(&body, &root()), [wanted]);
}
