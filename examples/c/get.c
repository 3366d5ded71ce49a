/*
 * get: downloads a file over HTTP/1.1, with a TCP stack of this program's own.
 *
 *   cc -std=c99 -O2 -o get get.c $(pkg-config --cflags --libs usertcp)
 *   ./get --tun utcp0 --address 192.0.2.2/24 --host-address 192.0.2.1/24 -o file http://192.0.2.1:8000/file
 *
 * Shows: opening a stack, connecting, sending, receiving, the figures of a connection, errors in words.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#include <usertcp.h>

static const char usage[] =
    "usage: get [options] http://ADDRESS[:PORT]/PATH\n"
    "  --tun NAME           TUN device to use; without it and --fd, the kernel names one\n"
    "  --fd N               open descriptor of a TUN device, or of a socket with a packet in each message\n"
    "  --address A/LEN      own address; again for more, of either family\n"
    "  --host-address A/LEN address for the kernel's side of the device; again for more\n"
    "  --mtu N              largest packet, bytes\n"
    "  --impair K=V,...     faults: loss, duplicate, reorder, corrupt (0 to 1), delay, jitter (ms),\n"
    "                       rate (bit/s)\n"
    "  -o FILE              file to write, standard output without it\n"
    "  -v                   progress and log on standard error\n";

/* What the command line says. */
struct options {
  usertcp_config_t config;
  usertcp_impairment_t impairment;
  char addresses[512], host_addresses[512];
  const char *url, *output;
  int verbose;
};

/* An http URL, taken apart. The host is an address. */
struct url {
  char host[128];
  const char *path;
  struct sockaddr_storage address;
  socklen_t length;
};

struct progress {
  uint64_t bytes, length;
  double began, shown;
  int visible;
};

static void fail(const char *what, long error) {
  char detail[512];
  usertcp_last_error(detail, sizeof detail);
  fprintf(stderr, "get: %s: %s: %s\n", what, usertcp_errname((int)error), detail);
  exit(1);
}

static void fail_with(const char *what) {
  fprintf(stderr, "get: %s\n", what);
  exit(1);
}

static void fail_usage(const char *what) {
  fprintf(stderr, "get: %s\n%s", what, usage);
  exit(2);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- the command line ---- */

/* Adds to a list that is separated by commas. */
static void append(char *list, size_t size, const char *item) {
  if (strlen(list) + strlen(item) + 2 > size) fail_usage("too many addresses");
  if (list[0] != '\0') strcat(list, ",");
  strcat(list, item);
}

static double number(const char *text) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end != '\0' || value < 0) fail_usage("not a number");
  return value;
}

static void read_impairment(usertcp_impairment_t *impairment, char *text) {
  static char *const names[] = {"loss", "duplicate", "reorder", "corrupt", "delay", "jitter", "rate", NULL};
  while (*text != '\0') {
    char *value = NULL;
    int which = getsubopt(&text, names, &value);
    double amount = value != NULL ? number(value) : 0;
    switch (which) {
      case 0: impairment->loss = amount; break;
      case 1: impairment->duplicate = amount; break;
      case 2: impairment->reorder = amount; break;
      case 3: impairment->corrupt = amount; break;
      case 4: impairment->delay_us = (uint64_t)(amount * 1000); break;
      case 5: impairment->jitter_us = (uint64_t)(amount * 1000); break;
      case 6: impairment->rate = (uint64_t)amount; break;
      default: fail_usage("unknown impairment");
    }
  }
  /* A packet that is overtaken has to be late by something. */
  impairment->reorder_delay_us = 2000;
}

static void on_log(void *context, uint32_t level, uint64_t nanoseconds, const char *text) {
  (void)context;
  fprintf(stderr, "[%.6f] %" PRIu32 " %s\n", (double)nanoseconds / 1e9, level, text);
}

