//! Reads the command line as the original client did: flags have one dash or two and stand before
//! or after the command. What clap gets afterwards has long flags only, and nothing that it could
//! find wrong but values.

use clap::{ArgAction, CommandFactory};

use crate::args::Cli;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Scanned {
    /// To run a command; clap can read these arguments.
    Run(Vec<String>),
    /// To print the version.
    Version,
    /// Help with no command named.
    Usage,
    /// Help of a command.
    Help {
        /// Its name, which may be no command's.
        command: String,
    },
    /// A command with too few or too many arguments.
    WrongNumber {
        /// Its name.
        command: String,
    },
    /// No command, with the reason.
    Mistake(String),
    /// A flag that does not exist or lacks its value, with the reason.
    BadFlag(String),
}

/// Reads the arguments after the program's name.
pub fn scan(args: Vec<String>) -> Scanned {
    let root = Cli::command();
    let mut command: Option<&clap::Command> = None;
    let mut flags = Vec::new();
    let mut operands = Vec::new();
    let mut flags_end = false;
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if !flags_end && arg == "--" {
            flags_end = true;
            continue;
        }
        if flags_end || !is_flag(&arg) {
            if command.is_some() {
                operands.push(arg);
                continue;
            }
            match root.find_subcommand(&arg) {
                Some(found) => command = Some(found),
                None => return Scanned::Mistake(format!("Unknown command: {arg}")),
            }
            continue;
        }
        let bare = arg
            .strip_prefix("--")
            .or(arg.strip_prefix('-'))
            .unwrap_or(&arg);
        let (name, inline) = match bare.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (bare, None),
        };
        let known = find_flag(&root, name).or(command.and_then(|found| find_flag(found, name)));
        let Some(flag) = known else {
            return Scanned::BadFlag(format!("flag provided but not defined: {arg}"));
        };
        let long = flag.get_long().unwrap_or(name);
        match (long, command) {
            ("version", _) => return Scanned::Version,
            ("help", None) => return Scanned::Usage,
            ("help", Some(command)) => {
                let command = command.get_name().to_owned();
                return Scanned::Help { command };
            }
            _ => {}
        }
        if !matches!(flag.get_action(), ArgAction::Set) {
            flags.push(format!("--{long}"));
        } else if let Some(value) = inline.or_else(|| args.next()) {
            flags.push(format!("--{long}={value}"));
        } else {
            return Scanned::BadFlag(format!("flag needs an argument: {arg}"));
        }
    }
    let Some(command) = command else {
        return Scanned::Mistake("doozer: missing command".to_owned());
    };
    let name = command.get_name().to_owned();
    let most = command.get_positionals().count();
    let least = command
        .get_positionals()
        .filter(|arg| arg.is_required_set())
        .count();
    if !(least..=most).contains(&operands.len()) {
        return Scanned::WrongNumber { command: name };
    }
    if name == "help" {
        let command = operands.remove(0);
        return Scanned::Help { command };
    }
    let mut args = vec![name];
    args.append(&mut flags);
    args.push("--".to_owned());
    args.append(&mut operands);
    Scanned::Run(args)
}

/// Negative numbers are revisions; a lone dash is an operand.
fn is_flag(arg: &str) -> bool {
    match arg.strip_prefix('-') {
        None | Some("") => false,
        Some(rest) => !rest.starts_with(|c: char| c.is_ascii_digit()),
    }
}

fn find_flag<'a>(command: &'a clap::Command, name: &str) -> Option<&'a clap::Arg> {
    command
        .get_arguments()
        .filter(|arg| !arg.is_positional())
        .find(|arg| {
            let mut short = [0; 4];
            arg.get_long() == Some(name)
                || arg
                    .get_short()
                    .is_some_and(|letter| letter.encode_utf8(&mut short) == name)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(line: &str) -> Scanned {
        scan(line.split_whitespace().map(str::to_owned).collect())
    }

    fn run(line: &str) -> String {
        match scanned(line) {
            Scanned::Run(args) => args.join(" "),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn flags_have_one_dash_or_two_before_or_after_the_command() {
        let expected = "wait --rev=5 -- /a";
        for line in [
            "-r 5 wait /a",
            "--r 5 wait /a",
            "-rev 5 wait /a",
            "--rev=5 wait /a",
            "wait -r=5 /a",
            "wait /a --rev 5",
        ] {
            assert_eq!(run(line), expected, "{line}");
        }
        assert_eq!(run("-r -1 -json find /"), "find --rev=-1 --json -- /");
        assert_eq!(run("get -raw /a"), "get --raw -- /a");
    }

    #[test]
    fn an_argument_may_be_left_out_where_it_is_optional() {
        assert_eq!(run("member list"), "member -- list");
        assert_eq!(run("member remove 2 --force"), "member --force -- remove 2");
    }

    #[test]
    fn a_negative_number_is_a_revision() {
        assert_eq!(run("set /a -1"), "set -- /a -1");
        assert_eq!(run("del -- /a -x"), "del -- /a -x");
    }

    #[test]
    fn mistakes_are_told_apart() {
        let mistake = |text: &str| Scanned::Mistake(text.to_owned());
        let bad_flag = |text: &str| Scanned::BadFlag(text.to_owned());
        let help = |command: &str| Scanned::Help {
            command: command.to_owned(),
        };
        let wrong = |command: &str| Scanned::WrongNumber {
            command: command.to_owned(),
        };
        let cases = [
            ("", mistake("doozer: missing command")),
            ("-r 5", mistake("doozer: missing command")),
            ("bogus", mistake("Unknown command: bogus")),
            ("-zz", bad_flag("flag provided but not defined: -zz")),
            ("get -zz /a", bad_flag("flag provided but not defined: -zz")),
            (
                "set --raw /a 1",
                bad_flag("flag provided but not defined: --raw"),
            ),
            ("rev -a", bad_flag("flag needs an argument: -a")),
            ("get", wrong("get")),
            ("set /a", wrong("set")),
            ("rev x", wrong("rev")),
            ("member", wrong("member")),
            ("member add 1 2", wrong("member")),
            ("help", wrong("help")),
            ("help nosuch", help("nosuch")),
            ("get -h", help("get")),
            ("-h", Scanned::Usage),
            ("--help", Scanned::Usage),
            ("-v", Scanned::Version),
        ];
        for (line, expected) in cases {
            assert_eq!(scanned(line), expected, "{line}");
        }
    }
}
