//! The edge's end: accepts devices, checks who they are, holds them to their limits, and hands their bytes on.

use super::{ALPN, TransportError, UNWELCOME, tls_error, transport};
use crate::pki::{Credentials, known_device, provider};
use bytes::Bytes;
use quinn::crypto::rustls::QuicServerConfig;
use quinn_proto::HashedConnectionIdGenerator;
use rustls::server::WebPkiClientVerifier;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// What comes from the network, or from the edge's own threads.
#[derive(Debug)]
pub enum Input {
    /// A device has connected; its certificate proves the name.
    Connected {
        /// Number of the connection.
        connection: u64,
        /// Proven name.
        name: String,
    },
    /// Control bytes, and the place that they take.
    Control(u64, Bytes, OwnedSemaphorePermit),
    /// A datagram, and the place that it takes.
    Datagram(u64, Bytes, OwnedSemaphorePermit),
    /// The line is broken.
    Gone(u64),
    /// A peer was turned away before its first byte.
    Refused(String),
    /// A verdict is ready.
    Wake,
}

/// Inputs of one connection that may wait in the queue. Nobody can take the room of the others.
pub const MOST_WAITING: usize = 256;

/// A queue of inputs with room for what `connections` connections may leave there.
pub fn inputs(connections: usize) -> (SyncSender<Input>, Receiver<Input>) {
    // Beside its bytes, a connection has a beginning and an end; workers have wakes.
    sync_channel(connections * (MOST_WAITING + 2) + 64)
}

/// Where and how to listen.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Address.
    pub address: SocketAddr,
    /// Folder with the list of devices.
    pub pki: PathBuf,
    /// Connections at a time.
    pub connections: usize,
    /// Bytes per second that one device may send, control and chunks together; a second's worth may come at once.
    pub bytes_per_s: u64,
}

/// Control bytes that may wait for a peer that does not read \[messages\].
const MOST_UNSENT: usize = 256;
/// Time for a handshake and the control stream.
const GREETING: Duration = Duration::from_secs(5);

type Writers = Arc<Mutex<HashMap<u64, (mpsc::Sender<Bytes>, quinn::Connection)>>>;

/// The lines to all devices, from the edge's side.
#[derive(Clone, Default)]
pub struct Lines {
    writers: Writers,
}

impl Lines {
    /// Send control bytes; false if the peer does not read, or is gone.
    pub fn send(&self, connection: u64, bytes: Vec<u8>) -> bool {
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = writers.get(&connection);
        writer.is_some_and(|(writer, _)| writer.try_send(bytes.into()).is_ok())
    }

    /// Close a line, after what was said is on its way.
    pub fn close(&self, connection: u64) {
        // Dropping the sender ends the writer, which finishes the stream first.
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.remove(&connection);
    }
}

/// A listening edge.
pub struct Server {
    runtime: tokio::runtime::Runtime,
    endpoint: quinn::Endpoint,
    /// The lines.
    pub lines: Lines,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Listen; what comes goes to `inputs`.
    pub fn listen(
        options: &ServerOptions,
        credentials: Credentials,
        inputs: SyncSender<Input>,
    ) -> Result<Self, TransportError> {
        let verifier = WebPkiClientVerifier::builder_with_provider(
            credentials.roots().map_err(tls_error)?,
            provider(),
        )
        .build()
        .map_err(tls_error)?;
        let stable = same_after_restart(&credentials);
        let mut tls = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls_error)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![credentials.certificate], credentials.key)
            .map_err(tls_error)?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let crypto = QuicServerConfig::try_from(tls).map_err(tls_error)?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(transport());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("enachi-net")
            .enable_all()
            .build()?;
        let inside = runtime.enter();
        let refused = |e: std::io::Error| TransportError::Listen {
            address: options.address,
            reason: e.to_string(),
        };
        let socket = std::net::UdpSocket::bind(options.address).map_err(refused)?;
        let runtime_of = quinn::default_runtime()
            .ok_or_else(|| std::io::Error::other("no runtime for the network"))?;
        let endpoint = quinn::Endpoint::new(stable, Some(config), socket, runtime_of)?;
        let address = endpoint.local_addr()?;
        let lines = Lines::default();
        let accept = accept(endpoint.clone(), options.clone(), lines.clone(), inputs);
        runtime.spawn(accept);
        drop(inside);
        Ok(Self {
            runtime,
            endpoint,
            lines,
            address,
        })
    }

    /// The runtime that serves the network; the live page runs there too.
    pub fn handle(&self) -> &tokio::runtime::Handle {
        self.runtime.handle()
    }

    /// Say goodbye and wait a moment for it to be heard.
    pub fn close(self) {
        let endpoint = self.endpoint;
        self.runtime.block_on(async {
            let quiet = Duration::from_millis(200);
            let _ = tokio::time::timeout(quiet, async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                endpoint.close(0u8.into(), b"closing");
                endpoint.wait_idle().await;
            })
            .await;
        });
        self.runtime.shutdown_timeout(Duration::from_millis(500));
    }
}

/// Connection numbers and reset tokens that another process with the same key makes again: an edge that was killed and has come back
/// tells devices at once that their lines are broken, in place of leaving them to wait until they are idle.
fn same_after_restart(credentials: &Credentials) -> quinn::EndpointConfig {
    let derive = |purpose: &[u8]| {
        let digest = Sha256::new().chain_update(purpose);
        digest.chain_update(credentials.key.secret_der()).finalize()
    };
    let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &derive(b"enachi reset tokens"));
    let numbers = derive(b"enachi connection numbers");
    let numbers = numbers
        .iter()
        .take(8)
        .fold(0u64, |all, byte| (all << 8) | u64::from(*byte));
    let mut config = quinn::EndpointConfig::new(Arc::new(reset));
    // Many devices notice in the same moment.
    config.min_reset_interval(Duration::from_millis(1));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(numbers)));
    config
}

