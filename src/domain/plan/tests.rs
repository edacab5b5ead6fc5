//! What the tests of the plan's modules share.

use super::claim_of;
use super::host::{Capabilities, HostView, parse_group, parse_passwd};
use crate::spec;
use crate::spec::v1alpha1::ProcessSet;

/// The set with this body of a `spec:`, which the loader has no complaints about.
#[track_caller]
pub(in crate::domain) fn set(body: &str) -> ProcessSet {
    let body = body.replace('\n', "\n  ");
    let text = format!(
        "apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nmetadata: {{name: shop}}\nspec:\n  {body}\n"
    );
    loaded(&text)
}

/// The set of a whole text.
#[track_caller]
pub(super) fn loaded(text: &str) -> ProcessSet {
    let loaded = spec::load(text, "t.yaml", &[]);
    match loaded.set {
        Some(set) => set,
        None => panic!("{text}\n{:#?}", loaded.problems),
    }
}

/// A container that runs as root, with all capabilities.
pub(super) fn root() -> HostView {
    HostView {
        env: [("PATH", "/bin"), ("HOME", "/root"), ("APP", "shop")]
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        start_dir: "/srv/app".into(),
        can: Capabilities::ALL,
        passwd: parse_passwd(b"root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n"),
        group: parse_group(b"root:x:0:\nadm:x:4:www-data\nwww-data:x:33:\nmedia:x:44:\n"),
        ..HostView::default()
    }
}

mod files;
mod properties;

#[test]
fn a_hook_claims_all_its_attempts_and_the_pauses_between_them() {
    let secs = std::time::Duration::from_secs;
    for (timeout, retries, delay, want) in [(5, 0, 1, 5), (5, 2, 1, 17), (5, 1, 0, 10)] {
        assert_eq!(claim_of(secs(timeout), retries, secs(delay)), secs(want));
    }
    let most = claim_of(secs(u64::MAX), u32::MAX, secs(u64::MAX));
    assert_eq!(most, std::time::Duration::MAX);
}
