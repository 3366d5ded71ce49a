/* pkg-config: openssl (apt install libssl-dev) */
/*
 * tls_get: fetches a page over HTTPS: OpenSSL does TLS on a descriptor, which usertcp_export_fd() made of a connection to a host by name.
 *
 *   cc -std=c99 -O2 -o tls_get tls_get.c $(pkg-config --cflags --libs usertcp openssl)
 *   ./tls_get --tun utcp0 --address 192.0.2.2/24 --host-address 192.0.2.1/24 example.org:443 /
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <getopt.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <usertcp.h>

static const char usage[] =
    "usage: tls_get [options] HOST:PORT PATH\n"
    "  --tun NAME           TUN device to use; without it and --fd, the kernel names one\n"
    "  --fd N               open descriptor of a TUN device, or of a socket with a packet in each message\n"
    "  --address A/LEN      own address; several are separated by commas\n"
    "  --host-address A/LEN address for the kernel's side of the device\n"
    "  --nameservers LIST   whom to ask for the host, separated by commas; without it those of /etc/resolv.conf\n"
    "  --hosts FILE         names that need no server; without it /etc/hosts\n"
    "  --name NAME          whose certificate is asked for, and Host; without it the host's\n"
    "  --ca FILE            certificates to trust; without it the system's\n";

struct options {
  usertcp_config_t config;
  const char *peer, *path, *name, *authorities;
};

static void fail(const char *what, long error) {
  char detail[512];
  usertcp_last_error(detail, sizeof detail);
  fprintf(stderr, "tls_get: %s: %s: %s\n", what, usertcp_errname((int)error), detail);
  exit(1);
}

static void fail_tls(const char *what) {
  fprintf(stderr, "tls_get: %s\n", what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static void fail_usage(const char *what) {
  fprintf(stderr, "tls_get: %s\n%s", what, usage);
  exit(2);
}

static void read_options(struct options *options, int argc, char **argv) {
  static const struct option known[] = {
      {"tun", required_argument, NULL, 't'},          {"fd", required_argument, NULL, 'f'},
      {"address", required_argument, NULL, 'a'},      {"name", required_argument, NULL, 'n'},
      {"host-address", required_argument, NULL, 'h'}, {"ca", required_argument, NULL, 'c'},
      {"nameservers", required_argument, NULL, 's'},  {"hosts", required_argument, NULL, 'H'},
      {NULL, 0, NULL, 0},
  };
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  int option;
  memset(options, 0, sizeof *options);
  options->config = config;
  while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
    switch (option) {
      case 't': options->config.device = optarg; break;
      case 'f': options->config.fd = atoi(optarg); break;
      case 'a': options->config.addresses = optarg; break;
      case 'h': options->config.host_addresses = optarg; break;
      case 's': options->config.nameservers = optarg; break;
      case 'H': options->config.hosts = optarg; break;
      case 'n': options->name = optarg; break;
      case 'c': options->authorities = optarg; break;
      default: fail_usage("unknown option");
    }
  }
  if (optind + 2 != argc) fail_usage("a host with a port and a path are needed");
  if (options->config.addresses == NULL) fail_usage("an --address is needed");
  options->peer = argv[optind];
  options->path = argv[optind + 1];
}

static usertcp_stack_t stack;
static int fd = -1;

/* However the program ends: what is on its way to the peer goes out, and the end of the connection behind it. */
static void leave(void) {
  if (fd >= 0) close(fd);
  if (stack != 0) usertcp_stack_close(stack, 5000);
}

/* A descriptor of the system for a new connection: the program's own, to be closed by close(2). */
static int connect_to(const char *text) {
  usertcp_socket_t socket;
  int made, error = usertcp_connect_to(stack, text, 0, 30000, &socket);
  if (error == 0) error = usertcp_set_timeout(socket, 30000, 30000);
  if (error < 0) fail(text, error);
  made = usertcp_export_fd(socket);
  if (made < 0) fail("export", made);
  return made;
}

/* The host of "example.org:443", "192.0.2.1:443" and "[2001:db8::1]:443", without brackets. */
static void host_of(const char *peer, char *host, size_t size) {
  const char *begin = peer[0] == '[' ? peer + 1 : peer;
  size_t length = strcspn(begin, peer[0] == '[' ? "]" : ":");
  snprintf(host, size, "%.*s", (int)length, begin);
}

/* A handshake whose peer shows a certificate that is trusted and is its own. */
static SSL *handshake(SSL_CTX *context, const struct options *options) {
  SSL *ssl = SSL_new(context);
  char host[256];
  const char *name = options->name;
  struct sockaddr_storage address;
  socklen_t length;
  int named;
  host_of(options->peer, host, sizeof host);
  if (name == NULL && usertcp_parse_addr(host, &address, &length) < 0) name = host;
  if (ssl == NULL || !SSL_set_fd(ssl, fd)) fail_tls("SSL_set_fd");
  if (name != NULL) {
    named = SSL_set1_host(ssl, name) && SSL_set_tlsext_host_name(ssl, name);
  } else {
    named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
  }
  if (!named) fail_tls("the name of the peer");
  if (SSL_connect(ssl) != 1) fail_tls(X509_verify_cert_error_string(SSL_get_verify_result(ssl)));
  return ssl;
}

static void fetch(SSL *ssl, const struct options *options) {
  char buffer[16384];
  int length = snprintf(buffer, sizeof buffer, "GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n", options->path,
                        options->name != NULL ? options->name : options->peer);
  if (length < 0 || (size_t)length >= sizeof buffer) fail_usage("the path is too long");
  if (SSL_write(ssl, buffer, length) != length) fail_tls("SSL_write");
  while ((length = SSL_read(ssl, buffer, sizeof buffer)) > 0) {
    if (fwrite(buffer, 1, (size_t)length, stdout) != (size_t)length) fail_usage("standard output cannot be written");
  }
  /* Without a goodbye somebody may have cut the answer short. */
  if (SSL_get_error(ssl, length) != SSL_ERROR_ZERO_RETURN) fail_tls("the connection ended before the answer did");
  SSL_shutdown(ssl);
}

int main(int argc, char **argv) {
  struct options options;
  SSL_CTX *context;
  SSL *ssl;
  int error;
  read_options(&options, argc, argv);
  /* write(2) to a descriptor whose peer has gone raises it, as it does for any. */
  signal(SIGPIPE, SIG_IGN);
  context = SSL_CTX_new(TLS_client_method());
  if (context == NULL) fail_tls("SSL_CTX_new");
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  if (options.authorities != NULL ? !SSL_CTX_load_verify_locations(context, options.authorities, NULL)
                                  : !SSL_CTX_set_default_verify_paths(context)) {
    fail_tls("the certificates to trust");
  }
  error = usertcp_stack_open(&options.config, &stack);
  if (error < 0) fail("open", error);
  atexit(leave);
  fd = connect_to(options.peer);
  ssl = handshake(context, &options);
  fetch(ssl, &options);
  SSL_free(ssl);
  SSL_CTX_free(context);
  return fflush(stdout) == 0 ? 0 : 1;
}
