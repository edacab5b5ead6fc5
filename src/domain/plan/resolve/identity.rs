//! Who a process runs as. What cannot be resolved or set is refused: nothing ever runs as somebody else than asked for.

use std::fmt::Display;

use super::super::Identity;
use super::super::host::HostView;
use crate::spec::problem::{FieldPath, Problem, did_you_mean};
use crate::spec::units::IdOrName;
use crate::spec::v1alpha1::SecurityContext;

/// A security context and where it is written.
pub(super) type Context<'a> = (Option<&'a SecurityContext>, FieldPath);

/// What HOME, USER and LOGNAME follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    /// The name; none for a number without an entry.
    pub(super) name: Option<String>,
    /// The home directory; `/` without an entry.
    pub(super) home: String,
}

/// The outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Person {
    /// `None`: podinit's own.
    pub(super) identity: Option<Identity>,
    /// Set when `runAsUser` is given.
    pub(super) user: Option<User>,
    /// `allowPrivilegeEscalation: false`.
    pub(super) no_new_privs: bool,
}

/// Resolves the process's security context over the set's, field by field.
///
/// - A name must have an entry, a number needs none.
/// - The group is `runAsGroup`, else podinit's own when the user is podinit's own, else the user's in /etc/passwd, else
///   podinit's own (0 in a container that runs as root, where Kubernetes takes 0 too; never a group that podinit does not
///   have).
/// - The supplementary groups are those listed, those that /etc/group gives the user, and those that the pod gave
///   podinit (fsGroup, supplementalGroups): what Kubernetes calls the policy Merge.
pub(super) fn resolve(
    own: &Context<'_>,
    set: &Context<'_>,
    host: &HostView,
    problems: &mut Vec<Problem>,
) -> Person {
    let before = problems.len();
    let user = field(own, set, "runAsUser", |context| {
        context.run_as_user.as_ref()
    });
    let group = field(own, set, "runAsGroup", |context| {
        context.run_as_group.as_ref()
    });
    let listed = field(own, set, "supplementalGroups", |context| {
        context.supplemental_groups.as_ref()
    });
    let escalation = field(own, set, "allowPrivilegeEscalation", |context| {
        context.allow_privilege_escalation
    });
    let no_new_privs = matches!(escalation, Some((false, _)));

    let found = user
        .as_ref()
        .and_then(|(user, path)| user_of(user, path, host, problems));
    let gid = group
        .as_ref()
        .and_then(|(group, path)| group_of(group, path, host, problems));
    let mut groups = Vec::new();
    for (at, group) in listed.iter().flat_map(|(list, _)| list.iter().enumerate()) {
        let path = listed.as_ref().map(|(_, path)| path.index(at));
        groups.extend(group_of(group, &path.unwrap_or_default(), host, problems));
    }
    let shown = user.as_ref().map(|_| User {
        name: found.as_ref().and_then(|found| found.name.clone()),
        home: found
            .as_ref()
            .map_or_else(|| "/".to_owned(), |found| found.home.clone()),
    });
    let path = [
        user.map(|(_, path)| path),
        group.map(|(_, path)| path),
        listed.map(|(_, path)| path),
    ]
    .into_iter()
    .flatten()
    .next();
    let identity = match path {
        Some(path) if problems.len() == before => {
            let uid = found.as_ref().map_or(host.uid, |found| found.uid);
            let name = match &found {
                Some(found) => found.name.clone(),
                None => name_of(host.uid, host),
            };
            let gid = gid
                .or_else(|| {
                    found
                        .as_ref()
                        .and_then(|found| found.gid.filter(|_| uid != host.uid))
                })
                .unwrap_or(host.gid);
            change(uid, gid, &groups, name.as_deref(), host)
                .and_then(|identity| permitted(identity, &path, host, problems))
        }
        _ => None,
    };
    Person {
        identity,
        user: shown,
        no_new_privs,
    }
}

/// The field of the process, or of the set.
fn field<'a, T>(
    own: &Context<'a>,
    set: &Context<'a>,
    key: &'static str,
    get: impl Fn(&'a SecurityContext) -> Option<T>,
) -> Option<(T, FieldPath)> {
    [own, set].into_iter().find_map(|(context, path)| {
        let value = get((*context)?)?;
        Some((value, path.key("securityContext").key(key)))
    })
}

struct Found {
    uid: u32,
    gid: Option<u32>,
    name: Option<String>,
    home: String,
}

