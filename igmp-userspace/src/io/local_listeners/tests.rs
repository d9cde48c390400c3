//! The tables are as `igmp_mc_seq_show` and `igmp_mcf_seq_show` (net/ipv4/igmp.c) write them on a little-endian host.

use super::*;

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const SSM: Ipv4Addr = Ipv4Addr::new(232, 1, 1, 1);
const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);

fn included(sources: &[Ipv4Addr]) -> Subscription {
    Subscription {
        mode: FilterMode::Include,
        sources: sources.iter().copied().collect(),
    }
}

fn all_but(sources: &[Ipv4Addr]) -> Subscription {
    Subscription {
        mode: FilterMode::Exclude,
        sources: sources.iter().copied().collect(),
    }
}

#[test]
#[cfg(target_endian = "little")]
fn the_kernel_s_tables_are_read() {
    let groups = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
                  1\tlo        :     1      V3\n\
                  \t\t\t\t010000E0     1 0:00000000\t\t0\n\
                  12\twan0      :     3      V2\n\
                  \t\t\t\t010101E8     1 0:00000000\t\t1\n\
                  \t\t\t\t010101EF     2 1:00000064\t\t1\n\
                  \t\t\t\t010000E0     1 0:00000000\t\t0\n";
    let sources = "Idx Device        MCA        SRC    INC    EXC\n \
                   12   wan0 0xe8010101 0x0a000002      1      0\n";
    let joined = joined(groups, sources);
    assert_eq!(
        joined.keys().copied().collect::<Vec<_>>(),
        [IfIndex(1), IfIndex(12)]
    );
    let wan0 = &joined[&IfIndex(12)];
    assert_eq!(wan0.len(), 3);
    assert_eq!(wan0[&SSM], included(&[A]));
    assert_eq!(wan0[&G], all_but(&[]));
}

/// Sockets, and for each source how many of them include and exclude it.
#[track_caller]
fn check(sockets: u64, counts: &[(Ipv4Addr, u64, u64)], expected: &Subscription) {
    let view = |(source, include, exclude): &(Ipv4Addr, u64, u64)| Counts {
        source: *source,
        include: *include,
        exclude: *exclude,
    };
    let counts: Vec<_> = counts.iter().map(view).collect();
    assert_eq!(subscription(sockets, &counts), *expected);
}

#[test]
fn it_is_never_less_than_the_sockets_want() {
    check(1, &[], &all_but(&[]));
    check(1, &[(A, 1, 0), (B, 1, 0)], &included(&[A, B]));
    check(2, &[(A, 2, 0), (B, 1, 0)], &included(&[A, B]));
    check(1, &[(A, 0, 1)], &all_but(&[A]));
    // One excludes a source, the other does not.
    check(2, &[(A, 0, 1)], &all_but(&[]));
    check(2, &[(A, 0, 2), (B, 0, 1)], &all_but(&[A]));
    // Two that include one source each look like one that includes both and one that wants any.
    check(2, &[(A, 1, 0), (B, 1, 0)], &all_but(&[]));
}
