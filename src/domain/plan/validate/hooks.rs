//! Hooks: commands that exec can take, requests that can be sent, sleeps that fit their timeout.

use super::process::check_argv;
use super::request::check_http_get;
use super::walk;
use crate::spec::problem::Problem;
use crate::spec::v1alpha1::ProcessSetSpec;

pub(super) fn check(spec: &ProcessSetSpec, problems: &mut Vec<Problem>) {
    for hook in walk::hooks(spec) {
        if let Some(exec) = hook.exec {
            let path = hook.path.key("exec").key("command");
            check_argv(&exec.command, &path, problems);
        }
        if let Some(get) = hook.http_get {
            check_http_get(get, hook.has_port, &hook.path.key("httpGet"), problems);
        }
        if let (Some(sleep), Some(timeout)) = (hook.sleep, hook.timeout_seconds)
            && sleep.seconds > timeout
        {
            let message = format!(
                "{} is over timeoutSeconds, which is {timeout}",
                sleep.seconds
            );
            let path = hook.path.key("sleep").key("seconds");
            problems.push(Problem::error(path, message));
        }
    }
}
