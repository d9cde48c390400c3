mod events;

use std::net::Ipv4Addr;
use std::os::unix::net::UnixListener as StdListener;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use crate::api::{Counter, FilterMode, Flow, Group, Source};

use super::*;

/// Long enough never to be met by a test that passes.
const NEVER: Duration = Duration::from_hours(1);
const PATIENT: Limits = Limits {
    clients: 4,
    idle: NEVER,
    write: NEVER,
    events: 4,
};

struct World {
    server: ControlServer,
    path: PathBuf,
    _directory: TempDir,
}

impl World {
    async fn new(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/control.sock");
        let server = ControlServer::bind_with(&path, limits).await.unwrap();
        Self {
            server,
            path,
            _directory: directory,
        }
    }

    async fn client(&self) -> Client {
        Client {
            stream: BufReader::new(UnixStream::connect(&self.path).await.unwrap()),
        }
    }
}

struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next line without its newline; empty at the end.
    async fn receive(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        line.trim_end_matches('\n').to_owned()
    }
}

fn groups(count: u32) -> Vec<Group> {
    let group = |index: u32| Group {
        interface: format!("lan{}", index % 8),
        group: Ipv4Addr::from_bits(Ipv4Addr::new(239, 0, 0, 0).to_bits() + index),
        filter_mode: FilterMode::Include,
        compatibility: 3,
        timer_ms: u64::from(index),
        sources: vec![Source {
            address: Ipv4Addr::new(10, 0, 0, 5),
            timer_ms: 7,
        }],
        last_reporter: Some(Ipv4Addr::new(192, 0, 2, 20)),
        uptime_ms: 1_000_000,
        is_static: false,
        hosts: None,
    };
    (0..count).map(group).collect()
}

