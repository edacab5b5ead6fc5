//! The shape of a ProcessSet as constant data: what [`super::table`] is made of.
//!
//! Building the JSON schema at run time takes longer than all the rest of a start; this costs nothing.

use std::fmt;

use crate::spec::units::{
    Duration, IdOrName, IntOrPercent, Mode, Quantity, RlimitValue, Signal, UnitError,
};

/// What a value must be.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// A mapping with known keys.
    Object(&'static Object),
    /// A mapping from any key to such values.
    Map(&'static Rule, u32),
    /// A list.
    List(&'static List),
    /// A string: least and most characters, and its form.
    Text(u32, u32, Form),
    /// An integer between two bounds.
    Int(i64, i64),
    /// An integer between two bounds, or a string of this form.
    IntOrText(i64, i64, Form),
    /// A number between two bounds, with at most three decimals.
    Number(i32, i32),
    /// `true` or `false`.
    Bool,
    /// One of these strings.
    Enum(&'static [&'static str]),
}

/// A mapping with known keys.
#[derive(Debug)]
pub struct Object {
    /// The name of the type, as in the schema.
    pub name: &'static str,
    /// Its keys.
    pub fields: &'static [Field],
    /// What more holds for its keys.
    pub choice: Choice,
}

impl Object {
    /// The field of this key.
    pub fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }
}

/// A key and what its value must be.
#[derive(Debug)]
pub struct Field {
    /// The key.
    pub key: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// What the value must be.
    pub rule: Rule,
}

/// A key that must be there.
pub(super) const fn req(key: &'static str, rule: Rule) -> Field {
    Field {
        key,
        required: true,
        rule,
    }
}

/// A key that may be there.
pub(super) const fn opt(key: &'static str, rule: Rule) -> Field {
    Field {
        key,
        required: false,
        rule,
    }
}

/// A list.
#[derive(Debug)]
pub struct List {
    /// What each item must be.
    pub item: Rule,
    /// The least number of items.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// What must differ between items.
    pub unique: Unique,
}

/// What must differ between the items of a list.
#[derive(Debug, Clone, Copy)]
pub enum Unique {
    /// Nothing.
    No,
    /// The items themselves.
    Items,
    /// This key of the items.
    Key(&'static str),
}

/// What holds for the keys of a mapping together.
#[derive(Debug, Clone, Copy)]
pub enum Choice {
    /// Nothing more.
    Free,
    /// Exactly one of these is there.
    ExactlyOne(&'static [&'static str]),
    /// At least one of these is there.
    AtLeastOne(&'static [&'static str]),
    /// Not all of these are there.
    NotAll(&'static [&'static str]),
    /// It is not empty.
    NotEmpty,
}

/// The form of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Anything.
    Any,
    /// A DNS label.
    Name,
    /// The name of an environment variable.
    EnvName,
    /// An absolute path.
    AbsolutePath,
    /// An HTTP or HTTPS URL.
    Url,
    /// [`Duration`].
    Duration,
    /// [`Mode`].
    Mode,
    /// [`Signal`].
    Signal,
    /// The string form of [`Quantity`].
    Quantity,
    /// The string form of [`IntOrPercent`].
    Percent,
    /// The string form of [`IdOrName`].
    UserName,
    /// The string form of [`RlimitValue`].
    Unlimited,
}

impl Form {
    /// The forms with the patterns that stand for them in the schema.
    pub const PATTERNS: [(&str, Form); 11] = [
        (crate::spec::units::NAME_PATTERN, Form::Name),
        (crate::spec::units::ENV_NAME_PATTERN, Form::EnvName),
        (
            crate::spec::units::ABSOLUTE_PATH_PATTERN,
            Form::AbsolutePath,
        ),
        (crate::spec::units::URL_PATTERN, Form::Url),
        (Duration::PATTERN, Form::Duration),
        (Mode::PATTERN, Form::Mode),
        (Signal::PATTERN, Form::Signal),
        (Quantity::PATTERN, Form::Quantity),
        (IntOrPercent::PATTERN, Form::Percent),
        (IdOrName::PATTERN, Form::UserName),
        (RlimitValue::PATTERN, Form::Unlimited),
    ];

    /// Whether a text has this form.
    pub fn holds(self, text: &str) -> bool {
        fn is<T: std::str::FromStr<Err = UnitError>>(text: &str) -> bool {
            text.parse::<T>().is_ok()
        }
        let first = |b: u8| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_' | b'.');
        match self {
            Self::Any => true,
            Self::Name => {
                let bytes = text.as_bytes();
                let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
                bytes.iter().all(inner)
                    && !text.is_empty()
                    && !text.starts_with('-')
                    && !text.ends_with('-')
            }
            Self::EnvName => {
                text.bytes().all(|b| first(b) || b.is_ascii_digit())
                    && text.bytes().next().is_some_and(first)
            }
            Self::AbsolutePath => text.starts_with('/'),
            Self::Url => text.starts_with("http://") || text.starts_with("https://"),
            Self::Duration => is::<Duration>(text),
            Self::Mode => is::<Mode>(text),
            Self::Signal => is::<Signal>(text),
            Self::Quantity => is::<Quantity>(text),
            Self::Percent => is::<IntOrPercent>(text),
            Self::UserName => is::<IdOrName>(text),
            Self::Unlimited => is::<RlimitValue>(text),
        }
    }

    /// What a value of this form is, for "expected ..".
    pub fn expected(self) -> &'static str {
        match self {
            Self::Any => "a string",
            Self::Name => "a DNS label: lower-case letters, digits and `-`, not `-` at either end",
            Self::EnvName => {
                "the name of an environment variable: letters, digits, `_`, `.` and `-`, not a digit first"
            }
            Self::AbsolutePath => "an absolute path",
            Self::Url => "a URL that starts with http:// or https://",
            Self::Duration => Duration::EXPECTED,
            Self::Mode => Mode::EXPECTED,
            Self::Signal => Signal::EXPECTED,
            Self::Quantity => Quantity::EXPECTED,
            Self::Percent => IntOrPercent::EXPECTED,
            Self::UserName => IdOrName::EXPECTED,
            Self::Unlimited => RlimitValue::EXPECTED,
        }
    }
}

/// What was expected, for "expected ..".
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(_) | Self::Map(..) => f.write_str("a mapping"),
            Self::List(_) => f.write_str("a list"),
            Self::Text(_, _, form) | Self::IntOrText(_, _, form) => f.write_str(form.expected()),
            Self::Int(min, max) if *max >= i64::from(i32::MAX) => {
                write!(f, "an integer, at least {min}")
            }
            Self::Int(min, max) => write!(f, "an integer from {min} to {max}"),
            Self::Number(min, max) => write!(
                f,
                "a number from {min} to {max} with at most three decimals"
            ),
            Self::Bool => f.write_str("true or false"),
            Self::Enum([only]) => write!(f, "`{only}`"),
            Self::Enum([first @ .., last]) => write!(f, "{} or {last}", first.join(", ")),
            Self::Enum([]) => f.write_str("nothing"),
        }
    }
}
