//! Files that variables come from: which ones are needed, and what is in them.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::host::{FileContent, FileError, FileRequest, HostView};
use super::env::Item;
use crate::spec::problem::{FieldPath, Problem};
use crate::spec::units::ENV_NAME_PATTERN;
use crate::spec::v1alpha1::{EnvFileSource, EnvFromSource, EnvVar, ProcessSetSpec};

/// What must be read before [`resolve`](super::resolve) can give a plan, each once. Disabled processes need nothing.
pub fn files_needed(spec: &ProcessSetSpec, start_dir: &Path) -> Vec<FileRequest> {
    let init = spec.init_processes.iter().map(|process| process.shared());
    let processes = spec.processes.iter().map(|process| process.shared());
    let enabled = init.chain(processes).filter(|process| process.enabled);
    let layers = std::iter::once((&spec.env[..], &spec.env_from[..]))
        .chain(enabled.map(|process| (process.env, process.env_from)));
    let mut needed = BTreeSet::new();
    for (env, env_from) in layers {
        needed.extend(env.iter().filter_map(|var| {
            let source = &var.value_from.as_ref()?.file;
            Some(FileRequest::File(start_dir.join(&source.path)))
        }));
        needed.extend(
            env_from
                .iter()
                .filter_map(|source| request(source, start_dir)),
        );
    }
    needed.into_iter().collect()
}

fn request(source: &EnvFromSource, start_dir: &Path) -> Option<FileRequest> {
    match (&source.file, &source.directory) {
        (Some(file), _) => Some(FileRequest::File(start_dir.join(&file.path))),
        (None, Some(directory)) => Some(FileRequest::Directory(start_dir.join(&directory.path))),
        (None, None) => None,
    }
}

/// The value that a variable's file gives; nothing when the file may be missing and is.
pub(super) fn value_of(
    source: &EnvFileSource,
    path: &FieldPath,
    host: &HostView,
    problems: &mut Vec<Problem>,
) -> Option<Vec<u8>> {
    let request = FileRequest::File(host.start_dir.join(&source.path));
    match answer(source, &request, path, host, problems)? {
        FileContent::File(content) => text(content, &source.path, path, problems),
        FileContent::Directory(_) => None,
    }
}

/// The variables that a file or a directory gives, in its order.
pub(super) fn variables_of(
    source: &EnvFromSource,
    path: &FieldPath,
    host: &HostView,
    problems: &mut Vec<Problem>,
) -> Vec<Item> {
    let Some(request) = request(source, &host.start_dir) else {
        return Vec::new();
    };
    let (key, file) = match (&source.file, &source.directory) {
        (Some(file), _) => ("file", file),
        (None, Some(directory)) => ("directory", directory),
        (None, None) => return Vec::new(),
    };
    let path = path.key(key);
    let prefix = source.prefix.as_deref().unwrap_or_default();
    match answer(file, &request, &path, host, problems) {
        Some(FileContent::File(content)) => lines(content, (prefix, &file.path), &path, problems),
        Some(FileContent::Directory(entries)) => {
            let entries = entries
                .iter()
                .map(|(name, content)| (name.as_encoded_bytes(), content));
            directory(entries, (prefix, &file.path), &path, problems)
        }
        None => Vec::new(),
    }
}

fn answer<'h>(
    source: &EnvFileSource,
    request: &FileRequest,
    path: &FieldPath,
    host: &'h HostView,
    problems: &mut Vec<Problem>,
) -> Option<&'h FileContent> {
    let why = match host.files.get(request) {
        Some(Ok(content)) => return Some(content),
        Some(Err(FileError::Missing)) if source.optional => return None,
        Some(Err(FileError::Missing)) => "no such file or directory",
        Some(Err(FileError::Failed(why))) => why,
        None => "it was not read",
    };
    problems.push(Problem::error(
        path.key("path"),
        format!("failed to read `{}`: {why}", source.path),
    ));
    None
}

