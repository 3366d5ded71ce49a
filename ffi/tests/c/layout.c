/* What a compiled program relies on: sizes, offsets and numbers never change, structs grow at their end only. */
#include "check.h"

#include <poll.h>
#include <stddef.h>

static void structs_are_laid_out_for_good(void) {
  if (sizeof(void *) != 8) return;
  EQUAL(sizeof(usertcp_stack_t), 8);
  EQUAL(sizeof(usertcp_socket_t), 8);
  EQUAL(sizeof(usertcp_sandbox_t), 8);
  EQUAL(sizeof(usertcp_child_t), 8);
  EQUAL(sizeof(usertcp_pollset_t), 8);

  EQUAL(sizeof(usertcp_config_t), 192);
  EQUAL(offsetof(usertcp_config_t, size), 0);
  EQUAL(offsetof(usertcp_config_t, flags), 4);
  EQUAL(offsetof(usertcp_config_t, device), 8);
  EQUAL(offsetof(usertcp_config_t, fd), 16);
  EQUAL(offsetof(usertcp_config_t, mtu), 20);
  EQUAL(offsetof(usertcp_config_t, addresses), 24);
  EQUAL(offsetof(usertcp_config_t, host_addresses), 32);
  EQUAL(offsetof(usertcp_config_t, seed), 40);
  EQUAL(offsetof(usertcp_config_t, pcap), 48);
  EQUAL(offsetof(usertcp_config_t, offload), 56);
  EQUAL(offsetof(usertcp_config_t, log_level), 60);
  EQUAL(offsetof(usertcp_config_t, log), 64);
  EQUAL(offsetof(usertcp_config_t, log_context), 72);
  EQUAL(offsetof(usertcp_config_t, impairment), 80);
  EQUAL(offsetof(usertcp_config_t, routes), 88);
  EQUAL(offsetof(usertcp_config_t, personality), 96);
  EQUAL(offsetof(usertcp_config_t, impairment_in), 104);
  EQUAL(offsetof(usertcp_config_t, trace), 112);
  EQUAL(offsetof(usertcp_config_t, spin_us), 120);
  EQUAL(offsetof(usertcp_config_t, workers), 124);
  EQUAL(offsetof(usertcp_config_t, queues), 128);
  EQUAL(offsetof(usertcp_config_t, control_path), 136);
  EQUAL(offsetof(usertcp_config_t, pcap_ring), 144);
  EQUAL(offsetof(usertcp_config_t, nameservers), 152);
  EQUAL(offsetof(usertcp_config_t, search), 160);
  EQUAL(offsetof(usertcp_config_t, hosts), 168);
  EQUAL(offsetof(usertcp_config_t, ndots), 176);
  EQUAL(offsetof(usertcp_config_t, names_timeout_ms), 180);
  EQUAL(offsetof(usertcp_config_t, names_attempts), 184);
  EQUAL(offsetof(usertcp_config_t, connect_delay_ms), 188);

  EQUAL(sizeof(usertcp_impairment_t), 152);
  EQUAL(offsetof(usertcp_impairment_t, size), 0);
  EQUAL(offsetof(usertcp_impairment_t, queue), 4);
  EQUAL(offsetof(usertcp_impairment_t, rate), 8);
  EQUAL(offsetof(usertcp_impairment_t, delay_us), 16);
  EQUAL(offsetof(usertcp_impairment_t, jitter_us), 24);
  EQUAL(offsetof(usertcp_impairment_t, reorder_delay_us), 32);
  EQUAL(offsetof(usertcp_impairment_t, loss), 40);
  EQUAL(offsetof(usertcp_impairment_t, duplicate), 48);
  EQUAL(offsetof(usertcp_impairment_t, reorder), 56);
  EQUAL(offsetof(usertcp_impairment_t, corrupt), 64);
  EQUAL(offsetof(usertcp_impairment_t, reorder_jitter_us), 72);
  EQUAL(offsetof(usertcp_impairment_t, queue_bytes), 80);
  EQUAL(offsetof(usertcp_impairment_t, burst_enter), 88);
  EQUAL(offsetof(usertcp_impairment_t, burst_leave), 96);
  EQUAL(offsetof(usertcp_impairment_t, burst_loss), 104);
  EQUAL(offsetof(usertcp_impairment_t, police_rate), 112);
  EQUAL(offsetof(usertcp_impairment_t, police_burst), 120);
  EQUAL(offsetof(usertcp_impairment_t, memory), 128);
  EQUAL(offsetof(usertcp_impairment_t, mtu), 136);
  EQUAL(offsetof(usertcp_impairment_t, mtu_told), 140);
  EQUAL(offsetof(usertcp_impairment_t, mark), 144);

  EQUAL(sizeof(usertcp_syn_t), 8);
  EQUAL(sizeof(usertcp_intercept_config_t), 24);
  EQUAL(offsetof(usertcp_intercept_config_t, size), 0);
  EQUAL(offsetof(usertcp_intercept_config_t, queue), 4);
  EQUAL(offsetof(usertcp_intercept_config_t, prefix), 8);
  EQUAL(offsetof(usertcp_intercept_config_t, first_port), 16);
  EQUAL(offsetof(usertcp_intercept_config_t, last_port), 18);
  EQUAL(offsetof(usertcp_intercept_config_t, timeout_ms), 20);
  EQUAL(sizeof(usertcp_syn_info_t), 280);
  EQUAL(offsetof(usertcp_syn_info_t, size), 0);
  EQUAL(offsetof(usertcp_syn_info_t, flags), 4);
  EQUAL(offsetof(usertcp_syn_info_t, mss), 8);
  EQUAL(offsetof(usertcp_syn_info_t, age_ms), 12);
  EQUAL(offsetof(usertcp_syn_info_t, local_length), 16);
  EQUAL(offsetof(usertcp_syn_info_t, peer_length), 20);
  EQUAL(offsetof(usertcp_syn_info_t, local), 24);
  EQUAL(offsetof(usertcp_syn_info_t, peer), 152);

  EQUAL(sizeof(usertcp_pollfd_t), 16);
  EQUAL(offsetof(usertcp_pollfd_t, socket), 0);
  EQUAL(offsetof(usertcp_pollfd_t, events), 8);
  EQUAL(offsetof(usertcp_pollfd_t, revents), 12);
  EQUAL(sizeof(usertcp_event_t), 16);
  EQUAL(offsetof(usertcp_event_t, events), 0);
  EQUAL(offsetof(usertcp_event_t, reserved), 4);
  EQUAL(offsetof(usertcp_event_t, data), 8);

  EQUAL(sizeof(usertcp_socket_info_t), 624);
  EQUAL(offsetof(usertcp_socket_info_t, size), 0);
  EQUAL(offsetof(usertcp_socket_info_t, kind), 4);
  EQUAL(offsetof(usertcp_socket_info_t, state), 8);
  EQUAL(offsetof(usertcp_socket_info_t, held), 12);
  EQUAL(offsetof(usertcp_socket_info_t, receive_queue), 16);
  EQUAL(offsetof(usertcp_socket_info_t, send_queue), 24);
  EQUAL(offsetof(usertcp_socket_info_t, local), 32);
  EQUAL(offsetof(usertcp_socket_info_t, remote), 160);
  EQUAL(offsetof(usertcp_socket_info_t, congestion), 288);
  EQUAL(offsetof(usertcp_socket_info_t, reserved), 304);
  EQUAL(offsetof(usertcp_socket_info_t, info), 336);

  EQUAL(sizeof(usertcp_tcp_info_t), 288);
  EQUAL(offsetof(usertcp_tcp_info_t, size), 0);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_state), 4);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_ca_state), 5);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_retransmits), 6);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_probes), 7);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_backoff), 8);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_options), 9);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_snd_wscale), 10);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_rcv_wscale), 11);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_rto), 12);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_ato), 16);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_snd_mss), 20);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_rcv_mss), 24);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_unacked), 28);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_sacked), 32);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_lost), 36);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_retrans), 40);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_last_data_sent), 44);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_last_data_recv), 48);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_last_ack_recv), 52);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_pmtu), 56);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_rcv_ssthresh), 60);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_rtt), 64);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_rttvar), 68);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_snd_ssthresh), 72);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_snd_cwnd), 76);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_advmss), 80);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_reordering), 84);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_rcv_space), 88);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_total_retrans), 92);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_bytes_acked), 96);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_bytes_received), 104);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_bytes_sent), 112);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_bytes_retrans), 120);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_segs_out), 128);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_segs_in), 132);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_data_segs_in), 136);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_data_segs_out), 140);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_notsent_bytes), 144);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_min_rtt), 148);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_snd_wnd), 152);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_rcv_wnd), 156);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_rcv_ooopack), 160);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_dsack_dups), 164);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_pacing_rate), 168);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_max_pacing_rate), 176);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_delivery_rate), 184);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_busy_time), 192);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_rwnd_limited), 200);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_sndbuf_limited), 208);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_delivered), 216);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_delivered_ce), 220);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_reord_seen), 224);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_rcv_rtt), 228);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_fackets), 232);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_last_ack_sent), 236);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_rehash), 240);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_total_rto_time), 244);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_total_rto), 248);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_total_rto_recoveries), 250);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_delivery_rate_app_limited), 252);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_reserved), 253);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_received_ce), 256);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_delivered_e1_bytes), 260);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_delivered_e0_bytes), 264);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_delivered_ce_bytes), 268);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_received_e1_bytes), 272);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_received_e0_bytes), 276);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_received_ce_bytes), 280);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_accecn_fail_mode), 284);
  EQUAL(offsetof(usertcp_tcp_info_t, tcpi_accecn_opt_seen), 286);

  EQUAL(sizeof(usertcp_end_reason_t), 40);
  EQUAL(offsetof(usertcp_end_reason_t, size), 0);
  EQUAL(offsetof(usertcp_end_reason_t, kind), 4);
  EQUAL(offsetof(usertcp_end_reason_t, error), 8);
  EQUAL(offsetof(usertcp_end_reason_t, rst_seq), 12);
  EQUAL(offsetof(usertcp_end_reason_t, icmp_family), 16);
  EQUAL(offsetof(usertcp_end_reason_t, icmp_type), 20);
  EQUAL(offsetof(usertcp_end_reason_t, icmp_code), 21);
  EQUAL(offsetof(usertcp_end_reason_t, reserved), 22);
  EQUAL(offsetof(usertcp_end_reason_t, icmp_from), 24);

  EQUAL(sizeof(usertcp_sandbox_config_t), 32);
  EQUAL(offsetof(usertcp_sandbox_config_t, size), 0);
  EQUAL(offsetof(usertcp_sandbox_config_t, mtu), 4);
  EQUAL(offsetof(usertcp_sandbox_config_t, host_addresses), 8);
  EQUAL(offsetof(usertcp_sandbox_config_t, offload), 16);
  EQUAL(offsetof(usertcp_sandbox_config_t, flags), 20);
  EQUAL(offsetof(usertcp_sandbox_config_t, queues), 24);
  EQUAL(offsetof(usertcp_sandbox_config_t, reserved), 28);
}

