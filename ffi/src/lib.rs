//! The C interface of usertcp: a translation of `usertcp_core::api`, nothing more.
