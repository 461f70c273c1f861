//! What one device may ask of an edge.

/// Limits of one session. They hold whatever the peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tasks that are offered and not yet answered.
    pub outstanding_tasks: u32,
    /// Chunks of one stream.
    pub chunks: u32,
    /// Payload of one chunk \[byte\].
    pub chunk_bytes: u32,
    /// Chunks of one task of which some fragments, but not all, have arrived.
    pub partial_chunks: u32,
    /// Largest datagram \[byte\].
    pub datagram_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            outstanding_tasks: 4,
            chunks: 1 << 14,
            chunk_bytes: 1 << 20,
            partial_chunks: 2,
            datagram_bytes: 1500,
        }
    }
}

impl Limits {
    /// Most memory that the uploads of one session hold at a time \[byte\]: a bit per chunk and the unfinished chunks.
    pub fn memory_bytes(&self) -> u64 {
        let upload = u64::from(self.chunks) / 8
            + u64::from(self.partial_chunks) * u64::from(self.chunk_bytes) * 2;
        u64::from(self.outstanding_tasks) * upload
    }
}
