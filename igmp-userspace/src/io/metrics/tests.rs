use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::*;
use crate::api::{Counter, Datapath, Interface, InterfaceState};
use crate::config::Role;
use crate::io::control::Pending;

fn interface() -> Interface {
    Interface {
        name: "eth1".to_owned(),
        ifindex: Some(3),
        role: Role::Downstream,
        state: InterfaceState::Ready,
        address: None,
        datapath: Datapath::None,
        datapath_reason: String::new(),
        igmp_version: 3,
        querier: None,
        querier_is_self: true,
        groups: 12,
        counters: std::collections::BTreeMap::new(),
    }
}

fn counter(interface: Option<&str>, name: &str, value: u64) -> Counter {
    Counter {
        interface: interface.map(str::to_owned),
        name: name.to_owned(),
        value,
        description: format!("about {name}"),
    }
}

/// A server whose event loop answers so many questions.
async fn server(answers: usize) -> MetricsServer {
    let (asker, mut questions) = Asker::for_tests();
    tokio::spawn(async move {
        for _ in 0..answers {
            let pending: Pending = questions.recv().await.unwrap();
            let response = match &pending.request {
                api::Request::ShowInterfaces {} => api::Response::Interfaces(vec![interface()]),
                api::Request::ShowCounters { .. } => api::Response::Counters(vec![
                    counter(Some("eth1"), "forwarded", 7),
                    counter(None, "map_writes", 9),
                    counter(None, "flows", 3),
                ]),
                api::Request::ShowBackup {} => api::Response::Backup(Vec::new()),
                other => panic!("{other:?}"),
            };
            pending.answer(response);
        }
        // Questions after that stay unanswered.
        std::future::pending::<mpsc::Receiver<Pending>>().await;
        drop(questions);
    });
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    MetricsServer::bind(anywhere, asker).await.unwrap()
}

async fn get(server: &MetricsServer, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_scrape_has_every_counter_with_its_labels() {
    let server = server(3).await;
    let answer = get(&server, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    for line in [
        r#"igmpd_packets_total{interface="eth1",reason="forwarded"} 7"#,
        r#"igmpd_groups{interface="eth1"} 12"#,
        r#"igmpd_interface_ready{interface="eth1"} 1"#,
        "igmpd_map_writes_total 9",
        "# TYPE igmpd_flows gauge",
        "igmpd_flows 3",
    ] {
        assert!(
            answer.lines().any(|found| found == line),
            "{line}: {answer}"
        );
    }
    assert!(answer.ends_with("# EOF\n"));
    assert!(!answer.contains("backup"), "none is configured");
}

#[tokio::test]
async fn health_is_an_event_loop_that_answers() {
    let healthy = server(1).await;
    let request = "GET /healthz HTTP/1.0\r\n\r\n";
    assert!(get(&healthy, request).await.contains("200 OK"));
    assert!(get(&healthy, request).await.contains("503 "));
}

#[tokio::test]
async fn everything_else_is_refused_by_name() {
    let server = server(0).await;
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404 "),
        ("POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "405 "),
        ("\u{16}\u{3}\u{1}\r\n\r\n", "400 "),
    ] {
        let answer = get(&server, request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
}

/// Connections that say nothing take the places there are, and no more; others are turned away at once.
#[tokio::test]
async fn a_crowd_is_turned_away() {
    let server = server(3).await;
    let mut silent = Vec::new();
    for _ in 0..CLIENTS {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let mut late = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(late.read(&mut [0; 1]).await.unwrap_or(0), 0);
    drop(silent);
    loop {
        // The places are free once the server has noticed.
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let _ = stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await;
        let mut answer = String::new();
        if stream.read_to_string(&mut answer).await.is_ok() && answer.contains("200 OK") {
            break;
        }
    }
}
