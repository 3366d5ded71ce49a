"""Everyday libraries over our sockets, as docs/libraries.md lists them."""
