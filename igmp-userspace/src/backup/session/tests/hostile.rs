//! What a peer must not do, or somebody who is none.

use super::*;
use crate::backup::record::{GroupRecord, Hello, MAX_RECORD, Payload, Stamp};
use crate::backup::role::{Claim, Statement};
use crate::backup::{Decoder, Refusal};

const OWN_NONCE: u64 = 0x5eed;
const PEER_NONCE: u64 = 7;

/// A session of B, which is backup, and whatever one wants to send to it.
struct Victim {
    session: Session,
    now: Instant,
    sequence: u64,
}

fn encode(records: &[Record]) -> Vec<u8> {
    let mut octets = Vec::new();
    for record in records {
        record.encode(&mut octets);
    }
    octets
}

fn hello() -> Hello {
    let config = config(A);
    Hello {
        profile: config.profile,
        nonce: PEER_NONCE,
        role: config.role,
        priority: config.priority,
        address: config.address,
        interfaces: config.interfaces,
        dead_after_ms: 1000,
    }
}

fn master() -> Payload {
    Payload::Role(Statement {
        cause: Cause::PeerAbsent,
        claim: Some(Claim {
            number: 1,
            over: None,
        }),
    })
}

fn message() -> Payload {
    Payload::Message {
        interface: 0,
        age_us: 0,
        packet: vec![1, 239, 1, 0, 1],
    }
}

impl Victim {
    fn connected() -> Self {
        let now = Instant::START;
        let mut session = Session::new(now, config(B), Role::Backup, 1);
        session.handle_connected(now, OWN_NONCE);
        Self {
            session,
            now,
            sequence: 0,
        }
    }

    /// A master has said Hello and what it is.
    fn met() -> Self {
        let mut victim = Self::connected();
        victim.send(&encode(&[Record::Hello(hello())]));
        victim.say(master());
        victim
    }

    /// What comes of these octets.
    fn send(&mut self, octets: &[u8]) -> Vec<Output> {
        self.session.handle_bytes(self.now, octets);
        std::iter::from_fn(|| self.session.poll_output()).collect()
    }

    /// A record as it should be stamped.
    fn say(&mut self, payload: Payload) -> Vec<Output> {
        let stamp = Stamp {
            nonce: OWN_NONCE,
            sequence: self.sequence,
        };
        self.sequence += 1;
        self.send(&encode(&[Record::Stamped(stamp, payload)]))
    }

    /// `octets` are refused for that reason: nothing else happens, it is counted, and the sender is told.
    fn refuses(&mut self, octets: &[u8], reason: Refusal) {
        let outputs = self.send(octets);
        self.refused(&outputs, reason);
    }

    fn refused(&mut self, outputs: &[Output], reason: Refusal) {
        let [
            Output::Disconnect(Disconnect::Refused(refused)),
            Output::Event(Event::Disconnected(_)),
        ] = outputs
        else {
            panic!("{reason}: {outputs:?}");
        };
        assert_eq!(refused.reason, reason);
        let status = self.session.status(self.now);
        assert_eq!(status.counters.refused(reason), 1);
        assert_eq!(status.last_refusal.unwrap().reason, reason.name());
        assert_eq!(status.peer, None);
        let mut decoder = Decoder::default();
        decoder.feed(
            &self
                .session
                .poll_transmit(self.now, 1)
                .expect("the sender is told"),
        );
        let Ok(Some(Record::Refuse { reason: told, .. })) = decoder.next_record() else {
            panic!("the last word is why");
        };
        assert_eq!(told, reason.name());
        assert_eq!(self.session.poll_transmit(self.now, 1), None);
        assert_eq!(
            self.send(&encode(&[Record::Hello(hello())])),
            [],
            "deaf from then on"
        );
    }
}

/// Row R4: before the Hello is agreed nothing is acted on.
#[test]
fn whoever_does_not_agree_is_refused_by_name() {
    let with = |change: fn(&mut Hello)| {
        let mut hello = hello();
        change(&mut hello);
        encode(&[Record::Hello(hello)])
    };
    let mut other_version = encode(&[Record::Hello(hello())]);
    other_version[9] = 2;
    let stamp = Stamp {
        nonce: OWN_NONCE,
        sequence: 0,
    };
    let rows = [
        (other_version, Refusal::Version),
        (
            with(|hello| hello.profile = "voip".to_owned()),
            Refusal::Profile,
        ),
        (
            with(|hello| hello.interfaces.truncate(1)),
            Refusal::Interfaces,
        ),
        (
            with(|hello| hello.interfaces[0].remote = "eth9".to_owned()),
            Refusal::Interfaces,
        ),
        (
            with(|hello| {
                let mut one_more = hello.interfaces[0].clone();
                one_more.local = "eth8".to_owned();
                hello.interfaces.push(one_more);
            }),
            Refusal::Interfaces,
        ),
        (with(|hello| hello.dead_after_ms = 99), Refusal::DeadAfter),
        (with(|hello| hello.nonce = OWN_NONCE), Refusal::Reflected),
        (
            encode(&[Record::Stamped(stamp, master())]),
            Refusal::NotHello,
        ),
        (
            encode(&[Record::Stamped(stamp, message())]),
            Refusal::NotHello,
        ),
        (vec![0xff; 4], Refusal::TooLong),
        (b"\x00\x00\x00\x05hello".to_vec(), Refusal::UnknownType),
        (vec![0, 0, 0, 1, 1], Refusal::NotHello),
    ];
    for (octets, reason) in rows {
        Victim::connected().refuses(&octets, reason);
    }
}

