//! Properties of the spec layer over random input.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "tests are at the edge"
)]

use podinit::spec::{
    check::Form,
    load, nearest,
    units::{Duration, Quantity},
    yaml,
};
use proptest::{prelude::*, string::string_regex};

/// What the API server takes and what a file takes is the same: the schema's pattern against our parser. The bounds that
/// no pattern can say (168h, an i64 of bytes) are the only difference, on our side.
fn agree(form: Form, pattern: &str, text: &str) {
    let matches = regex_lite::Regex::new(pattern).unwrap().is_match(text);
    let bounded = !text.is_empty() && text.chars().count() <= 253;
    let holds = form.holds(text);
    if bounded && matches != holds {
        let over = matches && matches!(form, Form::Duration | Form::Quantity);
        assert!(
            over,
            "{form:?} {text:?}: the pattern says {matches}, the parser {holds}"
        );
    }
}

const PIECES: [&str; 34] = [
    "0",
    "1",
    "9",
    "24",
    "100",
    "168",
    "999999",
    "s",
    "m",
    "ms",
    "h",
    "d",
    "%",
    ".",
    "-",
    "_",
    "Ki",
    "Mi",
    "M",
    "k",
    "T",
    "SIG",
    "TERM",
    "RTMIN",
    "RTMAX",
    "+",
    "3",
    "15",
    "a",
    "Z",
    "/",
    "http://",
    "unlimited",
    "$",
];

proptest! {
    #[test]
    fn patterns_and_parsers_agree(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..6)) {
        let text = pieces.concat();
        for (pattern, form) in Form::PATTERNS {
            agree(form, pattern, &text);
        }
    }

    #[test]
    fn durations_come_back(millis in 0..=Duration::MAX.as_millis()) {
        let duration = Duration::from_millis(millis).unwrap();
        prop_assert_eq!(duration.to_string().parse::<Duration>().unwrap(), duration);
        agree(Form::Duration, Duration::PATTERN, &duration.to_string());
    }

    #[test]
    fn quantities_come_back(bytes in prop_oneof![0..1u64 << 40, (0..1u64 << 20).prop_map(|n| n << 20)]) {
        let quantity = Quantity::from_bytes(bytes);
        let json = serde_json::to_string(&quantity).unwrap();
        prop_assert_eq!(serde_json::from_str::<Quantity>(&json).unwrap(), quantity);
    }

    /// Whatever stands in a file: no panic, and either a set or a problem.
    #[test]
    fn any_text_is_a_set_or_has_problems(text in "[ -~\\n\\t\u{e9}\u{1f600}]{0,200}") {
        let loaded = load(&text, "x", &[]);
        prop_assert_eq!(loaded.set.is_none(), loaded.problems.iter().any(podinit::spec::Problem::is_error));
    }

    /// The same with the pieces that files are made of, which gets deeper.
    #[test]
    fn any_mixture_of_yaml_is_a_set_or_has_problems(lines in prop::collection::vec(line(), 0..30)) {
        let text = format!("apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nspec:\n{}", lines.join("\n"));
        let environment = [("PODINIT_PROCESS_A_REPLICAS".to_owned(), "2".to_owned())];
        let loaded = load(&text, "x", &environment);
        prop_assert_eq!(loaded.set.is_none(), loaded.problems.iter().any(podinit::spec::Problem::is_error));
    }

    #[test]
    fn what_is_written_is_read_the_same(text in any::<String>()) {
        let written = yaml::to_string(&serde_json::json!({"a": [text]})).unwrap();
        let node = yaml::parse(&written).node;
        // What YAML cannot hold at all (NUL and the like) is refused, never changed.
        if let Some(node) = node {
            prop_assert_eq!(node.get("a").unwrap().items()[0].string(), Some(text.as_str()), "{}", written);
        }
    }

    #[test]
    fn the_nearest_is_one_of_the_candidates(name in "[a-zA-Z_-]{0,20}", all in prop::collection::vec("[a-z]{1,12}", 0..8)) {
        let found = nearest(&name, all.iter().map(String::as_str));
        prop_assert!(found.is_none_or(|found| all.iter().any(|candidate| candidate == found)));
        if all.contains(&name) {
            prop_assert_eq!(found, Some(name.as_str()));
        }
    }
}

fn line() -> impl Strategy<Value = String> {
    let keys = "(processes|initProcesses|env|name|command|livenessProbe|exec|httpGet|port|schedule|<<|replicas|x)";
    let values = "(|a|[0-9]{1,6}|\\[a, b\\]|\\{name: a, command: \\[b\\]\\}|'x'|true|null|&a|\\*a|\\||5s|- a)";
    (
        0..5usize,
        any::<bool>(),
        string_regex(keys).unwrap(),
        string_regex(values).unwrap(),
    )
        .prop_map(|(indent, dash, key, value)| {
            format!(
                "{}{}{key}: {value}",
                "  ".repeat(indent),
                if dash { "- " } else { "" }
            )
        })
}
