//! What happens on the wire is told as it happens.

use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use igmp_tests::daemon::Daemon;
use igmp_tests::topology::{Lan, Topology};
use serde_json::{Value, json};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const SOON: Duration = Duration::from_secs(5);

/// A follower of the daemon's events.
struct Events(BufReader<UnixStream>);

impl Events {
    fn follow(daemon: &Daemon) -> Self {
        let mut stream = UnixStream::connect(daemon.control_socket()).expect("igmpd listens");
        stream.set_read_timeout(Some(SOON)).expect("not zero");
        stream
            .write_all(b"{\"command\":\"events\"}\n")
            .expect("igmpd reads");
        let mut events = Self(BufReader::new(stream));
        assert_eq!(events.next()["event"], "connected");
        events
    }

    /// The next event, without its time.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("an event in time");
        let mut response: Value = serde_json::from_str(&line).expect("a line of JSON");
        let mut event = response["event"].take();
        let fields = event.as_object_mut().expect("an event is an object");
        fields.remove("time").expect("an event has a time");
        event
    }
}

#[test]
fn a_host_of_version_2_joins_and_leaves_promptly_by_rule() {
    let topology = Topology::new(&[Lan::host().igmp_version(2)]);
    let config = format!(
        "{}prompt_leave = {{ group_policy = \"stb\" }}\n[[acl]]\nname = \"stb\"\n\
         rules = [{{ action = \"permit\", group = \"239.1.0.0/16\", sequence = 7 }}]\n",
        topology.config("version = 2")
    );
    let daemon = Daemon::start(&topology.gateway, &config);
    let mut events = Events::follow(&daemon);
    let host = &topology.receivers[0];
    let address = host.address.to_string();

    let subscription = host.join(GROUP);
    assert_eq!(
        events.next(),
        json!({"interface": "lan0", "event": "joined", "group": "239.1.1.1", "host": address})
    );
    assert_eq!(
        events.next(),
        json!({"interface": "wan0", "event": "upstream-joined", "group": "239.1.1.1"})
    );
    subscription.leave();
    let told = [events.next(), events.next(), events.next()];
    let leave = json!({
        "interface": "lan0", "event": "leave", "group": "239.1.1.1", "host": address, "decision": "prompt",
        "cause": "permit rule 7",
    });
    let left = json!({"interface": "lan0", "event": "left", "group": "239.1.1.1"});
    let upstream_left =
        json!({"interface": "wan0", "event": "upstream-left", "group": "239.1.1.1"});
    for event in [leave, left, upstream_left] {
        assert!(told.contains(&event), "{told:#?}");
    }
    let acls = daemon.ctl(&["show", "acl"]);
    assert_eq!(acls[0]["rules"][0]["hits"], 1);
}

#[test]
fn what_is_told_of_an_interface_that_goes_has_its_name() {
    let topology = Topology::new(&[Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(""));
    let mut events = Events::follow(&daemon);
    let _subscription = topology.receivers[0].join(GROUP);
    assert_eq!(events.next()["event"], "joined");
    assert_eq!(events.next()["event"], "upstream-joined");
    topology.gateway.ip("link del lan0");
    assert_eq!(
        events.next(),
        json!({"interface": "lan0", "event": "left", "group": "239.1.1.1"})
    );
}
