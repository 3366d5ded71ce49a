//! # usertcp-packetdrill
//!
//! A runner for packetdrill's language: a script says which packets arrive, which calls a program makes, and which packets and results have to
//! come of it. Here the script drives the pure `Stack` on a virtual clock, so that a script takes no longer than the work in it.
//!
//! | module | what it is |
//! |---|---|
//! | [`script`] | what a script says |
//! | [`parse`] | from its text to that |
//! | [`code`] | the code between `%{` and `}%` |
//! | [`constants`] | names to numbers |
//! | [`shell`] | what its shell lines would do |
//! | [`settings`] | what they make of a configuration |
//! | [`run`] | runs a script |
//! | [`files`] | runs those in files and folders |
//! | [`report`] | what came of it |

pub mod code;
pub mod constants;
pub mod files;
pub mod parse;
pub mod report;
pub mod run;
pub mod script;
pub mod settings;
pub mod shell;
