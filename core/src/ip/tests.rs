//! Packets through ingress and egress.
