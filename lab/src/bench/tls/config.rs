//! The contenders' configurations. What they say about the same thing says the same: nobody logs, nobody gives up on
//! idle clients, everybody speaks TLS 1.2 and
//! 1.3, with ciphers of its own choice.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use super::site::Site;

/// What a contender is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Task {
    /// Threads or processes that do the work.
    pub(super) threads: u16,
    /// Whether clients may resume sessions, by tickets or a cache.
    pub(super) resumption: bool,
    /// Connections that it has to have room for, on each side.
    pub(super) connections: u64,
}

pub(super) fn haproxy(
    mode: &str,
    vip: SocketAddr,
    servers: &[SocketAddr],
    site: &Site,
    task: Task,
) -> String {
    let Task { threads, resumption, connections } = task;
    let (cache, tickets) =
        if resumption { (20_000, "") } else { (0, "ssl-default-bind-options no-tls-tickets\n") };
    let mut text = format!(
        "global\nnbthread {threads}\nmaxconn {connections}\ntune.ssl.cachesize {cache}\n{tickets}\
         defaults\nmode {mode}\ntimeout connect 5s\ntimeout client 1h\ntimeout server 1h\n\
         listen vip\nbind {vip} ssl crt {}\nbalance roundrobin\n",
        site.both.display()
    );
    for (index, server) in servers.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "server server{} {server}", index + 1);
    }
    text
}

pub(super) fn nginx(
    vip: SocketAddr,
    servers: &[SocketAddr],
    site: &Site,
    task: Task,
    directory: &Path,
) -> String {
    let Task { threads, resumption, connections } = task;
    let (cache, tickets) = if resumption { ("shared:tls:20m", "on") } else { ("off", "off") };
    let directory = directory.display();
    let servers: String = servers.iter().map(|server| format!("server {server};")).collect();
    let places: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {directory}/nginx-{what};\n"))
        .concat();
    // Without `user root` the worker could not write to the lab's directory. A response that waits for a slow client
    // shall not be written to a disk.
    format!(
        "daemon off; user root; worker_processes {threads}; pid {directory}/nginx.pid;\n\
         events {{ worker_connections {}; }}\n\
         http {{\naccess_log off; keepalive_timeout 1h; keepalive_requests 1000000000;\n{places}\
         proxy_max_temp_file_size 0; sendfile on; tcp_nopush on;\n\
         upstream servers {{ {servers} keepalive 64; keepalive_requests 1000000000; }}\n\
         server {{\nlisten {vip} ssl backlog=4096;\nssl_certificate {}; ssl_certificate_key {};\n\
         ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache {cache}; ssl_session_tickets {tickets};\n\
         location / {{ proxy_pass http://servers; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}\n}}\n}}\n",
        2 * connections,
        site.cert.display(),
        site.key.display(),
    )
}

pub(super) fn ulvs(stack: &str, vip: SocketAddr, servers: &[SocketAddr], site: &Site, task: Task) -> String {
    let tickets = if task.resumption { "own" } else { "off" };
    let mut text = format!(
        "[[service]]\nvip = \"{}\"\nports = [\"tcp/{}\"]\nscheduler = \"rr\"\n\
         [service.tls]\ncert = \"{}\"\nkey = \"{}\"\nserver_port = 80\nstack = \"{stack}\"\ntickets = \"{tickets}\"\n",
        vip.ip(),
        vip.port(),
        site.cert.display(),
        site.key.display(),
    );
    for server in servers {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "[[service.server]]\naddress = \"{}\"", server.ip());
    }
    text
}
