//! What the whole-system tests share: real processes, real sockets, and exact bytes.
//!
//! | module | holds |
//! |---|---|
//! | [`process`] | the program under test as a child process, ended in any case |
//! | [`text`] | a connection that sends and expects exact bytes |

pub mod process;
pub mod text;