static void read_options(struct options *options, int argc, char **argv) {
  static const struct option known[] = {
      {"tun", required_argument, NULL, 't'},          {"fd", required_argument, NULL, 'f'},
      {"address", required_argument, NULL, 'a'},      {"mtu", required_argument, NULL, 'm'},
      {"host-address", required_argument, NULL, 'h'}, {"impair", required_argument, NULL, 'i'},
      {"output", required_argument, NULL, 'o'},       {"verbose", no_argument, NULL, 'v'},
      {NULL, 0, NULL, 0},
  };
  usertcp_config_t config = USERTCP_CONFIG_INIT;
  usertcp_impairment_t impairment = USERTCP_IMPAIRMENT_INIT;
  int option;
  memset(options, 0, sizeof *options);
  options->config = config;
  options->impairment = impairment;
  while ((option = getopt_long(argc, argv, "o:v", known, NULL)) != -1) {
    switch (option) {
      case 't': options->config.device = optarg; break;
      case 'f': options->config.fd = (int)number(optarg); break;
      case 'a': append(options->addresses, sizeof options->addresses, optarg); break;
      case 'h': append(options->host_addresses, sizeof options->host_addresses, optarg); break;
      case 'm': options->config.mtu = (uint32_t)number(optarg); break;
      case 'i':
        read_impairment(&options->impairment, optarg);
        options->config.impairment = &options->impairment;
        break;
      case 'o': options->output = optarg; break;
      case 'v': options->verbose = 1; break;
      default: fail_usage("unknown option");
    }
  }
  if (optind + 1 != argc) fail_usage("one URL is needed");
  if (options->addresses[0] == '\0') fail_usage("an --address is needed");
  options->url = argv[optind];
  options->config.addresses = options->addresses;
  if (options->host_addresses[0] != '\0') options->config.host_addresses = options->host_addresses;
  if (options->verbose) {
    options->config.log = on_log;
    options->config.log_level = USERTCP_LOG_DEBUG;
  }
}

static void read_url(struct url *url, const char *text) {
  char host[sizeof url->host];
  const char *begin = text + 7, *slash;
  size_t length;
  if (strncasecmp(text, "http://", 7) != 0) fail_with("the URL does not begin with http://");
  slash = strchr(begin, '/');
  length = slash != NULL ? (size_t)(slash - begin) : strlen(begin);
  if (length == 0 || length + 4 > sizeof host) fail_with("the URL has no address");
  url->path = slash != NULL ? slash : "/";
  memcpy(url->host, begin, length);
  url->host[length] = '\0';
  /* Without a port, the last colon is one of an IPv6 address or there is none. */
  strcpy(host, url->host);
  if (strrchr(host, ':') == NULL || host[length - 1] == ']') strcat(host, ":80");
  if (usertcp_parse_addr(host, &url->address, &url->length) < 0) {
    fail_with("the URL's host is not an address");
  }
}

/* ---- HTTP ---- */

static void send_request(usertcp_socket_t socket, const struct url *url) {
  char request[4096];
  int length = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: usertcp-get\r\n"
                        "Accept: */*\r\nConnection: close\r\n\r\n",
                        url->path, url->host);
  ssize_t sent;
  if (length < 0 || (size_t)length >= sizeof request) fail_with("the URL is too long");
  sent = usertcp_send(socket, request, (size_t)length, 0);
  if (sent < 0) fail("send", sent);
}

/* Receives until the head of the response is whole. Returns its length; `*filled` is all that has come. */
static size_t receive_head(usertcp_socket_t socket, char *buffer, size_t size, size_t *filled) {
  *filled = 0;
  for (;;) {
    char *end;
    ssize_t received = usertcp_recv(socket, buffer + *filled, size - 1 - *filled, 0);
    if (received < 0) fail("receive", received);
    if (received == 0) fail_with("the response ends before its head does, or the head is too long");
    *filled += (size_t)received;
    buffer[*filled] = '\0';
    end = strstr(buffer, "\r\n\r\n");
    if (end != NULL) return (size_t)(end - buffer) + 4;
  }
}

/* The value of a header, or NULL. */
static const char *header(const char *head, const char *name) {
  const char *line = strstr(head, "\r\n");
  size_t length = strlen(name);
  for (; line != NULL; line = strstr(line, "\r\n")) {
    line += 2;
    if (strncasecmp(line, name, length) != 0 || line[length] != ':') continue;
    line += length + 1;
    return line + strspn(line, " \t");
  }
  return NULL;
}

/* Refuses a response that is not the file. Returns its length, UINT64_MAX if the connection's end tells it. */
static uint64_t check_head(char *head, size_t length) {
  const char *value;
  head[length - 1] = '\0';
  if (strncmp(head, "HTTP/1.", 7) != 0 || strlen(head) < 12) fail_with("the answer is not HTTP/1");
  if (strncmp(head + 9, "200", 3) != 0) {
    fprintf(stderr, "get: the server answers: %.*s\n", (int)strcspn(head, "\r"), head);
    exit(1);
  }
  if (header(head, "Transfer-Encoding") != NULL) {
    fail_with("the response comes in chunks, which this example does not decode");
  }
  value = header(head, "Content-Length");
  return value != NULL ? strtoull(value, NULL, 10) : UINT64_MAX;
}

