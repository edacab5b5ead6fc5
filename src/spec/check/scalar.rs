//! Checks one scalar, with the strictness of the API server: a number is no string, a string is no number.

use super::rules::{Form, Rule};
use crate::spec::{
    nearest,
    node::{Kind, Node, Odd},
    units::Signal,
};

/// What is wrong with a value, and how to mend it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// Checks a value that is not the mapping or list its rule wants, or is wanted to be a scalar.
pub(super) fn check(node: &Node, rule: &Rule) -> Result<(), Complaint> {
    let kind = node.kind();
    if kind == Kind::Null {
        let help = "remove it, or give it a value".to_owned();
        return Err(unexpected(node, rule, Some(help)));
    }
    match rule {
        Rule::Object(_) | Rule::Map(..) | Rule::List(_) => Err(unexpected(node, rule, None)),
        Rule::Text(min, max, form) => string(node, rule, (*min, *max), *form),
        Rule::Int(min, max) => integer(node, rule, *min, *max),
        Rule::IntOrText(min, max, form) => match kind {
            Kind::String => text_or_number(node, rule, *form),
            _ => integer(node, rule, *min, *max),
        },
        Rule::Number(min, max) => number(node, rule, *min, *max),
        Rule::Bool => boolean(node, rule),
        Rule::Enum(values) => member(node, rule, values),
    }
}

fn unexpected(node: &Node, rule: &Rule, help: Option<String>) -> Complaint {
    Complaint {
        message: format!("expected {rule}, found {}", node.found()),
        help,
    }
}

fn string(node: &Node, rule: &Rule, (min, max): (u32, u32), form: Form) -> Result<(), Complaint> {
    let Some(text) = node.string() else {
        return Err(unexpected(node, rule, to_string_help(node, form)));
    };
    let length = text.chars().count();
    if length > max as usize {
        let message = format!("expected at most {max} characters, found {length}");
        return Err(Complaint {
            message,
            help: None,
        });
    }
    if length < min as usize && form == Form::Any {
        return Err(Complaint {
            message: "must not be empty".to_owned(),
            help: None,
        });
    }
    if form.holds(text) {
        return Ok(());
    }
    Err(unexpected(node, rule, form_help(text, form)))
}

/// How to make a string out of a scalar that is none.
fn to_string_help(node: &Node, form: Form) -> Option<String> {
    let text = node.text()?;
    match (form, node.kind()) {
        (Form::Duration, Kind::Int(_)) => {
            Some(format!("a duration has a unit: {text}s or {text}ms"))
        }
        (_, Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Odd(_)) => {
            Some(format!("quote it: {text:?}"))
        }
        (_, Kind::Null | Kind::String | Kind::Sequence | Kind::Mapping) => None,
    }
}

/// What was probably meant by a string of the wrong form.
fn form_help(text: &str, form: Form) -> Option<String> {
    match form {
        Form::Name => {
            let lower = text.to_lowercase().replace(['_', '.', ' '], "-");
            Form::Name
                .holds(&lower)
                .then(|| format!("did you mean `{lower}`?"))
        }
        Form::Signal => {
            let upper = text.to_uppercase();
            let full = if upper.starts_with("SIG") {
                upper
            } else {
                format!("SIG{upper}")
            };
            if Form::Signal.holds(&full) {
                return Some(format!("did you mean `{full}`?"));
            }
            let names: Vec<String> = Signal::names().collect();
            nearest(&full, names.iter().map(String::as_str))
                .map(|name| format!("did you mean `{name}`?"))
        }
        Form::Duration => duration_help(text),
        Form::Quantity => {
            let bare = text.trim_end_matches(['B', 'b']).replace(' ', "");
            let known = Form::Quantity.holds(&bare) && bare.ends_with(|c: char| c.is_alphabetic());
            known.then(|| format!("did you mean `{bare}`?"))
        }
        Form::Any
        | Form::EnvName
        | Form::AbsolutePath
        | Form::Url
        | Form::Mode
        | Form::Percent
        | Form::UserName
        | Form::Unlimited => None,
    }
}

