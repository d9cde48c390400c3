//! One question over the control socket, and its answer.

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
    let line = exchange(socket, request).map_err(|error| {
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
    })?;
    match serde_json::from_slice(&line) {
        Ok(Response::Error(message)) => Err(Error::Refused(message)),
        Ok(response) => Ok(response),
        Err(error) => Err(Error::Answer(socket.to_owned(), error)),
    }
}

fn exchange(socket: &Path, request: &Request) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    // A daemon that refuses us says so and hangs up without reading; its words are worth more than our broken pipe.
    let sent = stream.write_all(&line);

    let mut answer = Vec::new();
    BufReader::with_capacity(256 * 1_024, stream).read_until(b'\n', &mut answer)?;
    if answer.ends_with(b"\n") {
        return Ok(answer);
    }
    sent?;
    Err(ErrorKind::UnexpectedEof.into())
}
