//! Hooks: of the set as podinit's own user, of an instance as its process.

use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

use super::super::{
    FailurePolicy, Hook, HookAction, HttpMethod, HttpRequest, InstanceHooks, Launch, LogRule,
    Request, SetHooks,
};
use super::c_string;
use super::env::Vars;
use super::probes::unbracketed;
use crate::domain::id::Label;
use crate::spec::v1alpha1::{self as spec, ExecAction, HttpGetAction, SleepAction};

/// What a hook has from those it belongs to.
#[derive(Debug)]
pub(super) struct Owner<'a> {
    /// Everything but the command.
    pub(super) launch: &'a Launch,
    /// What `$(VAR)` sees.
    pub(super) vars: &'a Vars,
    /// How its output is logged.
    pub(super) log: &'a Arc<LogRule>,
    /// The port of a request that names none.
    pub(super) port: Option<u16>,
}

/// What the hooks of the set and of a process have in common.
#[derive(Debug)]
struct Handler<'a> {
    exec: Option<&'a ExecAction>,
    http_get: Option<&'a HttpGetAction>,
    sleep: Option<&'a SleepAction>,
    timeout_seconds: Option<u32>,
    retries: u32,
    retry_delay: Duration,
    failure_policy: Option<spec::FailurePolicy>,
}

/// The two pairs have different defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pair {
    Start,
    Stop,
}

/// The hooks of the set. Its name stands where a process's would.
pub(super) fn of_set(hooks: &spec::Hooks, set: &Arc<str>, owner: &Owner<'_>) -> SetHooks {
    let list = |hooks: &[spec::Hook], pair: Pair| -> Vec<Arc<Hook>> {
        hooks
            .iter()
            .map(|hook| {
                let handler = Handler {
                    exec: hook.exec.as_ref(),
                    http_get: hook.http_get.as_ref(),
                    sleep: hook.sleep.as_ref(),
                    timeout_seconds: hook.timeout_seconds,
                    retries: hook.retries,
                    retry_delay: hook.retry_delay.to_std(),
                    failure_policy: hook.failure_policy,
                };
                let label = Arc::new(Label {
                    process: Arc::clone(set),
                    instance: hook.name.as_str().into(),
                });
                build(hook.name.as_str().into(), &handler, pair, &label, owner)
            })
            .collect()
    };
    SetHooks {
        pre_start: list(&hooks.pre_start, Pair::Start),
        post_start: list(&hooks.post_start, Pair::Start),
        pre_stop: list(&hooks.pre_stop, Pair::Stop),
        post_stop: list(&hooks.post_stop, Pair::Stop),
    }
}

/// The hooks of one instance.
pub(super) fn of_instance(
    lifecycle: &spec::Lifecycle,
    label: &Arc<Label>,
    owner: &Owner<'_>,
) -> InstanceHooks {
    let hook = |name: &str, handler: &Option<spec::LifecycleHandler>, pair: Pair| {
        handler.as_ref().map(|hook| {
            let handler = Handler {
                exec: hook.exec.as_ref(),
                http_get: hook.http_get.as_ref(),
                sleep: hook.sleep.as_ref(),
                timeout_seconds: hook.timeout_seconds,
                retries: 0,
                retry_delay: Duration::ZERO,
                failure_policy: hook.failure_policy,
            };
            build(name.into(), &handler, pair, label, owner)
        })
    };
    InstanceHooks {
        pre_start: hook("preStart", &lifecycle.pre_start, Pair::Start),
        post_start: hook("postStart", &lifecycle.post_start, Pair::Start),
        pre_stop: hook("preStop", &lifecycle.pre_stop, Pair::Stop),
        post_stop: hook("postStop", &lifecycle.post_stop, Pair::Stop),
    }
}

fn build(
    name: Arc<str>,
    handler: &Handler<'_>,
    pair: Pair,
    label: &Arc<Label>,
    owner: &Owner<'_>,
) -> Arc<Hook> {
    let action = action(handler, label, owner);
    let timeout = timeout(handler.timeout_seconds, handler.sleep, pair);
    let failure = match (handler.failure_policy, pair) {
        (Some(spec::FailurePolicy::Fail), _) | (None, Pair::Start) => FailurePolicy::Fail,
        (Some(spec::FailurePolicy::Continue), _) | (None, Pair::Stop) => FailurePolicy::Continue,
    };
    Arc::new(Hook {
        name,
        action,
        timeout,
        retries: handler.retries,
        retry_delay: handler.retry_delay,
        failure,
    })
}

/// The timeout of a hook of a stop.
pub fn stop_hook_timeout(seconds: Option<u32>, sleep: Option<&SleepAction>) -> Duration {
    timeout(seconds, sleep, Pair::Stop)
}

fn timeout(seconds: Option<u32>, sleep: Option<&SleepAction>, pair: Pair) -> Duration {
    let seconds = match (seconds, sleep, pair) {
        (Some(seconds), ..) => seconds,
        // A sleep takes as long as it says: that is its claim in the budget of a stop.
        (None, Some(sleep), _) => sleep.seconds,
        (None, None, Pair::Start) => 30,
        (None, None, Pair::Stop) => 5,
    };
    Duration::from_secs(seconds.into())
}

fn action(handler: &Handler<'_>, label: &Arc<Label>, owner: &Owner<'_>) -> HookAction {
    if let Some(exec) = handler.exec {
        let launch = Launch {
            argv: expanded(&exec.command, owner.vars),
            ..owner.launch.clone()
        };
        return HookAction::Exec {
            launch: Arc::new(launch),
            label: Arc::clone(label),
            log: Arc::clone(owner.log),
        };
    }
    if let Some(get) = handler.http_get {
        return HookAction::Request(Arc::new(Request::Http(http_get(get, owner.port))));
    }
    let seconds = handler.sleep.map_or(0, |sleep| sleep.seconds);
    HookAction::Sleep(Duration::from_secs(seconds.into()))
}

/// The words of a command with `$(VAR)` replaced.
pub(super) fn expanded(command: &[String], vars: &Vars) -> Vec<CString> {
    let expanded = command.iter().map(|arg| vars.expand(arg.as_bytes()));
    expanded.map(c_string).collect()
}

pub(super) fn http_get(get: &HttpGetAction, port: Option<u16>) -> HttpRequest {
    let host = get.host.as_deref().unwrap_or("127.0.0.1");
    let slash = if get.path.starts_with('/') { "" } else { "/" };
    HttpRequest {
        method: HttpMethod::Get,
        https: get.scheme == spec::HttpScheme::Https,
        host: unbracketed(host),
        // `validate` refuses a request without a port.
        port: get.port.or(port).unwrap_or_default(),
        path: format!("{slash}{}", get.path),
        headers: get
            .http_headers
            .iter()
            .map(|header| (header.name.clone(), header.value.clone()))
            .collect(),
    }
}
