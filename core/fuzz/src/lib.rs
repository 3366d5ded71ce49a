//! Fuzz targets as plain functions; libFuzzer wrappers and the replay test call them.
