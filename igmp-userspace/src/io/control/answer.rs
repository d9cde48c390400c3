//! Writing an answer: row by row, so that the event loop runs between pieces and no answer is in memory twice.

use std::io;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time;

use crate::api::Response;

/// Bytes gathered before they are written.
const PIECE: usize = 64 * 1_024;

/// Writes `response` as one line of JSON. Each piece of it has `patience` to be taken by the client.
///
/// # Errors
///
/// The client is gone, or took longer than that.
pub(super) async fn write(
    client: &mut (impl AsyncWrite + Unpin),
    response: &Response,
    patience: Duration,
) -> io::Result<()> {
    match response {
        Response::Interfaces(rows) => write_rows(client, "interfaces", rows, patience).await,
        Response::Groups(rows) => write_rows(client, "groups", rows, patience).await,
        Response::Flows(rows) => write_rows(client, "flows", rows, patience).await,
        Response::Upstream(rows) => write_rows(client, "upstream", rows, patience).await,
        Response::Counters(rows) => write_rows(client, "counters", rows, patience).await,
        Response::Backup(rows) => write_rows(client, "backup", rows, patience).await,
        Response::Acl(rows) => write_rows(client, "acl", rows, patience).await,
        Response::Config(_)
        | Response::Reload(_)
        | Response::Event(_)
        | Response::Done(_)
        | Response::Error(_) => write_piece(client, &line(response)?, patience).await,
    }
}

/// `response` as one line of JSON.
pub(super) fn line(response: &Response) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    Ok(line)
}

/// `{"name":[row,row]}`, as serde would write the variant.
async fn write_rows<T: Serialize>(
    client: &mut (impl AsyncWrite + Unpin),
    name: &str,
    rows: &[T],
    patience: Duration,
) -> io::Result<()> {
    let mut piece = format!("{{\"{name}\":[").into_bytes();
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            piece.push(b',');
        }
        serde_json::to_writer(&mut piece, row)?;
        if piece.len() >= PIECE {
            write_piece(client, &piece, patience).await?;
            piece.clear();
            tokio::task::yield_now().await;
        }
    }
    piece.extend_from_slice(b"]}\n");
    write_piece(client, &piece, patience).await
}

async fn write_piece(
    client: &mut (impl AsyncWrite + Unpin),
    piece: &[u8],
    patience: Duration,
) -> io::Result<()> {
    time::timeout(patience, client.write_all(piece)).await?
}
