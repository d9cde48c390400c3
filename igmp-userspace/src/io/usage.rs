//! How a command ends before its work: help was asked for, or something was mistaken.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

/// Exit status of a command that did what it was asked.
const DONE: u8 = 0;
/// Exit status of bad usage or a bad configuration.
pub const MISTAKE: u8 = 2;

/// The last words of a command, and its exit status.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stop {
    status: u8,
    text: String,
}

impl Stop {
    /// All was well: `text` goes to standard output, the status is 0.
    pub(super) fn done(text: impl Into<String>) -> Self {
        Self {
            status: DONE,
            text: text.into(),
        }
    }

    /// Bad usage or a bad configuration: `text` goes to standard error, the status is 2.
    pub(super) fn mistake(text: impl Into<String>) -> Self {
        Self {
            status: MISTAKE,
            text: text.into(),
        }
    }

    /// Writes the text where it belongs; the status is for `main` to return.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        use std::io::Write;

        // Nobody left to read it is no reason for another status.
        let _ = if self.status == DONE {
            writeln!(std::io::stdout(), "{}", self.text)
        } else {
            writeln!(std::io::stderr(), "{}", self.text)
        };
        self.status.into()
    }
}

/// Parses a command line. A mistake becomes one line, instead of clap's paragraphs.
pub(super) fn parse<P: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<P, Stop> {
    P::try_parse_from(arguments).map_err(|error| {
        let rendered = error.render().to_string();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Stop::done(rendered.trim_end()),
            // The bare command: its help says more than a line could.
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                Stop::mistake(rendered.trim_end())
            }
            _ => {
                let name = P::command().get_name().to_owned();
                let paragraph = rendered.split("\n\n").next().unwrap_or_default();
                let message = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
                let message = message.strip_prefix("error: ").unwrap_or(&message);
                Stop::mistake(format!("{name}: {message}; see {name} --help"))
            }
        }
    })
}
