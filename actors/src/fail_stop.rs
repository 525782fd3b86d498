//! Actors without which a server must not go on.

use std::fmt;
use std::thread;

/// What an actor holds whose panic must end the process: a server that goes on without it looks alive and is
/// not, and nothing brings it back. An actor that ends in any other way ends nothing else.
pub struct FailStop(Box<dyn Fn() + Send + Sync>);

impl FailStop {
    /// Calls this when the actor that holds it panics, on the actor's thread, while it unwinds.
    pub fn new(end: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Box::new(end))
    }
}

impl Drop for FailStop {
    fn drop(&mut self) {
        if thread::panicking() {
            (self.0)();
        }
    }
}

impl fmt::Debug for FailStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FailStop")
    }
}