/// A file's content as a value: one newline at its end is cut.
fn text(
    content: &[u8],
    file: &str,
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) -> Option<Vec<u8>> {
    if content.contains(&0) {
        problems.push(Problem::error(
            path.clone(),
            format!("`{file}` has a NUL byte, which no variable can hold"),
        ));
        return None;
    }
    let value = content
        .strip_suffix(b"\r\n")
        .or_else(|| content.strip_suffix(b"\n"))
        .unwrap_or(content);
    Some(value.to_vec())
}

/// `NAME=VALUE` lines. Empty lines and lines that begin with `#` are skipped, a leading `export` is too. The value is
/// what follows the first `=`, as it is; one pair of quotes around all of it is taken off. Nothing is expanded.
fn lines(
    content: &[u8],
    (prefix, file): (&str, &str),
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) -> Vec<Item> {
    let mut items = Vec::new();
    for (at, line) in content.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let line = line
            .strip_prefix(b"export ")
            .unwrap_or(line)
            .trim_ascii_start();
        let equals = line.iter().position(|byte| *byte == b'=');
        let parts = equals.map(|equals| (&line[..equals], unquoted(&line[equals + 1..])));
        match parts {
            Some((name, value)) if is_name(name) && !value.contains(&0) => {
                items.push(Item::Given {
                    name: [prefix.as_bytes(), name].concat(),
                    value: value.to_vec(),
                });
            }
            // The line itself may be a secret: it is not shown.
            _ => problems.push(Problem::error(
                path.clone(),
                format!("line {} of `{file}`: expected NAME=VALUE", at + 1),
            )),
        }
    }
    items
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner,
        _ => value,
    }
}

/// One variable a file. A file whose name is none of a variable is left out with a warning, as Kubernetes does.
fn directory<'e>(
    entries: impl Iterator<Item = (&'e [u8], &'e Vec<u8>)>,
    (prefix, dir): (&str, &str),
    path: &FieldPath,
    problems: &mut Vec<Problem>,
) -> Vec<Item> {
    let mut items = Vec::new();
    for (name, content) in entries {
        if name.starts_with(b"..") {
            continue;
        }
        let shown = String::from_utf8_lossy(name);
        let prefixed = [prefix.as_bytes(), name].concat();
        if !is_name(&prefixed) {
            problems.push(Problem::warning(
                path.clone(),
                format!("`{dir}/{shown}` is left out: `{shown}` is no name of a variable"),
            ));
            continue;
        }
        let file = format!("{dir}/{shown}");
        if let Some(value) = text(content, &file, path, problems) {
            items.push(Item::Given {
                name: prefixed,
                value,
            });
        }
    }
    items.sort_by(|a, b| a.name().cmp(b.name()));
    items
}

/// What [`ENV_NAME_PATTERN`] says.
fn is_name(name: &[u8]) -> bool {
    debug_assert_eq!(ENV_NAME_PATTERN, "^[-._a-zA-Z][-._a-zA-Z0-9]*$");
    let letter = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'.' | b'_');
    name.first().is_some_and(letter)
        && name
            .iter()
            .all(|byte| letter(byte) || byte.is_ascii_digit())
}

/// A layer's files, read: first `envFrom`, then `env`, as Kubernetes orders them.
pub(super) fn load(
    env: &[EnvVar],
    env_from: &[EnvFromSource],
    path: &FieldPath,
    host: &HostView,
    problems: &mut Vec<Problem>,
) -> Vec<Item> {
    let mut items = Vec::new();
    for (at, source) in env_from.iter().enumerate() {
        let path = path.key("envFrom").index(at);
        let found = variables_of(source, &path, host, problems);
        items.extend(super::env::without_wiring(found, &path, problems));
    }
    for (at, var) in env.iter().enumerate() {
        let name = var.name.clone().into_bytes();
        match (&var.value, &var.value_from) {
            (None, Some(source)) => {
                let path = path.key("env").index(at).key("valueFrom").key("file");
                let value = value_of(&source.file, &path, host, problems);
                items.extend(value.map(|value| Item::Given { name, value }));
            }
            (value, _) => items.push(Item::Template {
                name,
                text: value.clone().unwrap_or_default().into_bytes(),
            }),
        }
    }
    items
}
