//! The one table that handles point into.

mod slots;

use crate::fork;
use slots::Table;
use std::sync::OnceLock;
use usertcp_core::api::Error;

/// The table of this process. ECHILD in a forked child.
pub(crate) fn table() -> Result<&'static Table, Error> {
    static TABLE: OnceLock<Table> = OnceLock::new();
    fork::check()?;
    Ok(TABLE.get_or_init(Table::new))
}