#[test]
fn both_sides_say_why_they_refuse() {
    let mut b = config(B);
    b.interfaces[0].local = "eth4".to_owned();
    let mut pair = Pair::configured(config(A), b);
    pair.run(seconds(20));
    for gateway in [A, B] {
        let refusal = pair.status(gateway).last_refusal.unwrap();
        assert_eq!(refusal.reason, "interfaces");
        assert!(refusal.text.contains("eth1->eth3"), "{}", refusal.text);
        assert!(refusal.text.contains("eth4->eth1"), "{}", refusal.text);
        // At once, after 0.1, 0.2 and 0.4 s, then every 0.5 s.
        let times = pair.status(gateway).counters.refused(Refusal::Interfaces);
        assert_eq!(times, 42, "not over and over again");
    }
    assert_eq!(
        pair.roles(),
        [Role::Master, Role::Backup],
        "as if the peer were absent"
    );
}

#[test]
fn what_must_not_come_here_ends_the_connection() {
    let groups = |interface| Payload::SyncGroups {
        interface,
        age_ms: 0,
        groups: vec![],
    };
    let begin = |interface| Payload::SyncBegin {
        interfaces: vec![interface],
    };
    let elsewhere = |interface| Payload::Message {
        interface,
        age_us: 0,
        packet: vec![],
    };
    let backup = Payload::Role(Statement {
        cause: Cause::Operator,
        claim: None,
    });
    let open = GroupRecord {
        group: group(1),
        exclude: false,
        group_timer_ms: None,
        v1_host_present_ms: None,
        v2_host_present_ms: None,
        last_reporter: None,
        sources: vec![],
        continued: true,
    };
    let open = Payload::SyncGroups {
        interface: 0,
        age_ms: 0,
        groups: vec![open],
    };
    let rows = [
        (vec![], elsewhere(2), Refusal::UnknownInterface),
        (vec![], elsewhere(u32::MAX), Refusal::UnknownInterface),
        (vec![], begin(2), Refusal::UnknownInterface),
        (vec![begin(0)], groups(2), Refusal::UnknownInterface),
        (vec![begin(0)], groups(1), Refusal::OutOfPlace),
        (
            vec![begin(0), open],
            Payload::SyncEnd { left_out: 0 },
            Refusal::OutOfPlace,
        ),
        (vec![backup], message(), Refusal::OutOfPlace),
    ];
    for (before, payload, reason) in rows {
        let mut victim = Victim::met();
        for payload in before {
            victim.say(payload);
        }
        let outputs = victim.say(payload);
        victim.refused(&outputs, reason);
    }

    let mut victim = Victim::met();
    victim.refuses(&encode(&[Record::Hello(hello())]), Refusal::OutOfPlace);

    let mut victim = Victim::connected();
    victim.send(&encode(&[Record::Hello(hello())]));
    let outputs = victim.say(message());
    victim.refused(&outputs, Refusal::OutOfPlace);
}

/// Row R3, within a connection.
#[test]
fn missing_repeated_and_reordered_records_are_refused() {
    let stamped = |sequence| {
        let stamp = Stamp {
            nonce: OWN_NONCE,
            sequence,
        };
        encode(&[Record::Stamped(stamp, message())])
    };
    // The Role was 0.
    for (sequences, fed) in [
        (&[2][..], 0),
        (&[0], 0),
        (&[1, 1], 1),
        (&[1, 3, 2], 1),
        (&[1, 2, 4], 2),
    ] {
        let mut victim = Victim::met();
        let octets: Vec<_> = sequences
            .iter()
            .map(|&sequence| stamped(sequence))
            .collect();
        let outputs = victim.send(&octets.concat());
        let (feeds, refusal) = outputs.split_at(fed);
        assert!(
            feeds
                .iter()
                .all(|output| matches!(output, Output::Feed { .. })),
            "{feeds:?}"
        );
        victim.refused(refusal, Refusal::Sequence);
    }
}

