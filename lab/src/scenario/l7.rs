//! The lesson's other way: LVS in front of proxies that end TLS.

use super::Scenario;
use super::words::{CURL, add, alternates, nat_lab, start, stop};
use crate::play::Step;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "l7",
    summary: "ulvs before two nginx that end TLS and pass plain HTTP to the servers behind",
    intro: "The lesson's other way: nginx has the certificate, the servers need none, and LVS balances the nginx. server1 and \
            server2 are nginx here, server3 and server4 have the pages.",
    topology: |terms| nat_lab(terms, 4),
    serving: &["server3", "server4"],
    needs: &[("nginx", "nginx")],
    steps,
};

const NGINX: &str = "\
cat > nginx.conf <<'END'
user root; pid /root/nginx.pid; error_log /root/error.log; worker_processes 1;
events {}
http {
  access_log off;
  client_body_temp_path /root/t1; proxy_temp_path /root/t2; fastcgi_temp_path /root/t3;
  uwsgi_temp_path /root/t4; scgi_temp_path /root/t5;
  upstream pages { server 10.0.0.13; server 10.0.0.14; }
  server {
    listen 443 ssl;
    ssl_certificate /root/httpd.crt;
    ssl_certificate_key /root/httpd.key;
    add_header X-Proxy $hostname;
    location / { proxy_pass http://pages; }
  }
}
END
nginx -e error.log -c /root/nginx.conf";

fn steps() -> Vec<Step> {
    let nginx = |server: &'static str| Step::new(format!("nginx on {server}"), server, NGINX);
    vec![
        Step::new(
            "A certificate",
            "director",
            "ulvs ca init && ulvs ca issue --dns www.ilinux.io --out httpd && scp ca.crt client: && \
             scp httpd.crt httpd.key server1: && scp httpd.crt httpd.key server2:",
        )
        .part("Two proxies"),
        nginx("server1").means("It has the certificate, and two servers behind it that speak plain HTTP."),
        nginx("server2"),
        start().part("LVS before them"),
        Step::new("The service", "director", "ipvsadm -A -t 203.0.113.1:443 -s rr"),
        add("203.0.113.1:443", "10.0.0.11", "-m"),
        add("203.0.113.1:443", "10.0.0.12", "-m"),
        Step::new(
            "Which proxy?",
            "client",
            format!("for i in {{1..4}}; do {CURL} --cacert ca.crt -o /dev/null -D - https://www.ilinux.io/ | grep X-Proxy; done"),
        )
        .means("Layer 4 balances the proxies ...")
        .check("server1 and server2 take turns", |said| {
            alternates(said) && said.text.contains("server1") && said.text.contains("server2")
        }),
        Step::new("Which page?", "client", format!("for i in {{1..8}}; do {CURL} --cacert ca.crt https://www.ilinux.io/; done"))
            .means("... and layer 7 balances the servers.")
            .check("server3 and server4, four times each", |said| {
                super::words::count(said, "server3") == 4 && super::words::count(said, "server4") == 4
            }),
        Step::new("A proxy is taken out", "director", "ipvsadm -d -t 203.0.113.1:443 -r 10.0.0.11").part("A proxy less"),
        Step::new("Does anybody notice?", "client", format!("for i in {{1..4}}; do {CURL} --cacert ca.crt https://www.ilinux.io/; done"))
            .means("More proxies for more TLS, one less for repairs: that is what LVS before nginx is good for.")
            .check("four pages", |said| said.lines().len() == 4),
        stop(),
    ]
}
