//! The live page, its figures as JSON, and `/metrics` for Prometheus: three fixed answers to `GET`, and nothing else.

use crate::monitor::Monitor;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Longest request that is read \[byte\].
const MOST_REQUEST: usize = 4096;
/// Requests at a time.
const MOST_CLIENTS: usize = 32;
/// Time for a request.
const PATIENCE: Duration = Duration::from_secs(5);
/// The page.
const PAGE: &str = include_str!("page.html");

/// Listen on `address` and answer from `monitor` until the runtime ends. Returns where it listens.
pub async fn serve(
    address: SocketAddr,
    monitor: Arc<Mutex<Monitor>>,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let clients = Arc::new(Semaphore::new(MOST_CLIENTS));
        loop {
            let Ok(permit) = Arc::clone(&clients).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let monitor = Arc::clone(&monitor);
                    tokio::spawn(async move {
                        let _ = tokio::time::timeout(PATIENCE, answer(stream, &monitor)).await;
                        drop(permit);
                    });
                }
                // Out of file descriptors, say: wait for some to be free.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
    Ok(address)
}

async fn answer(mut stream: TcpStream, monitor: &Mutex<Monitor>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0u8; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut piece).await?;
        if count == 0 || request.len() + count > MOST_REQUEST {
            return Ok(());
        }
        request.extend_from_slice(&piece[..count]);
    }
    let line = request.split(|b| *b == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, path) = (words.next(), words.next());
    // The engine counts datagrams there: it waits for the copy, not for the text that is made of it.
    let copy = || {
        let monitor = monitor.lock().unwrap_or_else(PoisonError::into_inner);
        monitor.clone()
    };
    let (status, kind, body) = match (method, path) {
        (Some("GET"), Some("/")) => ("200 OK", "text/html; charset=utf-8", PAGE.to_owned()),
        (Some("GET"), Some("/state")) => {
            let body = serde_json::to_string(&copy()).unwrap_or_default();
            ("200 OK", "application/json", body)
        }
        (Some("GET"), Some("/metrics")) => {
            let body = copy().prometheus();
            ("200 OK", "text/plain; version=0.0.4", body)
        }
        (Some("GET"), _) => ("404 Not Found", "text/plain", "no such page\n".into()),
        _ => ("405 Method Not Allowed", "text/plain", "GET only\n".into()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}
