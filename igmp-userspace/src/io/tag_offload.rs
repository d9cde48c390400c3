//! What devices do with VLAN tags before any program sees a frame: the features that `ethtool -k` shows.

use std::ffi::CStr;
use std::io;
use std::mem::zeroed;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use igmp_common::frame::ETHERTYPE_SERVICE_VLAN;

// linux/ethtool.h
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETH_SS_FEATURES: u32 = 4;
const ETH_GSTRING_LEN: usize = 32;
const WORD: usize = size_of::<u32>();
/// Words of `struct ethtool_get_features_block`, of which `active` is the third.
const BLOCK: usize = 4;
const ACTIVE: usize = 2;

/// Tags that never reach a program in native XDP.
#[expect(
    clippy::struct_excessive_bools,
    reason = "features of the kernel, each independent of the others"
)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TagOffload {
    /// Takes 802.1Q tags off, for the kernel to see beside the frame (`rx-vlan-offload`).
    pub takes_off: bool,
    /// The same with 802.1ad tags (`rx-vlan-stag-hw-parse`).
    pub takes_service_off: bool,
    /// Drops frames of 802.1Q VLANs that it has no VLAN device for (`rx-vlan-filter`).
    pub filters: bool,
    /// The same with 802.1ad tags (`rx-vlan-stag-filter`).
    pub filters_service: bool,
}

impl TagOffload {
    /// The feature that takes tags like this one off, as `ethtool -K` calls it; `None` = they stay.
    #[must_use]
    pub const fn taking_off(self, tag: u32) -> Option<&'static str> {
        match (is_service(tag), self) {
            (
                false,
                Self {
                    takes_off: true, ..
                },
            ) => Some("rxvlan"),
            (
                true,
                Self {
                    takes_service_off: true,
                    ..
                },
            ) => Some("rx-vlan-stag-hw-parse"),
            _ => None,
        }
    }

    /// The feature that drops frames with such a tag while no VLAN device asks for them; `None` = they pass.
    #[must_use]
    pub const fn filtering(self, tag: u32) -> Option<&'static str> {
        match (is_service(tag), self) {
            (false, Self { filters: true, .. }) => Some("rx-vlan-filter"),
            (
                true,
                Self {
                    filters_service: true,
                    ..
                },
            ) => Some("rx-vlan-stag-filter"),
            _ => None,
        }
    }
}

const fn is_service(tag: u32) -> bool {
    tag >> 16 == ETHERTYPE_SERVICE_VLAN as u32
}

/// Reads what devices do.
pub struct Reader {
    socket: UnixDatagram,
    /// Features that there are.
    count: usize,
    /// Where those of [`TagOffload`] are among them, in its order.
    positions: [Option<usize>; 4],
}

impl Reader {
    /// For the devices of this thread's network namespace.
    ///
    /// # Errors
    ///
    /// No descriptor is left, or the kernel does not name its features.
    pub fn open() -> io::Result<Self> {
        const NAMES: [&str; 4] = [
            "rx-vlan-hw-parse",
            "rx-vlan-stag-hw-parse",
            "rx-vlan-filter",
            "rx-vlan-stag-filter",
        ];
        // The names are the same for all devices, and this one is in every namespace.
        const ANY: &str = "lo";
        let socket = UnixDatagram::unbound()?;
        // cmd, reserved, mask (two words), answer.
        let mut info = [ETHTOOL_GSSET_INFO, 0, 0, 0, 0, 0];
        let [low, high] = [2, 3];
        let mask = (1_u64 << ETH_SS_FEATURES).to_ne_bytes();
        info[low] = u32::from_ne_bytes([mask[0], mask[1], mask[2], mask[3]]);
        info[high] = u32::from_ne_bytes([mask[4], mask[5], mask[6], mask[7]]);
        ethtool(&socket, ANY, &mut info)?;
        let count = info[4] as usize;
        // cmd, string set, length, strings.
        let mut strings = vec![0; 3 + count * ETH_GSTRING_LEN / WORD];
        strings[..2].copy_from_slice(&[ETHTOOL_GSTRINGS, ETH_SS_FEATURES]);
        strings[2] = info[4];
        ethtool(&socket, ANY, &mut strings)?;
        let bytes: Vec<u8> = strings[3..]
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        let (names, _) = bytes.as_chunks::<ETH_GSTRING_LEN>();
        let is = |bytes: &[u8], name: &str| {
            CStr::from_bytes_until_nul(bytes).is_ok_and(|found| found.to_bytes() == name.as_bytes())
        };
        let positions = NAMES.map(|name| names.iter().position(|bytes| is(bytes, name)));
        Ok(Self {
            socket,
            count,
            positions,
        })
    }

    /// What one device does; nothing, if the kernel does not say.
    #[must_use]
    pub fn read(&self, device: &str) -> TagOffload {
        let blocks = self.count.div_ceil(32);
        // cmd, number of blocks, blocks.
        let mut features = vec![0; 2 + blocks * BLOCK];
        features[0] = ETHTOOL_GFEATURES;
        features[1] = u32::try_from(blocks).unwrap_or_default();
        if ethtool(&self.socket, device, &mut features).is_err() {
            return TagOffload::default();
        }
        let is_active = |position: Option<usize>| {
            position.is_some_and(|bit| {
                let word = features[2 + bit / 32 * BLOCK + ACTIVE];
                word & 1 << (bit % 32) != 0
            })
        };
        let [takes_off, takes_service_off, filters, filters_service] =
            self.positions.map(is_active);
        TagOffload {
            takes_off,
            takes_service_off,
            filters,
            filters_service,
        }
    }
}

/// Has the kernel carry out an ethtool command about a device; it fills the command with what it answers.
fn ethtool(socket: &UnixDatagram, device: &str, command: &mut [u32]) -> io::Result<()> {
    const SIOCETHTOOL: libc::Ioctl = 0x8946; // linux/sockios.h
    // SAFETY: an all-zero ifreq is valid.
    let mut request: libc::ifreq = unsafe { zeroed() };
    let bytes = device.bytes().take(libc::IFNAMSIZ - 1);
    for (to, byte) in request.ifr_name.iter_mut().zip(bytes) {
        *to = byte.cast_signed();
    }
    request.ifr_ifru.ifru_data = command.as_mut_ptr().cast();
    // SAFETY: the request is ours, and the command it points to has the room that its header says.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
