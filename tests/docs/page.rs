//! Pages of the documentation: their fenced blocks, the marks in front of these, their links and headings.

use std::fs;
use std::path::{Path, PathBuf};

/// A Markdown file of the repository.
#[derive(Debug)]
pub struct Page {
    /// Relative to the top of the repository.
    pub path: PathBuf,
    /// Its fenced blocks, in order.
    pub blocks: Vec<Block>,
    /// All of it.
    pub text: String,
}

/// A fenced block.
#[derive(Debug, Clone)]
pub struct Block {
    /// `README.md:12`: where it opens.
    pub place: String,
    /// What stands behind the fence: `yaml`, `sh`, `console`.
    pub language: String,
    /// What is in it.
    pub text: String,
    /// The comments right above it.
    pub marks: Vec<Mark>,
}

/// What a comment above a block asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// `<!-- run -->`, `<!-- run: terminal -->`, `<!-- run: any order -->`: it is run.
    Run {
        /// On a terminal of its own, so that podinit writes for people.
        terminal: bool,
        /// The lines of its output may come in any order.
        any_order: bool,
    },
    /// `<!-- not run: REASON -->`: it is not.
    NotRun(String),
    /// `<!-- file: NAME -->`: it is written to that file before what follows is run.
    File(String),
    /// `<!-- invalid -->`: a ProcessSet that has to be refused.
    Invalid,
    /// `<!-- warns -->`: a ProcessSet that is taken with a warning.
    Warns,
}

/// The top of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages: README, CHANGELOG, everything in docs, and the README of each example.
pub fn all() -> Vec<Page> {
    let mut paths = vec![PathBuf::from("README.md"), PathBuf::from("CHANGELOG.md")];
    paths.extend(files("docs", "md"));
    paths.push(PathBuf::from("examples/laravel/README.md"));
    paths.iter().map(|path| Page::read(path)).collect()
}

/// The files of a directory of the repository that end so, sorted.
pub fn files(directory: &str, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(root().join(directory))
        .unwrap()
        .map(|entry| Path::new(directory).join(entry.unwrap().file_name()))
        .filter(|path| path.extension().is_some_and(|end| end == extension))
        .collect();
    found.sort();
    found
}

impl Page {
    /// Reads a file of the repository.
    pub fn read(path: &Path) -> Page {
        let text = fs::read_to_string(root().join(path))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Page {
            path: path.to_owned(),
            blocks: blocks(path, &text),
            text,
        }
    }

    /// The blocks in this language.
    pub fn blocks_in<'p>(&'p self, language: &'p str) -> impl Iterator<Item = &'p Block> {
        self.blocks
            .iter()
            .filter(move |block| block.language == language)
    }

    /// The lines outside of fenced blocks, with their numbers.
    pub fn prose(&self) -> Vec<(usize, &str)> {
        let mut inside = false;
        let mut prose = Vec::new();
        for (at, line) in self.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                inside = !inside;
            } else if !inside {
                prose.push((at + 1, line));
            }
        }
        prose
    }

    /// What links point at: `](TARGET)` and `src="TARGET"`.
    pub fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (number, line) in self.prose() {
            let line = without_code(line);
            for (open, close) in [("](", ')'), ("src=\"", '"')] {
                for rest in line.split(open).skip(1) {
                    let end = rest.find(close).unwrap_or(rest.len());
                    links.push((number, rest[..end].to_owned()));
                }
            }
        }
        links
    }

    /// The anchors of its headings, as GitHub makes them.
    pub fn anchors(&self) -> Vec<String> {
        let prose = self.prose();
        let headings = prose
            .iter()
            .filter_map(|(_, line)| line.strip_prefix('#'))
            .map(|rest| rest.trim_start_matches('#'));
        headings.map(slug).collect()
    }

    /// The lines between `<!-- NAME -->` and `<!-- end of NAME -->`.
    pub fn section(&self, name: &str) -> Vec<&str> {
        let (open, close) = (
            format!("<!-- {name} -->"),
            format!("<!-- end of {name} -->"),
        );
        let mut lines = self.text.lines().skip_while(|line| line.trim() != open);
        assert!(lines.next().is_some(), "{}: no {open}", self.path.display());
        let rest: Vec<&str> = lines.collect();
        let end = rest.iter().position(|line| line.trim() == close);
        let end = end.unwrap_or_else(|| panic!("{}: no {close}", self.path.display()));
        rest[..end].to_vec()
    }
}

fn blocks(path: &Path, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut marks = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in text.lines().enumerate() {
        let place = format!("{}:{}", path.display(), at + 1);
        if let Some(block) = &mut open {
            if line.trim() == "```" {
                blocks.extend(open.take());
            } else {
                block.text.push_str(line);
                block.text.push('\n');
            }
        } else if let Some(language) = line.trim_start().strip_prefix("```") {
            assert!(!line.starts_with(' '), "{place}: an indented fence");
            open = Some(Block {
                place,
                language: language.to_owned(),
                text: String::new(),
                marks: std::mem::take(&mut marks),
            });
        } else if let Some(comment) = comment(line) {
            marks.extend(mark(comment, &place));
        } else if !line.trim().is_empty() {
            marks.clear();
        }
    }
    assert!(open.is_none(), "{}: a fence is not closed", path.display());
    blocks
}

fn comment(line: &str) -> Option<&str> {
    let inner = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?;
    Some(inner.trim())
}

/// A comment that is none of ours gives nothing; one that looks like one of ours and is none is an error.
fn mark(comment: &str, place: &str) -> Option<Mark> {
    let (word, rest) = comment.split_once(':').unwrap_or((comment, ""));
    let rest = rest.trim();
    match (word, rest) {
        ("run", _) => {
            let (mut terminal, mut any_order) = (false, false);
            for wish in rest
                .split(',')
                .map(str::trim)
                .filter(|wish| !wish.is_empty())
            {
                match wish {
                    "terminal" => terminal = true,
                    "any order" => any_order = true,
                    _ => panic!("{place}: expected `terminal` or `any order`, found `{wish}`"),
                }
            }
            Some(Mark::Run {
                terminal,
                any_order,
            })
        }
        ("not run", "") => panic!("{place}: why is it not run?"),
        ("not run", why) => Some(Mark::NotRun(why.to_owned())),
        ("file", "") => panic!("{place}: which file?"),
        ("file", name) => Some(Mark::File(name.to_owned())),
        ("invalid", "") => Some(Mark::Invalid),
        ("warns", "") => Some(Mark::Warns),
        _ => None,
    }
}

/// The line with what stands between backquotes blanked.
fn without_code(line: &str) -> String {
    let mut out = String::new();
    for (at, part) in line.split('`').enumerate() {
        if at % 2 == 0 {
            out.push_str(part);
        } else {
            out.extend(std::iter::repeat_n(' ', part.chars().count()));
        }
    }
    out
}

fn slug(heading: &str) -> String {
    let mut out = String::new();
    for c in heading.trim().chars() {
        if c.is_alphanumeric() || c == '-' || c == '_' {
            out.extend(c.to_lowercase());
        } else if c == ' ' {
            out.push('-');
        }
    }
    out
}
