//! `/metrics` and `/healthz` of a running daemon, read over a socket of its namespace.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use igmp_tests::daemon::{Daemon, describe, run_igmpd};
use igmp_tests::scratch::ScratchDir;
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{Lan, Topology, UPSTREAM, downstream};
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const ADDRESS: &str = "127.0.0.1:9464";
const SOON: Duration = Duration::from_secs(5);

fn get(topology: &Topology, path: &str) -> String {
    topology.gateway.enter(|| {
        let mut stream = TcpStream::connect(ADDRESS).expect("igmpd listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: gateway\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    })
}

/// The samples of a scrape, by name and labels.
fn scrape(topology: &Topology) -> BTreeMap<String, String> {
    let answer = get(topology, "/metrics");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    let samples = body.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

#[test]
fn metrics_say_what_show_says() {
    let topology = Topology::new(&[Lan::host()]);
    topology.gateway.ip("link set lo up");
    let config = format!("[daemon]\nmetrics = \"{ADDRESS}\"\n{}", topology.config(""));
    let daemon = Daemon::start(&topology.gateway, &config);
    let lan = downstream(0);
    let groups = format!("igmpd_groups{{interface=\"{lan}\"}}");
    assert_eq!(scrape(&topology)[&groups], "0");

    let member = topology.receivers[0].join(GROUP);
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    member.arrivals_until(stream.sent() + 10, SOON);
    let sent = stream.stop();
    assert!(sent > 0);
    let forwarded = format!("igmpd_packets_total{{interface=\"{UPSTREAM}\",reason=\"forwarded\"}}");
    wait_until("all to be counted", SOON, || {
        let shown = daemon.counter_on(UPSTREAM, "forwarded");
        let metrics = scrape(&topology);
        (shown > 0 && metrics[&forwarded] == shown.to_string()).then_some(())
    });
    let metrics = scrape(&topology);
    assert_eq!(metrics[&groups], "1");
    assert_eq!(metrics["igmpd_flows"], "1");
    let querier = |interface: &str| {
        &*metrics[&format!("igmpd_interface_querier{{interface=\"{interface}\"}}")]
    };
    assert_eq!((querier(&lan), querier(UPSTREAM)), ("1", "0"));
    assert!(get(&topology, "/healthz").starts_with("HTTP/1.1 200 OK"));
    assert!(get(&topology, "/").starts_with("HTTP/1.1 404 "));
}

/// A second igmpd on the same address says so before it touches any interface.
#[test]
fn an_address_in_use_is_a_clear_answer() {
    let topology = Topology::new(&[Lan::host()]);
    topology.gateway.ip("link set lo up");
    let taken = topology
        .gateway
        .enter(|| std::net::TcpListener::bind(ADDRESS).unwrap());
    let scratch = ScratchDir::new();
    let socket = scratch.path().join("control.sock").display().to_string();
    let lan = downstream(0);
    let arguments = [
        "--iface",
        &lan,
        "--control-socket",
        &socket,
        "--metrics",
        ADDRESS,
    ];
    let ended = run_igmpd(&topology.gateway, &arguments);
    assert_eq!(ended.status.code(), Some(1), "{}", describe(&ended));
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(
        said.contains("metrics on 127.0.0.1:9464: Address already in use"),
        "{said}"
    );
    assert!(said.contains("--metrics"), "{said}");
    assert_eq!(topology.gateway.programs(&[&lan, UPSTREAM]), 0);
    drop(taken);
}
