//! What a stack counts. Every packet that is dropped is counted under the name of its reason.

macro_rules! counters {
    (
        events { $($(#[doc = $event_doc:literal])* $event:ident,)* }
        drops { $($(#[doc = $drop_doc:literal])* $drop:ident => $name:ident,)* }
    ) => {
        /// Why a packet was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Drop { $($(#[doc = $drop_doc])* $drop,)* }

        impl Drop {
            /// Name of its counter.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$drop => stringify!($name),)* }
            }
        }

        /// Totals since the stack was opened.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[doc = $event_doc])* pub $event: u64,)*
            $($(#[doc = $drop_doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Counts one dropped packet.
            pub fn drop(&mut self, reason: Drop) {
                let counter = match reason { $(Drop::$drop => &mut self.$name,)* };
                *counter = counter.saturating_add(1);
            }

            /// How many packets were dropped for `reason`.
            #[must_use]
            pub const fn dropped(&self, reason: Drop) -> u64 {
                match reason { $(Drop::$drop => self.$name,)* }
            }

            /// Adds what another worker of the same stack has counted.
            pub fn add(&mut self, other: &Self) {
                $(self.$event = self.$event.saturating_add(other.$event);)*
                $(self.$name = self.$name.saturating_add(other.$name);)*
            }

            /// Every counter: name, value and one sentence.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64, &'static str)> {
                [
                    $((stringify!($event), self.$event, concat!($($event_doc),*).trim_ascii()),)*
                    $((stringify!($name), self.$name, concat!($($drop_doc),*).trim_ascii()),)*
                ].into_iter()
            }
        }
    };
}

counters! {
    events {
        /// Frames received from the link.
        frames_in,
        /// Bytes of frames received from the link.
        bytes_in,
        /// Frames handed to the link.
        frames_out,
        /// Bytes of frames handed to the link.
        bytes_out,
        /// Frames that the link refused for good.
        frames_out_failed,
        /// ICMP and ICMPv6 echo requests answered.
        echo_replies,
        /// ICMP and ICMPv6 errors about packets of ours that were believed.
        icmp_errors_in,
        /// Path MTUs learned from ICMP and ICMPv6 (RFC 1191, RFC 8201).
        path_mtus,
        /// Paths that were found to swallow segments, at a timeout (RFC 4821 7.7).
        tcp_black_holes,
        /// Probes of what a path carries (RFC 4821).
        tcp_mtu_probes,
        /// Those of them that were lost, and no router said why.
        tcp_mtu_probes_lost,
        /// Packets that came to another worker of the stack than the one that has their socket, or puts their fragments together, and were handed to it.
        packets_forwarded,
        /// Fragments received of packets that are to be put together.
        ip_fragments_in,
        /// Packets put together from fragments.
        ip_reassembled,
        /// ICMP and ICMPv6 errors sent.
        icmp_errors_out,
        /// ICMP and ICMPv6 errors that were not sent for their rate.
        icmp_errors_held,
        /// Answers that were not sent because no route leads back.
        ip_no_route,
        /// Answers that were not sent because too many wait for a link that takes none.
        replies_dropped,
        /// TCP segments received, a super-frame counted once.
        tcp_segments_in,
        /// TCP segments sent, each of a super-frame counted.
        tcp_segments_out,
        /// TCP segments sent again.
        tcp_retransmits,
        /// Retransmission timeouts.
        tcp_timeouts,
        /// Segments whose retransmissions reached R1 (RFC 9293 3.8.3): the peer or the way to it has a problem.
        tcp_delivery_problems,
        /// Fast retransmissions begun.
        tcp_fast_retransmits,
        /// Those of them that selective acknowledgements led to (RFC 6675).
        tcp_sack_recoveries,
        /// SACK blocks received that make no sense, or exceed what is kept of a connection.
        tcp_sack_ignored,
        /// D-SACK blocks received: the peer got something twice (RFC 2883).
        tcp_dsacks_in,
        /// Timeouts at which the peer had given up data that it had acknowledged selectively.
        tcp_sack_reneges,
        /// Reductions of the congestion window that were undone, having been for nothing (RFC 4015, 3708, 5682).
        tcp_undos,
        /// Packets with data that a router has marked instead of dropping them (ECN).
        tcp_ecn_marks,
        /// Reductions of the congestion window because the peer told of such marks.
        tcp_ecn_reductions,
        /// Of these, of retransmission timeouts that F-RTO found to be spurious (RFC 5682).
        tcp_spurious_timeouts,
        /// Tail loss probes sent (RFC 8985 section 7).
        tcp_tail_probes,
        /// Losses that only a tail loss probe told of.
        tcp_tail_losses,
        /// Connections opened by this side.
        tcp_active_opens,
        /// Connections opened by a peer.
        tcp_passive_opens,
        /// Connection attempts that failed.
        tcp_attempt_fails,
        /// Established connections that were reset by the peer.
        tcp_resets_in,
        /// RST segments sent.
        tcp_resets_out,
        /// Challenge ACKs sent (RFC 5961).
        tcp_challenge_acks,
        /// SYNs that offered a window scale above 14, which is taken for 14 (RFC 7323 2.3).
        tcp_scales_cut,
        /// SYNs answered with a cookie (RFC 4987), nothing being kept of them.
        tcp_syn_cookies_sent,
        /// SYN cookies that came back good.
        tcp_syn_cookies_received,
        /// ACKs to a listener that sends SYN cookies which were none.
        tcp_syn_cookies_failed,
        /// Challenge ACKs held back by their rate, of the connection or of the stack.
        tcp_challenge_acks_held,
        /// Connections reset when the program closed them, because there were too many that it had closed before.
        tcp_orphans_reset,
        /// SYNs that were kept for a program to decide about, each counted once.
        tcp_syns_paused,
        /// Those of them that programs accepted.
        tcp_syns_accepted,
        /// Those that programs refused, with RST.
        tcp_syns_refused,
        /// Those that programs dropped, or left undecided when they closed the interceptor.
        tcp_syns_dropped,
        /// Those that nobody decided about in time.
        tcp_syns_expired,
        /// Segments that arrived out of order and were kept.
        tcp_out_of_order,
        /// Bytes that had come before their turn and were dropped, because the stack held all that it may.
        tcp_pruned,
        /// Times that what the stack holds came to three quarters of what it may.
        memory_pressure,
        /// D-SACK blocks sent: what a segment brought had come before (RFC 2883).
        tcp_dsacks_out,
        /// Zero-window probes sent.
        tcp_probes,
        /// Keep-alive probes sent.
        tcp_keepalives,
        /// UDP datagrams queued for a socket.
        udp_datagrams_in,
        /// UDP datagrams sent.
        udp_datagrams_out,
        /// UDP datagrams taken that carried no checksum, as IPv4 allows.
        udp_without_checksum,
        /// UDP datagrams sent in fragments.
        udp_fragmented,
        /// UDP datagrams taken from the program that found no way out any more: their path had become too narrow, their address was gone, or they were for a group and allowed no hop.
        udp_unsent,
    }
    drops {
        /// Frame is shorter than its headers say.
        Truncated => drop_truncated,
        /// IP version is neither 4 nor 6.
        IpVersion => drop_ip_version,
        /// IPv4 header length below 20 bytes or beyond the packet.
        IpHeaderLength => drop_ip_header_length,
        /// IPv4 total length or IPv6 payload length disagrees with the frame.
        IpTotalLength => drop_ip_total_length,
        /// IPv4 header checksum is wrong.
        IpChecksum => drop_ip_checksum,
        /// IP options or extension headers are malformed.
        IpOptions => drop_ip_options,
        /// IPv6 option that is unknown and asks for the packet to be discarded (RFC 8200 4.2).
        IpOptionUnknown => drop_ip_option_unknown,
        /// Source address names a group: multicast, broadcast, or the broadcast address of a network of ours.
        IpSource => drop_ip_source,
        /// Source or destination that no link carries: 0/8, loopback, 240/4, ::, or IPv4 mapped into IPv6.
        IpMartian => drop_ip_martian,
        /// Source is an address of this stack (LAND).
        IpLand => drop_ip_land,
        /// Destination is a multicast group or a broadcast address, which nobody here listens to.
        IpGroup => drop_ip_group,
        /// Destination is not an address of this stack.
        IpNotOurs => drop_ip_not_ours,
        /// Source-routed packet (RFC 5095, RFC 6274).
        IpSourceRoute => drop_ip_source_route,
        /// Connection request from where no route leads back to.
        IpNoRoute => drop_ip_no_route,
        /// Fragment of a packet, where only whole packets are taken.
        IpFragment => drop_ip_fragment,
        /// Fragment whose length or place cannot be: empty, not of whole eights, beyond 65535 bytes or the end of its packet.
        FragmentLength => drop_fragment_length,
        /// First fragment without the whole transport header, or one that could overwrite it (RFC 1858, RFC 7112).
        FragmentTiny => drop_fragment_tiny,
        /// Fragment that overlaps another: its packet is discarded (RFC 5722).
        FragmentOverlap => drop_fragment_overlap,
        /// Packet whose fragments disagree on ECN (RFC 3168 5.3).
        FragmentEcn => drop_fragment_ecn,
        /// Packet in too many fragments, or that made room for newer ones.
        FragmentLimit => drop_fragment_limit,
        /// Packet whose fragments did not all come in time.
        FragmentTimeout => drop_fragment_timeout,
        /// Protocol above IP that the stack does not speak.
        IpProtocol => drop_ip_protocol,
        /// ICMP or ICMPv6 message is malformed.
        IcmpMalformed => drop_icmp_malformed,
        /// ICMP or ICMPv6 checksum is wrong.
        IcmpChecksum => drop_icmp_checksum,
        /// ICMP or ICMPv6 type that the stack does not act on.
        IcmpIgnored => drop_icmp_ignored,
        /// ICMP error that quotes no packet of this stack, or too little of it.
        IcmpQuote => drop_icmp_quote,
        /// ICMP error about a packet of no socket.
        IcmpNoSocket => drop_icmp_no_socket,
        /// ICMP error about a segment that is not in flight (RFC 5927 section 4.1).
        IcmpStale => drop_icmp_stale,
        /// Path MTU that cannot be: not below the packet's length or the link's MTU, below the least of IPv6, or for a socket that does not ask.
        IcmpMtu => drop_icmp_mtu,
        /// ICMP message over the rate limit.
        IcmpRate => drop_icmp_rate,
        /// TCP header length below 20 bytes or beyond the segment.
        TcpHeaderLength => drop_tcp_header_length,
        /// TCP checksum is wrong.
        TcpChecksum => drop_tcp_checksum,
        /// TCP port is zero.
        TcpPort => drop_tcp_port,
        /// TCP flags that no state allows, such as SYN with RST.
        TcpFlags => drop_tcp_flags,
        /// No connection and no listener for the segment; a RST answers unless it was one.
        TcpNoSocket => drop_tcp_no_socket,
        /// Segment outside the receive window.
        TcpWindow => drop_tcp_window,
        /// Segment without ACK in a synchronized state.
        TcpNoAck => drop_tcp_no_ack,
        /// Acknowledgement of data never sent.
        TcpAckUnsent => drop_tcp_ack_unsent,
        /// Acknowledgement older than the window allows (RFC 5961 section 5).
        TcpAckOld => drop_tcp_ack_old,
        /// RST that is not exactly at RCV.NXT (RFC 5961 section 3).
        TcpRst => drop_tcp_rst,
        /// SYN in a synchronized state (RFC 5961 section 4).
        TcpSyn => drop_tcp_syn,
        /// Timestamp older than TS.Recent (PAWS, RFC 7323 section 5).
        TcpPaws => drop_tcp_paws,
        /// Timestamp missing on a connection that negotiated it (RFC 7323 3.2).
        TcpNoTimestamp => drop_tcp_no_timestamp,
        /// Out-of-order queue is full.
        TcpReassembly => drop_tcp_reassembly,
        /// Data for a program that has some to read, or before its turn, while the stack holds all that it may.
        TcpMemory => drop_tcp_memory,
        /// Data after the connection was closed by this side.
        TcpClosed => drop_tcp_closed,
        /// SYN queue of the listener is full.
        TcpSynQueue => drop_tcp_syn_queue,
        /// Interceptor has as many undecided SYNs as it may keep.
        TcpInterceptQueue => drop_tcp_intercept_queue,
        /// Accept queue of the listener is full.
        TcpAcceptQueue => drop_tcp_accept_queue,
        /// Last ACK of a handshake without data, on a listener with TCP_DEFER_ACCEPT.
        TcpDeferAccept => drop_tcp_defer_accept,
        /// UDP length below 8 bytes or beyond the packet.
        UdpLength => drop_udp_length,
        /// UDP checksum is wrong.
        UdpChecksum => drop_udp_checksum,
        /// UDP datagram over IPv6 without a checksum (RFC 8200 8.1).
        UdpNoChecksum => drop_udp_no_checksum,
        /// No socket for the UDP datagram; an ICMP error answers.
        UdpNoSocket => drop_udp_no_socket,
        /// Receive buffer of the UDP socket is full.
        UdpQueue => drop_udp_queue,
        /// Packet for another worker of the stack, which has too many of those waiting.
        WorkerQueue => drop_worker_queue,
        /// Stack has as many sockets as its configuration allows.
        Sockets => drop_sockets,
    }
}
