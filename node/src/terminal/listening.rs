//! The P2P listener, bound once for the whole program.

use wire::P2pPort;

use super::view::Failure;
use crate::error::Error;

/// Binds the listener when it is first wanted, and knows the port from then on: peers that have
/// seen the list must find it where the list says.
pub(super) struct Listening<L> {
    /// Where to listen if nobody says; 0 for any free port.
    default: u16,
    listen: L,
    port: Option<P2pPort>,
}

impl<L> Listening<L>
where
    L: AsyncFnMut(u16) -> Result<P2pPort, Error>,
{
    pub(super) fn new(default: u16, listen: L) -> Self {
        Self { default, listen, port: None }
    }

    /// Where it listens unless it is told; 0 for any free port.
    pub(super) fn default_port(&self) -> u16 {
        self.port.map_or(self.default, P2pPort::get)
    }

    /// The port on which the listener is bound, which must be the one that is asked for.
    pub(super) async fn on(&mut self, asked: Option<u16>) -> Result<P2pPort, Failure> {
        if let Some(port) = self.port {
            return match asked {
                Some(asked) if asked != 0 && asked != port.get() => Err(Failure::new(
                    format!("already listening on port {port}"),
                    "leave the port out, or start another client for another port",
                )),
                _ => Ok(port),
            };
        }
        let wanted = asked.unwrap_or(self.default);
        let port = (self.listen)(wanted).await.map_err(|error| Failure {
            warning: None,
            message: error.to_string(),
            hint: error.hint(),
        })?;
        self.port = Some(port);
        Ok(port)
    }
}
