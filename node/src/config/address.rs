//! Where a server is.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};

use crate::cli::HostPort;
use crate::error::Error;

/// Where the server is when nobody says.
pub(super) const SERVER_DEFAULT: (&str, u16) = ("127.0.0.1", 8000);

pub(super) fn host_port((host, port): (&str, u16)) -> HostPort {
    HostPort { host: host.to_owned(), port }
}

/// Where the server is that has this name.
pub(super) fn reachable(server: &HostPort) -> Result<SocketAddr, Error> {
    if server.port == 0 {
        return Err(Error::Usage {
            message: format!("{server} is no address to connect to"),
            hint: "give the port that the server prints when it starts".into(),
        });
    }
    look_up(server)
        .map_err(|source| Error::ServerUnreachable { address: server.to_string(), source })
}

/// The first IPv4 address, or else the first: `localhost` is often `::1` first, where a server on
/// `127.0.0.1` does not listen.
pub(super) fn look_up(address: &HostPort) -> io::Result<SocketAddr> {
    let found: Vec<_> = (address.host.as_str(), address.port).to_socket_addrs()?.collect();
    let best = found.iter().find(|address| address.is_ipv4()).or(found.first());
    best.copied().ok_or_else(|| io::Error::other("the host has no address"))
}
