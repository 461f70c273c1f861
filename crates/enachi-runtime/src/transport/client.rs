//! The device's end: one connection, chunks sent straight from the slot loop's thread.

use super::{ALPN, TransportError, UNWELCOME, tls_error, transport};
use crate::device::Path;
use crate::pki::{Credentials, EDGE_NAME, provider};
use bytes::{Bytes, BytesMut};
use quinn::ConnectionError;
use quinn::crypto::rustls::QuicClientConfig;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio::sync::mpsc;

/// What comes from the edge.
#[derive(Debug)]
pub enum FromEdge {
    /// Control bytes.
    Control(Bytes),
    /// The line is broken, and why.
    Gone(String),
    /// The edge does not want this device: its certificate is unknown, revoked or expired.
    TurnedAway(String),
}

/// What the end of a connection means: TLS alerts about certificates, and [`UNWELCOME`], are for good.
fn ended(error: &ConnectionError) -> FromEdge {
    let reason = match error {
        ConnectionError::ConnectionClosed(close) => alert(u64::from(close.error_code)),
        ConnectionError::ApplicationClosed(close) if close.error_code == UNWELCOME.into() => {
            Some(String::from_utf8_lossy(&close.reason).into_owned())
        }
        _ => None,
    };
    reason.map_or_else(|| FromEdge::Gone(error.to_string()), FromEdge::TurnedAway)
}

/// Alerts of TLS (RFC 8446, 6) about this side's certificate, as QUIC carries them (RFC 9001, 4.8).
fn alert(code: u64) -> Option<String> {
    let reason = match code.checked_sub(0x100)? {
        42 => "cannot be read",
        43 => "is of a kind that it does not take",
        44 => "was revoked",
        45 => "has expired",
        46 => "is not acceptable",
        // Unknown by name, or known by name and signed with another key.
        48 | 51 => "comes from an authority that it does not know",
        116 => "is missing",
        _ => return None,
    };
    Some(format!("the certificate {reason}"))
}

/// Bytes of datagrams that are allocated together.
const ROOM_BYTES: usize = 1 << 16;

/// A line to the edge.
pub struct Line {
    connection: quinn::Connection,
    control: mpsc::UnboundedSender<Vec<u8>>,
    /// Room for datagrams to come.
    room: BytesMut,
    /// What comes.
    pub inputs: Receiver<FromEdge>,
}

impl Line {
    /// Send control bytes. Never waits.
    pub fn control(&self, bytes: Vec<u8>) {
        // A broken line shows in `inputs`.
        let _ = self.control.send(bytes);
    }

    /// Send a datagram; `false`: it could not be, and is lost. Never waits. Where there is no room this one is lost: QUIC's own way, to make
    /// room by dropping the oldest, would cost the most important chunks, which go first.
    pub fn datagram(&mut self, bytes: &[u8]) -> bool {
        if self.connection.datagram_send_buffer_space() < bytes.len() {
            return false;
        }
        // Many datagrams share an allocation, which is used again once all of them have left.
        if self.room.capacity() < bytes.len() {
            self.room.reserve(ROOM_BYTES.max(bytes.len()));
        }
        self.room.extend_from_slice(bytes);
        self.connection
            .send_datagram(self.room.split().freeze())
            .is_ok()
    }

    /// Largest datagram \[byte\].
    pub fn datagram_bytes(&self) -> usize {
        self.connection.max_datagram_size().unwrap_or(0)
    }

    /// What is known of the path to the edge.
    pub fn path(&self) -> Path {
        let path = self.connection.stats().path;
        Path {
            rtt: path.rtt,
            window_bytes: path.cwnd,
        }
    }

    /// Close the line.
    pub fn close(&self) {
        self.connection.close(0u8.into(), b"bye");
    }
}

/// Connect to the edge at `address`, within `patience`. The line lives on `runtime`.
pub fn connect(
    runtime: &tokio::runtime::Handle,
    address: SocketAddr,
    credentials: &Credentials,
    patience: Duration,
) -> Result<Line, TransportError> {
    let config = config(credentials)?;
    runtime.block_on(open(address, config, patience))
}

/// Like [`connect`], without waiting: what comes of it is the one thing that the channel brings.
pub fn begin_to_connect(
    runtime: &tokio::runtime::Handle,
    address: SocketAddr,
    credentials: &Credentials,
    patience: Duration,
) -> Result<Receiver<Result<Line, TransportError>>, TransportError> {
    let config = config(credentials)?;
    let (done, outcome) = channel();
    runtime.spawn(async move {
        // Nobody may want the line any more; it closes as it is dropped.
        let _ = done.send(open(address, config, patience).await);
    });
    Ok(outcome)
}

fn config(credentials: &Credentials) -> Result<quinn::ClientConfig, TransportError> {
    let mut tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(tls_error)?
        .with_root_certificates(credentials.roots().map_err(tls_error)?)
        .with_client_auth_cert(
            vec![credentials.certificate.clone()],
            credentials.key.clone_key(),
        )
        .map_err(tls_error)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = QuicClientConfig::try_from(tls).map_err(tls_error)?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport());
    Ok(config)
}

async fn open(
    address: SocketAddr,
    config: quinn::ClientConfig,
    patience: Duration,
) -> Result<Line, TransportError> {
    let failed = |reason: String| TransportError::Connect { address, reason };
    // The edge's word about the certificate comes before the line stands or after it, as the packets fall.
    let broken = |error: ConnectionError| match ended(&error) {
        FromEdge::TurnedAway(reason) => TransportError::TurnedAway(reason),
        _ => failed(error.to_string()),
    };
    let local: SocketAddr = if address.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let mut endpoint = quinn::Endpoint::client(local)?;
    endpoint.set_default_client_config(config);
    let connecting = endpoint
        .connect(address, EDGE_NAME)
        .map_err(|e| failed(e.to_string()))?;
    let opening = async {
        let connection = connecting.await.map_err(broken)?;
        let stream = connection.open_bi().await.map_err(broken)?;
        Ok((connection, stream))
    };
    let opened = tokio::time::timeout(patience, opening).await;
    let opened = opened.unwrap_or_else(|_| {
        let seconds = patience.as_secs_f64();
        Err(failed(format!("no answer within {seconds} s")))
    });
    let (connection, (mut send, mut receive)) = opened?;
    let (control, mut unsent) = mpsc::unbounded_channel::<Vec<u8>>();
    let (to_device, inputs): (Sender<FromEdge>, _) = channel();
    let closed = connection.clone();
    tokio::spawn(async move {
        // The endpoint must live as long as the line.
        let _endpoint = endpoint;
        let writing = async {
            while let Some(bytes) = unsent.recv().await {
                if send.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            let _ = send.finish();
            let _ = tokio::time::timeout(Duration::from_millis(200), send.stopped()).await;
        };
        let reading = async {
            while let Ok(Some(chunk)) = receive.read_chunk(4096, true).await {
                if to_device.send(FromEdge::Control(chunk.bytes)).is_err() {
                    return;
                }
            }
        };
        let broken = closed.closed();
        let why = tokio::select! {
            () = writing => "closed".to_owned(),
            () = reading => "the edge closed the stream".to_owned(),
            reason = broken => return drop(to_device.send(ended(&reason))),
        };
        // The connection's own reason says more than its stream's.
        let told = closed
            .close_reason()
            .map_or(FromEdge::Gone(why), |reason| ended(&reason));
        let _ = to_device.send(told);
        closed.close(0u8.into(), b"bye");
    });
    Ok(Line {
        connection,
        control,
        room: BytesMut::new(),
        inputs,
    })
}
