//! Captures of a device, with the kernel's time stamps.
//!
//! A frame that XDP redirects out of a device passes no packet socket there: copies of a stream are seen at the *far*
//! end of the cable, on the receiver's own device. That end also sends the reports, so one clock measures both.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use crate::frame::{Direction, Frame};
use crate::netns::Namespace;
use crate::sys;
use crate::wait::{assert_never, wait_until};

/// Room for about 30,000 small frames while the reader waits for the processor.
const RECEIVE_BUFFER_BYTES: i32 = 32 << 20;
/// Length of the Ethernet addresses, which a tag comes behind.
const ADDRESSES: usize = 12;
/// How soon a reader notices that it shall stop.
const READ_TIMEOUT: libc::timeval = libc::timeval {
    tv_sec: 0,
    tv_usec: 20_000,
};

/// A listening packet socket.
pub struct Tap {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Tap {
    /// Listens on a device of a namespace; every frame from now on will be read.
    ///
    /// # Panics
    /// When there is no such device.
    pub fn open(namespace: &Namespace, device: &str) -> Self {
        let socket = namespace
            .enter(|| sys::packet_socket(device, true))
            .unwrap_or_else(|error| panic!("capture of {device} in {}: {error}", namespace.name()));
        let set = |name, value: &i32| {
            sys::set_option(&socket, libc::SOL_SOCKET, name, value).expect("a socket option");
        };
        set(libc::SO_RCVBUFFORCE, &RECEIVE_BUFFER_BYTES);
        set(libc::SO_TIMESTAMPNS, &1);
        sys::set_option(&socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1)
            .expect("a socket option");
        sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &READ_TIMEOUT)
            .expect("a socket option");
        Self {
            socket,
            buffer: vec![0; 65536],
        }
    }

    /// The next frame; `None` when none came within a short time, or the device went down.
    pub fn next_frame(&mut self) -> Option<Frame> {
        match sys::receive(&self.socket, &mut self.buffer, 0) {
            Ok(message) => {
                let direction = if message.is_outgoing() {
                    Direction::Out
                } else {
                    Direction::In
                };
                let frame = &self.buffer[..message.length];
                let bytes = match (message.tag, frame.split_at_checked(ADDRESSES)) {
                    (Some(tag), Some((addresses, rest))) => &[addresses, &tag, rest].concat(),
                    _ => frame,
                };
                Some(Frame::new(message.at, direction, bytes))
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NetworkDown) =>
            {
                None
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => None,
            Err(error) => panic!("packet socket: {error}"),
        }
    }

    /// Frames that came faster than they were read since this was last asked. What was not seen cannot be judged.
    pub fn lost(&self) -> u32 {
        sys::packet_drops(&self.socket).expect("a packet socket has statistics")
    }
}

/// A running capture that keeps everything it sees; it ends when dropped.
#[must_use = "dropping it ends the capture"]
pub struct Capture {
    frames: Arc<Mutex<Vec<Frame>>>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    /// Starts to capture; nothing that happens after the return is missed.
    pub fn start(namespace: &Namespace, device: &str) -> Self {
        let mut tap = Tap::open(namespace, device);
        let frames = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let reader = thread::spawn({
            let (frames, stop) = (frames.clone(), stop.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Some(frame) = tap.next_frame() {
                        frames.lock().expect("no reader panics").push(frame);
                    }
                }
                assert_eq!(
                    tap.lost(),
                    0,
                    "the capture lost frames: its negative assertions prove nothing"
                );
            }
        });
        Self {
            frames,
            stop,
            reader: Some(reader),
        }
    }

    /// All that was captured.
    pub fn all(&self) -> View<'_> {
        View {
            capture: self,
            from: 0,
        }
    }

    /// What will be captured from now on.
    pub fn from_now(&self) -> View<'_> {
        View {
            capture: self,
            from: self.frames.lock().expect("the reader is well").len(),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.reader.take().map(JoinHandle::join);
        if !thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the capture failed");
        }
    }
}

/// The frames of a capture from some point on.
#[derive(Clone, Copy)]
pub struct View<'a> {
    capture: &'a Capture,
    from: usize,
}

impl View<'_> {
    /// The frames that `is_wanted` accepts, so far.
    pub fn frames(&self, is_wanted: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        let frames = self.capture.frames.lock().expect("the reader is well");
        frames[self.from..]
            .iter()
            .filter(|frame| is_wanted(frame))
            .cloned()
            .collect()
    }

    /// How many of them there are.
    pub fn count(&self, is_wanted: impl Fn(&Frame) -> bool) -> usize {
        let frames = self.capture.frames.lock().expect("the reader is well");
        let frames = frames[self.from..].iter();
        frames.filter(|frame| is_wanted(frame)).count()
    }

    /// The first frame that `is_wanted` accepts; panics with the IGMP traffic seen when none comes in time.
    #[track_caller]
    pub fn wait_for(
        &self,
        what: &str,
        timeout: Duration,
        is_wanted: impl Fn(&Frame) -> bool,
    ) -> Frame {
        let _context = Context(*self);
        wait_until(what, timeout, || {
            let frames = self.capture.frames.lock().expect("the reader is well");
            frames[self.from..]
                .iter()
                .find(|frame| is_wanted(frame))
                .cloned()
        })
    }

    /// Waits until frames that `is_wanted` accepts have come and then stayed away for `quiet`; returns when the last came.
    #[track_caller]
    pub fn wait_for_last(
        &self,
        what: &str,
        timeout: Duration,
        quiet: Duration,
        is_wanted: impl Fn(&Frame) -> bool,
    ) -> SystemTime {
        let _context = Context(*self);
        wait_until(&format!("the last of {what}"), timeout, || {
            let last = self.frames(&is_wanted).pop()?.at;
            last.elapsed()
                .is_ok_and(|since| since > quiet)
                .then_some(last)
        })
    }

    /// Watches for the whole of `duration`; panics when a frame comes, or came, that `is_unwanted` accepts.
    #[track_caller]
    pub fn assert_none(
        &self,
        what: &str,
        duration: Duration,
        is_unwanted: impl Fn(&Frame) -> bool,
    ) {
        let _context = Context(*self);
        assert_never(what, duration, || {
            self.frames(&is_unwanted).into_iter().next()
        });
    }
}

/// Prints what was captured when a panic unwinds past it.
struct Context<'a>(View<'a>);

impl Drop for Context<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let frames = self.0.frames(|frame| frame.igmp().is_some());
            let text = frames.iter().fold(String::new(), |mut text, frame| {
                let _ = writeln!(text, "  {frame:?}");
                text
            });
            eprintln!("IGMP captured:\n{text}");
        }
    }
}
