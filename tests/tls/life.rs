//! What fronts leave behind: nothing, by whatever TCP, in both families at once.

use lab::topo::{NatOptions, VipPlace};

use super::site::Site;
use crate::scene::{FAMILIES, Foreground};
use crate::support::{Engine, printed, ulvs};

/// https by the host's TCP, and on another port by ours; port 80 leads to the former.
const OURS: u16 = 8443;

fn file(site: &Site) -> String {
    let text = FAMILIES.map(|family| {
        let vip = site.vip(family).ip();
        let server = site.scene.lab.server_port(0, family, 80);
        [(443, "kernel", "redirect_http = 80\n"), (OURS, "userspace", "pool = 4\n")].map(
            |(port, stack, more)| {
                format!(
                    "[[service]]\nvip = \"{vip}\"\nports = [\"tcp/{port}\"]\nscheduler = \"rr\"\n\
                 [[service.server]]\naddress = \"{server}\"\n\
                 [service.tls]\ncert = \"site.crt\"\nkey = \"site.key\"\nstack = \"{stack}\"\n{more}"
                )
            },
        )
    });
    site.scene.write("ulvs.toml", &text.concat().concat())
}

fn works(site: &Site) {
    for family in FAMILIES {
        for port in [443, OURS] {
            let at = site.scene.lab.vip.port(family, port);
            site.client()
                .http(at)
                .download(100_000, |_| ())
                .unwrap_or_else(|error| panic!("{at}: {error:#}"));
        }
    }
}

#[test]
fn a_stop_puts_the_host_back_and_ends_what_is_open() {
    for (vip, forwarding) in
        [(VipPlace::Routed, false), (VipPlace::Loopback, true), (VipPlace::Subnet, false)]
    {
        let site = Site::new("kernel", &NatOptions { vip, forwarding, ..NatOptions::default() });
        let before = site.scene.snapshot();
        let file = file(&site);
        let engine = Engine::start(&site.scene.lab, &["--config", &file, "--workers", "2"]);
        works(&site);
        let mut open: Vec<_> = FAMILIES.map(|family| site.client().open(site.vip(family))).into();
        engine.stop();
        site.scene.assert_as(&before, "`ulvs stop`");
        for session in &mut open {
            assert_ne!(session.rest().1, super::site::End::Clean);
        }
    }
}

#[test]
fn what_is_taken_away_again_leaves_the_rules_that_were_there() {
    let site = Site::new("kernel", &NatOptions::default());
    let engine = site.engine();
    for family in FAMILIES {
        let vip = site.vip(family);
        engine.ulvs(&format!("ipvsadm -A -t {vip} -s rr"));
        engine.ulvs(&format!("ipvsadm -a -t {vip} -r {} -m", site.scene.lab.server_port(0, family, 80)));
    }
    let before = site.scene.snapshot();
    for stack in ["kernel", "userspace"] {
        for family in FAMILIES {
            let vip = site.vip(family);
            let cert = format!("--cert {0}/site.crt --key {0}/site.key", site.dir);
            engine.ulvs(&format!("tls add tcp/{vip} {cert} --stack {stack}"));
            site.client().get(vip, "/");
        }
        for family in FAMILIES {
            let none = || (super::site::sessions(&engine, site.vip(family)) == 0).then_some(());
            lab::wait::wait_for("the sessions' end", crate::support::PATIENCE, none).unwrap();
            engine.ulvs(&format!("tls remove tcp/{}", site.vip(family)));
        }
        let diff = site.scene.snapshot().facts_since(&before);
        assert!(diff.is_empty(), "after a front by the stack {stack}:\n{}", diff.join("\n"));
    }
    engine.stop();
}

#[test]
fn after_a_sudden_end_the_next_start_or_clean_puts_the_host_in_order() {
    for vip in [VipPlace::Routed, VipPlace::Interface] {
        let site = Site::new("kernel", &NatOptions { vip, forwarding: false, ..NatOptions::default() });
        let before = site.scene.snapshot();
        let file = file(&site);
        let die = || {
            let foreground = Foreground::start(&site.scene, &["--config", &file, "--workers", "2"]);
            works(&site);
            let _open: Vec<_> = FAMILIES.map(|family| site.client().open(site.vip(family))).into();
            assert!(!foreground.end("KILL").success());
        };
        die();
        let engine = Engine::start(&site.scene.lab, &["--config", &file, "--workers", "2"]);
        works(&site);
        engine.stop();
        site.scene.assert_as(&before, "SIGKILL, a start and a stop");
        die();
        let cleaned = ulvs(site.scene.director(), &["clean"]);
        assert!(cleaned.status.success(), "{}", printed(&cleaned));
        site.scene.assert_as(&before, "SIGKILL and `ulvs clean`");
    }
}