static void initializers_set_the_size_and_nothing_surprising(void) {
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_impairment_t impairment = USERTCP_IMPAIRMENT_INIT;
  usertcp_intercept_config_t intercept = USERTCP_INTERCEPT_CONFIG_INIT;
  usertcp_syn_info_t syn = USERTCP_SYN_INFO_INIT;
  usertcp_tcp_info_t info = USERTCP_TCP_INFO_INIT;
  usertcp_socket_info_t row = USERTCP_SOCKET_INFO_INIT;
  usertcp_end_reason_t reason = USERTCP_END_REASON_INIT;
  usertcp_sandbox_config_t sandbox = USERTCP_SANDBOX_CONFIG_INIT;
  EQUAL(config.size, sizeof config);
  EQUAL(config.fd, -1);
  CHECK(config.device == NULL && config.addresses == NULL && config.impairment == NULL && config.log == NULL);
  EQUAL(impairment.size, sizeof impairment);
  CHECK(impairment.loss == 0.0 && impairment.corrupt == 0.0 && impairment.rate == 0);
  EQUAL(intercept.size, sizeof intercept);
  EQUAL(syn.size, sizeof syn);
  EQUAL(info.size, sizeof info);
  EQUAL(row.size, sizeof row);
  EQUAL(row.info.size, sizeof row.info);
  EQUAL(reason.size, sizeof reason);
  EQUAL(sandbox.size, sizeof sandbox);
}

