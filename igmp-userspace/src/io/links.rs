//! Devices and their IPv4 addresses, followed by netlink.
//!
//! A notification only says that something changed; the truth is then read whole. Lost notifications (`ENOBUFS`) and any
//! error are therefore no special case: read again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt};
use igmp_common::frame::{ETHERTYPE_SERVICE_VLAN, ETHERTYPE_VLAN};
use igmp_common::maps::{Mac, vlan_tag};
use ipnet::Ipv4Net;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
    LinkXdp, VlanProtocol,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::{Handle, MulticastGroup, new_multicast_connection};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::warn;

use super::beside;
use super::netdev::Features;
use super::tag_offload::{self, TagOffload};
use crate::proto::IfIndex;

/// One network device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// Kernel index, another one each time a device is created.
    pub index: IfIndex,
    /// Name.
    pub name: String,
    /// Administratively up and with carrier.
    pub up: bool,
    /// Ethernet address; `None` for devices without one.
    pub mac: Option<Mac>,
    /// A veth: whether it takes redirected frames depends on its peer, which may be in another namespace.
    pub is_veth: bool,
    /// A PPP device.
    pub is_ppp: bool,
    /// The VLAN that it is, if it is one on a device of this network namespace.
    pub vlan: Option<Vlan>,
    /// What it does with VLAN tags.
    pub tag_offload: TagOffload,
    /// The id of the XDP program on it, whoever put it there.
    pub xdp: Option<u32>,
    /// What it can do with XDP; `None` = the kernel does not say. Netlink for links does not: it is filled in elsewhere.
    pub features: Option<Features>,
    /// Octets of the largest IPv4 packet.
    pub mtu: usize,
    /// IPv4 addresses with prefix lengths, in the kernel's order: primary first.
    pub addresses: Vec<Ipv4Net>,
}

/// A VLAN on a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Vlan {
    /// The device that its frames come and go through.
    pub device: IfIndex,
    /// As [`vlan_tag`] makes it.
    pub tag: u32,
}

/// All devices at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Snapshot {
    /// Devices by name.
    pub links: BTreeMap<String, Link>,
    /// Devices that were down at some time since the last snapshot, even if they are up again.
    pub flapped: BTreeSet<IfIndex>,
}

impl Snapshot {
    /// The device with this index.
    #[must_use]
    pub fn by_index(&self, index: IfIndex) -> Option<&Link> {
        self.links.values().find(|link| link.index == index)
    }

    /// Every IPv4 address of this host in this network namespace.
    #[must_use]
    pub fn own_addresses(&self) -> Vec<Ipv4Addr> {
        let nets = self.links.values().flat_map(|link| &link.addresses);
        nets.map(Ipv4Net::addr).collect()
    }
}

