//! Descriptions of fields, taken apart for the columns of a table.

use serde_json::Value;

/// The default, from the schema or from a sentence `Default X.` or `By default X.`, and the text without what the table
/// says in its other columns.
pub fn default_of(field: &Value, description: &str) -> (String, String) {
    let written = field.get("default").filter(|value| !value.is_object());
    let written = written.map(|value| match value {
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    });
    let mut by_default = written.clone();
    let mut kept = Vec::new();
    for sentence in sentences(description) {
        let rest = sentence
            .strip_prefix("By default ")
            .or_else(|| sentence.strip_prefix("Default "));
        match rest {
            Some(rest) if by_default.is_none() => by_default = Some(cell(rest)),
            Some(rest) if written.as_deref() == Some(&format!("`{}`", rest.trim_matches('"'))) => {}
            _ if is_size(sentence) => {}
            _ => kept.push(format!("{sentence}.")),
        }
    }
    (by_default.unwrap_or_default(), kept.join(" "))
}

/// `At most 12`, `1 to 253 characters`: the bounds say so.
fn is_size(sentence: &str) -> bool {
    let mut words = sentence.split(' ');
    let numbers = |word: Option<&str>| word.is_some_and(|word| word.parse::<u32>().is_ok());
    let size = match words.next() {
        Some("At") => words.next() == Some("most") && numbers(words.next()),
        first => numbers(first) && words.next() == Some("to") && numbers(words.next()),
    };
    size && matches!(words.next(), None | Some("characters" | "strings" | "of"))
}

fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split(". ")
        .map(|sentence| sentence.strip_suffix('.').unwrap_or(sentence))
        .filter(|sentence| !sentence.is_empty())
}

/// As in `list of strings`.
pub fn plural(type_: &str) -> String {
    match type_ {
        "string" => "strings".to_owned(),
        "integer" => "integers".to_owned(),
        other => other.to_owned(),
    }
}

/// A text in a cell of a table.
pub fn cell(text: &str) -> String {
    prose(text).replace('|', "\\|")
}

/// A text where `<NAME>` is no tag.
pub fn prose(text: &str) -> String {
    text.replace('<', "&lt;")
}

/// The anchor of a heading.
pub fn anchor(title: &str) -> String {
    title.to_lowercase().replace(' ', "-")
}
