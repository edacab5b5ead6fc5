//! `podinit [run]` and `podinit -- COMMAND ARGS`.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Surroundings, exit};
use crate::app::admin::Options;
use crate::app::{self, Job};
use crate::config::{CONFIG_VARIABLE, ObjectName, Source};
use crate::http::address::{Address, BadAddress};
use crate::spec::check;

/// Where the admin port listens, when no flag says it.
const ADMIN_ADDR_VARIABLE: &str = "PODINIT_ADMIN_ADDR";
/// The ProcessSet in the API server, when no flag says it.
const PROCESSSET_VARIABLE: &str = "PODINIT_PROCESSSET";
/// The file that is there while the pod is ready, when no flag says it.
const READINESS_FILE_VARIABLE: &str = "PODINIT_READINESS_FILE";

/// Where the container runtime looks for the termination message (`terminationMessagePath`).
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Flags of `podinit run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The ProcessSet to run; `-` reads standard input [default: $PODINIT_CONFIG, else
    /// /etc/podinit/processset.yaml, else ./processset.yaml]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// The ProcessSet to run, in the API server; running processes follow its changes. With --file, that file is what
    /// to begin with while the API server is away [default: $PODINIT_PROCESSSET, else none]
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    processset: Option<String>,

    /// Where to write why podinit ended, if that file exists; the pod's terminationMessagePath
    #[arg(long, value_name = "FILE", default_value = TERMINATION_LOG)]
    termination_log: PathBuf,

    /// Where to answer the pod's probes: ADDRESS:PORT, a port, or `off` [default: $PODINIT_ADMIN_ADDR, else [::]:9480]
    #[arg(long, value_name = "ADDRESS")]
    admin_addr: Option<String>,

    /// A file that exists while the pod is ready [default: $PODINIT_READINESS_FILE, else none]
    #[arg(long, value_name = "FILE")]
    readiness_file: Option<PathBuf>,
}

/// Runs the set; gives the exit code.
pub(super) fn run(args: &Args, surroundings: &Surroundings, err: &mut dyn Write) -> u8 {
    let wanted = admin_address(args, surroundings)
        .and_then(|address| source(args, surroundings).map(|source| (address, source)));
    let (address, source) = match wanted {
        Ok(wanted) => wanted,
        Err(told) => {
            let _ = writeln!(err, "podinit: {told}");
            return exit::USAGE;
        }
    };
    let readiness_file = args
        .readiness_file
        .as_deref()
        .or_else(|| surroundings.wiring(READINESS_FILE_VARIABLE).map(Path::new))
        .map(|file| surroundings.directory.join(file));
    app::run(Job::Set {
        source,
        termination_log: surroundings.directory.join(&args.termination_log),
        admin: Options {
            address,
            readiness_file,
            socket: surroundings.control_socket(),
        },
    })
}

/// Where the spec is, or what is wrong with how that is said.
fn source(args: &Args, surroundings: &Surroundings) -> Result<Source, String> {
    let file = Source::new(args.file.as_deref(), surroundings.variable(CONFIG_VARIABLE));
    let (from, text) = match (&args.processset, surroundings.wiring(PROCESSSET_VARIABLE)) {
        (Some(text), _) => ("--processset", text.as_str()),
        (None, Some(text)) => (PROCESSSET_VARIABLE, text),
        (None, None) => return Ok(file),
    };
    let (namespace, name) = match text.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (None, text),
    };
    let variables = ["PODINIT_POD_NAMESPACE", "POD_NAMESPACE"];
    let given = variables.iter().find_map(|name| surroundings.wiring(name));
    let own = given.map(str::to_owned).or_else(app::own_namespace);
    let namespace = namespace.or_else(|| own.clone()).ok_or_else(|| {
        format!("{from} is `{text}`: no namespace is known; write NAMESPACE/{name}")
    })?;
    let part = |part: &str| check::Form::Name.holds(part);
    // It becomes the value of a label of reports and Leases.
    if !part(&namespace) || namespace.len() > 63 || name.len() > 63 || !name.split('.').all(part) {
        return Err(format!(
            "{from} is `{text}`: expected [NAMESPACE/]NAME in lower-case letters, digits, `-` and `.`, each of at most 63"
        ));
    }
    // Reports and the Lease are where the pods are, and turns are given by them.
    if let Some(own) = own.filter(|own| *own != namespace) {
        return Err(format!(
            "{from} is `{text}`: a pod follows a ProcessSet of its own namespace only, which is `{own}`"
        ));
    }
    let fallback = match file {
        Source::File(file) => Some(file),
        Source::Stdin => {
            return Err("with a ProcessSet of the API server --file must be a file".to_owned());
        }
        Source::Search | Source::Object { .. } => None,
    };
    Ok(Source::Object {
        name: ObjectName {
            namespace,
            name: name.to_owned(),
        },
        fallback,
    })
}

/// The address of the admin port, or what is wrong with it.
fn admin_address(args: &Args, surroundings: &Surroundings) -> Result<Address, String> {
    let (from, text) = match (&args.admin_addr, surroundings.wiring(ADMIN_ADDR_VARIABLE)) {
        (Some(text), _) => ("--admin-addr", text.as_str()),
        (None, Some(text)) => (ADMIN_ADDR_VARIABLE, text),
        (None, None) => return Ok(Address::default()),
    };
    text.parse()
        .map_err(|error: BadAddress| format!("{from} is `{text}`: {error}"))
}

/// Runs one command; gives the exit code.
pub(super) fn command(argv: Vec<OsString>) -> u8 {
    app::run(Job::Command(argv))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(flag: Option<&str>, variable: Option<&str>) -> Result<Address, String> {
        let args = Args {
            file: None,
            processset: None,
            termination_log: PathBuf::new(),
            admin_addr: flag.map(str::to_owned),
            readiness_file: None,
        };
        let variable = variable.map(|value| (ADMIN_ADDR_VARIABLE.to_owned(), value.to_owned()));
        let surroundings = Surroundings {
            environment: variable.into_iter().collect(),
            directory: PathBuf::from("/"),
        };
        admin_address(&args, &surroundings)
    }

    #[test]
    fn the_flag_comes_before_the_variable_and_a_bad_one_is_named() {
        assert_eq!(address(None, None), Ok(Address::default()));
        assert_eq!(address(None, Some("")), Ok(Address::default()));
        assert_eq!(address(None, Some("off")), Ok(Address::Off));
        assert_eq!(address(Some("1"), Some("x")), Ok(Address::All(1)));
        for (flag, variable, beginning) in [
            (Some("x"), None, "--admin-addr is `x`: expected `off`, "),
            (Some(""), None, "--admin-addr is ``: expected `off`, "),
            (
                None,
                Some("x"),
                "PODINIT_ADMIN_ADDR is `x`: expected `off`, ",
            ),
        ] {
            let error = address(flag, variable).unwrap_err();
            assert!(error.starts_with(beginning), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    fn wanted(
        file: Option<&str>,
        processset: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Result<Source, String> {
        let args = Args {
            file: file.map(PathBuf::from),
            processset: processset.map(str::to_owned),
            termination_log: PathBuf::new(),
            admin_addr: None,
            readiness_file: None,
        };
        let variables = variables.iter();
        let environment = variables.map(|(name, value)| ((*name).into(), (*value).into()));
        let surroundings = Surroundings {
            environment: environment.collect(),
            directory: PathBuf::from("/"),
        };
        source(&args, &surroundings)
    }

    #[test]
    fn a_processset_is_named_by_flag_or_variable_and_a_file_beside_it_is_the_fallback() {
        let object = |namespace: &str, name: &str, fallback: Option<&str>| {
            Ok(Source::Object {
                name: ObjectName {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                },
                fallback: fallback.map(PathBuf::from),
            })
        };
        let other = [(PROCESSSET_VARIABLE, "other/x")];
        assert_eq!(wanted(None, None, &other), object("other", "x", None));
        assert_eq!(
            wanted(None, Some("shop/web"), &other),
            object("shop", "web", None)
        );
        assert_eq!(
            wanted(Some("f"), Some("shop/web.v2"), &[]),
            object("shop", "web.v2", Some("f"))
        );
        assert_eq!(
            wanted(None, Some("shop/web"), &[(CONFIG_VARIABLE, "g")]),
            object("shop", "web", Some("g"))
        );
        let own = [("PODINIT_POD_NAMESPACE", "ours"), ("POD_NAMESPACE", "not")];
        assert_eq!(wanted(None, Some("web"), &own), object("ours", "web", None));
        assert_eq!(
            wanted(Some("f"), None, &[(PROCESSSET_VARIABLE, "")]),
            Ok(Source::File("f".into())),
            "an empty variable says nothing"
        );
        let longest = "n".repeat(63);
        let text = format!("{longest}/web");
        assert_eq!(
            wanted(None, Some(&text), &[]),
            object(&longest, "web", None)
        );
    }

    #[test]
    fn a_processset_of_another_namespace_is_refused() {
        let own = [("POD_NAMESPACE", "ours")];
        assert!(wanted(None, Some("ours/web"), &own).is_ok());
        assert_eq!(
            wanted(None, Some("shop/web"), &own),
            Err("--processset is `shop/web`: a pod follows a ProcessSet of its own namespace only, which is `ours`".to_owned())
        );
    }

    #[test]
    fn a_processset_that_cannot_be_is_wrong_usage() {
        let namespace = format!("{}/web", "n".repeat(64));
        let name = format!("shop/{}", "n".repeat(64));
        for text in [
            "",
            "/",
            "/web",
            "shop/",
            "a/b/c",
            "Shop/web",
            "shop/-web",
            "shop/web-",
            "shop/we_b",
            "shop/a..b",
            "shop/.a",
            "shop/web ",
            "shop/w\u{e9}b",
            &namespace,
            &name,
        ] {
            // A namespace of our own is known; so what is wrong is the text.
            let own = [("POD_NAMESPACE", "ours")];
            let error = wanted(None, Some(text), &own).unwrap_err();
            let beginning = format!("--processset is `{text}`: ");
            assert!(error.starts_with(&beginning), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        let bad = wanted(None, None, &[(PROCESSSET_VARIABLE, "a/b/c")]).unwrap_err();
        assert!(bad.starts_with("PODINIT_PROCESSSET is `a/b/c`: "), "{bad}");
        let stdin = wanted(Some("-"), Some("shop/web"), &[]).unwrap_err();
        assert!(stdin.contains("must be a file"), "{stdin}");
    }
}
