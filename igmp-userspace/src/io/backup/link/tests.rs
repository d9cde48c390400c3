use std::net::TcpStream as Socket;

use tempfile::TempDir;

use super::*;
use crate::config::TlsFiles;
use crate::io::backup::keygen;

/// The two ends of a pair on this machine's loopback: `a`, which connects, and `b`.
struct Pair {
    keys: TempDir,
    a: SocketAddrV4,
    b: SocketAddrV4,
}

impl Pair {
    fn new() -> Self {
        let keys = tempfile::tempdir().unwrap();
        keygen::run(keys.path(), 1).unwrap();
        // The kernel picks a free port.
        let free = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
        let port = free.local_addr().unwrap().port();
        Self {
            keys,
            a: SocketAddrV4::new([127, 0, 0, 1].into(), port),
            b: SocketAddrV4::new([127, 0, 0, 2].into(), port),
        }
    }

    fn tls(&self, gateway: &str) -> Tls {
        load(self.keys.path(), gateway)
    }

    fn start_a(&self, tls: Option<Tls>, incoming: mpsc::Sender<Incoming>) -> Link {
        let link = Link::start(endpoints(self.a, self.b), tls, incoming);
        assert!(link.connect());
        link
    }

    fn start_b(&self, tls: Option<Tls>, incoming: mpsc::Sender<Incoming>) -> Link {
        Link::start(endpoints(self.b, self.a), tls, incoming)
    }
}

fn load(keys: &std::path::Path, gateway: &str) -> Tls {
    let [cert, key, ca] = keygen::FILES.map(|file| keys.join(gateway).join(file));
    Tls::load(&TlsFiles { cert, key, ca }).unwrap()
}

fn endpoints(listen: SocketAddrV4, peer: SocketAddrV4) -> Endpoints {
    Endpoints {
        profile: "stb".into(),
        listen,
        peer,
    }
}

async fn next(events: &mut mpsc::Receiver<Incoming>) -> Incoming {
    const PATIENCE: Duration = Duration::from_secs(20);
    timeout(PATIENCE, events.recv()).await.unwrap().unwrap()
}

/// The next connection of `link`, which tries until the other side listens.
async fn connected(link: &Link, events: &mut mpsc::Receiver<Incoming>) -> Connection {
    loop {
        match next(events).await {
            Incoming::Connected(connection) => return connection,
            Incoming::Unreachable { .. } => assert!(link.connect()),
            other => panic!("{other:?} instead of a connection"),
        }
    }
}

/// The reason of the next refusal.
async fn refusal(events: &mut mpsc::Receiver<Incoming>) -> RefusedBy {
    match next(events).await {
        Incoming::Refused { reason, .. } => reason,
        other => panic!("{other:?} instead of a refusal"),
    }
}

/// Until the other side listens: an attempt that comes to something else.
async fn met(link: &Link, events: &mut mpsc::Receiver<Incoming>) -> Incoming {
    loop {
        match next(events).await {
            Incoming::Unreachable { .. } => assert!(link.connect()),
            other => return other,
        }
    }
}

#[tokio::test]
async fn what_one_says_the_other_hears_and_a_lost_connection_is_made_again() {
    let pair = Pair::new();
    let ((to_a, mut at_a), (to_b, mut at_b)) = (channel(), channel());
    let side_a = pair.start_a(Some(pair.tls("a")), to_a);
    let side_b = pair.start_b(Some(pair.tls("b")), to_b);
    assert!(!side_b.connect(), "that is for the other side");
    let a = connected(&side_a, &mut at_a).await;
    let b = connected(&side_b, &mut at_b).await;
    a.send(Bytes::from_static(b"hello"));
    match next(&mut at_b).await {
        Incoming::Received { connection, bytes } => {
            assert_eq!(connection, b.id);
            assert_eq!(bytes, "hello");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(next(&mut at_a).await, Incoming::Writable(id) if id == a.id));
    // What was sent before the end arrives.
    b.send(Bytes::from_static(b"farewell"));
    b.finish();
    assert!(
        matches!(next(&mut at_a).await, Incoming::Received { bytes, .. } if bytes == "farewell")
    );
    assert!(
        matches!(next(&mut at_a).await, Incoming::Closed { connection, .. } if connection == a.id)
    );
    assert!(side_a.connect());
    assert_eq!(connected(&side_a, &mut at_a).await.id.number, 2);
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_on_both_sides() {
    let (pair, others) = (Pair::new(), Pair::new());
    let ((to_a, mut at_a), (to_b, mut at_b)) = (channel(), channel());
    // The peer's certificate is the wrong one.
    let _b = pair.start_b(Some(pair.tls("b")), to_b);
    let a = pair.start_a(Some(load(others.keys.path(), "a")), to_a);
    let at_a = met(&a, &mut at_a).await;
    assert!(
        matches!(
            at_a,
            Incoming::Refused {
                reason: RefusedBy::Tls,
                ..
            }
        ),
        "{at_a:?}"
    );
    assert_eq!(refusal(&mut at_b).await, RefusedBy::Tls);
}

#[tokio::test]
async fn no_tls_and_no_certificate_are_refused() {
    let pair = Pair::new();
    let (to_b, mut at_b) = channel();
    let _b = pair.start_b(Some(pair.tls("b")), to_b);
    // Plain text.
    let (to_a, mut at_a) = channel();
    let a = pair.start_a(None, to_a);
    let plain = connected(&a, &mut at_a).await;
    plain.send(Bytes::from_static(&[0; 64]));
    assert_eq!(refusal(&mut at_b).await, RefusedBy::Tls);
    drop((a, plain));
}

#[tokio::test]
async fn a_stranger_is_turned_away() {
    let pair = Pair::new();
    let (to_b, mut at_b) = channel();
    let _b = pair.start_b(None, to_b);
    let mut socket = None;
    // Until it listens.
    while socket.is_none() {
        let (b, from) = (pair.b, "127.0.0.3:0".parse().unwrap());
        let attempt = TcpSocket::new_v4().unwrap();
        attempt.bind(from).unwrap();
        socket = attempt.connect(b.into()).await.ok();
    }
    assert_eq!(refusal(&mut at_b).await, RefusedBy::Stranger);
}

#[tokio::test]
async fn a_thousand_half_open_connections_do_not_stop_the_peer() {
    let pair = Pair::new();
    let (to_b, mut at_b) = channel();
    let _b = pair.start_b(Some(pair.tls("b")), to_b);
    // From the peer's own address, so that they get as far as the handshake.
    let b = pair.b;
    let crowd = tokio::task::spawn_blocking(move || {
        let mut crowd: Vec<Socket> = Vec::new();
        while crowd.len() < 1000 {
            // Until it listens.
            crowd.extend(Socket::connect(b));
        }
        crowd
    });
    // What waits to be told keeps nobody out as long as it is heard.
    let heard = tokio::spawn(async move {
        let mut refused = 0;
        loop {
            match next(&mut at_b).await {
                Incoming::Connected(connection) => return (refused, connection),
                Incoming::Refused {
                    reason: RefusedBy::Crowd | RefusedBy::Handshake,
                    ..
                } => refused += 1,
                other => panic!("{other:?}"),
            }
        }
    });
    let crowd = crowd.await.unwrap();
    let (to_a, mut at_a) = channel();
    let a = pair.start_a(Some(pair.tls("a")), to_a);
    let _held = connected(&a, &mut at_a).await;
    let (refused, _connection) = heard.await.unwrap();
    assert!(refused >= 1000 - 64, "{refused}");
    drop(crowd);
}
