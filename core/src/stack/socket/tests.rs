//! The tables of socket semantics: calls and readiness per state of the cell.