async fn accept(
    endpoint: quinn::Endpoint,
    options: ServerOptions,
    lines: Lines,
    inputs: SyncSender<Input>,
) {
    let next = AtomicU64::new(0);
    let open = Arc::new(AtomicUsize::new(0));
    while let Some(incoming) = endpoint.accept().await {
        if open.load(Ordering::Relaxed) >= options.connections {
            incoming.refuse();
            continue;
        }
        // A peer must show that it can be reached before anything is kept for it.
        if !incoming.remote_address_validated()
            && open.load(Ordering::Relaxed) * 2 > options.connections
        {
            let _ = incoming.retry();
            continue;
        }
        let connection = next.fetch_add(1, Ordering::Relaxed);
        let (options, lines, inputs) = (options.clone(), lines.clone(), inputs.clone());
        open.fetch_add(1, Ordering::Relaxed);
        let open = Arc::clone(&open);
        tokio::spawn(async move {
            let told = serve(connection, incoming, &options, &lines, &inputs).await;
            lines.close(connection);
            match told {
                Ok(()) => hand_on(&inputs, Input::Gone(connection)).await,
                Err(reason) => hand_on(&inputs, Input::Refused(reason)).await,
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Wait for room in the queue: control must not be lost.
async fn hand_on(inputs: &SyncSender<Input>, mut input: Input) {
    loop {
        match inputs.try_send(input) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => return,
            Err(TrySendError::Full(back)) => input = back,
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn serve(
    number: u64,
    incoming: quinn::Incoming,
    options: &ServerOptions,
    lines: &Lines,
    inputs: &SyncSender<Input>,
) -> Result<(), String> {
    let greeting = async {
        let connection = incoming.await.map_err(|e| e.to_string())?;
        let name = identify(&connection, options)?;
        let stream = connection.accept_bi().await.map_err(|e| e.to_string())?;
        Ok::<_, String>((connection, name, stream))
    };
    let greeted = tokio::time::timeout(GREETING, greeting).await;
    let (connection, name, (mut send, mut receive)) =
        greeted.map_err(|_| "no greeting within 5 s".to_owned())??;
    let (writer, mut unsent) = mpsc::channel::<Bytes>(MOST_UNSENT);
    {
        let mut writers = lines.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.insert(number, (writer, connection.clone()));
    }
    hand_on(
        inputs,
        Input::Connected {
            connection: number,
            name,
        },
    )
    .await;
    let writing = async {
        while let Some(bytes) = unsent.recv().await {
            if send.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // The edge has closed the line: see that its last words arrive.
        let _ = send.finish();
        let _ = tokio::time::timeout(Duration::from_millis(500), send.stopped()).await;
    };
    let allowance = Mutex::new(Allowance::new(options.bytes_per_s));
    let places = Arc::new(Semaphore::new(MOST_WAITING));
    let control = async {
        while let Ok(Some(chunk)) = receive.read_chunk(4096, true).await {
            if !allow(&allowance, chunk.bytes.len()) {
                return;
            }
            // The peer waits while its share of the queue is full.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            hand_on(inputs, Input::Control(number, chunk.bytes, place)).await;
        }
    };
    let datagrams = async {
        while let Ok(bytes) = connection.read_datagram().await {
            if !allow(&allowance, bytes.len()) {
                return;
            }
            // A full share of the queue loses chunks, as a radio would.
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                continue;
            };
            if let Err(TrySendError::Disconnected(_)) =
                inputs.try_send(Input::Datagram(number, bytes, place))
            {
                return;
            }
        }
    };
    tokio::select! {
        () = writing => {}
        () = control => {}
        () = datagrams => {}
    }
    connection.close(0u8.into(), b"over");
    Ok(())
}

/// Name of the device behind a connection.
fn identify(connection: &quinn::Connection, options: &ServerOptions) -> Result<String, String> {
    let identity = connection.peer_identity().ok_or("no certificate")?;
    let chain = identity
        .downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>()
        .map_err(|_| "no certificate")?;
    let certificate = chain.first().ok_or("no certificate")?;
    let known = known_device(&options.pki, certificate).map_err(|e| e.to_string())?;
    known.ok_or_else(|| {
        connection.close(UNWELCOME.into(), b"the certificate is unknown or revoked");
        format!(
            "{}: unknown or revoked certificate",
            connection.remote_address()
        )
    })
}

fn allow(allowance: &Mutex<Allowance>, bytes: usize) -> bool {
    let mut allowance = allowance.lock().unwrap_or_else(PoisonError::into_inner);
    allowance.take(bytes, Instant::now())
}

/// Token bucket of one device.
struct Allowance {
    per_s: f64,
    left: f64,
    at: Instant,
}

impl Allowance {
    fn new(bytes_per_s: u64) -> Self {
        Self {
            per_s: bytes_per_s as f64,
            left: bytes_per_s as f64,
            at: Instant::now(),
        }
    }

    fn take(&mut self, bytes: usize, now: Instant) -> bool {
        let since = now.duration_since(self.at).as_secs_f64();
        self.at = now;
        // A datagram costs more than its bytes: small ones must not be free.
        let cost = bytes as f64 + 40.0;
        self.left = (self.left + since * self.per_s).min(self.per_s) - cost;
        self.left >= 0.0
    }
}