fn user_of(
    user: &IdOrName,
    path: &FieldPath,
    host: &HostView,
    problems: &mut Vec<Problem>,
) -> Option<Found> {
    let entry = match user {
        IdOrName::Id(uid) => host.passwd.iter().find(|entry| entry.uid == *uid),
        IdOrName::Name(name) => host.passwd.iter().find(|entry| *entry.name == **name),
    };
    match (user, entry) {
        (_, Some(entry)) => Some(Found {
            uid: entry.uid,
            gid: Some(entry.gid),
            name: Some(entry.name.clone()),
            home: match entry.home.as_str() {
                "" => "/".to_owned(),
                home => home.to_owned(),
            },
        }),
        (IdOrName::Id(uid), None) => Some(Found {
            uid: *uid,
            gid: None,
            name: None,
            home: "/".to_owned(),
        }),
        (IdOrName::Name(name), None) => {
            let known = host.passwd.iter().map(|entry| entry.name.as_str());
            problems.push(unknown("user", name, "/etc/passwd", path, known));
            None
        }
    }
}

/// The number of a user, for a directory's owner.
pub(super) fn uid_of(
    user: &IdOrName,
    path: &FieldPath,
    host: &HostView,
    problems: &mut Vec<Problem>,
) -> Option<u32> {
    user_of(user, path, host, problems).map(|found| found.uid)
}

/// The number of a group.
pub(super) fn group_of(
    group: &IdOrName,
    path: &FieldPath,
    host: &HostView,
    problems: &mut Vec<Problem>,
) -> Option<u32> {
    match group {
        IdOrName::Id(gid) => Some(*gid),
        IdOrName::Name(name) => {
            let entry = host.group.iter().find(|entry| *entry.name == **name);
            if entry.is_none() {
                let known = host.group.iter().map(|entry| entry.name.as_str());
                problems.push(unknown("group", name, "/etc/group", path, known));
            }
            entry.map(|entry| entry.gid)
        }
    }
}

fn unknown<'a>(
    what: &str,
    name: &impl Display,
    file: &str,
    path: &FieldPath,
    known: impl Iterator<Item = &'a str>,
) -> Problem {
    let suggestion = did_you_mean(&name.to_string(), known);
    Problem::error(
        path.clone(),
        format!("there is no {what} `{name}` in {file}"),
    )
    .maybe_help(suggestion.or_else(|| Some(format!("a number needs no entry in {file}"))))
}

fn name_of(uid: u32, host: &HostView) -> Option<String> {
    let entry = host.passwd.iter().find(|entry| entry.uid == uid);
    entry.map(|entry| entry.name.clone())
}

/// The identity to take on; `None` when podinit has it already.
fn change(
    uid: u32,
    gid: u32,
    listed: &[u32],
    name: Option<&str>,
    host: &HostView,
) -> Option<Identity> {
    let has = |group: &u32| *group == gid || host.groups.contains(group);
    if uid == host.uid && gid == host.gid && listed.iter().all(has) {
        return None;
    }
    let own_name = name_of(host.uid, host);
    let from_pod = host.groups.iter().copied().filter(|group| {
        *group != host.gid
            && !member_of(own_name.as_deref(), host).any(|explained| explained == *group)
    });
    let mut groups: Vec<u32> = listed
        .iter()
        .copied()
        .chain(member_of(name, host))
        .chain(from_pod)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    Some(Identity { uid, gid, groups })
}

/// The groups that /etc/group gives a user.
fn member_of<'h>(name: Option<&'h str>, host: &'h HostView) -> impl Iterator<Item = u32> + 'h {
    host.group
        .iter()
        .filter(move |entry| name.is_some_and(|name| entry.members.iter().any(|m| m == name)))
        .map(|entry| entry.gid)
}

fn permitted(
    identity: Identity,
    path: &FieldPath,
    host: &HostView,
    problems: &mut Vec<Problem>,
) -> Option<Identity> {
    let foreign = identity.uid != host.uid;
    let mut own_groups = host.groups.clone();
    own_groups.sort_unstable();
    own_groups.dedup();
    let regroups = identity.gid != host.gid || identity.groups != own_groups;
    let missing: Vec<&str> = [
        ("SETUID", foreign && !host.can.set_uid),
        ("SETGID", regroups && !host.can.set_gid),
        ("KILL", foreign && !host.can.kill),
    ]
    .into_iter()
    .filter_map(|(name, missing)| missing.then_some(name))
    .collect();
    if missing.is_empty() {
        return Some(identity);
    }
    problems.push(
        Problem::error(
            path.clone(),
            format!(
                "running as user {} and group {} needs the capabilities {}, which podinit does not have as user {}",
                identity.uid,
                identity.gid,
                missing.join(", "),
                host.uid
            ),
        )
        .help("give the container these capabilities, or let the whole container run as that user"),
    );
    None
}
