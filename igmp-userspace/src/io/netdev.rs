//! What the kernel says that a device can do with XDP: the generic netlink family `netdev` (kernel 6.3, d3d854fd6a1d).
//!
//! A notification only says that something changed; the truth is then read whole, as in [`links`](super::links).

mod generic;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::mpsc;
use tracing::warn;

use super::beside;
use crate::proto::IfIndex;
use generic::{Connection, Listener, Message, u32_from, u64_from};

// linux/netdev.h
const FAMILY: &str = "netdev";
const VERSION: u8 = 1;
const GROUP: &str = "mgmt";
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const NETDEV_XDP_ACT_BASIC: u64 = 1;
const NETDEV_XDP_ACT_REDIRECT: u64 = 1 << 1;
const NETDEV_XDP_ACT_NDO_XMIT: u64 = 1 << 2;
const NETDEV_XDP_ACT_RX_SG: u64 = 1 << 5;
const NETDEV_XDP_ACT_NDO_XMIT_SG: u64 = 1 << 6;

/// What a device can do with XDP, from `enum netdev_xdp_act`. Offload to hardware and zero-copy sockets are left out.
#[expect(
    clippy::struct_excessive_bools,
    reason = "bits of the kernel, each independent of the others"
)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Features {
    /// Runs a native program, which may pass, drop or send back a frame.
    pub basic: bool,
    /// That program may also redirect a frame.
    pub redirect: bool,
    /// Sends frames that another device's program redirects to it. Of a veth, whether its peer takes them at present.
    pub ndo_xmit: bool,
    /// A program may have frames of several buffers.
    pub rx_sg: bool,
    /// Sends redirected frames of several buffers.
    pub ndo_xmit_sg: bool,
}

impl Features {
    fn from_bits(bits: u64) -> Self {
        let has = |feature| bits & feature != 0;
        Self {
            basic: has(NETDEV_XDP_ACT_BASIC),
            redirect: has(NETDEV_XDP_ACT_REDIRECT),
            ndo_xmit: has(NETDEV_XDP_ACT_NDO_XMIT),
            rx_sg: has(NETDEV_XDP_ACT_RX_SG),
            ndo_xmit_sg: has(NETDEV_XDP_ACT_NDO_XMIT_SG),
        }
    }
}

/// All devices of a network namespace at one moment.
pub type Devices = BTreeMap<IfIndex, Features>;

/// Reads what the devices of this thread's network namespace can do; `None` where the kernel does not say: before 6.3.
///
/// # Errors
///
/// The kernel refuses a netlink socket or the question.
pub async fn read() -> Result<Option<Devices>> {
    let mut connection = Connection::open()?;
    match connection.family(FAMILY).await? {
        Some(family) => devices(&mut connection, family.id).await.map(Some),
        None => Ok(None),
    }
}

/// Follows [`read`]: the present state comes first, then a new one after each change. `None` comes once, and nothing
/// after it. Ends never; when netlink fails, it is opened anew.
#[must_use]
pub fn watch() -> mpsc::Receiver<Option<Devices>> {
    const RETRY: Duration = Duration::from_secs(1);
    // One: a reader that is behind needs only the newest state, which is read when there is room.
    let (states, receiver) = mpsc::channel(1);
    beside::spawn("features", || async move {
        while !states.is_closed() {
            if let Err(error) = follow(&states).await {
                warn!("following what devices can do: {error:#}; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    });
    receiver
}

async fn follow(states: &mpsc::Sender<Option<Devices>>) -> Result<()> {
    let mut connection = Connection::open()?;
    let Some(family) = connection.family(FAMILY).await? else {
        states.send(None).await.context("nobody listens")?;
        states.closed().await;
        return Ok(());
    };
    let group = family.group(GROUP);
    let group = group.context("the family netdev has no group of notifications")?;
    let listener = Listener::open(group)?;
    loop {
        let room = states.reserve().await.context("nobody listens")?;
        let devices = devices(&mut connection, family.id).await;
        room.send(Some(devices.context("reading what devices can do")?));
        listener.wait().await.context("waiting for a change")?;
    }
}

async fn devices(connection: &mut Connection, family: u16) -> Result<Devices> {
    let question = Message {
        family,
        command: NETDEV_CMD_DEV_GET,
        version: VERSION,
        attributes: Vec::new(),
    };
    let answers = connection.dump(question).await?;
    Ok(answers.iter().filter_map(device).collect())
}

fn device(message: &Message) -> Option<(IfIndex, Features)> {
    let index = message.attribute(NETDEV_A_DEV_IFINDEX).and_then(u32_from)?;
    let bits = message
        .attribute(NETDEV_A_DEV_XDP_FEATURES)
        .and_then(u64_from)?;
    Some((IfIndex(index), Features::from_bits(bits)))
}
