//! Tells systemd, or whoever understands sd_notify(3), that the engine is ready.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends the state (`READY=1`, `STOPPING=1`) where the environment says; nowhere if it says nothing.
pub(super) fn tell(state: &str) {
    if let Some(place) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send(&place, state)
    {
        tracing::warn!(%error, "cannot tell {state} to {}", place.display());
    }
}

fn send(place: &OsStr, state: &str) -> io::Result<()> {
    let addr = match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(place)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &addr).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_an_abstract_name_are_reached() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("ulvs/test/notify/{}", std::process::id());
        let abstract_addr = SocketAddr::from_abstract_name(&name).unwrap();
        let sockets = [UnixDatagram::bind(&path).unwrap(), UnixDatagram::bind_addr(&abstract_addr).unwrap()];
        for (socket, place) in sockets.iter().zip([path.as_os_str(), OsStr::new(&format!("@{name}"))]) {
            send(place, "READY=1").unwrap();
            let mut buffer = [0; 16];
            let n = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..n], b"READY=1");
        }
        assert!(send(dir.path().join("nobody").as_os_str(), "READY=1").is_err());
    }
}
