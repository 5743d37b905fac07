//! The decapsulator as a process in the background, for those who want one to be there.

use std::net::IpAddr;

use anyhow::anyhow;
use netio::process::spawn_detached;
use netio::real::{Change, FarEnd, FarEndError, Tunnels};

use super::socket::{Request, Status, ask};
use crate::reason::reason;

/// The decapsulator of this network namespace: begun when it is needed.
#[derive(Debug)]
pub(crate) struct Process;

/// How the decapsulator of this network namespace is; none if there is none.
pub(crate) fn status() -> anyhow::Result<Option<Status>> {
    tell(&Request::Status)
}

impl FarEnd for Process {
    fn serve(&mut self, vips: &[IpAddr], tunnels: Tunnels) -> Result<Vec<Change>, FarEndError> {
        let now = status().map_err(told)?;
        if now.is_some_and(|now| now.tunnels == tunnels && now.device_up)
            && tell(&Request::Serve(vips.to_vec())).map_err(told)?.is_some()
        {
            return Ok(Vec::new());
        }
        let mut changes = self.end()?;
        let port = tunnels.gue_port.to_string();
        let offload = if tunnels.merge { "auto" } else { "off" };
        let mut args: Vec<_> =
            ["real", "serve", "--gue-port", &port, "--offload", offload].map(str::to_owned).into();
        args.extend(vips.iter().flat_map(|vip| ["--vip".to_owned(), vip.to_string()]));
        let pid = spawn_detached(args)?;
        let gone = || told(anyhow!("the decapsulator (pid {pid}) has ended as soon as it was ready"));
        let device = status().map_err(told)?.ok_or_else(gone)?.device;
        changes.push(Change::Began { pid, device });
        Ok(changes)
    }

    fn end(&mut self) -> Result<Vec<Change>, FarEndError> {
        let ended = tell(&Request::End).map_err(told)?;
        Ok(ended.map(|Status { pid, device, .. }| Change::Ended { pid, device }).into_iter().collect())
    }
}

/// The answer; none if nobody is there.
fn tell(request: &Request) -> anyhow::Result<Option<Status>> {
    super::runtime()?.block_on(ask(request))?.transpose().map_err(anyhow::Error::msg)
}

fn told(error: anyhow::Error) -> FarEndError {
    reason(&error).into()
}
