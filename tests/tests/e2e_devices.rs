//! What igmpd reads from the kernel about devices.

use std::fs;
use std::time::Duration;

use igmp_tests::netns::Namespace;
use igmp_userspace::io::netdev::{self, Devices, Features};
use igmp_userspace::proto::IfIndex;
use tokio::sync::mpsc::Receiver;

const SOON: Duration = Duration::from_secs(5);
/// The first device of every network namespace.
const LOOPBACK: IfIndex = IfIndex(1);

/// What `veth_set_xdp_features` (drivers/net/veth.c) says of a veth: it receives in XDP whatever its peer does, and
/// transmits what is redirected to it only while its peer has NAPI: an XDP program or GRO.
const VETH: Features = Features {
    basic: true,
    redirect: true,
    ndo_xmit: false,
    rx_sg: true,
    ndo_xmit_sg: false,
};
const VETH_OF_A_PEER_WITH_GRO: Features = Features {
    ndo_xmit: true,
    ndo_xmit_sg: true,
    ..VETH
};

#[test]
fn a_veth_takes_redirected_frames_while_its_peer_has_gro() {
    let namespace = Namespace::new("devices");
    namespace.ip("link add v0 type veth peer name v1\nlink set v0 up\nlink set v1 up");
    let [v0, v1] = ["v0", "v1"].map(|device| IfIndex(namespace.interface_index(device)));

    in_runtime(&namespace, async {
        let Some(mut watch) = Watch::start().await else {
            return;
        };
        let at_first = watch.devices.clone();
        let expected = [(LOOPBACK, Features::default()), (v0, VETH), (v1, VETH)];
        for (device, features) in expected {
            assert_eq!(at_first[&device], features, "{device:?}");
        }

        namespace.run(&["ethtool", "-K", "v1", "gro", "on"]);
        watch
            .until("GRO of the peer", |devices| {
                devices[&v0] == VETH_OF_A_PEER_WITH_GRO
            })
            .await;
        assert_eq!(
            watch.devices[&v1], VETH,
            "only the peer of the one with GRO"
        );
        assert_eq!(
            netdev::read().await.unwrap().as_ref(),
            Some(&watch.devices),
            "the same when asked once"
        );

        namespace.run(&["ethtool", "-K", "v1", "gro", "off"]);
        watch
            .until("no GRO any more", |devices| *devices == at_first)
            .await;
    });
}

#[test]
fn devices_are_followed_as_they_come_and_go() {
    let namespace = Namespace::new("devices");
    in_runtime(&namespace, async {
        let Some(mut watch) = Watch::start().await else {
            return;
        };
        let at_first = watch.devices.clone();

        namespace.ip("link add v0 type veth peer name v1");
        let [v0, v1] = ["v0", "v1"].map(|device| IfIndex(namespace.interface_index(device)));
        watch
            .until("the veth", |devices| {
                devices.get(&v0) == Some(&VETH) && devices.get(&v1) == Some(&VETH)
            })
            .await;
        assert_eq!(watch.devices.len(), at_first.len() + 2);

        namespace.ip("link del v0");
        watch
            .until("no veth any more", |devices| *devices == at_first)
            .await;
    });
}

/// The stream of states, and the last that came.
struct Watch {
    states: Receiver<Option<Devices>>,
    devices: Devices,
}

impl Watch {
    /// Waits for the present state. `None`: this kernel does not say, which is checked against its version.
    async fn start() -> Option<Self> {
        let mut states = netdev::watch();
        let state = tokio::time::timeout(SOON, states.recv()).await;
        let devices = state
            .expect("the present state comes at once")
            .expect("the stream never ends");
        let kernel = kernel_version();
        assert_eq!(
            devices.is_some(),
            kernel >= (6, 3),
            "the family netdev came with Linux 6.3; this is {kernel:?}"
        );
        if devices.is_none() {
            println!("SKIP: the kernel has no family netdev");
        }
        Some(Self {
            states,
            devices: devices?,
        })
    }

    async fn until(&mut self, what: &str, is_reached: impl Fn(&Devices) -> bool) {
        let wait = async {
            while !is_reached(&self.devices) {
                let state = self.states.recv().await.expect("the stream never ends");
                self.devices = state.expect("a family does not go");
            }
        };
        let reached = tokio::time::timeout(SOON, wait).await;
        assert!(
            reached.is_ok(),
            "no notification of {what}: {:?}",
            self.devices
        );
    }
}

/// Netlink sockets belong to the namespace of the thread that opens them, so everything runs on one.
fn in_runtime(namespace: &Namespace, work: impl Future<Output = ()> + Send) {
    namespace.enter(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(work);
    });
}

/// Major and minor number.
fn kernel_version() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map_while(|number| number.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}
