//! What an igmpd that is gone has left forwards for its hold time, and then no more.

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_common::Counter;
use igmp_tests::fixtures::datagram::Datagram;
use igmp_tests::fixtures::{Cable, Verdict, World};
use igmp_tests::wait::wait_until;
use igmp_userspace::proto::FilterMode;

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const HOUR: Duration = Duration::from_hours(1);
const PASSED: Duration = Duration::from_nanos(1);
const SOON: Duration = Duration::from_secs(1);

#[test]
fn after_the_hold_time_everything_is_the_kernel_s() {
    assert_expires(&mut World::new().unwrap());
    Cable::new().with_tc(assert_expires);
}

#[track_caller]
fn assert_expires(world: &mut World) {
    world.join(G, FilterMode::Exclude, &[]).unwrap();
    let datagram = Datagram::to(G);
    for hold_time in [HOUR, Duration::ZERO] {
        world.keep_alive(PASSED).unwrap();
        let outcome = wait_until("the program's clock to tick", SOON, || {
            let outcome = world.run(&datagram.frame()).unwrap();
            (outcome.counter != Counter::Forwarded).then_some(outcome)
        });
        assert_eq!(outcome.counter, Counter::PassExpired);
        assert_eq!(outcome.verdict, Verdict::Pass);
        assert_eq!(outcome.frame, datagram.frame(), "untouched");

        world.keep_alive(hold_time).unwrap();
        let outcome = world.run(&datagram.frame()).unwrap();
        assert_eq!(outcome.counter, Counter::Forwarded);
        assert_eq!(outcome.verdict, Verdict::Redirect);
    }
    // What nobody wants is the kernel's for the same reason.
    world.keep_alive(PASSED).unwrap();
    wait_until("the program's clock to tick", SOON, || {
        let outcome = world.run(&datagram.frame()).unwrap();
        (outcome.counter == Counter::PassExpired).then_some(())
    });
    let other = Datagram::to(Ipv4Addr::new(239, 1, 1, 2));
    assert_eq!(
        world.run(&other.frame()).unwrap().counter,
        Counter::PassExpired
    );
}

/// Prints what it costs to look at the clock: docs/survival.md tells it.
#[test]
fn a_living_igmpd_costs_a_packet_little() {
    const REPEAT: u32 = 1_000_000;
    let mut world = World::new().unwrap();
    // Nobody wants it: the frame is not rewritten, so that it can be run again.
    let frame = Datagram::to(G).frame();
    let mut run = |hold_time| {
        world.keep_alive(hold_time).unwrap();
        let outcome = world.run_repeated(&frame, REPEAT).unwrap();
        assert_eq!(outcome.counter, Counter::PassNoFlow);
        outcome.nanoseconds
    };
    let times: Vec<_> = (0..3).map(|_| (run(Duration::ZERO), run(HOUR))).collect();
    println!("ns a packet without and with a hold time: {times:?}");
}
