//! QUIC underneath: TLS 1.3 with certificates on both sides, control on one stream, chunks as datagrams.

mod client;
mod server;

pub use client::{FromEdge, Line, begin_to_connect, connect};
pub use server::{Input, Lines, MOST_WAITING, Server, ServerOptions, inputs};

use crate::pki::PkiError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Name of the protocol in the handshake.
const ALPN: &[u8] = b"enachi/1";
/// Application error code: the certificate is not, or no longer, that of a device.
const UNWELCOME: u8 = 1;
/// A line on which nothing comes for so long is broken.
const IDLE: Duration = Duration::from_secs(3);
/// How often a quiet line says that it is there.
const KEEP_ALIVE: Duration = Duration::from_millis(900);
/// Chunks that wait in the sender \[byte\]: few, so that a stop finds little to be late for.
const SEND_BUFFER_BYTES: usize = 32 << 10;
/// Chunks that wait in the receiver \[byte\].
const RECEIVE_BUFFER_BYTES: usize = 256 << 10;

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// TLS.
    #[error("TLS: {0}")]
    Tls(String),
    /// The address cannot be used.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// Address.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// No connection.
    #[error("no connection to {address}: {reason}")]
    Connect {
        /// Address.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// The edge does not want this device, and said so before the line stood.
    #[error("the edge turns this device away: {0}")]
    TurnedAway(String),
    /// The runtime underneath.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

fn tls_error(error: impl ToString) -> TransportError {
    TransportError::Tls(error.to_string())
}

fn transport() -> Arc<quinn::TransportConfig> {
    let mut config = quinn::TransportConfig::default();
    config
        .max_concurrent_bidi_streams(1u8.into())
        .max_concurrent_uni_streams(0u8.into())
        .datagram_send_buffer_size(SEND_BUFFER_BYTES)
        .datagram_receive_buffer_size(Some(RECEIVE_BUFFER_BYTES))
        .stream_receive_window((64u32 << 10).into())
        .receive_window((128u32 << 10).into())
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(IDLE.try_into().ok());
    Arc::new(config)
}