/// Row R3: a stream that was recorded, played back from its first octet on, however it is cut up.
#[test]
fn a_recorded_stream_changes_nothing() {
    let mut pair = Pair::met();
    for number in 0..10 {
        pair.join(number);
    }
    pair.run(seconds(1));
    pair.reset();
    let before = pair.gateways[B].table.clone();
    let recording = pair.gateways[B].recordings[0].clone();
    for piece in [1, 7, 1000, recording.len()] {
        let session = &mut pair.gateways[B].session;
        session.handle_connected(pair.now, 0xf4e5);
        let mut outputs = Vec::new();
        for octets in recording.chunks(piece) {
            session.handle_bytes(pair.now, octets);
            outputs.extend(std::iter::from_fn(|| session.poll_output()));
        }
        let refused = Disconnect::Refused(Refusal::Nonce.into());
        assert_eq!(
            outputs,
            [
                Output::Disconnect(refused.clone()),
                Output::Event(Event::Disconnected(refused))
            ]
        );
    }
    assert_eq!(pair.gateways[B].table, before);
    assert_eq!(pair.status(B).counters.refused(Refusal::Nonce), 4);
    pair.run(MAX_RECONNECT_PAUSE + millis(100));
    assert!(pair.connected(), "the real peer comes in afterwards");
}

/// A Hello alone, true as it may once have been, is nobody's proof.
#[test]
fn a_recorded_hello_moves_no_role() {
    let now = Instant::START;
    let mut session = Session::new(now, config(A), Role::Master, 1);
    session.handle_connected(now, OWN_NONCE);
    let peer = Hello {
        role: Role::Master,
        priority: 255,
        interfaces: config(B).interfaces,
        ..hello()
    };
    session.handle_bytes(now, &encode(&[Record::Hello(peer)]));
    assert_eq!(session.poll_output(), None);
    assert_eq!(session.status(now).peer, None);
    session.handle_timeout(now + seconds(1));
    let silent = Disconnect::Silent;
    assert_eq!(
        session.poll_output(),
        Some(Output::Disconnect(silent.clone()))
    );
    assert_eq!(
        session.poll_output(),
        Some(Output::Event(Event::Disconnected(silent)))
    );
    session.handle_timeout(now + seconds(2));
    assert_eq!(session.role(), Role::Master, "as if nobody had called");
}

#[test]
fn octets_that_come_to_nothing_postpone_nothing() {
    let mut victim = Victim::connected();
    // A record of 64 KiB, an octet every 10 ms.
    let length = u32::try_from(MAX_RECORD).unwrap().to_be_bytes();
    for octet in length.into_iter().chain([1; 90]) {
        assert_eq!(victim.send(&[octet]), []);
        victim.now = victim.now + millis(10);
        victim.session.handle_timeout(victim.now);
    }
    assert_eq!(
        victim.session.poll_timeout(),
        Some(Instant::START + seconds(1))
    );
    victim.now = Instant::START + seconds(1);
    victim.session.handle_timeout(victim.now);
    assert_eq!(
        victim.session.poll_output(),
        Some(Output::Disconnect(Disconnect::Silent))
    );
}

#[test]
fn our_own_words_reflected_are_refused() {
    let mut victim = Victim::connected();
    let own = victim.session.poll_transmit(victim.now, 1 << 20).unwrap();
    victim.refuses(&own, Refusal::Reflected);
}

/// Where the peer's words are shown, they must not move the cursor.
#[test]
fn what_the_peer_writes_is_fit_to_be_printed() {
    let mut victim = Victim::connected();
    let peer = Hello {
        profile: "\x1b[2J".repeat(1000),
        ..hello()
    };
    victim.send(&encode(&[Record::Hello(peer)]));
    let text = victim.session.status(victim.now).last_refusal.unwrap().text;
    assert!(!text.chars().any(char::is_control) && text.chars().count() <= 256);
}

#[test]
fn a_peer_that_refuses_is_believed() {
    let mut victim = Victim::met();
    let (reason, text) = ("of_the_future".to_owned(), "why".to_owned());
    let record = Record::Refuse {
        reason: reason.clone(),
        text: text.clone(),
    };
    let cause = Disconnect::RefusedByPeer { reason, text };
    assert_eq!(
        victim.send(&encode(&[record])),
        [
            Output::Disconnect(cause.clone()),
            Output::Event(Event::Disconnected(cause))
        ]
    );
    assert_eq!(
        victim.session.poll_transmit(victim.now, 1),
        None,
        "no last word"
    );
    assert!(
        victim
            .session
            .status(victim.now)
            .last_refusal
            .unwrap()
            .by_peer
    );
}