#[tokio::test]
async fn requests_are_answered_in_turn_on_one_connection() {
    let mut world = World::new(PATIENT).await;
    let mut client = world.client().await;

    client.send("{\"command\":\"show flows\"}\n{\"command\":\"show counters\",\"interface\":\"lan0\"}\n").await;
    let pending = world.server.next().await;
    assert_eq!(pending.request, Request::ShowFlows { group: None });
    pending.answer(Response::Flows(vec![]));
    assert_eq!(client.receive().await, r#"{"flows":[]}"#);

    let pending = world.server.next().await;
    assert_eq!(
        pending.request,
        Request::ShowCounters {
            interface: Some("lan0".into())
        }
    );
    pending.answer(Response::Error("no interface lan0".into()));
    assert_eq!(client.receive().await, r#"{"error":"no interface lan0"}"#);
}

#[tokio::test]
async fn the_last_request_needs_no_newline() {
    let mut world = World::new(PATIENT).await;
    let mut client = world.client().await;
    client.send(r#"{"command":"show interfaces"}"#).await;
    client.stream.get_mut().shutdown().await.unwrap();
    world
        .server
        .next()
        .await
        .answer(Response::Interfaces(vec![]));
    assert_eq!(client.receive().await, r#"{"interfaces":[]}"#);
    assert_eq!(client.receive().await, "");
}

#[tokio::test]
async fn a_bad_request_is_told_so_and_the_next_one_answered() {
    let mut world = World::new(PATIENT).await;
    let mut client = world.client().await;
    for bad in ["\n", "{\n", "{\"command\":\"dance\"}\n", "\0\u{ff}\n"] {
        client.send(bad).await;
        let answer = client.receive().await;
        assert!(
            answer.starts_with(r#"{"error":"not a request: "#),
            "{bad:?}: {answer}"
        );
    }
    client.send("{\"command\":\"show flows\"}\n").await;
    world.server.next().await.answer(Response::Flows(vec![]));
    assert_eq!(client.receive().await, r#"{"flows":[]}"#);
}

#[tokio::test]
async fn an_endless_line_is_cut_off() {
    let world = World::new(PATIENT).await;
    let mut client = world.client().await;
    client.send(&"x".repeat(LONGEST_REQUEST + 1)).await;
    assert_eq!(
        client.receive().await,
        r#"{"error":"request longer than 4096 bytes"}"#
    );
    assert_eq!(client.receive().await, "", "the connection is closed");
}

#[tokio::test]
async fn a_silent_client_is_hung_up_on() {
    let world = World::new(Limits {
        idle: Duration::from_millis(20),
        ..PATIENT
    })
    .await;
    let mut client = world.client().await;
    client.send("{\"command\":").await;
    assert_eq!(client.receive().await, "");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let (mut server, client) = tokio::io::duplex(1_024);
    let response = Response::Groups(groups(100));
    let error = answer::write(&mut server, &response, Duration::from_millis(20))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    drop(client);
}

#[tokio::test]
async fn a_client_that_does_not_read_keeps_nobody_waiting() {
    let mut world = World::new(PATIENT).await;
    let mut stuck = world.client().await;
    stuck.send("{\"command\":\"show groups\"}\n").await;
    // More than a socket buffers.
    world
        .server
        .next()
        .await
        .answer(Response::Groups(groups(20_000)));

    let mut other = world.client().await;
    other.send("{\"command\":\"show flows\"}\n").await;
    world.server.next().await.answer(Response::Flows(vec![]));
    assert_eq!(other.receive().await, r#"{"flows":[]}"#);
}

#[tokio::test]
async fn one_client_too_many_is_told_so() {
    let mut world = World::new(Limits {
        clients: 1,
        ..PATIENT
    })
    .await;
    let mut first = world.client().await;
    first.send("{\"command\":\"show flows\"}\n").await;
    let pending = world.server.next().await;

    let mut second = world.client().await;
    assert_eq!(
        second.receive().await,
        r#"{"error":"igmpd is busy with 1 other clients; try again"}"#
    );

    pending.answer(Response::Flows(vec![]));
    assert_eq!(first.receive().await, r#"{"flows":[]}"#);
    drop(first);
    // The place is free as soon as the server has seen the first one go.
    loop {
        let mut third = world.client().await;
        // Refused before it could ask, it may not even send.
        let _ = third
            .stream
            .write_all(b"{\"command\":\"show flows\"}\n")
            .await;
        tokio::select! {
            pending = world.server.next() => { pending.answer(Response::Flows(vec![])); break }
            refusal = third.receive() => assert!(refusal.contains("busy"), "{refusal}"),
        }
    }
}

#[tokio::test]
async fn every_answer_is_the_json_of_its_type() {
    let flow = Flow {
        source: None,
        group: Ipv4Addr::new(239, 1, 1, 1),
        upstream: None,
        outputs: vec!["lan0".into()],
        path: crate::api::Path::Xdp,
        path_reason: "XDP redirects reach every output".into(),
        packets: 1,
        bytes: 2,
        set: None,
    };
    let counter = Counter {
        interface: None,
        name: "n".into(),
        value: 1,
        description: "d".into(),
    };
    for response in [
        Response::Interfaces(vec![]),
        Response::Groups(groups(3)),
        Response::Flows(vec![flow]),
        Response::Counters(vec![counter.clone(), counter]),
        Response::Acl(vec![]),
        Response::Config(vec![toml::Table::new()]),
        Response::Error("why \"quoted\"".into()),
    ] {
        let mut written = Vec::new();
        answer::write(&mut written, &response, NEVER).await.unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            serde_json::to_string(&response).unwrap() + "\n"
        );
    }
}

#[tokio::test]
async fn eighty_thousand_groups_arrive_whole() {
    let mut world = World::new(PATIENT).await;
    let mut client = world.client().await;
    client.send("{\"command\":\"show groups\"}\n").await;
    let rows = groups(80_000);
    world
        .server
        .next()
        .await
        .answer(Response::Groups(rows.clone()));
    let response: Response = serde_json::from_str(&client.receive().await).unwrap();
    assert!(response == Response::Groups(rows), "the rows differ");
}

#[tokio::test]
async fn a_question_never_answered_is_told_so() {
    let mut world = World::new(PATIENT).await;
    let mut client = world.client().await;
    client.send("{\"command\":\"show flows\"}\n").await;
    drop(world.server.next().await);
    assert_eq!(client.receive().await, r#"{"error":"igmpd is stopping"}"#);
}

#[tokio::test]
async fn only_owner_and_group_may_connect() {
    let world = World::new(PATIENT).await;
    assert_eq!(
        world.path.metadata().unwrap().permissions().mode() & 0o777,
        0o660
    );
}

#[tokio::test]
async fn dropping_it_hangs_up_and_removes_the_file() {
    let World {
        server,
        path,
        _directory,
    } = World::new(PATIENT).await;
    let mut client = Client {
        stream: BufReader::new(UnixStream::connect(&path).await.unwrap()),
    };
    drop(server);
    assert!(!path.exists());
    let mut line = String::new();
    // The connection was accepted or not by then: an end or a reset, but no waiting.
    assert!(matches!(
        client.stream.read_line(&mut line).await,
        Ok(0) | Err(_)
    ));
}

#[tokio::test]
async fn the_socket_of_a_dead_daemon_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    // The standard library leaves the file behind, as a killed daemon does.
    drop(StdListener::bind(&path).unwrap());
    assert!(path.exists());
    let _server = ControlServer::bind(&path).await.unwrap();
    UnixStream::connect(&path).await.unwrap();
}

#[tokio::test]
async fn the_socket_of_a_live_daemon_is_left_alone() {
    let world = World::new(PATIENT).await;
    let error = ControlServer::bind(&world.path).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "control socket {}: another igmpd is listening; stop it, or choose another --control-socket",
            world.path.display()
        )
    );
    UnixStream::connect(&world.path).await.unwrap();
}

#[tokio::test]
async fn a_file_in_the_way_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(
        ControlServer::bind(&path).await,
        Err(BindError::NotASocket(_))
    ));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_socket_that_took_our_place_is_not_removed() {
    let World {
        server,
        path,
        _directory,
    } = World::new(PATIENT).await;
    std::fs::remove_file(&path).unwrap();
    let _successor = StdListener::bind(&path).unwrap();
    drop(server);
    assert!(path.exists());
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    let path = directory.path().join("file/control.sock");
    let error = ControlServer::bind(&path).await.unwrap_err().to_string();
    assert!(error.contains("cannot make its directory"), "{error}");
}
