//! The inverse of [`routes`](super::routes): from the flows of a group to what each interface wants of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::routes::{Member, Outputs};
use crate::proto::FilterMode;

/// The members that these flows of one group come from, by ascending interface: (*,G) is under `None`. Where interfaces
/// want the same of a source, flows do not tell a source that was listed from one that was not; both mean the same to
/// every packet.
#[must_use]
pub fn members(flows: &BTreeMap<Option<Ipv4Addr>, Outputs>) -> Vec<Member> {
    let any_source = flows.get(&None).map_or(&[][..], Vec::as_slice);
    let interfaces: BTreeSet<_> = flows.values().flatten().copied().collect();
    let member = |interface| {
        let excludes = any_source.contains(&interface);
        let sources = flows.iter().filter_map(|(source, outputs)| {
            source.filter(|_| outputs.contains(&interface) != excludes)
        });
        Member {
            interface,
            mode: if excludes {
                FilterMode::Exclude
            } else {
                FilterMode::Include
            },
            sources: sources.collect(),
        }
    };
    interfaces.into_iter().map(member).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::routes::flows;
    use super::*;
    use crate::proto::IfIndex;

    const SOURCES: [Ipv4Addr; 4] = [
        Ipv4Addr::new(10, 0, 0, 1),
        Ipv4Addr::new(10, 0, 0, 2),
        Ipv4Addr::new(10, 0, 0, 3),
        Ipv4Addr::new(10, 0, 0, 4),
    ];

    /// What some interfaces want, ascending; never nothing.
    fn wishes() -> impl Strategy<Value = Vec<Member>> {
        let sources = proptest::sample::subsequence(SOURCES.to_vec(), 0..=SOURCES.len());
        let wish = proptest::option::of((any::<bool>(), sources));
        proptest::collection::vec(wish, 0..5).prop_map(|wishes| {
            let wishes = (1..).zip(wishes);
            let member = |(index, wish): (u32, Option<(bool, Vec<Ipv4Addr>)>)| {
                let (excludes, sources) = wish?;
                (excludes || !sources.is_empty()).then_some(Member {
                    interface: IfIndex(index),
                    mode: if excludes {
                        FilterMode::Exclude
                    } else {
                        FilterMode::Include
                    },
                    sources,
                })
            };
            wishes.filter_map(member).collect()
        })
    }

    proptest! {
        #[test]
        fn the_same_members_have_the_same_flows(wishes in wishes()) {
            let wanted = flows(&wishes);
            prop_assert_eq!(flows(&members(&wanted)), wanted);
        }
    }

    #[test]
    fn a_source_that_only_one_refuses_is_refused_by_that_one() {
        let [first, second] = [IfIndex(1), IfIndex(2)];
        let flows = BTreeMap::from([
            (None, vec![first, second]),
            (Some(SOURCES[0]), vec![second]),
            (Some(SOURCES[1]), vec![first, second, IfIndex(3)]),
        ]);
        let member = |interface, mode, sources: &[Ipv4Addr]| Member {
            interface,
            mode,
            sources: sources.to_vec(),
        };
        assert_eq!(
            members(&flows),
            [
                member(first, FilterMode::Exclude, &SOURCES[..1]),
                member(second, FilterMode::Exclude, &[]),
                member(IfIndex(3), FilterMode::Include, &SOURCES[1..2]),
            ]
        );
    }

    #[test]
    fn a_flow_without_outputs_is_refused_by_all_members() {
        let flows = BTreeMap::from([(None, vec![IfIndex(1)]), (Some(SOURCES[0]), vec![])]);
        let [member] = &members(&flows)[..] else {
            panic!("one member");
        };
        assert_eq!(member.sources, SOURCES[..1]);
    }
}
