//! The same pages by nginx.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::ROOT;
use super::conf::Conf;
use crate::pattern::Pattern;
use crate::scenario::TRANSFERS;

/// Starts it in the background.
pub(super) fn start(name: &str, state: &Path, pid_file: &Path, conf: &Conf) -> anyhow::Result<()> {
    let file = state.join("nginx.conf");
    super::write(&file, &text(name, state, pid_file, conf)).context("nginx needs its configuration")?;
    streams(&state.join("pages")).context("cannot write the pages of nginx")?;
    // One that was killed leaves its socket.
    let _ = fs::remove_file(state.join("discard"));
    let mut nginx = Command::new("nginx");
    nginx.arg("-e").arg(state.join("nginx.log")).arg("-c").arg(&file).stdin(Stdio::null());
    let output = nginx.output().context("cannot start nginx: install it, or do without --real")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nginx does not start: {}", said.trim());
    Ok(())
}

/// Pages of the embedded server's stream. One of 1 GiB would take as much memory where the lab's files are in it, on each
/// server: so there is one period of the stream, and pages that include it as often as they need it.
fn streams(pages: &Path) -> std::io::Result<()> {
    let pattern = Pattern::default();
    let period = pattern.period();
    fs::create_dir_all(pages.join("bytes"))?;
    fs::create_dir_all(pages.join("piece"))?;
    fs::write(pages.join("piece/period"), period)?;
    for len in TRANSFERS {
        let (whole, rest) = (len / period.len() as u64, len % period.len() as u64);
        fs::write(pages.join(format!("piece/{len}")), &period[..rest as usize])?;
        let mut page = "<!--#include virtual=\"/piece/period\"-->".repeat(whole as usize);
        page += &format!("<!--#include virtual=\"/piece/{len}\"-->");
        fs::write(pages.join(format!("bytes/{len}")), page)?;
    }
    Ok(())
}

fn text(name: &str, state: &Path, pid_file: &Path, conf: &Conf) -> String {
    let (state, pid) = (state.display(), pid_file.display());
    let mut text = format!(
        "user root;\npid {pid};\nerror_log {state}/nginx.log;\nworker_processes 1;\nevents {{}}\nhttp {{\n  \
         access_log off;\n  default_type text/plain;\n  sendfile on;\n"
    );
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {kind}_temp_path {state}/{kind};");
    }
    text += "  server {\n";
    for port in &conf.ports {
        let _ = writeln!(text, "    listen {port};\n    listen [::]:{port};");
    }
    if let Some(tls) = &conf.tls {
        let _ = writeln!(
            text,
            "    listen 443 ssl;\n    listen [::]:443 ssl;\n    ssl_certificate {};\n    ssl_certificate_key {};\n    \
             ssl_session_cache shared:SSL:1m;",
            tls.cert.display(),
            tls.key.display()
        );
    }
    let _ = writeln!(
        text,
        "    if (-f {ROOT}/broken) {{ return 500 \"the program behind this page has crashed\\n\"; }}\n    \
         location = /test1.html {{ root {ROOT}/html; try_files /test1.html @name; }}"
    );
    let pages = [("= /", format!("{name}\\n")), ("@name", format!("{name}\\n"))];
    let whoami = ("= /whoami", "$remote_addr:$remote_port\\n".to_owned());
    for (place, body) in pages.into_iter().chain([whoami]) {
        let _ = writeln!(text, "    location {place} {{ return 200 \"{body}\"; }}");
    }
    // An answer of its own would not wait for what is posted; another server's does, since it gets that first.
    let _ = writeln!(
        text,
        "    root {state}/pages;\n    location /bytes/ {{ ssi on; ssi_types *; open_file_cache max=16; }}\n    \
         location /piece/ {{ internal; open_file_cache max=16; }}\n    \
         location = /discard {{ client_max_body_size 0; proxy_pass http://unix:{state}/discard:; }}"
    );
    text += "    location / { return 404 \"nothing here\\n\"; }\n  }\n";
    let _ = writeln!(
        text,
        "  server {{\n    listen unix:{state}/discard;\n    client_max_body_size 0;\n    \
         location / {{ return 200 \"$content_length\\n\"; }}\n  }}\n}}"
    );
    text
}
