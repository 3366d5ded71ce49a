/* ----------------------------------------------------------------------------------------------------------
 * Initializers
 * ------------------------------------------------------------------------------------------------------- */

/** No faults. */
#define USERTCP_IMPAIRMENT_INIT \
  { sizeof(usertcp_impairment_t), 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 0, 0 }

/** A TUN device that the kernel names, without addresses. */
#define USERTCP_CONFIG_INIT \
  { sizeof(usertcp_config_t), 0, NULL, -1, 0, NULL, NULL, 0, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
    0, 0, NULL, NULL, 0, NULL, NULL, NULL, 0, 0, 0, 0 }

/** Every port of a prefix that is to be set. */
#define USERTCP_INTERCEPT_CONFIG_INIT { sizeof(usertcp_intercept_config_t), 0, NULL, 0, 0, 0 }

/** To be filled by usertcp_intercept_next(). */
#ifdef __cplusplus
#define USERTCP_SYN_INFO_INIT { sizeof(usertcp_syn_info_t), 0, 0, 0, 0, 0, {}, {} }
#else
#define USERTCP_SYN_INFO_INIT { sizeof(usertcp_syn_info_t), 0, 0, 0, 0, 0, {0}, {0} }
#endif

/** To be filled by usertcp_tcp_info(). */
#define USERTCP_TCP_INFO_INIT \
  { sizeof(usertcp_tcp_info_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {0}, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/** To be filled by usertcp_stack_sockets(). */
#define USERTCP_SOCKET_INFO_INIT \
  { sizeof(usertcp_socket_info_t), 0, 0, 0, 0, 0, {0, {0}, 0}, {0, {0}, 0}, {0}, {0}, USERTCP_TCP_INFO_INIT }

/** To be filled by usertcp_end_reason(). */
#define USERTCP_END_REASON_INIT { sizeof(usertcp_end_reason_t), 0, 0, 0, 0, 0, 0, 0, {0} }

/** A TUN of 1500 bytes without addresses and without offload. */
#define USERTCP_SANDBOX_CONFIG_INIT { sizeof(usertcp_sandbox_config_t), 0, NULL, 0, 0, 0, 0 }

#ifdef __cplusplus
}
#endif

#endif /* USERTCP_H */
