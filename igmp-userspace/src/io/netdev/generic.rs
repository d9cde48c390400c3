//! Generic netlink: messages of any family, and families by name.
//!
//! Our own, because the crate for it would bring a second version of `netlink-proto`.

use std::convert::Infallible;
use std::io;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rtnetlink::packet_core::{
    DefaultNla, Emitable, NLA_HEADER_SIZE, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable, NlasIterator,
};
use rtnetlink::proto::{ConnectionHandle, new_connection};
use rtnetlink::sys::protocols::NETLINK_GENERIC;
use rtnetlink::sys::{AsyncSocket, SocketAddr};

/// Octets of `struct genlmsghdr`: command, version, two reserved.
const HEADER_LEN: usize = 4;

/// A message of any family.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// The family's id, which the kernel gives it when it is registered.
    pub family: u16,
    /// What is asked or told, in the family's numbers.
    pub command: u8,
    /// Of the family's interface.
    pub version: u8,
    /// Attributes as they are on the wire.
    pub attributes: Vec<u8>,
}

impl Message {
    /// The value of the first attribute of this kind.
    pub fn attribute(&self, kind: u16) -> Option<&[u8]> {
        attribute(&self.attributes, kind)
    }
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        HEADER_LEN + self.attributes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer[..HEADER_LEN].copy_from_slice(&[self.command, self.version, 0, 0]);
        buffer[HEADER_LEN..].copy_from_slice(&self.attributes);
    }
}

impl NetlinkDeserializable for Message {
    type Error = Infallible;

    /// What is too short to have a command reads as command 0, which no family has.
    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        let octet = |at: usize| payload.get(at).copied().unwrap_or(0);
        Ok(Self {
            family: header.message_type,
            command: octet(0),
            version: octet(1),
            attributes: payload.get(HEADER_LEN..).unwrap_or_default().to_vec(),
        })
    }
}

impl From<Message> for NetlinkPayload<Message> {
    fn from(message: Message) -> Self {
        Self::InnerMessage(message)
    }
}

/// The attributes laid end to end, each as kind and value; ends at the first that is cut off.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(|attribute| {
        let attribute = attribute.ok()?;
        let (kind, end) = (attribute.kind(), usize::from(attribute.length()));
        Some((kind, attribute.into_inner().get(NLA_HEADER_SIZE..end)?))
    })
}

fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    let found = attributes(bytes).find(|(found, _)| *found == kind);
    found.map(|(_, value)| value)
}

/// What the kernel tells without being asked.
pub type Notifications = BoxStream<'static, NetlinkMessage<Message>>;

/// A socket to ask the kernel through.
pub struct Connection(ConnectionHandle<Message>);

impl Connection {
    /// Opens a socket in this thread's network namespace, and listens to `group`.
    pub fn open(group: Option<u32>) -> Result<(Self, Notifications)> {
        let (mut connection, handle, messages) =
            new_connection(NETLINK_GENERIC).context("opening a generic netlink socket")?;
        if let Some(group) = group {
            let socket = connection.socket_mut().socket_mut();
            socket
                .add_membership(group)
                .context("listening to a generic netlink group")?;
        }
        tokio::spawn(connection);
        let messages = messages.map(|(message, _)| message).boxed();
        Ok((Self(handle), messages))
    }

    /// Asks, and returns all answers. `flags` go with `NLM_F_REQUEST`.
    pub async fn request(&self, message: Message, flags: u16) -> Result<Vec<Message>> {
        const KERNEL: SocketAddr = SocketAddr::new(0, 0);
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        let mut answers = self.0.clone().request(request, KERNEL)?;
        let mut messages = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer.payload {
                NetlinkPayload::InnerMessage(message) => messages.push(message),
                NetlinkPayload::Error(error) if error.code.is_some() => {
                    return Err(error.to_io().into());
                }
                NetlinkPayload::Overrun(_) => bail!("an answer was lost"),
                _ => {}
            }
        }
        Ok(messages)
    }

    /// Finds a family by its name; `None` when this kernel has none of that name.
    pub async fn family(&self, name: &str) -> Result<Option<Family>> {
        // linux/genetlink.h
        const GENL_ID_CTRL: u16 = 0x10;
        const CTRL_CMD_GETFAMILY: u8 = 3;
        const CTRL_VERSION: u8 = 2;
        const CTRL_ATTR_FAMILY_ID: u16 = 1;
        const CTRL_ATTR_FAMILY_NAME: u16 = 2;

        let name = DefaultNla::new(CTRL_ATTR_FAMILY_NAME, [name.as_bytes(), &[0]].concat());
        let mut attributes = vec![0; name.buffer_len()];
        name.emit(&mut attributes);
        let question = Message {
            family: GENL_ID_CTRL,
            command: CTRL_CMD_GETFAMILY,
            version: CTRL_VERSION,
            attributes,
        };
        let answers = match self.request(question, 0).await {
            Ok(answers) => answers,
            Err(error) if is_not_found(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let answer = answers.first().context("no answer")?;
        let id = answer.attribute(CTRL_ATTR_FAMILY_ID).and_then(u16_from);
        Ok(Some(Family {
            id: id.context("an answer without the family's id")?,
            groups: groups(answer),
        }))
    }
}

/// What the kernel says about a family.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Family {
    /// The type of its messages.
    pub id: u16,
    /// Its multicast groups: name and number.
    pub groups: Vec<(String, u32)>,
}

impl Family {
    /// The number of one of its multicast groups.
    pub fn group(&self, name: &str) -> Option<u32> {
        let group = self.groups.iter().find(|(found, _)| found == name);
        group.map(|(_, number)| *number)
    }
}

fn groups(answer: &Message) -> Vec<(String, u32)> {
    const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
    const CTRL_ATTR_MCAST_GRP_NAME: u16 = 1;
    const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;
    let groups = answer.attribute(CTRL_ATTR_MCAST_GROUPS).unwrap_or_default();
    let groups = attributes(groups).filter_map(|(_, group)| {
        let name = attribute(group, CTRL_ATTR_MCAST_GRP_NAME)?;
        let name = std::str::from_utf8(name).ok()?.trim_end_matches('\0');
        let number = attribute(group, CTRL_ATTR_MCAST_GRP_ID).and_then(u32_from)?;
        Some((name.to_owned(), number))
    });
    groups.collect()
}

fn is_not_found(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Netlink speaks in the host's byte order.
pub fn u16_from(value: &[u8]) -> Option<u16> {
    value.try_into().ok().map(u16::from_ne_bytes)
}

/// The same of 32 bits.
pub fn u32_from(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

/// The same of 64 bits.
pub fn u64_from(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_ne_bytes)
}
