//! The side that is connected to: who is let in, and how many may stand in the door.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::{HANDSHAKE_TIME, Maker, RefusedBy, Stream, is_from, listener};
use crate::io::backup::tls::Tls;

/// Handshakes that run at once. Those of the peer take milliseconds; when there are more, the oldest has to go, so that
/// whoever only occupies places keeps none.
const HANDSHAKES: usize = 64;
/// How long the door stays closed when there is no address to listen on, or no descriptor left.
const RETRY: Duration = Duration::from_secs(1);

type Handshake = Result<Box<dyn Stream>, (RefusedBy, String)>;

impl Maker {
    pub(super) async fn accept_for_ever(mut self) {
        let address = self.endpoints.listen;
        let mut is_told = false;
        while !self.incoming.is_closed() {
            match listener(address) {
                Ok(listener) => {
                    is_told = false;
                    self.accept_on(&listener).await;
                }
                Err(error) if !is_told => {
                    is_told = true;
                    warn!(
                        profile = self.endpoints.profile,
                        "cannot listen on {address}: {error}; trying again"
                    );
                }
                Err(_) => {}
            }
            sleep(RETRY).await;
        }
    }

    /// Returns when the socket is no longer good.
    async fn accept_on(&mut self, listener: &tokio::net::TcpListener) {
        let mut handshakes: JoinSet<Handshake> = JoinSet::new();
        let mut oldest: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            tokio::select! {
                Some(ended) = handshakes.join_next() => {
                    oldest.retain(|handshake| !handshake.is_finished());
                    match ended {
                        Ok(Ok(stream)) => self.hand_over(stream).await,
                        Ok(Err((reason, detail))) => self.refused(reason, detail).await,
                        // Aborted by us.
                        Err(_) => {}
                    }
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, from)) => {
                        if !is_from(&stream, self.endpoints.peer) {
                            self.refused(RefusedBy::Stranger, from.to_string()).await;
                            continue;
                        }
                        if handshakes.len() >= HANDSHAKES
                            && let Some(handshake) = oldest.pop_front()
                        {
                            handshake.abort();
                            self.refused(RefusedBy::Crowd, from.to_string()).await;
                        }
                        let handshake = shake_hands(stream, from, self.tls.clone());
                        oldest.push_back(handshakes.spawn(handshake));
                    }
                    Err(error) => {
                        warn!(profile = self.endpoints.profile, "cannot accept: {error}");
                        return;
                    }
                }
            }
        }
    }
}

async fn shake_hands(stream: TcpStream, from: SocketAddr, tls: Option<Tls>) -> Handshake {
    // Fails only on a socket that is closed already, which reading then tells.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return Ok(Box::new(stream));
    };
    match timeout(HANDSHAKE_TIME, tls.acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => Err((RefusedBy::Tls, format!("{from}: {error}"))),
        Err(_) => Err((RefusedBy::Handshake, from.to_string())),
    }
}
