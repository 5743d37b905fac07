//! Where packets come from and go to: which of the ports works here, and why it is this one.

use anyhow::{anyhow, bail};
use control::config::{Offload, Port as Choice, Workers};
use netio::packet::{Intake, Port, SLOTS, way_out};
use netio::tun::{Tun, TunConfig, TunError};
use tracing::warn;

use super::Options;
use crate::reason::reason;

/// Workers without being told: more hardly help one device.
const MAX_AUTO_WORKERS: usize = 4;

/// What was found.
pub(super) struct Place {
    /// Without one rings are all there is.
    pub(super) tun: Option<Tun>,
    /// The rings of the packet port, one for each worker, if that is the port.
    pub(super) rings: Option<(Vec<Port>, Intake)>,
    pub(super) workers: usize,
    /// Why it is this.
    pub(super) reason: String,
}

impl Place {
    /// Finds the port that was asked for, or with `auto` the best one that works.
    ///
    /// # Errors
    /// What is missing, each with the way out.
    pub(super) fn find(options: &Options) -> anyhow::Result<Self> {
        let choice = options.engine.port;
        let workers = match options.engine.workers {
            Workers::Count(n) => n.get(),
            Workers::Auto => {
                std::thread::available_parallelism().map_or(1, usize::from).min(MAX_AUTO_WORKERS)
            }
        };
        let tun = Tun::open(&TunConfig {
            name: options.engine.device.clone(),
            queues: workers,
            offload: options.engine.offload != Offload::Off,
        });
        match tun {
            Ok(tun) => Self::with_tun(options, tun),
            Err(error) if !cannot_be_had(&error) => Err(error.into()),
            Err(error) if choice == Choice::Tun => Err(anyhow!(
                "{error}. Without it there is --port packet, which takes CAP_NET_RAW alone (docker run gives it by default)"
            )),
            Err(error) => Self::without_tun(choice, workers, &error),
        }
    }

    fn with_tun(options: &Options, tun: Tun) -> anyhow::Result<Self> {
        if let Some(refused) = &tun.refused {
            if options.engine.offload == Offload::On {
                bail!("{refused}; `offload` is set to on: set it to auto to run without");
            }
            warn!("{refused}: running without offload, with one worker");
        }
        let workers = tun.queues.len();
        // Rings take memory, and see every packet: none without need.
        let rings = (options.engine.port != Choice::Tun).then(|| rings_beside(&tun)).transpose();
        let (rings, reason) = match (options.engine.port, rings) {
            (Choice::Packet, Err(error)) => {
                return Err(error.context("--port packet does not work here; --port tun may"));
            }
            (Choice::Packet, Ok(rings)) => (rings, "it was asked for".to_owned()),
            (Choice::Auto, Ok(rings)) => {
                (rings, "there are rings, and the kernel can be kept from answering too".to_owned())
            }
            (Choice::Auto, Err(error)) => (None, reason(&error)),
            (Choice::Tun, _) => (None, "nothing else was asked for".to_owned()),
        };
        Ok(Self { tun: Some(tun), rings, workers, reason })
    }

    fn without_tun(choice: Choice, workers: usize, missing: &TunError) -> anyhow::Result<Self> {
        let name = if choice == Choice::Auto { "auto" } else { "packet" };
        let rings = Port::open(workers, SLOTS).map_err(|error| {
            anyhow!(
                "--port {name} finds nothing to work with. A TUN device: {missing}. Packet sockets: {error}; {}. Either is \
                 enough",
                way_out(&error)
            )
        })?;
        let reason = format!("there can be no TUN device beside it: {missing}");
        Ok(Self { tun: None, rings: Some(rings), workers, reason })
    }
}

/// Whether it is for want of rights or of a driver, not for what was asked.
const fn cannot_be_had(error: &TunError) -> bool {
    matches!(error, TunError::Missing { .. } | TunError::Forbidden { .. } | TunError::NoCapability { .. })
}

fn rings_beside(tun: &Tun) -> anyhow::Result<(Vec<Port>, Intake)> {
    if !tun.offload.tso {
        // What cannot go straight goes by there, as it came.
        bail!("the packet port needs a TUN device with offload: leave `offload` at auto, or see the log");
    }
    Port::open(tun.queues.len(), SLOTS).map_err(|error| {
        anyhow!("the packet port cannot have its packet sockets: {error}; {}", way_out(&error))
    })
}
