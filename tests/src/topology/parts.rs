//! What a topology is built from: cables, hosts, switches, routers.

use std::net::Ipv4Addr;

use super::BRIDGE;
use crate::host::{DEVICE, Host};
use crate::netns::{Namespace, mac_text};

/// A cable from a new device of a gateway to a new device elsewhere.
pub(super) fn connect(
    gateway: &Namespace,
    device: &str,
    address: Ipv4Addr,
    peer: &Namespace,
    peer_device: &str,
) {
    gateway.ip(&format!(
        "link add {device} address {} type veth peer name {peer_device} netns {}",
        mac_text(address),
        peer.name(),
    ));
    // A veth tells its peer that it takes redirected frames only when GRO is turned on while it is up.
    peer.ip(&format!("link set {peer_device} up"));
    peer.behave_like_hardware(peer_device);
    gateway.behave_like_hardware(device);
    gateway.ip(&format!(
        "addr add {address}/24 dev {device}\nlink set {device} up"
    ));
}

/// The same to a new port of a switch.
pub(super) fn connect_to_switch(
    gateway: &Namespace,
    device: &str,
    address: Ipv4Addr,
    switch: &Namespace,
    port: &str,
) {
    connect(gateway, device, address, switch, port);
    switch.ip(&format!("link set {port} master {BRIDGE}"));
}

pub(super) fn new_gateway(label: &str) -> Namespace {
    let gateway = Namespace::new(label);
    gateway.set_sysctl("net.ipv4.ip_forward", 1);
    disable_reverse_path_filter(&gateway);
    gateway
}

pub(super) fn new_host(name: &str, address: Ipv4Addr) -> Host {
    let namespace = Namespace::new(name);
    disable_reverse_path_filter(&namespace);
    // The kernel's limits are 20 groups and 10 sources for one socket.
    namespace.set_sysctl("net.ipv4.igmp_max_memberships", 20_000);
    namespace.set_sysctl("net.ipv4.igmp_max_msf", 1_000);
    Host {
        name: name.to_owned(),
        namespace,
        address,
    }
}

/// Gives a host's device its addresses.
pub(super) fn configure(host: &Host) {
    let [a, b, c, _] = host.address.octets();
    host.namespace.ip(&format!(
        "link set {DEVICE} address {}\n\
         addr add {}/24 dev {DEVICE}\n\
         link set {DEVICE} up\n\
         route add default via {a}.{b}.{c}.1 dev {DEVICE}\n",
        mac_text(host.address),
        host.address,
    ));
}

pub(super) fn new_switch(hosts: &[Host]) -> Namespace {
    let switch = Namespace::new("switch");
    switch.ip(&format!(
        "link add {BRIDGE} type bridge mcast_snooping 0\nlink set {BRIDGE} up"
    ));
    for (index, host) in hosts.iter().enumerate() {
        let port = format!("p{}", index + 1);
        switch.ip(&format!(
            "link add {port} type veth peer name {DEVICE} netns {}\nlink set {port} master {BRIDGE} up",
            host.namespace.name(),
        ));
        host.namespace.ip(&format!("link set {DEVICE} up"));
        switch.behave_like_hardware(&port);
        host.namespace.behave_like_hardware(DEVICE);
        configure(host);
    }
    switch
}

/// The receivers have no route back to every source, and need none to receive.
fn disable_reverse_path_filter(namespace: &Namespace) {
    namespace.set_sysctl("net.ipv4.conf.all.rp_filter", 0);
    namespace.set_sysctl("net.ipv4.conf.default.rp_filter", 0);
}
