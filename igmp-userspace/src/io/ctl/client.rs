//! One question over the control socket, and its answer or answers.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::api::{Request, Response};

/// How long the daemon may be silent. It answers in milliseconds; this is for one that hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("igmpd is not running: nobody listens on {}; start it, or give --socket the path it listens on", .0.display())]
    NotRunning(PathBuf),
    #[error("no permission for {}: become root, or a member of its group", .0.display())]
    Permission(PathBuf),
    #[error("igmpd does not answer on {}: silent for {} s", .0.display(), PATIENCE.as_secs())]
    Silent(PathBuf),
    #[error("igmpd hung up on {} before the answer was complete", .0.display())]
    HungUp(PathBuf),
    #[error("igmpd has hung up on {}: it stopped, or was restarted", .0.display())]
    Ended(PathBuf),
    #[error("igmpd answered on {} what this igmpctl does not understand ({}): are both of the same version?",
        .0.display(), .1)]
    Answer(PathBuf, serde_json::Error),
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    /// The daemon's own words.
    #[error("{0}")]
    Refused(String),
}

/// Asks the daemon behind `socket`. Never returns [`Response::Error`]: that is [`Error::Refused`].
pub(super) fn ask(socket: &Path, request: &Request) -> Result<Response, Error> {
    Stream::open(socket, request, Some(PATIENCE))?.next()
}

/// The answers to one request, where there may be more than one.
pub(super) struct Stream<'a> {
    socket: &'a Path,
    reader: BufReader<UnixStream>,
    /// Why the request did not get through, should there be no answer to it.
    unsent: Option<io::Error>,
    is_answered: bool,
}

impl<'a> Stream<'a> {
    /// Asks. Each answer may take `patience`; `None` = for ever.
    pub(super) fn open(
        socket: &'a Path,
        request: &Request,
        patience: Option<Duration>,
    ) -> Result<Self, Error> {
        let open = || {
            let mut stream = UnixStream::connect(socket)?;
            stream.set_read_timeout(patience)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            let mut line = serde_json::to_vec(request)?;
            line.push(b'\n');
            // A daemon that refuses us says so and hangs up without reading; its words are worth more than our broken
            // pipe.
            let unsent = stream.write_all(&line).err();
            Ok(Self {
                socket,
                reader: BufReader::with_capacity(256 * 1_024, stream),
                unsent,
                is_answered: false,
            })
        };
        open().map_err(|error| explain(socket, error))
    }

    /// Waits for the next answer. Never returns [`Response::Error`]: that is [`Error::Refused`].
    pub(super) fn next(&mut self) -> Result<Response, Error> {
        let mut answer = Vec::new();
        let read = self.reader.read_until(b'\n', &mut answer);
        read.map_err(|error| explain(self.socket, error))?;
        if answer.is_empty() && self.is_answered {
            return Err(Error::Ended(self.socket.to_owned()));
        }
        self.is_answered = true;
        if !answer.ends_with(b"\n") {
            let error = self.unsent.take();
            let error = error.unwrap_or_else(|| ErrorKind::UnexpectedEof.into());
            return Err(explain(self.socket, error));
        }
        match serde_json::from_slice(&answer) {
            Ok(Response::Error(message)) => Err(Error::Refused(message)),
            Ok(response) => Ok(response),
            Err(error) => Err(Error::Answer(self.socket.to_owned(), error)),
        }
    }
}

fn explain(socket: &Path, error: io::Error) -> Error {
    let socket = socket.to_owned();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Error::NotRunning(socket),
        ErrorKind::PermissionDenied => Error::Permission(socket),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Silent(socket),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            Error::HungUp(socket)
        }
        _ => Error::Io(socket, error),
    }
}
