//! What is wrong with the API server, or with our rights there, in words; each said once.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use kube::runtime::watcher;

use super::pause::Retry;

/// The version that was asked for is not kept any more.
pub(super) const GONE: u16 = 410;

/// Why a request did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    what: String,
}

/// What can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A right is missing: 403.
    Forbidden,
    /// The object, or its kind, is not there: 404.
    NotFound,
    /// Somebody else was there first: 409.
    Conflict,
    /// The server does not take what was sent, and will not when it is sent again: 400, 422.
    Refused,
    /// Anything else: it may pass.
    Other,
}

impl Trouble {
    pub(super) fn of(error: &kube::Error) -> Trouble {
        match error {
            kube::Error::Api(status) => Trouble {
                kind: match status.code {
                    403 => Kind::Forbidden,
                    404 => Kind::NotFound,
                    409 => Kind::Conflict,
                    400 | 422 => Kind::Refused,
                    _ => Kind::Other,
                },
                what: format!("{} ({})", first_line(&status.message), status.code),
            },
            // What the guard, or the connection, said.
            kube::Error::Service(error) => Trouble {
                kind: Kind::Other,
                what: whole(&**error),
            },
            other => Trouble {
                kind: Kind::Other,
                what: whole(other),
            },
        }
    }

    /// Of a watch.
    pub(super) fn of_watch(error: &watcher::Error) -> Trouble {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => Trouble::of(error),
            watcher::Error::WatchError(status) => Trouble::of(&kube::Error::Api(status.clone())),
            watcher::Error::NoResourceVersion => Trouble::other(error.to_string()),
        }
    }

    /// How soon to try again.
    pub(super) fn retry(&self) -> Retry {
        match self.kind {
            Kind::Forbidden | Kind::NotFound | Kind::Refused => Retry::Patiently,
            Kind::Conflict | Kind::Other => Retry::Soon,
        }
    }

    pub(super) fn silent(limit: Duration) -> Trouble {
        Trouble {
            kind: Kind::Other,
            what: format!("no answer in {} s", limit.as_secs()),
        }
    }

    pub(super) fn other(what: impl Into<String>) -> Trouble {
        Trouble {
            kind: Kind::Other,
            what: what.into(),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

fn first_line(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    let end = line
        .char_indices()
        .nth(500)
        .map_or(line.len(), |(at, _)| at);
    &line[..end]
}

/// An error with its causes.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    first_line(&text).to_owned()
}

/// Says each trouble once, and says when it is over. A missing right is the same one, whatever the object was called.
#[derive(Debug, Default)]
pub(super) struct Told(VecDeque<String>);

/// So many different ones are remembered: two that take turns are told once each.
const REMEMBERED: usize = 8;

impl Told {
    /// True if this one is news.
    pub(super) fn is_news(&mut self, trouble: &Trouble) -> bool {
        let (_, right) =
            (trouble.what.split_once(" is forbidden: ")).unwrap_or(("", &trouble.what));
        let news = self.0.iter().all(|told| told != right);
        if news {
            self.0.truncate(REMEMBERED - 1);
            self.0.push_front(right.to_owned());
        }
        news
    }

    /// True if there was one.
    pub(super) fn over(&mut self) -> bool {
        let was = !self.0.is_empty();
        self.0.clear();
        was
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_is_told_once_until_it_is_over() {
        let mut told = Told::default();
        let (a, b) = (
            Trouble::other("a".to_owned()),
            Trouble::other("b".to_owned()),
        );
        assert!(told.is_news(&a) && told.is_news(&b));
        assert!(!told.is_news(&a) && !told.is_news(&b), "they take turns");
        assert!(told.over() && !told.over());
        assert!(told.is_news(&a));
        for n in 0..REMEMBERED {
            assert!(told.is_news(&Trouble::other(n.to_string())));
        }
        assert!(told.is_news(&a), "long ago");
    }
}
