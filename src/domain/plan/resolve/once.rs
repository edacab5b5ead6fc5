//! `scope: Set`: what an init process must succeed once for, and by which Lease pods claim it.

use std::sync::Arc;

use super::super::Once;
use super::super::revision;
use super::Resolver;
use crate::domain::claim::{RunKey, lease_name};
use crate::spec::problem::{FieldPath, Problem};
use crate::spec::v1alpha1::{InitProcess, Scope};

impl Resolver<'_> {
    /// `None`: every pod runs it.
    pub(super) fn once(&mut self, process: &InitProcess, path: &FieldPath) -> Option<Arc<Once>> {
        if process.scope == Scope::Pod {
            return None;
        }
        let scope = path.key("scope");
        if !self.host.in_kubernetes {
            let message = "this is no Kubernetes: it runs here as with `scope: Pod`";
            self.problems.push(Problem::warning(scope, message));
            return None;
        }
        if self.name.is_empty() {
            let message = "the set has no name: pods agree by metadata.name who runs it";
            self.problems.push(Problem::error(scope, message));
        }
        Some(Arc::new(Once {
            set: Arc::clone(&self.name),
            lease: lease_name(&self.name, &process.name).into(),
            key: self.run_key(process, &path.key("scope")),
        }))
    }

    fn run_key(&mut self, process: &InitProcess, scope: &FieldPath) -> RunKey {
        if let Some(key) = &process.run_key {
            return RunKey::given(key);
        }
        let pod = self.host.var(revision::VARIABLE);
        let revision = self.spec.revision.clone();
        let revision = revision.or_else(|| Some(pod?.to_str()?.to_owned()));
        if revision.is_none() {
            let message = "without `revision` and `runKey` a new image does not run it again";
            self.problems.push(Problem::warning(scope.clone(), message));
        }
        let command = process.command.iter().chain(&process.args);
        // As it is written: a file counts for its path, not for what is in it.
        let written = |value: serde_json::Result<String>| value.unwrap_or_default();
        let env = self.spec.env.iter().chain(&process.env);
        let env = env.map(|var| (var.name.clone(), written(serde_json::to_string(var))));
        let from = self.spec.env_from.iter().chain(&process.env_from);
        let from =
            from.map(|source| ("envFrom".to_owned(), written(serde_json::to_string(source))));
        let env: Vec<(String, String)> = env.chain(from).collect();
        RunKey::of(
            command.map(String::as_str),
            env.iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
            revision.as_deref(),
        )
    }
}