/// `5 s`, `5sec`, `1.5s`, `1d`.
fn duration_help(text: &str) -> Option<String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_lowercase();
    let number: f64 = number.parse().ok()?;
    let millis = match unit.trim_end_matches('s') {
        "" | "sec" | "second" => number * 1000.0,
        "m" if unit == "ms" => number,
        "milli" | "milisecond" | "millisecond" => number,
        "m" | "min" | "minute" => number * 60_000.0,
        "h" | "hr" | "hour" => number * 3_600_000.0,
        "d" | "day" => number * 86_400_000.0,
        _ => return None,
    };
    let meant = crate::spec::units::Duration::from_millis(millis as u64)?;
    Some(format!("did you mean `{meant}`?"))
}

fn integer(node: &Node, rule: &Rule, min: i64, max: i64) -> Result<(), Complaint> {
    let value = match node.kind() {
        Kind::Int(value) => value,
        Kind::String => return Err(unexpected(node, rule, unquoted_help(node))),
        Kind::Odd(Odd::Int) => return Err(unexpected(node, rule, decimal_help(node))),
        Kind::Null
        | Kind::Bool(_)
        | Kind::Float(_)
        | Kind::Odd(Odd::Bool(_))
        | Kind::Sequence
        | Kind::Mapping => {
            return Err(unexpected(node, rule, None));
        }
    };
    if (i128::from(min)..=i128::from(max)).contains(&value) {
        Ok(())
    } else {
        Err(unexpected(node, rule, None))
    }
}

fn unquoted_help(node: &Node) -> Option<String> {
    let text = node.text()?;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| format!("remove the quotes: {text}"))
}

fn decimal_help(node: &Node) -> Option<String> {
    let text = node.text()?;
    let digits = text.replace('_', "");
    let plain = digits.trim_start_matches('+').trim_start_matches('0');
    let decimal = plain.bytes().all(|b| b.is_ascii_digit()) && !plain.is_empty();
    Some(if decimal {
        format!("write it in plain decimal digits: {plain}")
    } else {
        "write it in plain decimal digits".to_owned()
    })
}

fn text_or_number(node: &Node, rule: &Rule, form: Form) -> Result<(), Complaint> {
    match node.string() {
        Some(text) if form.holds(text) => Ok(()),
        _ => Err(unexpected(node, rule, unquoted_help(node))),
    }
}

fn number(node: &Node, rule: &Rule, min: i32, max: i32) -> Result<(), Complaint> {
    let value = match node.kind() {
        Kind::Int(value) => value as f64,
        Kind::Float(value) => value,
        Kind::Null
        | Kind::Bool(_)
        | Kind::Odd(_)
        | Kind::String
        | Kind::Sequence
        | Kind::Mapping => {
            return Err(unexpected(node, rule, unquoted_help(node)));
        }
    };
    let three_decimals = (value * 1000.0 - (value * 1000.0).round()).abs() < 1e-6;
    if (f64::from(min)..=f64::from(max)).contains(&value) && three_decimals {
        Ok(())
    } else {
        Err(unexpected(node, rule, None))
    }
}

fn boolean(node: &Node, rule: &Rule) -> Result<(), Complaint> {
    let help = match (node.kind(), node.text()) {
        (Kind::Bool(_), _) => return Ok(()),
        (Kind::Odd(Odd::Bool(value)), _) => Some(format!("write {value}")),
        (Kind::String, Some(text @ ("true" | "false"))) => {
            Some(format!("remove the quotes: {text}"))
        }
        _ => None,
    };
    Err(unexpected(node, rule, help))
}

fn member(node: &Node, rule: &Rule, values: &[&str]) -> Result<(), Complaint> {
    match node.string() {
        Some(text) if values.contains(&text) => Ok(()),
        Some(text) => {
            let help = nearest(text, values.iter().copied())
                .map(|value| format!("did you mean `{value}`?"));
            Err(unexpected(node, rule, help))
        }
        None => Err(unexpected(node, rule, None)),
    }
}
