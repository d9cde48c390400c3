//! One counter per verdict: a packet that enters the program bumps exactly one of them.

/// Defines the counters once: variant, name in output and metrics, description.
macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $description:literal;)+) => {
        /// Why the program on the incoming interface did what it did with a frame.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Counter {
            $(#[doc = $description] $variant,)+
        }

        impl Counter {
            /// All counters, in order of their index.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The stable name, snake_case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// One line for people.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)+ }
            }
        }
    };
}

counters! {
    Forwarded = "forwarded", "multicast packets replicated to at least the named set";
    ForwardedToUpstream = "forwarded_to_upstream", "multicast packets from downstream sent upstream only: no members (RFC 4605)";
    PassToTc = "pass_to_tc", "multicast packets that the TC program replicates: an output, a local socket, generic XDP, its size or its checksum asks for it";
    IgmpToUserspace = "igmp_to_userspace", "IGMP messages copied to the ring buffer";
    IgmpPoliced = "igmp_policed", "IGMP messages over the interface's rate, not copied";
    IgmpRingFull = "igmp_ring_full", "IGMP messages lost because the ring buffer was full";
    PassTruncated = "pass_truncated", "shorter than its headers; left to the kernel";
    PassNotIpv4 = "pass_not_ipv4", "not IPv4; left to the kernel";
    PassVlan = "pass_vlan", "in a VLAN that is no interface here, or behind two tags; left to the kernel";
    PassUnicast = "pass_unicast", "not multicast; left to the kernel";
    PassOtherHost = "pass_other_host", "sent to another station's Ethernet address; left to the kernel";
    PassBadHeader = "pass_bad_header", "IPv4 version, header length or total length wrong; left to the kernel";
    PassBadChecksum = "pass_bad_checksum", "IPv4 header checksum wrong; left to the kernel";
    PassOptions = "pass_options", "IPv4 options other than NOP and Router Alert; left to the kernel";
    PassLinkLocalGroup = "pass_link_local_group", "group in 224.0.0.0/24, never forwarded; left to the kernel";
    PassTtlExpired = "pass_ttl_expired", "TTL 0 or 1; left to the kernel";
    PassNoFlow = "pass_no_flow", "no member anywhere for this group and source; left to the kernel";
    PassNoOutput = "pass_no_output", "members exist, but none that packets from here may go to; left to the kernel";
    PassGroupFilter = "pass_group_filter", "group not served on this interface (whitelist, blacklist); left to the kernel";
    PassClosed = "pass_closed", "another router is the querier of the link and forwards; left to the kernel";
    PassSourceUnknown = "pass_source_unknown", "source in no subnet or alt_subnet of the incoming interface";
    PassSourceMartian = "pass_source_martian", "impossible source address, or one of our own";
    PassWrongInterface = "pass_wrong_interface", "source belongs to another interface's subnet";
    PassExpired = "pass_expired", "igmpd has been gone for longer than hold_time: nothing is forwarded; left to the kernel";
    PassRewriteFailed = "pass_rewrite_failed", "the frame could not be trimmed or untagged; left to the kernel";
}
