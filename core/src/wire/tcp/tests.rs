//! TCP headers through bytes and back.
