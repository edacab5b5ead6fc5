//! `$(VAR)`, exactly as Kubernetes expands it in a Pod's `command`, `args` and `env`.

/// Replaces each `$(NAME)` by its value. A name without one stays as it is written; `$$` is a literal `$`, so `$$(NAME)`
/// is a literal `$(NAME)`; any other `$` is itself. Values are not looked into again.
pub(super) fn expand<'v>(text: &[u8], value_of: impl Fn(&[u8]) -> Option<&'v [u8]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(b"$") {
            out.push(b'$');
            rest = after;
        } else if let Some((name, after)) = reference(rest) {
            match value_of(name) {
                Some(value) => out.extend_from_slice(value),
                None => out.extend([b"$(", name, b")"].concat()),
            }
            rest = after;
        } else {
            out.push(b'$');
        }
    }
    out.extend_from_slice(rest);
    out
}

/// What follows a `$`: `(NAME)`, and what comes after it.
fn reference(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = text.strip_prefix(b"(")?;
    let end = inner.iter().position(|byte| *byte == b')')?;
    Some((&inner[..end], &inner[end + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expanded(text: &str) -> String {
        let value_of = |name: &[u8]| -> Option<&'static [u8]> {
            match name {
                b"VAR_A" => Some(b"A"),
                b"VAR_B" => Some(b"B"),
                b"VAR_REF" => Some(b"$(VAR_A)"),
                b"VAR_EMPTY" => Some(b""),
                _ => None,
            }
        };
        String::from_utf8(expand(text.as_bytes(), value_of)).unwrap()
    }

    /// The cases of Kubernetes' own test (third_party/forked/golang/expansion).
    #[test]
    fn expands_what_a_pod_expands() {
        for (text, expected) in [
            ("$(VAR_A)", "A"),
            ("___$(VAR_B)___", "___B___"),
            ("___$(VAR_B)", "___B"),
            ("$(VAR_A)-1", "A-1"),
            ("$(VAR_A)_$(VAR_B)", "A_B"),
            ("f000-$(VAR_A)_$(VAR_B)$(VAR_A)", "f000-A_BA"),
            ("$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A"),
            ("$$$(VAR_A)", "$A"),
            ("$$$$(VAR_A)", "$$(VAR_A)"),
            ("$$$$$$(VAR_A)", "$$$(VAR_A)"),
            ("$$$$$$$(VAR_A)", "$$$A"),
            ("f000-$$VAR_A", "f000-$VAR_A"),
            ("foo\\$(VAR_A)bar", "foo\\Abar"),
            ("foo\\\\$(VAR_A)bar", "foo\\\\Abar"),
            ("$(VAR_REF)", "$(VAR_A)"),
            ("$(VAR_EMPTY)x", "x"),
            ("$(VAR_DNE)", "$(VAR_DNE)"),
            ("--$(VAR_DNE)--", "--$(VAR_DNE)--"),
            ("$VAR_A)", "$VAR_A)"),
            ("$(VAR_A", "$(VAR_A"),
            ("$(VAR_A[0])", "$(VAR_A[0])"),
            ("$((VAR_A))", "$((VAR_A))"),
            ("${VAR_A}", "${VAR_A}"),
            ("$(date)$", "$(date)$"),
            ("$(($(VAR_A)", "$(($(VAR_A)"),
            ("$", "$"),
            ("$$", "$"),
            ("$(", "$("),
            ("$()", "$()"),
            ("", ""),
            (
                "\u{20ac}$(VAR_A)\u{20ac}$\u{20ac}",
                "\u{20ac}A\u{20ac}$\u{20ac}",
            ),
        ] {
            assert_eq!(expanded(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_leaves_text_without_dollars_alone(text in "[$()A-B\u{e9} ]{0,40}") {
            let out = expanded(&text);
            if !text.contains('$') {
                prop_assert_eq!(out, text);
            }
        }

        #[test]
        fn doubling_every_dollar_escapes_everything(text in "[$()A-Z_\u{e9} ]{0,40}") {
            prop_assert_eq!(expanded(&text.replace('$', "$$")), text);
        }
    }
}
