/* pkg-config: openssl (apt install libssl-dev) */
/* OpenSSL over connections of two stacks, by SSL_set_fd(). */
#include "check.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>

#define MEGABYTE ((size_t)1 << 20)

#define TLS(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      ERR_print_errors_fp(stderr); \
      exit(1); \
    } \
  } while (0)

/* A certificate that its owner has signed. */
static X509 *certify(EVP_PKEY *key) {
  X509 *certificate = X509_new();
  X509_NAME *name;
  TLS(certificate != NULL && X509_set_version(certificate, 2));
  TLS(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1));
  TLS(X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != NULL);
  TLS(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600) != NULL);
  TLS(X509_set_pubkey(certificate, key));
  name = X509_get_subject_name(certificate);
  TLS(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"stack.example", -1, -1, 0));
  TLS(X509_set_issuer_name(certificate, name));
  TLS(X509_sign(certificate, key, EVP_sha256()) > 0);
  return certificate;
}

typedef struct {
  SSL_CTX *context;
  int fd;
} end_t;

static void exchange(SSL *ssl) {
  unsigned char block[16000];
  size_t sent = 0, received = 0, i, n;
  /* In turns: whole records wait in the buffers on the way meanwhile. */
  while (sent < MEGABYTE || received < MEGABYTE) {
    if (sent < MEGABYTE) {
      size_t most = MEGABYTE - sent < sizeof block ? MEGABYTE - sent : sizeof block;
      for (i = 0; i < most; i++) block[i] = pattern(sent + i);
      TLS(SSL_write_ex(ssl, block, most, &n));
      sent += n;
    }
    if (received < MEGABYTE) {
      TLS(SSL_read_ex(ssl, block, sizeof block, &n));
      for (i = 0; i < n; i++) CHECK(block[i] == pattern(received + i));
      received += n;
    }
  }
  EQUAL(received, MEGABYTE);
}

static void *serve(void *argument) {
  end_t *end = (end_t *)argument;
  SSL *ssl = SSL_new(end->context);
  char byte;
  TLS(ssl != NULL && SSL_set_fd(ssl, end->fd));
  TLS(SSL_accept(ssl) == 1);
  exchange(ssl);
  /* The other side says goodbye: not merely the end of the stream, which SSL_read would call an error. */
  CHECK(SSL_read(ssl, &byte, 1) == 0);
  EQUAL(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
  TLS(SSL_shutdown(ssl) >= 0);
  SSL_free(ssl);
  close(end->fd);
  return NULL;
}

static void connect_over(pair_t pair, const char *text, SSL_CTX *client, SSL_CTX *server) {
  ends_t ends = connect_ends(pair, text);
  end_t end;
  int fd = usertcp_export_fd(ends.right);
  SSL *ssl = SSL_new(client);
  pthread_t thread;
  end.fd = usertcp_export_fd(ends.left);
  end.context = server;
  CHECK(fd >= 0 && end.fd >= 0);
  thread = start(serve, &end);
  TLS(ssl != NULL && SSL_set_fd(ssl, fd));
  TLS(SSL_set1_host(ssl, "stack.example"));
  TLS(SSL_connect(ssl) == 1);
  EQUAL(SSL_get_verify_result(ssl), X509_V_OK);
  exchange(ssl);
  printf("%s, %s\n", SSL_get_version(ssl), SSL_get_cipher(ssl));
  TLS(SSL_shutdown(ssl) >= 0);
  join(thread);
  SSL_free(ssl);
  close(fd);
}

int main(void) {
  pair_t pair = open_pair(NULL);
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *certificate = certify(key);
  SSL_CTX *server = SSL_CTX_new(TLS_server_method()), *client = SSL_CTX_new(TLS_client_method());
  signal(SIGPIPE, SIG_IGN);
  TLS(server != NULL && client != NULL);
  TLS(SSL_CTX_use_certificate(server, certificate) && SSL_CTX_use_PrivateKey(server, key));
  TLS(X509_STORE_add_cert(SSL_CTX_get_cert_store(client), certificate));
  SSL_CTX_set_verify(client, SSL_VERIFY_PEER, NULL);
  connect_over(pair, "192.0.2.1:1001", client, server);
  connect_over(pair, "[2001:db8::1]:1002", client, server);
  TLS(SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION));
  connect_over(pair, "192.0.2.1:1003", client, server);
  SSL_CTX_free(client);
  SSL_CTX_free(server);
  X509_free(certificate);
  EVP_PKEY_free(key);
  close_pair(pair);
  return 0;
}
