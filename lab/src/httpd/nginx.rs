//! The same pages by nginx.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::conf::Conf;

/// Starts it in the background.
pub(super) fn start(name: &str, state: &Path, pid_file: &Path, conf: &Conf) -> anyhow::Result<()> {
    let file = state.join("nginx.conf");
    super::write(&file, &text(name, state, pid_file, conf)).context("nginx needs its configuration")?;
    let mut nginx = Command::new("nginx");
    nginx.arg("-e").arg(state.join("nginx.log")).arg("-c").arg(&file).stdin(Stdio::null());
    let output = nginx.output().context("cannot start nginx: install it, or do without --real")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nginx does not start: {}", said.trim());
    Ok(())
}

fn text(name: &str, state: &Path, pid_file: &Path, conf: &Conf) -> String {
    let (state, pid) = (state.display(), pid_file.display());
    let mut text = format!(
        "user root;\npid {pid};\nerror_log {state}/nginx.log;\nworker_processes 1;\nevents {{}}\nhttp {{\n  \
         access_log off;\n  default_type text/plain;\n"
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
    let pages = [("/", format!("{name}\\n")), ("/test1.html", format!("{name}\\n"))];
    let whoami = ("/whoami", "$remote_addr:$remote_port\\n".to_owned());
    for (path, body) in pages.into_iter().chain([whoami]) {
        let _ = writeln!(text, "    location = {path} {{ return 200 \"{body}\"; }}");
    }
    text + "    location / { return 404 \"nothing here\\n\"; }\n  }\n}\n"
}
