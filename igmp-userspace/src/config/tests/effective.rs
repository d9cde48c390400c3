use super::*;

/// Something in every key that can hold something.
pub(super) const FULL: &str = r#"
[daemon]
control_socket = "/run/igmpd/control.sock"
pin_path = "/sys/fs/bpf/igmpd"
persist = true
hold_time = "300s"

[datapath]
mode = "auto"
max_flows = 1024
igmp_rate = 500
igmp_burst = 600
multicast_filter = 32

[proxy]
disabled = true
quick_leave = false
leave_linger = "1500ms"

[policy]
ssm_ranges = ["232.0.0.0/8"]
ssm_mapping = [
    { group = "232.1.0.0/16", sources = ["10.0.0.5"] },
]
untracked_groups = ["224.0.0.0/24", "239.255.255.250/32"]
max_groups = 5000
max_sources = 6000

[[interface]]
name = "eth0"
role = "upstream"
mode = "tc"
unnumbered = "eth1"
alt_subnets = ["10.0.0.0/23"]
whitelist = ["232.0.0.0/8", "239.0.0.0/8"]
blacklist = ["239.255.0.0/16"]
threshold = 16
version = 3
robustness = 2
query_interval = "125s"
query_response_interval = "10s"
last_member_query_interval = "1s"
last_member_query_count = 2
startup_query_interval = "31250ms"
startup_query_count = 2

[[interface]]
name = "eth1"
role = "downstream"
mode = "auto"
alt_subnets = []
whitelist = ["224.0.0.0/4"]
blacklist = ["239.1.2.3/32", "239.2.0.0/16"]
threshold = 255
version = 2
robustness = 3
query_interval = "60s"
query_response_interval = "5s"
last_member_query_interval = "500ms"
last_member_query_count = 1
startup_query_interval = "10s"
startup_query_count = 4
prompt_leave = { group_policy = 2000, v3 = false, tracked = true }
group_policy = "iptv"
source_policy = { reports = 3000, queries = "iptv" }
require_router_alert = true
max_groups = 1000
max_sources = 2000
static_groups = [
    "239.1.1.1",
    { group = "232.1.1.1", source = "10.0.0.5" },
]
forward_as_non_querier = true

[[interface]]
name = "eth2"
role = "disabled"
mode = "auto"
alt_subnets = []
whitelist = []
blacklist = []
threshold = 1
version = 3
robustness = 2
query_interval = "125s"
query_response_interval = "10s"
last_member_query_interval = "1s"
last_member_query_count = 2
startup_query_interval = "31250ms"
startup_query_count = 2
prompt_leave = false
require_router_alert = false
max_groups = 65536
max_sources = 131072
static_groups = []
forward_as_non_querier = false

[[acl]]
number = 2000
rules = [
    { sequence = 5, action = "permit", group = "239.1.0.0/16" },
    { sequence = 10, action = "deny" },
]

[[acl]]
name = "iptv"
rules = [
    { sequence = 7, action = "permit", group = "232.0.0.0/8", source = "10.0.0.0/8" },
]
"#;

#[test]
fn a_configuration_with_every_key_is_written_as_it_was() {
    let config = parse(FULL, "f.toml").unwrap();
    assert_eq!(to_toml(&config.effective()), FULL.trim_start());
}

#[test]
fn defaults_and_what_derives_from_them_are_written_out() {
    let short = "[igmp]\nquery_interval = \"20s\"\nrobustness = 3\n[[interface]]\nname = \"eth1\"\n\
                 role = \"downstream\"\n";
    let written = to_toml(&parse(short, "f.toml").unwrap().effective());
    for line in [
        "untracked_groups = [\"224.0.0.0/24\"]",
        "ssm_ranges = [\"232.0.0.0/8\"]",
        "igmp_rate = 10000",
        "multicast_filter = 64",
        "disabled = false",
        "quick_leave = true",
        "leave_linger = \"0s\"",
        "whitelist = []",
        "blacklist = []",
        "threshold = 1",
        "query_interval = \"20s\"",
        // RFC 9776 sections 8.6, 8.7 and 8.9.
        "startup_query_interval = \"5s\"",
        "startup_query_count = 3",
        "last_member_query_count = 3",
        "prompt_leave = false",
    ] {
        assert!(
            written.lines().any(|written| written == line),
            "{line}\n{written}"
        );
    }
    let again = parse(&written, "written.toml").unwrap();
    assert_eq!(to_toml(&again.effective()), written);
}
