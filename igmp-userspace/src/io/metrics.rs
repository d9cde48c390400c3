//! `/metrics` for Prometheus and `/healthz` for whoever watches over processes.
//!
//! The event loop owns all state and is asked as igmpctl asks it; a scrape that comes while it is busy waits. Whoever
//! connects costs a task for a few seconds at most, and there are only so many.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::control::Asker;
use crate::api;

mod exposition;
#[cfg(test)]
mod tests;

/// Connections at a time; a scraper needs one.
const CLIENTS: usize = 16;
/// A connection carries one request and its answer within this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// An event loop that does not answer for so long is not healthy.
const HEALTHY: Duration = Duration::from_secs(2);
/// How long to leave the listener alone when it cannot accept, which is when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What prometheus-client writes (OpenMetrics 1.0).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("metrics on {address}: {error}; choose another with --metrics or `metrics` in [daemon]")]
pub struct BindError {
    address: SocketAddr,
    error: io::Error,
}

/// The listening server. Dropping it closes the listener; answers on their way are still given.
#[derive(Debug)]
pub struct MetricsServer {
    acceptor: JoinHandle<()>,
    #[cfg(test)]
    address: SocketAddr,
}

impl MetricsServer {
    /// Listens on `address`.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub async fn bind(address: SocketAddr, asker: Asker) -> Result<Self, BindError> {
        let failed = |error| BindError { address, error };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        info!("metrics on http://{address}/metrics");
        Ok(Self {
            acceptor: tokio::spawn(accept(listener, asker)),
            #[cfg(test)]
            address,
        })
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, asker: Asker) {
    let permits = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!("metrics: cannot accept: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Whoever comes when all are taken is turned away.
        if let Ok(permit) = permits.clone().try_acquire_owned() {
            let asker = asker.clone();
            tokio::spawn(async move {
                serve(stream, asker).await;
                drop(permit);
            });
        }
    }
}

async fn serve(stream: TcpStream, asker: Asker) {
    let answer = service_fn(|request| {
        let asker = &asker;
        async move { Ok::<_, Infallible>(answer(&request, asker).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    // A client that breaks off, or says what is no HTTP, is no concern.
    let _ = timeout(PATIENCE, connection).await;
}

async fn answer<B>(request: &Request<B>, asker: &Asker) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET only\n");
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match request.uri().path() {
        "/metrics" => match scrape(asker).await {
            Some(metrics) => text(StatusCode::OK, OPEN_METRICS, metrics),
            None => text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, "igmpd is ending\n"),
        },
        "/healthz" => {
            let question = asker.ask(api::Request::ShowBackup {});
            match timeout(HEALTHY, question).await {
                Ok(Some(_)) => text(StatusCode::OK, PLAIN, "ok\n"),
                Ok(None) | Err(_) => text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    PLAIN,
                    "the event loop does not answer\n",
                ),
            }
        }
        _ => text(
            StatusCode::NOT_FOUND,
            PLAIN,
            "there are /metrics and /healthz\n",
        ),
    }
}

async fn scrape(asker: &Asker) -> Option<String> {
    let questions = [
        api::Request::ShowInterfaces {},
        api::Request::ShowCounters { interface: None },
        api::Request::ShowBackup {},
    ];
    let (mut interfaces, mut counters, mut profiles) = (Vec::new(), Vec::new(), Vec::new());
    for question in questions {
        match asker.ask(question).await? {
            api::Response::Interfaces(rows) => interfaces = rows,
            api::Response::Counters(rows) => counters = rows,
            api::Response::Backup(rows) => profiles = rows,
            _ => return None,
        }
    }
    Some(exposition::render(&interfaces, &counters, &profiles))
}

fn text(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
