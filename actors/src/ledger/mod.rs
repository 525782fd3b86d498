//! x
pub mod journal;
pub mod state;
