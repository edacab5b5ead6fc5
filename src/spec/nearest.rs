//! The name that was probably meant.

/// The candidate that `name` most likely was meant to be; `None` if none is near.
///
/// Case, `-` and `_` do not count, then up to a third of the letters may differ (inserted, left out, replaced, or
/// swapped with their neighbour). Failing that, the only candidate that begins with `name`.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = normal(name);
    let allowed = (wanted.len() / 3).clamp(1, 3);
    let mut best: Option<(usize, &str)> = None;
    let mut begun = Vec::new();
    for candidate in candidates {
        let letters = normal(candidate);
        let far = distance(&wanted, &letters);
        if far <= allowed && far < letters.len() && best.is_none_or(|(least, _)| far < least) {
            best = Some((far, candidate));
        }
        if wanted.len() >= 4 && letters.starts_with(&wanted) {
            begun.push(candidate);
        }
    }
    match (best, begun.as_slice()) {
        (Some((_, near)), _) => Some(near),
        (None, [only]) => Some(*only),
        (None, _) => None,
    }
}

/// A sentence for [`super::Problem::help`] out of [`nearest`].
pub fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(name, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// Lower case without `-` and `_`; at most 64 letters, which bounds the work.
fn normal(name: &str) -> Vec<char> {
    name.chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .flat_map(char::to_lowercase)
        .take(64)
        .collect()
}

/// Damerau's distance, in its restricted form: three rows of the table are enough.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_meant() {
        let keys = [
            "dependsOn",
            "replicas",
            "maxReplicas",
            "env",
            "envFrom",
            "name",
            "nice",
            "terminationGracePeriodSeconds",
        ];
        for (typed, meant) in [
            ("depends_on", Some("dependsOn")),
            ("DependsOn", Some("dependsOn")),
            ("dependOn", Some("dependsOn")),
            ("repilcas", Some("replicas")),
            ("replica", Some("replicas")),
            ("envs", Some("env")),
            ("nmae", Some("name")),
            ("image", None),
            ("maxR", Some("maxReplicas")),
            ("terminationGrace", Some("terminationGracePeriodSeconds")),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, keys), meant, "{typed}");
        }
    }

    #[test]
    fn the_distance_is_damerau() {
        let of = |a: &str, b: &str| distance(&normal(a), &normal(b));
        for (a, b, far) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(of(a, b), far, "{a} {b}");
            assert_eq!(of(b, a), far, "{b} {a}");
        }
    }
}
