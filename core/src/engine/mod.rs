//! The stack and its device under one roof: the Turn, the I/O thread, the bell, and waiting.
