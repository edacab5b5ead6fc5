//! Specs and machines to plans, table by table.

use std::ffi::OsString;

use super::super::{Condition, Dependency, GraceSource, Mode, Plan};
use super::*;
use crate::domain::plan::tests::{root, set};

fn plan(body: &str, host: &HostView) -> Plan {
    match resolve(&set(body), host) {
        Ok((plan, _)) => plan,
        Err(problems) => panic!("{problems:#?}"),
    }
}

fn env_of(launch: &Launch) -> Vec<&str> {
    launch
        .env
        .iter()
        .map(|entry| entry.to_str().unwrap())
        .collect()
}

fn argv_of(launch: &Launch) -> Vec<&str> {
    launch
        .argv
        .iter()
        .map(|arg| arg.to_str().unwrap())
        .collect()
}

#[test]
fn a_whole_set() {
    let plan = plan(
        "
env: [{name: APP, value: $(APP)-1}]
initProcesses:
- {name: cache, command: [php, artisan, 'config:cache']}
- {name: migrate, command: [php, artisan, migrate]}
processes:
- {name: web, command: [nginx], args: [-p, $(PORT)], portBase: 8080, replicas: 2, securityContext: {runAsUser: www-data}, dependsOn: [{name: fpm}]}
- {name: fpm, command: [php-fpm]}
",
        &root(),
    );
    assert_eq!(plan.mode, Mode::Set);
    assert_eq!(plan.shutdown.source, GraceSource::Default);
    let names: Vec<&str> = plan
        .processes
        .iter()
        .map(|process| &*process.name)
        .collect();
    assert_eq!(names, ["cache", "migrate", "web", "fpm"]);
    assert_eq!(
        plan.processes[1].depends_on,
        [Dependency {
            on: ProcessId(0),
            condition: Condition::Completed,
            optional: true
        }]
    );
    assert_eq!(plan.processes[2].depends_on[0].on, ProcessId(3));
    let second = &plan.processes[2].instances[1];
    assert_eq!(&*second.label.instance, "web-1");
    assert_eq!(argv_of(&second.launch), ["nginx", "-p", "8081"]);
    assert_eq!(
        env_of(&second.launch),
        [
            "APP=shop-1",
            "HOME=/var/www",
            "LOGNAME=www-data",
            "PATH=/bin",
            "PODINIT_INSTANCE_INDEX=1",
            "PODINIT_PROCESS=web",
            "PORT=8081",
            "USER=www-data",
        ]
    );
    let identity = second.launch.identity.clone().unwrap();
    assert_eq!(
        (identity.uid, identity.gid, identity.groups),
        (33, 33, vec![4])
    );
}

#[test]
fn one_command() {
    let mut host = root();
    host.env.push(("PODINIT_CONFIG".into(), "x".into()));
    host.env.push((GRACE_VARIABLE.into(), "25".into()));
    let argv: Vec<OsString> = vec!["/usr/sbin/nginx".into(), "-g".into(), "$(APP)".into()];
    let plan = command_plan(argv, &host).unwrap();
    assert_eq!(plan.mode, Mode::Command);
    assert_eq!(plan.shutdown.grace, Duration::from_secs(25));
    assert_eq!(plan.shutdown.source, GraceSource::Environment);
    let instance = &plan.processes[0].instances[0];
    assert_eq!(&*instance.label.instance, "nginx");
    assert_eq!(
        argv_of(&instance.launch),
        ["/usr/sbin/nginx", "-g", "$(APP)"]
    );
    assert_eq!(
        env_of(&instance.launch),
        ["PATH=/bin", "HOME=/root", "APP=shop"]
    );
}