/// How often the devices are read without a notification: the kernel sends none when a program is detached.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Follows the devices: the present state comes first, then a new one after each change. Ends never; when netlink fails,
/// it is opened anew.
#[must_use]
pub fn watch() -> mpsc::Receiver<Snapshot> {
    const RETRY: Duration = Duration::from_secs(1);
    // One: a reader that is behind needs only the newest state, which is read when there is room.
    let (snapshots, receiver) = mpsc::channel(1);
    beside::spawn("devices", || async move {
        while !snapshots.is_closed() {
            if let Err(error) = follow(&snapshots).await {
                warn!("following network devices: {error:#}; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    });
    receiver
}

async fn follow(snapshots: &mpsc::Sender<Snapshot>) -> Result<()> {
    let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr];
    let (connection, handle, mut messages) =
        new_multicast_connection(&groups).context("opening a netlink socket")?;
    tokio::spawn(connection);
    let tag_offloads = tag_offload::Reader::open().context("asking what devices do with tags")?;
    let mut flapped = BTreeSet::new();
    let mut last = None;
    loop {
        let room = snapshots.reserve().await.context("nobody listens")?;
        while let Ok((message, _)) = messages.try_recv() {
            flapped.extend(went_down(&message.payload));
        }
        let links = read(&handle, &tag_offloads)
            .await
            .context("reading network devices")?;
        if last.as_ref() != Some(&links) || !flapped.is_empty() {
            last = Some(links.clone());
            room.send(Snapshot {
                links,
                flapped: std::mem::take(&mut flapped),
            });
        }
        if let Ok(message) = timeout(LOOK_AGAIN, messages.next()).await {
            let (message, _) = message.context("netlink socket closed")?;
            flapped.extend(went_down(&message.payload));
        }
    }
}

fn went_down(payload: &NetlinkPayload<RouteNetlinkMessage>) -> Option<IfIndex> {
    match payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) if !is_up(link) => {
            Some(IfIndex(link.header.index))
        }
        _ => None,
    }
}

async fn read(
    handle: &Handle,
    tag_offloads: &tag_offload::Reader,
) -> Result<BTreeMap<String, Link>> {
    let mut links = BTreeMap::new();
    let mut messages = handle.link().get().execute();
    while let Some(message) = messages.try_next().await? {
        if let Some(mut link) = link(&message) {
            if link.mac.is_some() {
                link.tag_offload = tag_offloads.read(&link.name);
            }
            links.insert(link.index, link);
        }
    }
    let mut messages = handle.address().get().execute();
    while let Some(message) = messages.try_next().await? {
        if let Some(address) = address(&message)
            && let Some(link) = links.get_mut(&IfIndex(message.header.index))
        {
            link.addresses.push(address);
        }
    }
    let by_name = links.into_values().map(|link| (link.name.clone(), link));
    Ok(by_name.collect())
}

fn is_up(message: &LinkMessage) -> bool {
    let up = LinkFlags::Up | LinkFlags::LowerUp;
    message.header.flags.contains(up)
}

fn link(message: &LinkMessage) -> Option<Link> {
    let mut name = None;
    let mut mac = None;
    let mut mtu = None;
    let mut is_veth = false;
    let mut tag = None;
    let mut below = None;
    let mut is_across_namespaces = false;
    let mut xdp = None;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.clone()),
            LinkAttribute::Address(bytes) => mac = Mac::try_from(bytes.as_slice()).ok(),
            LinkAttribute::Mtu(octets) => mtu = usize::try_from(*octets).ok(),
            LinkAttribute::LinkInfo(infos) => {
                is_veth = infos.contains(&LinkInfo::Kind(InfoKind::Veth));
                tag = infos.iter().find_map(vlan_tag_of);
            }
            LinkAttribute::Link(index) => below = Some(IfIndex(*index)),
            LinkAttribute::LinkNetNsId(_) => is_across_namespaces = true,
            LinkAttribute::Xdp(attributes) => xdp = attributes.iter().find_map(program_id),
            _ => {}
        }
    }
    Some(Link {
        index: IfIndex(message.header.index),
        name: name?,
        up: is_up(message),
        mac,
        mtu: mtu?,
        is_veth,
        is_ppp: message.header.link_layer_type == LinkLayerType::Ppp,
        vlan: below
            .zip(tag)
            .map(|(device, tag)| Vlan { device, tag })
            .filter(|_| !is_across_namespaces),
        tag_offload: TagOffload::default(),
        xdp,
        features: None,
        addresses: Vec::new(),
    })
}

/// The tag of a VLAN device's frames.
fn vlan_tag_of(info: &LinkInfo) -> Option<u32> {
    let LinkInfo::Data(InfoData::Vlan(infos)) = info else {
        return None;
    };
    let (mut id, mut protocol) = (None, ETHERTYPE_VLAN);
    for info in infos {
        match info {
            InfoVlan::Id(number) => id = Some(*number),
            InfoVlan::Protocol(VlanProtocol::Ieee8021Ad) => protocol = ETHERTYPE_SERVICE_VLAN,
            _ => {}
        }
    }
    Some(vlan_tag(protocol, id?))
}

/// With several programs at once (native and generic) there is no `ProgId`.
fn program_id(attribute: &LinkXdp) -> Option<u32> {
    match attribute {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) => Some(*id).filter(|id| *id != 0),
        _ => None,
    }
}

/// The interface's own address: on point-to-point links `Local`, not `Address`, which is the peer's.
fn address(message: &AddressMessage) -> Option<Ipv4Net> {
    if message.header.family != AddressFamily::Inet {
        return None;
    }
    let mut own = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(IpAddr::V4(address)) => own = Some(*address),
            AddressAttribute::Address(IpAddr::V4(address)) => own = own.or(Some(*address)),
            _ => {}
        }
    }
    Ipv4Net::new(own?, message.header.prefix_len).ok()
}