static void write_all(int file, const char *bytes, size_t size) {
  while (size > 0) {
    ssize_t written = write(file, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      fprintf(stderr, "get: write: %s\n", strerror(errno));
      exit(1);
    }
    bytes += written;
    size -= (size_t)written;
  }
}

static void show(struct progress *progress, int last) {
  double time = now();
  double rate = (double)progress->bytes / (time - progress->began) / 1e6;
  if (!progress->visible || (!last && time - progress->shown < 0.25)) return;
  progress->shown = time;
  if (progress->length != UINT64_MAX && progress->length > 0) {
    fprintf(stderr, "\r%3.0f %%  ", 100.0 * (double)progress->bytes / (double)progress->length);
  }
  fprintf(stderr, "%" PRIu64 " bytes, %.1f MB/s   %s", progress->bytes, rate, last ? "\n" : "");
}

/* Writes the body to `file` as it comes. `buffer` begins with `filled` bytes of it. */
static void receive_body(usertcp_socket_t socket, int file, char *buffer, size_t size, size_t filled,
                         struct progress *progress) {
  size_t have = filled;
  while (progress->bytes + have < progress->length) {
    ssize_t received;
    write_all(file, buffer, have);
    progress->bytes += have;
    show(progress, 0);
    received = usertcp_recv(socket, buffer, size, 0);
    if (received < 0) fail("receive", received);
    have = (size_t)received;
    if (received == 0) break;
  }
  if (have > progress->length - progress->bytes) have = (size_t)(progress->length - progress->bytes);
  write_all(file, buffer, have);
  progress->bytes += have;
  show(progress, 1);
  if (progress->length != UINT64_MAX && progress->bytes < progress->length) {
    fail_with("the connection ended too early");
  }
}

/* ---- the connection ---- */

static usertcp_socket_t connect_to(usertcp_stack_t stack, const struct url *url) {
  usertcp_socket_t socket;
  int error = usertcp_socket(stack, url->address.ss_family, SOCK_STREAM, 0, &socket);
  if (error < 0) fail("socket", error);
  usertcp_set_timeout(socket, 30000, 30000);
  error = usertcp_connect(socket, (const struct sockaddr *)&url->address, url->length);
  if (error < 0) fail(url->host, error);
  return socket;
}

static void download(usertcp_stack_t stack, const struct options *options, const struct url *url) {
  static char buffer[256 * 1024];
  usertcp_tcp_info_t info = USERTCP_TCP_INFO_INIT;
  struct progress progress = {0, 0, 0, 0, 0};
  usertcp_socket_t socket;
  size_t filled, head;
  double seconds;
  int file = STDOUT_FILENO, error;
  progress.visible = options->verbose || isatty(STDERR_FILENO);
  progress.began = now();
  socket = connect_to(stack, url);
  send_request(socket, url);
  head = receive_head(socket, buffer, sizeof buffer, &filled);
  progress.length = check_head(buffer, head);
  if (options->output != NULL) {
    file = open(options->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  }
  if (file < 0) fail_with("the output file cannot be written");
  memmove(buffer, buffer + head, filled - head);
  receive_body(socket, file, buffer, sizeof buffer, filled - head, &progress);
  seconds = now() - progress.began;

  error = usertcp_tcp_info(socket, &info);
  if (error < 0) fail("tcp_info", error);
  if (options->output != NULL && close(file) < 0) fail_with("the output file cannot be written");
  fprintf(options->output != NULL ? stdout : stderr,
          "bytes=%" PRIu64 " seconds=%.3f retransmits=%" PRIu32 "\n", progress.bytes, seconds,
          info.tcpi_total_retrans);
  usertcp_close(socket);
}

int main(int argc, char **argv) {
  struct options options;
  struct url url;
  usertcp_stack_t stack;
  int error;
  read_options(&options, argc, argv);
  read_url(&url, options.url);
  error = usertcp_stack_open(&options.config, &stack);
  if (error < 0) fail("open", error);
  download(stack, &options, &url);
  usertcp_stack_close(stack, 1000);
  return 0;
}
