//! Somebody at a gateway's port who is not the other gateway.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::daemon::Daemon;
use crate::netns::Namespace;

/// A gateway closes what it does not want within its dead-after time, 1 s.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);

/// A TCP connection to a gateway.
#[derive(Debug)]
pub struct Intruder(TcpStream);

impl Intruder {
    /// Connects from a namespace.
    ///
    /// # Panics
    /// When nobody listens there.
    #[track_caller]
    pub fn connect(from: &Namespace, to: SocketAddrV4) -> Self {
        Self::try_connect(from, to).unwrap_or_else(|error| panic!("{to}: {error}"))
    }

    /// The same, which may fail.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn try_connect(from: &Namespace, to: SocketAddrV4) -> io::Result<Self> {
        from.enter(|| TcpStream::connect(to)).map(Self)
    }

    /// So many at once.
    ///
    /// # Panics
    /// When one is not let in by the kernel.
    pub fn crowd(count: usize, from: &Namespace, to: SocketAddrV4) -> Vec<Self> {
        from.enter(|| {
            let one = |_| TcpStream::connect(to).map(Self);
            let crowd: io::Result<Vec<_>> = (0..count).map(one).collect();
            crowd.expect("the gateway listens")
        })
    }

    /// The next who connects to us.
    ///
    /// # Panics
    /// When accepting fails.
    pub fn accept(listener: &TcpListener) -> Self {
        Self(listener.accept().expect("somebody connects").0)
    }

    /// Says something; false when the gateway no longer listens.
    pub fn say(&mut self, octets: &[u8]) -> bool {
        self.0.write_all(octets).is_ok()
    }

    /// What the gateway says until it closes the connection.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn hear(&mut self) -> Vec<u8> {
        self.0
            .set_read_timeout(Some(CLOSED_WITHIN))
            .expect("a time out");
        let (mut heard, mut some) = (Vec::new(), [0; 4096]);
        loop {
            match self.0.read(&mut some) {
                Ok(0) => return heard,
                Ok(length) => heard.extend(&some[..length]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return heard,
                Err(error) => panic!("the gateway does not close: {error}"),
            }
        }
    }

    /// The first record that the gateway sends.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn hear_record(&mut self) -> Vec<u8> {
        self.0
            .set_read_timeout(Some(CLOSED_WITHIN))
            .expect("a time out");
        let mut length = [0; 4];
        self.0.read_exact(&mut length).expect("a length");
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut body).expect("a body");
        [&length[..], &body].concat()
    }
}

/// OpenSSL's client says these words to a gateway, with these arguments, and hears what comes until it is closed.
///
/// # Panics
/// When there is no openssl(1).
#[track_caller]
pub fn openssl(from: &Namespace, to: SocketAddrV4, arguments: &[&str], words: &[u8]) -> Output {
    from.enter(|| {
        let mut client = Command::new("openssl")
            .args(["s_client", "-quiet", "-connect", &to.to_string()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("openssl is installed");
        let mut input = client.stdin.take().expect("piped");
        // Refused before it has read them.
        let _ = input.write_all(words);
        drop(input);
        client.wait_with_output().expect("our child")
    })
}

/// The arguments for openssl(1) to use the keys in a directory.
pub fn identity(keys: &Path) -> [String; 4] {
    let file = |name: &str| keys.join(name).display().to_string();
    [
        "-cert".into(),
        file("cert.pem"),
        "-key".into(),
        file("key.pem"),
    ]
}

/// Descriptors that a gateway has open.
///
/// # Panics
/// When it does not run.
pub fn descriptors(daemon: &Daemon) -> usize {
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid()));
    open.expect("igmpd runs").count()
}
