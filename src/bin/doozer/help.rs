//! Help texts, from what the command line knows about itself.

use std::fmt::Write;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue};

use crate::args::{Cli, URI_DEFAULT};

/// What is printed when the command line makes no sense, or `-h` stands alone.
pub fn usage() -> String {
    let mut root = Cli::command();
    let mut text = String::from("Use: doozer [options] <command> [options] [args]\n\n");
    let _ = writeln!(text, "Options:\n{}", root.render_help());
    let _ = writeln!(text, "Environment:");
    let _ = writeln!(text, "  DOOZER_URI - default for -a (else {URI_DEFAULT})");
    let _ = writeln!(text, "  DOOZER_BOOT_URI - default for -b\n\nCommands:");
    let mut commands: Vec<(String, String)> = root
        .get_subcommands()
        .map(|command| {
            let name = format!("{} {}", command.get_name(), operands(command));
            let about = command
                .get_about()
                .map(ToString::to_string)
                .unwrap_or_default();
            (name.trim_end().to_owned(), about)
        })
        .collect();
    commands.sort();
    let width = commands
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    for (name, about) in commands {
        let _ = writeln!(text, "  {name:width$} - {about}");
    }
    let _ = writeln!(text, "\nMore about a command: doozer help COMMAND");
    text
}

/// Help of one command. An unknown one has just the first line.
pub fn of(name: &str) -> String {
    let mut root = Cli::command();
    root.build();
    let mut text = format!("Use: doozer [options] {name} [options] ");
    let Some(command) = root.find_subcommand_mut(name) else {
        return text + "\n\n";
    };
    text += &operands(command);
    let about = "{about-with-newline}\n{all-args}{after-help}\n";
    let everywhere = |arg: clap::Arg| match arg.is_global_set() {
        true => arg.help_heading("Options of every command"),
        false => arg,
    };
    let mut command = std::mem::take(command)
        .help_template(about)
        .mut_args(everywhere);
    let _ = write!(text, "\n\n{}", command.render_long_help());
    text
}

/// A flag or an argument has a value that it cannot have.
pub fn invalid_value(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let value = context(ContextKind::InvalidValue);
    let name = context(ContextKind::InvalidArg)
        .split(' ')
        .next()
        .unwrap_or_default();
    let Some(long) = name.strip_prefix("--") else {
        let reason = error.to_string();
        return reason.trim_start_matches("error: ").trim_end().to_owned();
    };
    let root = Cli::command();
    let flag = root
        .get_arguments()
        .find(|arg| arg.get_long() == Some(long));
    let letter = flag.and_then(|flag| flag.get_short());
    let flag = letter.map_or(name.to_owned(), |letter| format!("-{letter}"));
    format!("invalid value \"{value}\" for flag {flag}: parse error")
}

fn operands(command: &clap::Command) -> String {
    let names = command
        .get_positionals()
        .filter_map(|arg| arg.get_value_names()?.first());
    names
        .map(|name| name.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}
