//! Names and protocols: which certificate a client gets, and which servers.

use std::process::Stdio;

use lab::addr::Family;
use lab::client;
use lab::node::Child;
use lab::wait::wait_for;

use super::scene::{Scene, both, both_over};
use crate::support::{PATIENCE, printed};

/// Where nginx speaks HTTP/2 in clear.
const H2C: u16 = 82;

/// Whose certificate openssl's client gets; or the number of the alert.
fn subject(scene: &Scene<'_>, options: &str) -> Result<String, u8> {
    let text = scene.s_client(options);
    if let Some(number) = text.split("SSL alert number ").nth(1) {
        return Err(number.lines().next().unwrap().trim().parse().unwrap());
    }
    let subject = text.lines().find_map(|line| line.strip_prefix("subject=CN = "));
    Ok(subject.unwrap_or_else(|| panic!("{text}")).to_owned())
}

#[test]
fn a_name_gets_its_certificate() {
    both(|scene| {
        scene.add(&scene.pair("one.example", ""));
        scene.add(&scene.pair("two.example", " --dns deep.two.example"));
        scene.ca(&format!("issue --dns *.wild.example --out {}", scene.path("wild")));
        scene.add(&scene.pair_files("wild"));
        scene.add(&scene.pair("exact.wild.example", ""));
        let asked = |name: &str| subject(scene, &format!("-servername {name}")).unwrap();
        for version in ["-tls1_2", "-tls1_3"] {
            for (name, expected) in [
                ("one.example", "one.example"),
                ("TWO.Example", "two.example"),
                ("deep.two.example", "two.example"),
                ("any.wild.example", "*.wild.example"),
                ("exact.wild.example", "exact.wild.example"),
                // A star is one label.
                ("a.b.wild.example", "one.example"),
                ("wild.example", "one.example"),
                ("nobody.example", "one.example"),
            ] {
                assert_eq!(asked(&format!("{name} {version}")), expected, "{name}");
            }
            assert_eq!(subject(scene, &format!("-noservername {version}")).unwrap(), "one.example");
        }
        for name in ["one.example", "deep.two.example", "any.wild.example", "exact.wild.example"] {
            scene.works(name, "");
        }

        scene.add("--sni strict");
        for version in ["-tls1_2", "-tls1_3"] {
            for option in ["-servername nobody.example", "-servername a.b.wild.example", "-noservername"] {
                let refused = subject(scene, &format!("{option} {version}"));
                assert_eq!(refused, Err(112), "unrecognized_name, {option} {version}");
            }
        }
        assert_eq!(scene.counter("sni-misses"), 6);
        assert_eq!(asked("any.wild.example"), "*.wild.example");
        scene.add("--sni any");
        assert_eq!(asked("nobody.example"), "one.example");

        // Who asks for no name knows an address, and gets the certificate that is for one.
        scene.ca(&format!("issue --ip {} --out {}", scene.vip.ip(), scene.path("address")));
        scene.add(&format!("{} --sni strict", scene.pair_files("address")));
        let page = printed(&scene.sh("curl -sS --max-time 30 --cacert ca.crt https://$VIP/"));
        assert!(page.starts_with("server"), "{page}");
        scene.wait_idle();
    });
}

#[test]
fn an_address_of_ipv6_is_a_name_too() {
    both_over(Family::V6, |scene| {
        scene.add(&scene.pair("one.example", &format!(" --ip {}", scene.vip.ip())));
        let page = printed(&scene.sh("curl -sS --max-time 30 --cacert ca.crt https://$AT/"));
        assert!(page.starts_with("server"), "{page}");
    });
}

/// nginx on the first server: HTTP/2 in clear, and nothing else.
fn nginx(scene: &Scene<'_>) -> Child {
    let server = &scene.lab.servers[0];
    let config = format!(
        "daemon off;\nmaster_process off;\npid {0}/nginx.pid;\nerror_log {0}/nginx.log;\nevents {{}}\n\
         http {{\n access_log off;\n client_body_temp_path {0}/body;\n proxy_temp_path {0}/proxy;\n \
         fastcgi_temp_path {0}/fastcgi;\n uwsgi_temp_path {0}/uwsgi;\n scgi_temp_path {0}/scgi;\n \
         server {{\n  listen {H2C} http2;\n  location / {{ return 200 \"nginx $server_protocol\\n\"; }}\n }}\n}}\n",
        scene.dir
    );
    let path = scene.path("nginx.conf");
    std::fs::write(&path, config).unwrap();
    let mut command = server.command("nginx");
    command.args(["-c", &path]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = server.spawn(&mut command).unwrap();
    let at = scene.lab.server_port(0, Family::V4, H2C);
    wait_for("nginx", PATIENCE, || client::connect(server, at).ok()).unwrap();
    child
}

#[test]
fn http_2_passes_to_servers_that_speak_it() {
    both(|scene| {
        let _nginx = nginx(scene);
        // All of them do.
        let (vip, server) = (scene.vip, scene.lab.server_port(0, Family::V4, H2C));
        let all = scene.lab.vip.port(Family::V4, 444);
        scene.engine.service("tcp", all, "rr", &[(server, 1)]);
        let pair = scene.pair("one.example", "");
        scene.engine.ulvs(&format!("tls add tcp/{all} --stack {} {pair} --alpn h2", scene.stack));
        let curl = |port: u16, options: &str| {
            printed(&scene.sh(&format!(
                "curl -sS --max-time 30 --cacert ca.crt --resolve one.example:{port}:$VIP {options} \
                 -w '%{{http_version}}' https://one.example:{port}/"
            )))
        };
        assert_eq!(curl(444, "--http2"), "nginx HTTP/2.0\n2");
        // Those of another service do.
        let service = scene.lab.vip.port(Family::V4, 8443);
        scene.engine.service("tcp", service, "rr", &[(server, 1)]);
        scene.add(&format!("{pair} --alpn h2,http/1.1 --alpn-service h2=tcp/{service}"));
        assert_eq!(curl(vip.port(), "--http2"), "nginx HTTP/2.0\n2");
        let page = curl(vip.port(), "--http1.1");
        assert!(page.starts_with("server") && page.ends_with("\n1.1"), "{page}");
        let page = curl(vip.port(), "--no-alpn");
        assert!(page.starts_with("server") && page.ends_with("\n1.1"), "{page}");
        // Two requests on one connection, as HTTP/2 means it.
        let pages = curl(vip.port(), "--http2 https://one.example:443/a");
        assert_eq!(pages, "nginx HTTP/2.0\n2nginx HTTP/2.0\n2");
        // openssl's client asks for the one and for the other, and for what there is not.
        for (asked, chosen) in [("h2,http/1.1", "h2"), ("http/1.1,h2", "h2"), ("spdy/3,http/1.1", "http/1.1")]
        {
            let text = printed(
                &scene.sh(&format!("openssl s_client -connect $AT -CAfile ca.crt -alpn {asked} </dev/null")),
            );
            assert!(text.contains(&format!("ALPN protocol: {chosen}")), "{asked}: {text}");
        }
        for version in ["-tls1_2", "-tls1_3"] {
            assert_eq!(
                subject(scene, &format!("{version} -alpn spdy/3")),
                Err(120),
                "no_application_protocol"
            );
        }
        assert_eq!(scene.counter("alert-no_application_protocol"), 2);
        scene.wait_idle();
    });
}
