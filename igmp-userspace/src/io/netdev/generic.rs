//! Generic netlink: messages of any family, and families by name.
//!
//! On a bare socket, because the kernel does not mark the many answers of the family netdev as parts of one
//! (`NLM_F_MULTI`), and `netlink-proto` ends at the first that is not.

use std::convert::Infallible;
use std::io;

use anyhow::{Context, Result, bail};
use futures_util::FutureExt;
use rtnetlink::packet_core::{
    DefaultNla, Emitable, NLA_HEADER_SIZE, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST,
    NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
    NlasIterator,
};
use rtnetlink::sys::protocols::NETLINK_GENERIC;
use rtnetlink::sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};

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

/// A socket to ask the kernel through. One question at a time.
pub struct Connection {
    socket: TokioSocket,
    sequence_number: u32,
}

impl Connection {
    /// Opens a socket in this thread's network namespace.
    pub fn open() -> Result<Self> {
        Ok(Self {
            socket: open()?,
            sequence_number: 0,
        })
    }

    /// Asks about one thing.
    pub async fn get(&mut self, question: Message) -> Result<Message> {
        // The acknowledgement ends the answer.
        let answers = self.request(question, NLM_F_ACK).await?;
        answers.into_iter().next().context("no answer")
    }

    /// Asks about all things of a kind.
    pub async fn dump(&mut self, question: Message) -> Result<Vec<Message>> {
        self.request(question, NLM_F_DUMP).await
    }

    async fn request(&mut self, question: Message, flags: u16) -> Result<Vec<Message>> {
        self.sequence_number += 1;
        let mut request = NetlinkMessage::from(question);
        request.header.flags = NLM_F_REQUEST | flags;
        request.header.sequence_number = self.sequence_number;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes).await?;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full().await?;
            for message in messages(&datagram) {
                let message = message?;
                // An earlier question was given up before its answer came.
                if message.header.sequence_number != self.sequence_number {
                    continue;
                }
                match message.payload {
                    NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(error.to_io().into());
                    }
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(answers),
                    NetlinkPayload::Overrun(_) => bail!("an answer was lost"),
                    _ => {}
                }
            }
        }
    }

    /// Finds a family by its name; `None` when this kernel has none of that name.
    pub async fn family(&mut self, name: &str) -> Result<Option<Family>> {
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
        let answer = match self.get(question).await {
            Ok(answer) => answer,
            Err(error) if is_not_found(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let id = answer.attribute(CTRL_ATTR_FAMILY_ID).and_then(u16_from);
        Ok(Some(Family {
            id: id.context("an answer without the family's id")?,
            groups: groups(&answer),
        }))
    }
}

/// A socket that hears what a multicast group of a family is told.
pub struct Listener(TokioSocket);

impl Listener {
    /// Opens a socket in this thread's network namespace.
    pub fn open(group: u32) -> Result<Self> {
        let mut socket = open()?;
        socket
            .socket_mut()
            .add_membership(group)
            .context("listening to a generic netlink group")?;
        Ok(Self(socket))
    }

    /// Waits until something is told, and takes all that has been. An error when some of it was lost (`ENOBUFS`).
    pub async fn wait(&self) -> io::Result<()> {
        self.0.recv_from_full().await?;
        while let Some(more) = self.0.recv_from_full().now_or_never() {
            more?;
        }
        Ok(())
    }
}

fn open() -> Result<TokioSocket> {
    let open = || {
        let mut socket = TokioSocket::new(NETLINK_GENERIC)?;
        socket.socket_mut().bind_auto()?;
        // The kernel is port 0: nobody else is heard.
        socket.socket_ref().connect(&SocketAddr::new(0, 0))?;
        Ok::<_, io::Error>(socket)
    };
    open().context("opening a generic netlink socket")
}

/// The messages of a datagram, each at a multiple of four octets.
fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Result<NetlinkMessage<Message>>> {
    std::iter::from_fn(move || {
        if datagram.is_empty() {
            return None;
        }
        let message = NetlinkMessage::deserialize(datagram);
        let length = message.as_ref().map_or(datagram.len(), |message| {
            (message.header.length as usize).next_multiple_of(4)
        });
        datagram = datagram.get(length..).unwrap_or_default();
        Some(message.context("a malformed netlink message"))
    })
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
