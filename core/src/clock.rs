//! The only place that asks the time.
