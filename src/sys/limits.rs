//! podinit's own limits and priorities: what children inherit where the spec is silent.

#![expect(clippy::disallowed_methods, reason = "the edge reads /proc")]

use crate::domain::plan::Rlimit;

/// `RLIMIT_CPU` (0) to `RLIMIT_RTTIME` (15).
const RESOURCES: u32 = 16;

/// All limits; `nofile` as it was before podinit raised its own.
pub fn own(nofile: Rlimit) -> Vec<Rlimit> {
    (0..RESOURCES)
        .filter_map(|resource| {
            if resource == nofile.resource {
                return Some(nofile);
            }
            let limit = read(resource)?;
            let side = |value| (value != libc::RLIM_INFINITY).then_some(value);
            Some(Rlimit {
                resource,
                soft: side(limit.rlim_cur),
                hard: side(limit.rlim_max),
            })
        })
        .collect()
}

#[allow(unsafe_code, reason = "getrlimit(2) by number")]
fn read(resource: u32) -> Option<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is writable memory of the right type; an unknown number is refused.
    let result = unsafe { libc::getrlimit(resource, &raw mut limit) };
    (result == 0).then_some(limit)
}

/// The nice value, from `/proc/self/stat`; 0 when that cannot be read.
pub fn nice() -> i32 {
    // proc(5): field 19, the 17th after the name in parentheses.
    std::fs::read_to_string("/proc/self/stat")
        .ok()
        .and_then(|stat| {
            let rest = stat.rsplit_once(") ")?.1.to_owned();
            rest.split(' ').nth(16)?.parse().ok()
        })
        .unwrap_or(0)
}

/// The OOM score adjustment; 0 when it cannot be read.
pub fn oom_score_adj() -> i32 {
    std::fs::read_to_string("/proc/self/oom_score_adj")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

/// Gives memory that was freed back to the kernel: loading needs more than running.
#[allow(unsafe_code, reason = "malloc_trim(3)")]
pub fn give_memory_back() {
    // SAFETY: no preconditions.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_limits_have_the_files_as_they_were() {
        let nofile = Rlimit {
            resource: libc::RLIMIT_NOFILE,
            soft: Some(17),
            hard: None,
        };
        let limits = own(nofile);
        assert_eq!(limits.len(), RESOURCES as usize);
        assert_eq!(limits[libc::RLIMIT_NOFILE as usize], nofile);
    }

    #[test]
    fn nice_and_oom_score_are_in_their_range() {
        assert!((-20..=19).contains(&nice()));
        assert!((-1000..=1000).contains(&oom_score_adj()));
    }
}
