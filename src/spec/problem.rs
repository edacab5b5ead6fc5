//! What is wrong with a spec, where, and what to do about it.
//!
//! One [`Problem`] type serves the file loader, the checks of the plan, `podinit check -o json` and the conditions of a
//! ProcessSet. Problems are collected, never thrown: a reader sees all of them at once.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeStruct};

pub use super::nearest::{did_you_mean, nearest};

/// The most problems that are reported for one text.
pub const MAX_PROBLEMS: usize = 100;

/// Whether a problem makes the spec unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The spec is refused.
    Error,
    /// The spec is taken; something in it will not do what it seems to.
    Warning,
}

/// A place in a text: line and column, both from 1, the column in characters. Line 0: there is nothing to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One step of a [`FieldPath`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A key of a mapping.
    Key(Cow<'static, str>),
    /// An index into a list, from 0.
    Index(usize),
}

/// The path of a field, such as `spec.processes[0].dependsOn[1].name`.
///
/// Growing and cloning one costs a small allocation and a count: the common part is shared.
#[derive(Clone, Default)]
pub struct FieldPath(Option<Arc<Link>>);

#[derive(Debug)]
struct Link {
    parent: FieldPath,
    segment: Segment,
}

impl FieldPath {
    /// The document itself; prints as nothing.
    pub const ROOT: Self = Self(None);

    /// The path `spec`.
    pub fn spec() -> Self {
        Self::ROOT.key("spec")
    }

    /// The path of a key below this one.
    #[must_use]
    pub fn key(&self, key: impl Into<Cow<'static, str>>) -> Self {
        self.push(Segment::Key(key.into()))
    }

    /// The path of a list item below this one.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.push(Segment::Index(index))
    }

    fn push(&self, segment: Segment) -> Self {
        Self(Some(Arc::new(Link {
            parent: self.clone(),
            segment,
        })))
    }

    /// The steps, outermost first.
    pub fn segments(&self) -> Vec<&Segment> {
        let mut segments = Vec::new();
        let mut at = self;
        while let Some(link) = &at.0 {
            segments.push(&link.segment);
            at = &link.parent;
        }
        segments.reverse();
        segments
    }
}

impl PartialEq for FieldPath {
    fn eq(&self, other: &Self) -> bool {
        self.segments() == other.segments()
    }
}

impl Eq for FieldPath {}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |key: &str| {
            !key.is_empty()
                && key
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'$'))
        };
        for (at, segment) in self.segments().into_iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if !plain(key) => write!(f, "[{key:?}]")?,
                Segment::Key(key) if at == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// Something wrong with a spec: what, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether it makes the spec unusable.
    pub severity: Severity,
    /// The field; empty for the document as a whole.
    pub path: FieldPath,
    /// What is wrong: what was expected and what was found.
    pub message: String,
    /// What to do, if that can be said.
    pub help: Option<String>,
    /// Where in the text, if it came from one.
    pub position: Option<Position>,
    /// What the text is called: a file name, `<stdin>`, or the name of an environment variable.
    pub origin: Arc<str>,
}

impl Problem {
    /// A problem that makes the spec unusable.
    pub fn error(path: FieldPath, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            path,
            message: message.into(),
            help: None,
            position: None,
            origin: Arc::default(),
        }
    }

    /// A problem that does not.
    pub fn warning(path: FieldPath, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(path, message)
        }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what to do, if something can be said.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    /// Says which text.
    #[must_use]
    pub fn of(mut self, origin: impl Into<Arc<str>>) -> Self {
        self.origin = origin.into();
        self
    }

    /// Whether it makes the spec unusable.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    /// `processset.yaml:12:7: spec.processes[0].replicas: expected ..`, and a second line `  help: ..` if there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.origin.is_empty(), self.position) {
            (false, Some(position)) => write!(f, "{}:{position}: ", self.origin)?,
            (false, None) => write!(f, "{}: ", self.origin)?,
            (true, Some(position)) => write!(f, "{position}: ")?,
            (true, None) => {}
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if self.path.0.is_some() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Problem", 7)?;
        object.serialize_field("severity", &self.severity)?;
        object.serialize_field("origin", &*self.origin)?;
        object.serialize_field("line", &self.position.map(|position| position.line))?;
        object.serialize_field("column", &self.position.map(|position| position.column))?;
        object.serialize_field("path", &self.path.to_string())?;
        object.serialize_field("message", &self.message)?;
        object.serialize_field("help", &self.help)?;
        object.end()
    }
}

/// A text of the user's in a message: at most 60 characters, none of which can move a cursor.
pub fn shown(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(60) {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(60).is_some() {
        shown.push_str("..");
    }
    shown
}

/// A problem as people like it: with the line of the text it is in, and a mark under the place.
pub fn excerpt(problem: &Problem, text: &str) -> String {
    let whole = problem.to_string();
    let line = problem
        .position
        .and_then(|at| Some((at, text.lines().nth(at.line.checked_sub(1)? as usize)?)));
    let Some((at, line)) = line else { return whole };
    let (first, help) = match whole.split_once("\n  help: ") {
        Some((first, help)) => (first.to_owned(), format!("\n  help: {help}")),
        None => (whole, String::new()),
    };
    // A long line is shown around the place, and nothing in it can move the cursor.
    let skip = (at.column as usize).saturating_sub(60);
    let shown: String = line
        .chars()
        .skip(skip)
        .take(100)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let number = at.line.to_string();
    let margin = " ".repeat(number.len());
    let mark = " ".repeat((at.column as usize).saturating_sub(skip + 1));
    format!("{first}\n  {number} | {shown}\n  {margin} | {mark}^{help}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_as_users_write_them() {
        let spec = FieldPath::spec();
        let name = spec
            .key("processes")
            .index(0)
            .key("dependsOn")
            .index(1)
            .key("name");
        assert_eq!(name.to_string(), "spec.processes[0].dependsOn[1].name");
        assert_eq!(
            spec.key("labels").key("a.b").to_string(),
            r#"spec.labels["a.b"]"#
        );
        assert_eq!(FieldPath::ROOT.to_string(), "");
        assert_eq!(spec.key("x"), FieldPath::ROOT.key("spec").key("x"));
        assert_ne!(spec.key("x"), spec.key("y"));
    }

    #[test]
    fn problems_print_as_compilers_do() {
        let path = FieldPath::spec().key("replicas");
        let problem = Problem::error(path, "expected an integer");
        assert_eq!(problem.to_string(), "spec.replicas: expected an integer");
        let placed = problem
            .help("write 1")
            .at(Position {
                line: 12,
                column: 7,
            })
            .of("a.yaml");
        assert_eq!(
            placed.to_string(),
            "a.yaml:12:7: spec.replicas: expected an integer\n  help: write 1"
        );
        assert_eq!(
            Problem::warning(FieldPath::ROOT, "odd")
                .of("a.yaml")
                .to_string(),
            "a.yaml: warning: odd"
        );
        assert_eq!(
            serde_json::to_string(&placed).unwrap(),
            r#"{"severity":"error","origin":"a.yaml","line":12,"column":7,"path":"spec.replicas","message":"expected an integer","help":"write 1"}"#
        );
    }
}
