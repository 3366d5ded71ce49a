//! What a link knows about a frame beside its bytes: checksum state and segmentation.

/// State of the TCP or UDP checksum of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReceivedChecksum {
    /// Nobody looked at it: the stack verifies.
    #[default]
    Unverified,
    /// The link vouches for the payload (`VIRTIO_NET_HDR_F_DATA_VALID`, or `F_NEEDS_CSUM`: a local sender that
    /// never computed it).
    Valid,
}

/// Metadata of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FrameMeta {
    /// Who has verified the transport checksum.
    pub checksum: ReceivedChecksum,
    /// Payload bytes of each segment that was merged into this super-frame; 0 when it is a single segment. Where there is no payload: how many
    /// acknowledgements this one stands for; 0 when it is alone.
    pub gso_size: u16,
}

/// State of the transport checksum of a frame to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentChecksum {
    /// The checksum field is final.
    Complete,
    /// The field holds the pseudo-header's sum; whoever sends adds the bytes from `start` on and stores the result
    /// at `start + offset` (both counted from the first byte of the IP header), as `VIRTIO_NET_HDR_F_NEEDS_CSUM` has it.
    Partial {
        /// First byte to sum: the transport header.
        start: u16,
        /// Position of the checksum field in the transport header: 16 for TCP, 6 for UDP.
        offset: u16,
    },
}
