//! What the settings mean to the engine.

use std::time::Duration;

use control::settings::{Settings, Sysctl};
use engine::{Defence, Knobs};

/// The engine's side of the settings.
pub(crate) fn knobs(settings: &Settings) -> Knobs {
    let on = |sysctl| settings.is_on(sysctl);
    // Negative counts and times, which the kernel takes too, mean none.
    let count = |sysctl| u32::try_from(settings.get(sysctl)).unwrap_or(0);
    let seconds = |n: u32| Duration::from_secs(n.into());
    let defence = |sysctl| match settings.get(sysctl) {
        0 => Defence::Off,
        3 => Defence::Always,
        _ => Defence::Auto,
    };
    Knobs {
        tcp_timeout: seconds(settings.timeouts.tcp),
        tcp_fin_timeout: seconds(settings.timeouts.tcp_fin),
        udp_timeout: seconds(settings.timeouts.udp),
        amemthresh: count(Sysctl::Amemthresh),
        am_droprate: count(Sysctl::AmDroprate),
        drop_entry: defence(Sysctl::DropEntry),
        drop_packet: defence(Sysctl::DropPacket),
        secure_tcp: defence(Sysctl::SecureTcp),
        // Its bits count, not its sign.
        conn_reuse_mode: settings.get(Sysctl::ConnReuseMode).cast_unsigned(),
        expire_nodest_conn: on(Sysctl::ExpireNodestConn),
        expire_quiescent_template: on(Sysctl::ExpireQuiescentTemplate),
        sloppy_tcp: on(Sysctl::SloppyTcp),
        sloppy_sctp: on(Sysctl::SloppySctp),
        nat_icmp_send: on(Sysctl::NatIcmpSend),
        cache_bypass: on(Sysctl::CacheBypass),
        pmtu_disc: on(Sysctl::PmtuDisc),
        schedule_icmp: on(Sysctl::ScheduleIcmp),
        sched: sched::Knobs {
            lblc_expiration: seconds(count(Sysctl::LblcExpiration)),
            lblcr_expiration: seconds(count(Sysctl::LblcrExpiration)),
        },
        reset_on_end: on(Sysctl::ResetOnEnd),
        move_udp: on(Sysctl::MoveUdp),
        reuse_ports: on(Sysctl::ReusePorts),
        template_decay: on(Sysctl::TemplateDecay),
        ops_replies: on(Sysctl::OpsReplies),
        hairpin: on(Sysctl::Hairpin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_engines_and_compat_is_the_kernels() {
        assert_eq!(knobs(&Settings::new(false)), Knobs::default());
        assert_eq!(knobs(&Settings::new(true)), Knobs::ipvs());
    }

    #[test]
    fn every_sysctl_that_is_not_the_control_planes_reaches_the_engine() {
        let elsewhere = [Sysctl::RunEstimation, Sysctl::LipPortFirst, Sysctl::LipPortLast];
        for sysctl in Sysctl::ALL.into_iter().filter(|s| !elsewhere.contains(s)) {
            let mut settings = Settings::default();
            settings.set(sysctl, i32::from(settings.get(sysctl) == 0)).unwrap();
            assert_ne!(knobs(&settings), Knobs::default(), "{sysctl}");
        }
    }

    #[test]
    fn numbers_below_nothing_are_nothing() {
        let mut settings = Settings::default();
        settings.set(Sysctl::AmDroprate, -1).unwrap();
        settings.set(Sysctl::DropEntry, 2).unwrap();
        settings.set(Sysctl::ConnReuseMode, -1).unwrap();
        let knobs = knobs(&settings);
        assert_eq!((knobs.am_droprate, knobs.drop_entry), (0, Defence::Auto));
        assert_eq!(knobs.conn_reuse_mode & 2, 2);
    }
}
