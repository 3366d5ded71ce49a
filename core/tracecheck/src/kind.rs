//! What can be wrong in a capture: the kinds of violation, their names, and the rule that each breaks.

macro_rules! kinds {
    ($($(#[$about:meta])* $kind:ident $name:literal $rule:literal,)*) => {
        /// A kind of violation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[$about])* $kind,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// Its name, as the program prints and takes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// The rule in a sentence, with RFC and section.
            #[must_use]
            pub const fn rule(self) -> &'static str {
                match self { $(Self::$kind => $rule,)* }
            }
        }
    };
}

kinds! {
    /// A packet that cannot be read.
    Malformed "malformed" "headers are complete and their lengths agree (RFC 791 3.1, RFC 8200 3, RFC 9293 3.1)",
    /// The checksum of an IPv4 header.
    IpChecksum "ip-checksum" "an IPv4 header carries its checksum (RFC 791 3.1)",
    /// The checksum of a TCP segment.
    TcpChecksum "tcp-checksum" "the sender MUST generate the checksum (RFC 9293 3.1, MUST-2)",
    /// The checksum of a datagram.
    UdpChecksum "udp-checksum" "a UDP checksum is right, and never absent over IPv6 (RFC 768, RFC 8200 8.1)",
    /// The checksum of an ICMP message.
    IcmpChecksum "icmp-checksum" "an ICMP message carries its checksum (RFC 792, RFC 4443 2.3)",
    /// A TTL or hop limit of zero.
    ZeroTtl "zero-ttl" "a host MUST NOT send a datagram with a TTL of zero (RFC 1122 3.2.1.7)",
    /// TCP over IPv4 that routers may cut.
    MayFragment "may-fragment" "with path MTU discovery every TCP packet has DF set (RFC 1191 3)",
    /// An identification that comes again too soon.
    IdReused "id-reused" "the identification of what may be cut MUST NOT repeat within the datagram's lifetime (RFC 6864 4.3)",
    /// Another flow label in one connection.
    FlowLabelChanged "flow-label-changed" "the packets of a flow carry one flow label (RFC 6437 3)",
    /// Options that cannot be read.
    MalformedOptions "malformed-options" "options other than EOL and NOP have a length that fits (RFC 9293 3.1, MUST-68)",
    /// Flags that cannot stand together.
    Flags "flags" "ACK is set on everything behind the first SYN, and SYN is not joined by FIN or RST (RFC 9293 3.1, 3.10.7.4)",
    /// MSS, window scale or SACK-permitted on something else than a SYN.
    SynOnlyOption "syn-only-option" "MSS, window scale and SACK-permitted stand on SYNs only (RFC 9293 3.7.1, RFC 7323 2.2, RFC 2018 2)",
    /// A shift above 14.
    ScaleTooLarge "scale-too-large" "the shift of the window scale is at most 14 (RFC 7323 2.3)",
    /// Window scale in a SYN/ACK without one in the SYN.
    ScaleUnasked "scale-unasked" "a SYN/ACK has a window scale only if the SYN had one (RFC 7323 2.2)",
    /// Timestamps that were not agreed on.
    TimestampsUnasked "timestamps-unasked" "timestamps are sent only if the SYNs of both ends had them (RFC 7323 3.2)",
    /// A segment without the timestamps that were agreed on.
    TimestampsMissing "timestamps-missing" "once agreed on, timestamps MUST be in every segment but RST (RFC 7323 3.2)",
    /// A timestamp older than the one before it.
    TsvalBackwards "tsval-backwards" "the timestamp clock never goes back (RFC 7323 5.4)",
    /// An echoed timestamp where there is none to echo.
    TsecrWithoutAck "tsecr-without-ack" "TSecr is zero when ACK is not set (RFC 7323 3.2)",
    /// An echoed timestamp that the peer did not send.
    TsecrUnknown "tsecr-unknown" "TSecr echoes a TSval that the peer sent (RFC 7323 3.2)",
    /// SACK blocks that the peer did not permit.
    SackUnpermitted "sack-unpermitted" "SACK MUST NOT be sent unless the peer's SYN permitted it (RFC 2018 2)",
    /// A SACK block that is empty or inverted.
    SackInvalid "sack-invalid" "a SACK block has a left edge below its right edge (RFC 2018 3)",
    /// A SACK block for what is acknowledged already.
    SackBelowAck "sack-below-ack" "only the first SACK block may lie below the cumulative ACK (RFC 2018 4, RFC 2883 4)",
    /// A SACK block for what was not received.
    SackOfUnsent "sack-of-unsent" "a SACK block reports data that was received (RFC 2018 3)",
    /// An ACK for what was not received.
    AckOfUnsent "ack-of-unsent" "an ACK acknowledges what was received (RFC 9293 3.4)",
    /// An ACK number that went back.
    AckBackwards "ack-backwards" "RCV.NXT never goes back, and ACKs carry RCV.NXT (RFC 9293 3.4, 3.10.7.4)",
    /// Data that was not acknowledged in time.
    AckDelayed "ack-delayed" "the delay of an ACK MUST be less than 0.5 seconds (RFC 9293 3.8.6.3, MUST-40)",
    /// Too few ACKs.
    StretchAck "stretch-ack" "at least every second full-sized segment is acknowledged (RFC 9293 3.8.6.3, SHLD-19; RFC 2525 2.13)",
    /// A gap that the peer is not told of.
    OutOfOrderNotAcked "out-of-order-not-acked" "a segment out of order is acknowledged at once (RFC 5681 4.2)",
    /// A filled gap that the peer is not told of.
    GapFillNotAcked "gap-fill-not-acked" "a segment that fills a gap is acknowledged at once (RFC 5681 4.2)",
    /// A repeated segment that was not answered.
    DuplicateNotAcked "duplicate-not-acked" "an unacceptable segment is answered by an ACK (RFC 9293 3.10.7.4)",
    /// A window that was taken back.
    WindowShrunk "window-shrunk" "a receiver SHOULD NOT shrink the window (RFC 9293 3.8.6, SHLD-14)",
    /// Data beyond the window.
    BeyondWindow "beyond-window" "data goes into the offered window, but for one octet that probes it (RFC 9293 3.8.6, 3.8.6.1)",
    /// Data changed when it was sent again.
    DataChanged "data-changed" "a retransmission carries the same bytes (RFC 2525 2.4, RFC 9293 3.8.1)",
    /// Data behind the FIN.
    DataAfterFin "data-after-fin" "nothing is sent behind the FIN (RFC 9293 3.6)",
    /// A FIN at another sequence number.
    FinMoved "fin-moved" "the FIN keeps its sequence number (RFC 9293 3.4)",
    /// A segment longer than the peer takes.
    TooLarge "too-large" "data and options together stay within the peer's MSS (RFC 9293 3.7.1, RFC 2525 2.18)",
    /// Too much before the first ACK.
    InitialWindow "initial-window" "before the first ACK at most the initial window is sent (RFC 6928 2, RFC 2525 2.1 and 2.3)",
    /// A window that grew by more than was acknowledged.
    SlowStart "slow-start" "the congestion window grows by what is acknowledged at most (RFC 5681 3.1, RFC 2525 2.3)",
    /// A SYN that was sent again too soon.
    SynRtoTooLow "syn-rto-too-low" "the first retransmission time-out is at least one second (RFC 6298 2.1, RFC 2525 2.7)",
    /// A time-out that was not doubled.
    RtoNotBackedOff "rto-not-backed-off" "each expiry doubles the retransmission time-out (RFC 6298 5.5, RFC 2525 2.10)",
    /// More than one segment after a time-out.
    TimeoutBurst "timeout-burst" "after a time-out one segment is sent, and slow start begins (RFC 5681 3.1, RFC 2525 2.2 and 2.14)",
    /// Keep-alives that come too soon.
    KeepAliveTooSoon "keep-alive-too-soon" "keep-alives begin after two hours of silence, and are not sent in bursts (RFC 9293 3.8.4, MUST-28; RFC 2525 2.11)",
    /// An urgent pointer that points nowhere, or backwards.
    UrgentPointer "urgent-pointer" "the urgent pointer points behind the urgent data, and never back (RFC 9293 3.8.5, MUST-62)",
    /// ECT where the SYNs did not agree on it, or on a SYN.
    EctUnagreed "ect-unagreed" "ECT is set only if every SYN of both ends agreed on ECN, and on none of them (RFC 3168 6.1.1)",
    /// ECT on something else than new data.
    EctOnOld "ect-on-old" "ECT is set on new data only: not on ACKs, window probes, and what is sent again (RFC 3168 6.1.4 to 6.1.6)",
    /// CWR on something else than new data.
    CwrOnOld "cwr-on-old" "CWR is set on new data only (RFC 3168 6.1.2, 6.1.6)",
    /// ECE in a SYN/ACK that nobody asked for.
    EcnUnasked "ecn-unasked" "a SYN/ACK agrees on ECN only if the SYN asked for it (RFC 3168 6.1.1)",
    /// A mark that the peer is not told of.
    MarkNotEchoed "mark-not-echoed" "once a marked packet has come, every ACK has ECE until CWR comes (RFC 3168 6.1.3)",
    /// ECE without a mark.
    EchoUnmarked "echo-unmarked" "ECE tells of a marked packet that has come (RFC 3168 6.1.3)",
    /// Another initial sequence number for the same SYN or SYN/ACK.
    SynChanged "syn-changed" "a retransmitted SYN keeps its sequence number; that an active one is retransmitted is inferred from intervals that double (RFC 9293 3.4, 3.8.1)",
    /// An initial sequence number behind that of the connection before.
    IsnBackwards "isn-backwards" "the initial sequence number of a new incarnation is ahead of the old one's (RFC 6528 3, RFC 9293 3.4.1)",
    /// Initial sequence numbers that can be guessed.
    IsnPredictable "isn-predictable" "initial sequence numbers of different connections are not to be guessed from each other (RFC 6528 3, RFC 9293 3.4.1, SHLD-1)",
    /// A RST that its receiver has no reason to believe.
    ResetInvalid "reset-invalid" "a RST carries SEG.ACK, or zero and acknowledges, or what the peer expects (RFC 9293 3.5.2)",
    /// A RST in answer to a RST.
    ResetAnswered "reset-answered" "a RST is never sent in answer to a RST (RFC 9293 3.5.2)",
    /// Something sent on a connection that a RST has ended.
    AfterReset "after-reset" "after a RST the connection is closed (RFC 9293 3.5.3, 3.10.7.4)",
    /// A close with data that nobody has read, without a RST.
    UnreadAtClose "unread-at-close" "a close with data unread sends a RST; that it is a close is inferred: before the FIN the window is shut, and it stays so (RFC 9293 3.6.1, RFC 2525 2.17)",
    /// Data that is taken after a close, without a RST.
    DataAfterClose "data-after-close" "data that comes after a close is answered by a RST; that it is a close is inferred: behind the FIN data fills the window, and it stays so (RFC 1122 4.2.2.13, RFC 2525 2.16)",
    /// Two ends that only repeat ACKs to each other.
    AckLoop "ack-loop" "an ACK that says nothing new is not answered for ever (RFC 5961 7, RFC 9293 3.10.7.4)",
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
