//! Events, to every client that follows them.
//!
//! One bounded queue for all: each client has its own place in it. The event loop never waits; a client that is
//! overtaken is told how much it missed, and goes on from there.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::broadcast::{self, error::RecvError};

use super::super::timestamp;
use super::answer;
use crate::api::{Event, EventKind, Response};

/// Where events are told.
#[derive(Clone, Debug)]
pub struct Publisher(broadcast::Sender<Bytes>);

impl Publisher {
    /// `backlog` events are kept for clients that are behind.
    pub(super) fn new(backlog: usize) -> Self {
        Self(broadcast::Sender::new(backlog))
    }

    /// Tells every client that something happened now, on `interface` or nowhere in particular.
    pub fn publish(&self, interface: Option<&str>, kind: EventKind) {
        // Most of the time nobody listens, and then an event costs nothing.
        if self.0.receiver_count() > 0 {
            // Fails when the last one has just left.
            let _ = self.0.send(line(interface, kind));
        }
    }

    /// Writes events to one client until it hangs up or says anything at all. It may take its time, as behind a pager
    /// somebody reads in.
    pub(super) async fn stream_to(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) {
        let mut events = self.0.subscribe();
        let mut next = line(None, EventKind::Connected {});
        let mut anything = [0];
        loop {
            if to.write_all(&next).await.is_err() {
                return;
            }
            next = tokio::select! {
                event = events.recv() => match event {
                    Ok(event) => event,
                    Err(RecvError::Lagged(events)) => line(None, EventKind::Missed { events }),
                    Err(RecvError::Closed) => return,
                },
                // The end, an error, or a second request, which has no place here.
                _ = from.read(&mut anything) => return,
            };
        }
    }
}

fn line(interface: Option<&str>, kind: EventKind) -> Bytes {
    let event = Event {
        time: timestamp::now(),
        interface: interface.map(str::to_owned),
        kind,
    };
    let line = answer::line(&Response::Event(event));
    line.expect("an event has only string keys").into()
}