static void numbers_are_those_of_the_system(void) {
  EQUAL(USERTCP_POLLIN, POLLIN);
  EQUAL(USERTCP_POLLOUT, POLLOUT);
  EQUAL(USERTCP_POLLERR, POLLERR);
  EQUAL(USERTCP_POLLHUP, POLLHUP);
  EQUAL(USERTCP_POLLNVAL, POLLNVAL);
  EQUAL(USERTCP_POLLRDHUP, POLLRDHUP);
}

static void versions_agree(void) {
  char text[32];
  snprintf(text, sizeof text, "%d.%d.%d", USERTCP_VERSION_MAJOR, USERTCP_VERSION_MINOR, USERTCP_VERSION_PATCH);
  CHECK(strcmp(usertcp_version(), text) == 0);
  EQUAL(usertcp_version_number(), USERTCP_VERSION_NUMBER);
  EQUAL(USERTCP_VERSION_NUMBER,
        USERTCP_VERSION_MAJOR * 65536 + USERTCP_VERSION_MINOR * 256 + USERTCP_VERSION_PATCH);
  /* Bits may be added. */
  EQUAL(usertcp_features() & 511, 511);
  EQUAL(USERTCP_FEATURE_IPV4, 1);
  EQUAL(USERTCP_FEATURE_IPV6, 2);
  EQUAL(USERTCP_FEATURE_OFFLOAD, 4);
  EQUAL(USERTCP_FEATURE_PCAP, 8);
  EQUAL(USERTCP_FEATURE_IMPAIRMENT, 16);
  EQUAL(USERTCP_FEATURE_SANDBOX, 32);
  EQUAL(USERTCP_FEATURE_NAMES, 64);
  EQUAL(USERTCP_FEATURE_CONTROL, 128);
  EQUAL(USERTCP_FEATURE_INTERCEPT, 256);
}

int main(void) {
  structs_are_laid_out_for_good();
  initializers_set_the_size_and_nothing_surprising();
  numbers_are_those_of_the_system();
  versions_agree();
  return 0;
}
