//! What of a report is let in: groups that are not tracked or not served, source-specific groups, the group policy.

use super::acl::Question;
use super::interface::{Context, Interface};
use super::{Counter, FilterMode};
use crate::wire::{GroupRecord, RecordType, Version};

impl Interface {
    /// What is left of a record, sources sorted and each once; `None` when nothing is.
    ///
    /// What is a member already was let in when it joined, so that its reports cost no list; when the policy changes,
    /// [`enforce`](Self::enforce) looks at it again.
    pub(super) fn screen(
        &mut self,
        cx: &mut Context<'_>,
        version: Version,
        record: GroupRecord,
    ) -> Option<GroupRecord> {
        if cx.common.is_untracked(record.group) {
            self.counters.count(Counter::UntrackedGroup);
            return None;
        }
        if !self.policy.group_filter.serves(record.group) {
            self.counters.count(Counter::GroupFilter);
            return None;
        }
        let mut record = self.without_any_source(cx, version, record)?;
        record.sources.sort_unstable();
        record.sources.dedup();
        let Some(list) = &self.policy.group_policy else {
            return Some(record);
        };
        let group = record.group;
        let known = self.groups.get(&group);
        if asks_for_any_source(record.record_type) {
            let is_member = known.is_some_and(|known| known.filter_mode == FilterMode::Exclude);
            if !is_member
                && !cx
                    .common
                    .lists
                    .judge(list, Question::any_source(group))
                    .permits()
            {
                self.counters.count(Counter::GroupPolicy);
                return None;
            }
        } else if record.record_type != RecordType::BlockOldSources {
            let asked = record.sources.len();
            record.sources.retain(|&source| {
                known
                    .and_then(|known| known.sources.get(source))
                    .is_some_and(|member| member.timer.is_some())
                    || cx
                        .common
                        .lists
                        .judge(list, Question::source(group, source))
                        .permits()
            });
            let refused = asked - record.sources.len();
            self.counters.add(Counter::GroupPolicy, refused as u64);
        }
        Some(record)
    }

    /// Nobody can ask for all sources of a source-specific group (RFC 4604 section 2.2, RFC 4607 section 8). Hosts of
    /// IGMPv1 and IGMPv2 cannot ask otherwise: what they mean may be configured.
    fn without_any_source(
        &mut self,
        cx: &Context<'_>,
        version: Version,
        record: GroupRecord,
    ) -> Option<GroupRecord> {
        if !asks_for_any_source(record.record_type) || !cx.common.is_source_specific(record.group) {
            return Some(record);
        }
        let mapped = cx.common.mapped_sources(record.group);
        let Some(sources) = mapped.filter(|_| version < Version::V3) else {
            self.counters.count(Counter::AnySource);
            return None;
        };
        Some(GroupRecord {
            record_type: RecordType::ModeIsInclude,
            group: record.group,
            sources: sources.to_vec(),
        })
    }
}

const fn asks_for_any_source(record_type: RecordType) -> bool {
    matches!(
        record_type,
        RecordType::ModeIsExclude | RecordType::ChangeToExclude
    )
}

#[cfg(test)]
mod tests;
