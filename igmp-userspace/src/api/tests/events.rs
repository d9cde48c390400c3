use super::*;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 20);

/// The JSON of an event of this kind, without what is the same for all; and its text.
#[track_caller]
fn assert_event(kind: EventKind, expected: &Value, text: &str) {
    assert_eq!(kind.to_string(), text);
    let mut whole = json!({"time": "2026-03-01T20:15:00.000000Z", "interface": "lan0"});
    let fields = expected.as_object().unwrap().clone();
    whole.as_object_mut().unwrap().extend(fields);
    let event = Event {
        time: "2026-03-01T20:15:00.000000Z".into(),
        interface: Some("lan0".into()),
        kind,
    };
    assert_json(&Response::Event(event), &json!({"event": whole}));
}

fn leave(decision: proto::LeaveDecision) -> EventKind {
    let leave = proto::EventKind::Leave {
        group: GROUP,
        host: HOST,
        decision,
    };
    leave.into()
}

#[test]
fn members_come_and_go() {
    assert_event(
        proto::EventKind::Joined {
            group: GROUP,
            host: HOST,
        }
        .into(),
        &json!({"event": "joined", "group": "239.1.1.1", "host": "192.0.2.20"}),
        "239.1.1.1 joined by 192.0.2.20",
    );
    assert_event(
        proto::EventKind::Left { group: GROUP }.into(),
        &json!({"event": "left", "group": "239.1.1.1"}),
        "239.1.1.1 has no members any more",
    );
}

#[test]
fn a_leave_says_what_was_decided_and_why() {
    use proto::{AclRef, IgnoreCause, LeaveDecision as Decision, PromptCause, QueryCause};

    for (decision, word, cause) in [
        (
            Decision::Prompt(PromptCause::NoPolicy),
            "prompt",
            "no policy",
        ),
        (
            Decision::Prompt(PromptCause::PermitRule(10)),
            "prompt",
            "permit rule 10",
        ),
        (
            Decision::Query(QueryCause::DenyRule(15)),
            "query",
            "deny rule 15",
        ),
        (Decision::Query(QueryCause::NoMatch), "query", "no match"),
        (
            Decision::Query(QueryCause::AclMissing(AclRef::Number(2001))),
            "query",
            "acl 2001 missing",
        ),
        (
            Decision::Query(QueryCause::AclEmpty(AclRef::Name("stb".into()))),
            "query",
            "acl stb empty",
        ),
        (
            Decision::Ignored(IgnoreCause::NotQuerier),
            "ignored",
            "not the querier",
        ),
    ] {
        assert_event(
            leave(decision),
            &json!({
                "event": "leave", "group": "239.1.1.1", "host": "192.0.2.20", "decision": word, "cause": cause,
            }),
            &format!("192.0.2.20 leaves 239.1.1.1: {word} ({cause})"),
        );
    }
}

#[test]
fn the_querier_changes() {
    let querier = |is_self| proto::EventKind::QuerierChanged {
        querier: HOST,
        is_self,
    };
    assert_event(
        querier(false).into(),
        &json!({"event": "querier-changed", "querier": "192.0.2.20", "querier_is_self": false}),
        "querier is 192.0.2.20",
    );
    assert_event(
        querier(true).into(),
        &json!({"event": "querier-changed", "querier": "192.0.2.20", "querier_is_self": true}),
        "querier is 192.0.2.20 (self)",
    );
}

#[test]
fn limits_are_near() {
    assert_event(
        proto::EventKind::HighWater {
            limit: "max_groups",
            used: 800,
            allowed: 1_000,
        }
        .into(),
        &json!({"event": "high-water", "limit": "max_groups", "used": 800, "allowed": 1_000}),
        "max_groups: 800 of 1000 in use",
    );
}

#[test]
fn the_stream_says_where_it_begins_and_what_is_missing() {
    assert_event(
        EventKind::Connected {},
        &json!({"event": "connected"}),
        "connected: events follow",
    );
    assert_event(
        EventKind::Missed { events: 12 },
        &json!({"event": "missed", "events": 12}),
        "missed 12 events: read too slowly",
    );
}
