/* Functions that need no stack: errors in words, addresses as text. */
#include "check.h"

static void errors_have_words_and_names(void) {
  CHECK(strcmp(usertcp_strerror(-ECONNREFUSED), "Connection refused") == 0);
  CHECK(strcmp(usertcp_strerror(ECONNREFUSED), "Connection refused") == 0);
  CHECK(strcmp(usertcp_errname(-ECONNREFUSED), "ECONNREFUSED") == 0);
  CHECK(strcmp(usertcp_errname(-ENOTRECOVERABLE), "ENOTRECOVERABLE") == 0);
  CHECK(strcmp(usertcp_strerror(0), "Success") == 0);
  CHECK(strcmp(usertcp_errname(-2147483647 - 1), "E?") == 0);
  CHECK(strcmp(usertcp_errname(100000), "E?") == 0);
  CHECK(usertcp_strerror(-EAGAIN) == usertcp_strerror(EAGAIN));
}

static void *fresh_thread(void *argument) {
  char text[8];
  EQUAL(usertcp_last_error(text, sizeof text), 0);
  CHECK(text[0] == '\0');
  return argument;
}

static void the_last_error_is_the_threads_own_and_fits_any_buffer(void) {
  char text[200], small[5];
  struct sockaddr_storage storage;
  socklen_t length;
  size_t whole;
  EQUAL(usertcp_parse_addr("no address", &storage, &length), -EINVAL);
  whole = usertcp_last_error(text, sizeof text);
  CHECK(whole == strlen(text) && strstr(text, "'no address'") != NULL);
  memset(small, 'x', sizeof small);
  EQUAL(usertcp_last_error(small, sizeof small), whole);
  CHECK(memcmp(small, text, 4) == 0 && small[4] == '\0');
  EQUAL(usertcp_last_error(NULL, 0), whole);
  small[0] = 'y';
  EQUAL(usertcp_last_error(small, 0), whole);
  CHECK(small[0] == 'y');
  join(start(fresh_thread, NULL));
}

static void addresses_are_parsed_and_written(void) {
  static const char *const same[] = {"192.0.2.1:80", "[2001:db8::1]:443", "[fe80::1%3]:9", "0.0.0.0:0", "[::]:0"};
  static const char *const bad[] = {"", "example.org:80", "192.0.2.1:66000", "192.0.2.300", "[::1", "192.0.2.1:", "1.2.3.4:5:6"};
  char text[USERTCP_ADDRSTRLEN];
  address_t a;
  size_t i;
  for (i = 0; i < sizeof same / sizeof *same; i++) {
    a = address(same[i]);
    EQUAL(usertcp_format_addr(ADDRESS(a), text, sizeof text), strlen(same[i]));
    CHECK(strcmp(text, same[i]) == 0);
  }
  for (i = 0; i < sizeof bad / sizeof *bad; i++) EQUAL(usertcp_parse_addr(bad[i], &a.storage, &a.length), -EINVAL);
  a = address("192.0.2.7");
  EQUAL(a.storage.ss_family, AF_INET);
  EQUAL(a.length, sizeof(struct sockaddr_in));
  EQUAL(((struct sockaddr_in *)&a.storage)->sin_port, 0);
  a = address("2001:db8::7");
  EQUAL(a.length, sizeof(struct sockaddr_in6));
  a = address("[2001:db8::7]");
  EQUAL(a.storage.ss_family, AF_INET6);
}

static void wrong_arguments_are_errors(void) {
  char text[USERTCP_ADDRSTRLEN];
  address_t a = address("192.0.2.1:80");
  EQUAL(usertcp_parse_addr(NULL, &a.storage, &a.length), -EFAULT);
  EQUAL(usertcp_parse_addr("::1", NULL, &a.length), -EFAULT);
  EQUAL(usertcp_parse_addr("::1", &a.storage, NULL), -EFAULT);
  EQUAL(usertcp_parse_addr("\xff\xfe", &a.storage, &a.length), -EINVAL);
  a = address("192.0.2.1:80");
  EQUAL(usertcp_format_addr(NULL, a.length, text, sizeof text), -EFAULT);
  EQUAL(usertcp_format_addr((struct sockaddr *)&a.storage, 1, text, sizeof text), -EINVAL);
  EQUAL(usertcp_format_addr((struct sockaddr *)&a.storage, a.length - 1, text, sizeof text), -EINVAL);
  EQUAL(usertcp_format_addr(ADDRESS(a), NULL, 10), -EFAULT);
  EQUAL(usertcp_format_addr(ADDRESS(a), text, 12), -ENOSPC);
  EQUAL(usertcp_format_addr(ADDRESS(a), text, 13), 12);
  a.storage.ss_family = AF_UNIX;
  EQUAL(usertcp_format_addr(ADDRESS(a), text, sizeof text), -EAFNOSUPPORT);
}

int main(void) {
  errors_have_words_and_names();
  the_last_error_is_the_threads_own_and_fits_any_buffer();
  addresses_are_parsed_and_written();
  wrong_arguments_are_errors();
  return 0;
}
