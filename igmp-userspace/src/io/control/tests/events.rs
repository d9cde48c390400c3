use serde_json::{Value, json};

use super::*;
use crate::api::EventKind;

const FOLLOW: &str = "{\"command\":\"events\"}\n";

fn left(last: u8) -> EventKind {
    EventKind::Left {
        group: Ipv4Addr::new(239, 1, 1, last),
    }
}

impl Client {
    /// The next event without its time, which is not empty; null at the end.
    async fn event(&mut self) -> Value {
        let line = self.receive().await;
        let Ok(mut response) = serde_json::from_str::<Value>(&line) else {
            assert_eq!(line, "");
            return Value::Null;
        };
        let mut event = response["event"].take();
        let time = event.as_object_mut().unwrap().remove("time");
        assert_ne!(time.unwrap(), "");
        event
    }

    async fn follow(&mut self) {
        self.send(FOLLOW).await;
        let connected = json!({"interface": null, "event": "connected"});
        assert_eq!(self.event().await, connected);
    }
}

#[tokio::test]
async fn every_follower_is_told_in_order_from_when_it_is_connected() {
    let world = World::new(PATIENT).await;
    let publisher = world.server.publisher();
    let mut first = world.client().await;
    first.follow().await;
    publisher.publish(Some("lan0"), left(1));
    let mut second = world.client().await;
    second.follow().await;
    publisher.publish(None, left(2));

    let one = json!({"interface": "lan0", "event": "left", "group": "239.1.1.1"});
    let two = json!({"interface": null, "event": "left", "group": "239.1.1.2"});
    assert_eq!(first.event().await, one);
    assert_eq!(first.event().await, two);
    assert_eq!(second.event().await, two);
}

#[tokio::test]
async fn a_follower_that_is_behind_is_told_how_much_it_missed() {
    let world = World::new(PATIENT).await;
    let publisher = world.server.publisher();
    let mut client = world.client().await;
    client.follow().await;
    // On this runtime of one thread nobody writes to the client before we wait: four are kept, six are not.
    for last in 1..=10 {
        publisher.publish(None, left(last));
    }
    let missed = json!({"interface": null, "event": "missed", "events": 6});
    assert_eq!(client.event().await, missed);
    for last in 7..=10 {
        assert_eq!(client.event().await["group"], format!("239.1.1.{last}"));
    }
    publisher.publish(None, left(11));
    assert_eq!(client.event().await["group"], "239.1.1.11");
}

#[tokio::test]
async fn a_follower_that_does_not_read_keeps_nobody_waiting() {
    let mut world = World::new(PATIENT).await;
    let publisher = world.server.publisher();
    let mut stuck = world.client().await;
    stuck.follow().await;
    let mut other = world.client().await;
    // More than a socket buffers; the yield lets the server write what it can.
    for _ in 0..20_000 {
        publisher.publish(None, left(1));
        tokio::task::yield_now().await;
    }
    other.send("{\"command\":\"show flows\"}\n").await;
    world.server.next().await.answer(Response::Flows(vec![]));
    assert_eq!(other.receive().await, r#"{"flows":[]}"#);
}

#[tokio::test]
async fn a_follower_that_hangs_up_gives_its_place_back() {
    let world = World::new(Limits {
        clients: 1,
        ..PATIENT
    })
    .await;
    let mut first = world.client().await;
    first.follow().await;
    drop(first);
    // The place is free as soon as the server has seen the first one go.
    loop {
        let mut second = world.client().await;
        // Refused before it could ask, it may not even send.
        let _ = second.stream.write_all(FOLLOW.as_bytes()).await;
        let answer = second.receive().await;
        if answer.contains("connected") {
            break;
        }
        assert!(answer.contains("busy"), "{answer}");
    }
}

#[tokio::test]
async fn a_second_request_on_the_connection_ends_it() {
    let world = World::new(PATIENT).await;
    let mut client = world.client().await;
    client.follow().await;
    client.send("{\"command\":\"show flows\"}\n").await;
    assert_eq!(client.event().await, Value::Null);
}

#[tokio::test]
async fn followers_are_hung_up_on_when_the_server_goes() {
    let World {
        server,
        path,
        _directory,
    } = World::new(PATIENT).await;
    let mut client = Client {
        stream: BufReader::new(UnixStream::connect(&path).await.unwrap()),
    };
    client.follow().await;
    drop(server);
    assert_eq!(client.event().await, Value::Null);
}
