//! The clients: wrk for requests and connections, curl for downloads, openssl for what was agreed. All use OpenSSL.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::site::Site;
use crate::bench::programs::find;
use crate::node::{Child, Node};

/// What wrk counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    /// Requests that were answered.
    pub(super) requests: f64,
    /// Those in a second.
    pub(super) per_s: f64,
    /// Connections that failed, answers that were no 200, requests that took more than two seconds.
    pub(super) errors: u64,
}

/// One thread of wrk with so many connections; `close` makes each request's the last of its connection. wrk resumes
/// sessions wherever it is let.
pub(super) fn wrk(
    node: &Node,
    url: &str,
    connections: u32,
    seconds: u32,
    close: bool,
) -> anyhow::Result<Rate> {
    let mut command = node.command(find("wrk", "wrk")?);
    // For each connection OpenSSL has more to do in the client than a good server has: on one core, the client would be
    // what is measured.
    let threads = if close { "-t2" } else { "-t1" };
    command.args([threads, &format!("-c{connections}"), &format!("-d{seconds}s")]);
    if close {
        command.args(["-H", "Connection: close"]);
    }
    let output = command.arg(url).stdin(Stdio::null()).output().context("cannot run wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    counted(&text).with_context(|| format!("wrk did not say what it counted: {text}"))
}

fn counted(text: &str) -> Option<Rate> {
    let mut rate = Rate::default();
    for line in text.lines().map(str::trim) {
        let mut words = line.split([' ', ',']).filter(|word| !word.is_empty());
        if line.contains(" requests in ") {
            rate.requests = words.next()?.parse().ok()?;
        } else if let Some(number) = line.strip_prefix("Requests/sec:") {
            rate.per_s = number.trim().parse().ok()?;
        } else if line.starts_with("Socket errors:") || line.starts_with("Non-2xx") {
            rate.errors += words.filter_map(|word| word.parse::<u64>().ok()).sum::<u64>();
        }
    }
    (rate.per_s > 0.0).then_some(rate)
}

/// Starts a wrk that makes one request on each of so many connections and then keeps them open and silent.
pub(super) fn hold(node: &Node, site: &Site, url: &str, connections: u32) -> anyhow::Result<Child> {
    let script = site.place(&format!("hold-{connections}.lua"));
    // wrk asks before each request how many milliseconds it shall wait.
    let text = format!(
        "local asked = 0\nfunction delay()\n  asked = asked + 1\n  return asked <= {connections} and 0 or 3600000\nend\n"
    );
    fs::write(&script, text).with_context(|| format!("cannot write {}", script.display()))?;
    let mut command = node.command(find("wrk", "wrk")?);
    command.args(["-t1", &format!("-c{connections}"), "-d3600s", "-s"]).arg(&script).arg(url);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    node.spawn(&mut command)
}

/// A download in progress.
pub(super) struct Download(Child);

/// A finished or interrupted download.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Downloaded {
    /// Bytes that came.
    pub(super) bytes: f64,
    /// Seconds from the first of them to the last.
    pub(super) seconds: f64,
}

impl Download {
    /// Starts curl, which stops when it has everything or the time is over.
    pub(super) fn start(node: &Node, site: &Site, url: &str, at_most: Duration) -> anyhow::Result<Self> {
        let mut command = node.command(find("curl", "curl")?);
        let limit = at_most.as_secs_f64().to_string();
        command
            .args(["-s", "--http1.1", "-o", "/dev/null", "--max-time", &limit, "--cacert"])
            .arg(&site.cert);
        command.args(["-w", "%{http_code} %{size_download} %{time_starttransfer} %{time_total}", url]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        node.spawn(&mut command).map(Self)
    }

    /// Waits for its end.
    pub(super) fn finish(mut self) -> anyhow::Result<Downloaded> {
        let mut text = String::new();
        let out = self.0.stdout.as_mut().context("curl has no output")?;
        out.read_to_string(&mut text).context("cannot read what curl says")?;
        let status = self.0.wait().context("cannot wait for curl")?;
        let numbers: Vec<f64> = text.split(' ').filter_map(|word| word.parse().ok()).collect();
        match numbers[..] {
            // 28: the time was over.
            [200.0, bytes, first, total] if matches!(status.code(), Some(0 | 28)) => {
                Ok(Downloaded { bytes, seconds: (total - first).max(1e-6) })
            }
            _ => anyhow::bail!("curl ended with {status} and said {text:?}"),
        }
    }
}

/// What a client and a contender agreed on, such as `TLSv1.3, TLS_AES_256_GCM_SHA384`, and whether a second connection
/// resumed the session of the first one.
pub(super) fn agreed(node: &Node, site: &Site, vip: &str) -> anyhow::Result<(String, bool)> {
    let session = site.place("session.pem");
    // Nothing may be left of it that another contender's key made.
    let _ = fs::remove_file(&session);
    let connect = |option: &str| -> anyhow::Result<String> {
        let mut command = node.command(find("openssl", "openssl")?);
        command.args(["s_client", "-connect", vip, "-CAfile"]).arg(&site.cert);
        command.arg("-ign_eof");
        if session.exists() || option == "-sess_out" {
            command.arg(option).arg(&session);
        }
        ask(&mut command)
    };
    let first = connect("-sess_out")?;
    let second = connect("-sess_in")?;
    let line = |text: &str| text.lines().find(|line| line.contains(", Cipher is ")).map(str::to_owned);
    let (first, second) = (line(&first).context("no session")?, line(&second).context("no session")?);
    let suite = first.trim_start_matches("New, ").replace("Cipher is ", "");
    Ok((suite, second.starts_with("Reused")))
}

/// Runs a client that sends a request and reads to the end, by which time tickets have come.
fn ask(command: &mut Command) -> anyhow::Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().context("cannot run openssl")?;
    let mut input = child.stdin.take().context("openssl has no input")?;
    input
        .write_all(b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
        .context("cannot ask openssl")?;
    let output = child.wait_with_output().context("cannot wait for openssl")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_understood() {
        let good = "Running 5s test @ https://203.0.113.1/\n  1 threads and 50 connections\n  Thread Stats   Avg\n\
                    \x20 81234 requests in 5.00s, 9.45MB read\nRequests/sec:  16246.12\nTransfer/sec:      1.89MB\n";
        assert_eq!(counted(good), Some(Rate { requests: 81_234.0, per_s: 16_246.12, errors: 0 }));
        let bad = good.replace(
            "Requests/sec",
            "  Socket errors: connect 1, read 20, write 0, timeout 300\n  Non-2xx or 3xx responses: 4000\nRequests/sec",
        );
        assert_eq!(counted(&bad).map(|rate| rate.errors), Some(4321));
        assert_eq!(counted("unable to connect"), None);
    }
}
